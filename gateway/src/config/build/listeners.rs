//! Listeners: the public one, the operators', and that they do not clash.

use std::net::{IpAddr, SocketAddr};

use super::super::certificate::About;
use super::super::diagnostic::Text;
use super::super::resolve::others_may_read;
use super::super::{Admin, Certificate, Server, lookalike, raw};
use super::{Build, SECOND};
use crate::clock::{Clock, SystemClock};

impl Build<'_> {
    pub(super) fn server(&mut self, raw: &raw::Server) -> Server {
        let or = |given: Option<leadgate_plugin::HumanDuration>, seconds| {
            given.map_or(SECOND * seconds, |given| given.0)
        };
        // The web server's clock for headers ticks every half second.
        if raw.header_timeout.is_some_and(|given| given.0 < SECOND) {
            let message = Text::new(
                "less than 1s would cut off honest senders",
                "小于 1s 会误断正常的请求",
            );
            let place = self.value("/server/header_timeout");
            self.error(
                "config::invalid_value",
                message,
                Text::plain("\"5s\""),
                place,
            );
        }
        let max_connections = raw.max_connections.unwrap_or(1024);
        let tls = raw.tls.as_ref();
        Server {
            tls: tls.and_then(|tls| self.certificate(tls)),
            listen: self.address(raw.listen.as_deref(), "127.0.0.1:8080", "/server/listen"),
            max_body: usize::try_from(raw.max_body.map_or(256 << 10, |size| size.0))
                .unwrap_or(usize::MAX),
            max_body_memory: usize::try_from(raw.max_body_memory.map_or(64 << 20, |size| size.0))
                .unwrap_or(usize::MAX),
            max_connections,
            max_connections_per_address: match raw.max_connections_per_address {
                None => Some(max_connections.div_ceil(4)),
                Some(0) => None,
                bound => bound,
            },
            keep_alive: or(raw.keep_alive, 75),
            header_timeout: or(raw.header_timeout, 5),
            body_timeout: or(raw.body_timeout, 5),
            ack_deadline: or(raw.ack_deadline, 2),
            failure_status: raw.failure_status.unwrap_or(500),
            refusal_status: raw.refusal_status.unwrap_or(200),
            shutdown_timeout: or(raw.shutdown_timeout, 30),
        }
    }

    /// Reads the certificate with its key, and says all that is wrong with them.
    fn certificate(&mut self, raw: &raw::Tls) -> Option<Certificate> {
        let (cert, key) = ("/server/tls/cert", "/server/tls/key");
        if !self.document.is_good(cert) || !self.document.is_good(key) {
            return None;
        }
        // A credential of systemd's is its user's alone, whatever its mode says.
        let credential = raw.key.starts_with("/run/credentials");
        if !credential && others_may_read(&raw.key) {
            let shown = raw.key.display();
            self.warn(
                "config::open_secret_file",
                Text::new(
                    format!("{shown} can be read by other users"),
                    format!("{shown} 可被其他用户读取"),
                ),
                Text::plain(format!("chmod 600 {shown}")),
                self.value(key),
            );
        }
        match Certificate::load(&raw.cert, &raw.key) {
            Ok(certificate) => {
                for (code, message, help) in certificate.remarks(SystemClock.now()) {
                    self.warn(code, message, help, self.value(cert));
                }
                Some(certificate)
            }
            Err((about, message, help)) => {
                let at = match about {
                    About::Cert => cert,
                    About::Key => key,
                };
                self.error("config::certificate", message, help, self.value(at));
                None
            }
        }
    }

    pub(super) fn admin(&mut self, raw: raw::Admin) -> Admin {
        let listen = self.address(raw.listen.as_deref(), "127.0.0.1:8081", "/admin/listen");
        let open = raw.allow_without_token.unwrap_or(false);
        if !listen.ip().is_loopback() && raw.token.is_none() {
            self.error(
                "config::open_admin",
                Text::new(
                    "the operators' API would be open to the network without a token",
                    "运维 API 将无令牌暴露到网络",
                ),
                Text::new(
                    "listen on 127.0.0.1, or set admin.token = \"env:LEADGATE_ADMIN_TOKEN\"",
                    "请监听 127.0.0.1，或设置 admin.token = \"env:LEADGATE_ADMIN_TOKEN\"",
                ),
                self.value("/admin/listen"),
            );
        }
        if open && raw.token.is_none() && listen.ip().is_loopback() {
            self.warn(
                "config::open_api",
                Text::new(
                    "whoever can log in to this machine can read and export every lead by the operators' API",
                    "任何能登录本机的人都可以通过运维 API 查看并导出全部客资",
                ),
                Text::new(
                    "set admin.token = \"file:admin.token\", a file of mode 600, and remove allow_without_token",
                    "请设置 admin.token = \"file:admin.token\"（文件权限 600），并删除 allow_without_token",
                ),
                self.key("/admin/allow_without_token"),
            );
        }
        Admin {
            listen,
            token: raw.token,
            socket: raw.socket,
            allow_without_token: open,
        }
    }

    /// Two listeners cannot share a port.
    pub(super) fn listeners(&mut self, server: &Server, admin: &Admin) {
        let (public, operators) = (server.listen, admin.listen);
        let (mine, theirs) = (public.ip(), operators.ip());
        // `::` takes the port of IPv4 as well.
        let all =
            |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
        let shared = mine == theirs || all(mine, theirs) || all(theirs, mine);
        if public.port() != operators.port() || public.port() == 0 || !shared {
            return;
        }
        let port = public.port();
        let other = if port == 8081 { 8080 } else { 8081 };
        let at = if self.has("/admin/listen") {
            "/admin/listen"
        } else {
            "/server/listen"
        };
        self.error(
            "config::same_port",
            Text::new(
                format!("server.listen and admin.listen are both on port {port}"),
                format!("server.listen 与 admin.listen 使用了同一端口 {port}"),
            ),
            Text::new(
                format!(
                    "give one of them another port, such as admin.listen = \"127.0.0.1:{other}\""
                ),
                format!("请改用不同的端口，例如 admin.listen = \"127.0.0.1:{other}\""),
            ),
            self.value(at),
        );
    }

    pub(super) fn address(&mut self, given: Option<&str>, default: &str, at: &str) -> SocketAddr {
        let given = given.unwrap_or(default);
        match given.parse() {
            Ok(address) => address,
            Err(_) => {
                if self.document.is_good(at) {
                    let message = Text::new("not an address with a port", "不是“地址:端口”");
                    let typed = address_meant(given).unwrap_or_else(|| default.to_owned());
                    let help = Text::new(
                        format!(
                            "write \"{typed}\"; 0.0.0.0 is every network of this machine, 127.0.0.1 this machine alone"
                        ),
                        format!("请写 \"{typed}\"；0.0.0.0 表示本机所有网络，127.0.0.1 仅限本机"),
                    );
                    self.error("config::invalid_value", message, help, self.value(at));
                }
                SocketAddr::from(([127, 0, 0, 1], 0))
            }
        }
    }
}

/// The address that was probably meant: `8080`, `:8080`, `localhost:8080`, `http://…`, or one
/// with full-width signs.
fn address_meant(given: &str) -> Option<String> {
    let half: String = given
        .chars()
        .filter_map(
            |letter| match (lookalike::known(letter), u32::from(letter)) {
                (Some(known), _) => known.meant.chars().next(),
                (None, code @ 0xff10..=0xff19) => char::from_u32(code - 0xfee0),
                (None, _) => Some(letter),
            },
        )
        .collect();
    let trimmed = half.trim();
    let rest = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    let rest = rest.split('/').next()?.trim();
    let (host, port) = rest.rsplit_once(':').unwrap_or(match rest.parse::<u16>() {
        Ok(_) => ("127.0.0.1", rest),
        Err(_) => (rest, "8080"),
    });
    let host = match host.trim() {
        "localhost" => "127.0.0.1",
        "" | "*" => "0.0.0.0",
        host => host,
    };
    let meant = format!("{host}:{}", port.trim());
    meant
        .parse::<SocketAddr>()
        .ok()
        .map(|address| address.to_string())
}
