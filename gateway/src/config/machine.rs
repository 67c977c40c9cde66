//! The machine: what it has to say to a good configuration before the daemon starts.
//!
//! The outbox's folder and the ports. Looks only: nothing is made, and a port is let go at
//! once. Another user may run the daemon, so nothing here is an error.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::Config;
use super::certificate::day;
use super::diagnostic::{Diagnostic, Report, Text};

/// Longest wait for whoever has a port to say who it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Adds warnings and notes to `report`.
pub(super) fn look(config: &Config, report: &mut Report) {
    outbox(&config.outbox.path, report);
    ports(config, report);
    if let Some(certificate) = &config.server.tls {
        let until = day(certificate.expires_at());
        report.notes.push(Text::new(
            format!("server.tls: the certificate is good until {until}"),
            format!("server.tls：证书有效期至 {until}"),
        ));
    }
}

fn outbox(folder: &Path, report: &mut Report) {
    let shown = folder.display();
    if folder.is_dir() {
        if let Some((message, help)) = unwritable(folder) {
            warn(report, "config::outbox_path", message, help, "/outbox/path");
        }
        let used = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        report.notes.push(if used {
            Text::new(format!("outbox: {shown}"), format!("发件箱：{shown}"))
        } else {
            Text::new(
                format!("outbox: {shown}, a folder that is empty so far"),
                format!("发件箱：{shown}（目前是空文件夹）"),
            )
        });
        return;
    }
    report.notes.push(Text::new(
        format!("outbox: {shown} is not there; the first start makes it, empty"),
        format!("发件箱：{shown} 尚不存在；首次启动时会新建（空的）"),
    ));
    let above = folder.parent().unwrap_or(Path::new("/"));
    if !above.is_dir() {
        let message = Text::new(
            format!("the folder {} is not there either", above.display()),
            format!("上级文件夹 {} 也不存在", above.display()),
        );
        let help = Text::new(
            "make it, or correct the path: a new outbox has none of the leads of an old one",
            "请先创建它，或改正路径：新的发件箱里没有旧发件箱的客资",
        );
        warn(report, "config::outbox_path", message, help, "/outbox/path");
    } else if let Some((message, help)) = unwritable(above) {
        warn(report, "config::outbox_path", message, help, "/outbox/path");
    }
}

/// Why this user could not write into `folder`.
fn unwritable(folder: &Path) -> Option<(Text, Text)> {
    let writable = rustix::fs::access(
        folder,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    );
    writable.is_err().then(|| {
        let shown = folder.display();
        (
            Text::new(
                format!("this user may not write into {shown}"),
                format!("当前用户无权写入 {shown}"),
            ),
            Text::new(
                "run leadgate as the folder's owner, or give the folder to its user with chown",
                "请以该文件夹的所有者运行 leadgate，或用 chown 把它交给运行 leadgate 的用户",
            ),
        )
    })
}

fn ports(config: &Config, report: &mut Report) {
    let ours = is_leadgate(config.admin.listen);
    for (name, address) in [
        ("server", config.server.listen),
        ("admin", config.admin.listen),
    ] {
        let at = format!("/{name}/listen");
        let Err(error) = TcpListener::bind(address) else {
            continue;
        };
        let (message, help) = match error.kind() {
            ErrorKind::AddrInUse if ours => {
                report.notes.push(Text::new(
                    format!("{name}.listen: {address} is in use by the leadgate that runs"),
                    format!("{name}.listen：{address} 正由运行中的 leadgate 使用"),
                ));
                continue;
            }
            ErrorKind::AddrInUse => (
                Text::new(
                    format!("another program has the port of {name}.listen, {address}"),
                    format!("{name}.listen 的端口 {address} 已被其他程序占用"),
                ),
                Text::new(
                    format!(
                        "give {name}.listen another port, or stop that program; see which: ss -ltnp"
                    ),
                    format!("请给 {name}.listen 换一个端口，或停止该程序；查看是谁：ss -ltnp"),
                ),
            ),
            ErrorKind::PermissionDenied => (
                Text::new(
                    format!("this user may not take port {}", address.port()),
                    format!("当前用户无权使用端口 {}", address.port()),
                ),
                Text::new(
                    "take a port above 1023, behind a proxy, or give the unit CAP_NET_BIND_SERVICE",
                    "请使用 1023 以上的端口并放在反向代理之后，或为服务授予 CAP_NET_BIND_SERVICE",
                ),
            ),
            ErrorKind::AddrNotAvailable => (
                Text::new(
                    format!("this machine has no address {}", address.ip()),
                    format!("本机没有地址 {}", address.ip()),
                ),
                Text::new(
                    "take 127.0.0.1 for this machine alone, or 0.0.0.0 for all its networks",
                    "仅限本机请写 127.0.0.1；所有网络请写 0.0.0.0",
                ),
            ),
            _ => (
                Text::plain(format!("{name}.listen, {address}: {error}")),
                Text::default(),
            ),
        };
        warn(report, "config::port", message, help, &at);
    }
}

fn warn(report: &mut Report, code: &'static str, message: Text, help: Text, at: &str) {
    report.add(Diagnostic::warning(code, message).help(help), at);
}

/// Whether a leadgate answers at the operators' address.
fn is_leadgate(address: SocketAddr) -> bool {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let asked = || {
        let address = SocketAddr::new(host, address.port());
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // At once: who has read the first part may answer and hang up.
        let asks = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(asks.as_bytes())?;
        let mut answer = Vec::new();
        // The first families suffice.
        let _ = stream.take(1 << 20).read_to_end(&mut answer);
        std::io::Result::Ok(answer)
    };
    asked().is_ok_and(|answer| String::from_utf8_lossy(&answer).contains("\nleadgate_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(report: &Report) -> String {
        let notes = report.notes.iter().map(|note| note.both().0);
        notes.collect::<Vec<_>>().join("\n") + &report.render(crate::lang::Lang::En, false)
    }

    #[test]
    fn an_outbox_that_is_not_there_is_said_and_its_missing_parent_is_a_warning() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut report = Report::default();
        outbox(&folder.path().join("data"), &mut report);
        assert!(
            texts(&report).contains("is not there; the first start makes it, empty"),
            "{}",
            texts(&report)
        );
        assert_eq!(report.counts(), (0, 0));
        outbox(&folder.path().join("dta/data"), &mut report);
        assert_eq!(report.counts(), (0, 1));
        let mut report = Report::default();
        std::fs::create_dir(folder.path().join("data")).expect("makes it");
        outbox(&folder.path().join("data"), &mut report);
        assert!(
            texts(&report).contains("empty so far"),
            "{}",
            texts(&report)
        );
        std::fs::write(folder.path().join("data/db"), "x").expect("writes");
        let mut report = Report::default();
        outbox(&folder.path().join("data"), &mut report);
        assert!(!texts(&report).contains("empty"), "{}", texts(&report));
    }

    #[test]
    fn who_has_a_port_is_told_by_its_answer() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = other.local_addr().expect("an address");
        let serve = |answer: &'static str| {
            let listener = other.try_clone().expect("clones");
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a call");
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(answer.as_bytes());
            })
        };
        let ours = serve("HTTP/1.1 200 OK\r\n\r\n# HELP x\nleadgate_build_info 1\n");
        assert!(is_leadgate(address));
        ours.join().expect("ends");
        let theirs = serve("HTTP/1.1 404 Not Found\r\n\r\nnginx");
        assert!(!is_leadgate(address));
        theirs.join().expect("ends");
    }
}
