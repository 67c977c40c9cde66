//! The operators' listener alone: all that a command needs which only speaks to the daemon.
//!
//! Reads `[admin]` of the main file and, for the default place of the socket, `outbox.path`: no
//! other section's secrets, no plugins, no folder beside it, and mistakes elsewhere in the file
//! are not in the way. What the file says in other sections is never shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use leadgate_plugin::Secret;
use serde_json::json;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Report, Text};
use super::document::Document;
use super::model::SOCKET;
use super::paths::absolute;
use super::resolve::{Environment, resolve};

/// Largest file read, in bytes.
const LARGEST: u64 = 1 << 20;
/// Where the listener is if nothing is said.
const LISTEN: &str = "127.0.0.1:8081";
/// Where the outbox is if nothing is said.
const OUTBOX: &str = "/var/lib/leadgate";

/// Where the daemon's API is, as the configuration says.
#[derive(Debug)]
pub struct AdminTarget {
    /// Where to connect to: an address that stands for all of a machine's is loopback here.
    pub address: SocketAddr,
    /// The token, if one is configured and was wanted.
    pub token: Option<Secret>,
    /// The socket on this machine, where that can be told here; whether it is there is not
    /// looked at.
    pub socket: Option<PathBuf>,
    /// The file that said so.
    pub file: PathBuf,
    /// The line of `listen` in it, from 1; `None` if it is the default.
    pub line: Option<usize>,
}

/// A value of `[admin]`, with its line.
struct Written {
    text: String,
    line: usize,
}

/// Reads where the daemon is from `file`, and the token only if `wants_token`. If there is no
/// target, the report says why.
pub fn load_admin(
    file: &Path,
    environment: &Environment<'_>,
    wants_token: bool,
) -> (Option<AdminTarget>, Report) {
    match read(file, environment, wants_token) {
        Ok(target) => (Some(target), Report::default()),
        Err(problems) => {
            let report = Report {
                diagnostics: problems,
                ..Report::default()
            };
            (None, report)
        }
    }
}

fn read(
    file: &Path,
    environment: &Environment<'_>,
    wants_token: bool,
) -> Result<AdminTarget, Vec<Diagnostic>> {
    let text = text_of(file).map_err(|why| vec![no_file(file, &why)])?;
    let admin = section(&text, "admin", ["listen", "token", "socket"]);
    let [listen, token, socket] = admin.map_err(|line| vec![unreadable(file, line)])?;
    let line = listen.as_ref().map(|listen| listen.line);
    let mut problems = Vec::new();
    let mut resolved = |key: &str, written: Option<Written>| {
        let written = written?;
        let mut found = Vec::new();
        // The rules for secrets and variables are the whole configuration's.
        let root = json!({ "admin": { key: written.text } });
        let mut document = Document::of(file, root);
        resolve(&mut document, environment, &mut found);
        if !document.failed.is_empty() {
            let place = format!("{}:{}", file.display(), written.line);
            problems.extend(
                found
                    .into_iter()
                    .filter(|problem| problem.severity == super::Severity::Error)
                    .map(|problem| elsewhere(&problem, key, &place)),
            );
            return None;
        }
        let value = &document.root["admin"][key];
        value.as_str().map(str::to_owned)
    };
    let listen = resolved("listen", listen);
    let token = resolved("token", token.filter(|_| wants_token)).map(Secret::new);
    let written = listen.as_deref().unwrap_or(LISTEN);
    let address: Option<SocketAddr> = written.parse().ok();
    if address.is_none() {
        problems.push(no_address(file, line));
    }
    match address {
        Some(address) if problems.is_empty() => Ok(AdminTarget {
            address: reachable(address),
            token,
            socket: socket_of(file, &text, environment, socket),
            file: file.to_owned(),
            line,
        }),
        _ => Err(problems),
    }
}

/// Where the socket is. A value that cannot be had here is no mistake: the listener is left.
fn socket_of(
    file: &Path,
    text: &str,
    environment: &Environment<'_>,
    said: Option<Written>,
) -> Option<PathBuf> {
    let folder = file.parent()?;
    let path = |section: &str, key: &str, written: Written| {
        let root = json!({ section: { key: written.text } });
        let mut document = Document::of(file, root);
        resolve(&mut document, environment, &mut Vec::new());
        let is_good = document.failed.is_empty();
        let text = document.root[section][key].as_str().filter(|_| is_good)?;
        Some(absolute(folder, Path::new(text)))
    };
    if let Some(said) = said {
        return path("admin", "socket", said);
    }
    let outbox = match section(text, "outbox", ["path"]).ok()? {
        [Some(said)] => path("outbox", "path", said)?,
        [None] => PathBuf::from(OUTBOX),
    };
    Some(outbox.join(SOCKET))
}

fn text_of(file: &Path) -> Result<String, String> {
    let length = std::fs::metadata(file)
        .map_err(|error| error.to_string())?
        .len();
    if length > LARGEST {
        return Err(format!("larger than {LARGEST} bytes"));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    if bytes.contains(&0) {
        return Err("not UTF-8 (UTF-16?)".to_owned());
    }
    // What is not UTF-8 is a comment or another section; where it matters it will not parse.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// Some values of a section; an error is the line of the mistake, from 1.
fn section<const N: usize>(
    text: &str,
    name: &str,
    keys: [&str; N],
) -> Result<[Option<Written>; N], usize> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return values(table.get_ref(), text, 0, name, keys);
    }
    // Somebody edits the file. The section is enough, if it can be told where it is.
    let first = errors
        .iter()
        .filter_map(toml::de::Error::span)
        .min_by_key(|span| span.start);
    let first = first.map_or(1, |span| line_of(text, span.start));
    match sections(text, name).as_slice() {
        [] if !text.contains(name) => Ok([const { None }; N]),
        [section] => {
            let part = &text[section.clone()];
            let before = line_of(text, section.start) - 1;
            match DeTable::parse(part) {
                Ok(table) => values(table.get_ref(), part, before, name, keys),
                Err(error) => {
                    let at = error.span().map_or(0, |span| span.start);
                    Err(before + line_of(part, at))
                }
            }
        }
        _ => Err(first),
    }
}

/// Where a section stands in the text: from its head to the next head or the end.
fn sections(text: &str, wanted: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let (mut at, mut inside) = (0, false);
    for line in text.split_inclusive('\n') {
        let head = line.trim_start();
        if let Some(name) = head.strip_prefix('[') {
            if inside && let Some(last) = found.last_mut() {
                last.end = at;
            }
            let name = name.split(']').next().unwrap_or_default();
            inside = name.trim().trim_matches(['"', '\'']) == wanted;
            if inside {
                found.push(at..text.len());
            }
        }
        at += line.len();
    }
    found
}

/// The values in a parsed table, `before` being the lines in front of the text.
fn values<const N: usize>(
    root: &DeTable<'_>,
    text: &str,
    before: usize,
    name: &str,
    keys: [&str; N],
) -> Result<[Option<Written>; N], usize> {
    let line = |at: usize| before + line_of(text, at);
    let mut found = [const { None }; N];
    let Some((_, section)) = root.iter().find(|(key, _)| key.get_ref() == name) else {
        return Ok(found);
    };
    let DeValue::Table(table) = section.get_ref() else {
        return Err(line(section.span().start));
    };
    for (key, value) in table {
        let known = keys
            .iter()
            .position(|known| *known == key.get_ref().as_ref());
        let Some(at) = known else { continue };
        let place = &mut found[at];
        let line = line(value.span().start);
        match value.get_ref() {
            DeValue::String(text) => {
                let text = text.to_string();
                *place = Some(Written { text, line });
            }
            _ => return Err(line),
        }
    }
    Ok(found)
}

/// The line at a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Where to connect to for a listener on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The way out that is left when the file does not say where the daemon is.
fn by_hand() -> Text {
    Text::new(
        format!(
            "mend it with `leadgate check`, or say where the daemon is: --url http://{LISTEN} --token-file FILE"
        ),
        format!(
            "请用 `leadgate check` 检查并改正，或直接指定守护进程：--url http://{LISTEN} --token-file 文件"
        ),
    )
}

fn no_file(file: &Path, why: &str) -> Diagnostic {
    let file = file.display();
    let message = Text::new(
        format!("{file}, which says where the daemon is, cannot be read: {why}"),
        format!("无法读取 {file}（其中写明守护进程的地址）：{why}"),
    );
    let help = Text::new(
        format!(
            "name it with --config FILE, or say where the daemon is: --url http://{LISTEN} --token-file FILE"
        ),
        format!(
            "请用 --config 指定配置文件，或直接指定守护进程：--url http://{LISTEN} --token-file 文件"
        ),
    );
    Diagnostic::error("config::file", message).help(help)
}

fn unreadable(file: &Path, line: usize) -> Diagnostic {
    let file = file.display();
    let message = Text::new(
        format!("{file}:{line}: [admin], which says where the daemon is, cannot be read"),
        format!("{file}:{line}：无法读取 [admin]（其中写明守护进程的地址）"),
    );
    Diagnostic::error("config::syntax", message).help(by_hand())
}

fn no_address(file: &Path, line: Option<usize>) -> Diagnostic {
    let place = line.map_or_else(
        || file.display().to_string(),
        |line| format!("{}:{line}", file.display()),
    );
    let message = Text::new(
        format!("{place}: admin.listen is not an address with a port"),
        format!("{place}：admin.listen 不是“地址:端口”"),
    );
    Diagnostic::error("config::invalid_value", message).help(by_hand())
}

/// A value that cannot be had here, although the daemon has it.
fn elsewhere(problem: &Diagnostic, key: &str, place: &str) -> Diagnostic {
    let message = problem.message.behind(&format!("{place}: admin.{key}: "));
    let help = if key == "token" {
        Text::new(
            "the daemon has its token, this command needs it, too: set LEADGATE_ADMIN_TOKEN, or name the file that holds it, --token-file FILE (under systemd the one behind `LoadCredential=`)",
            "守护进程已有令牌，本命令也需要它：请设置环境变量 LEADGATE_ADMIN_TOKEN，或用 --token-file 指定存放令牌的文件（systemd 下即 LoadCredential= 后面的文件）",
        )
    } else {
        by_hand()
    };
    Diagnostic::error("config::unresolved", message).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;

    fn asked(text: &str, wants_token: bool) -> Result<(String, Option<String>), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        std::fs::write(&file, text).expect("writes");
        std::fs::write(folder.path().join("token"), "t0ken-in-a-file\n").expect("writes");
        let environment = Environment::of(|name| (name == "PORT").then(|| "8099".to_owned()));
        let (target, report) = load_admin(&file, &environment, wants_token);
        assert_eq!(target.is_some(), !report.has_errors());
        match target {
            Some(target) => Ok((
                target.address.to_string(),
                target.token.map(|token| token.expose().to_owned()),
            )),
            None => Err(report
                .render(Lang::En, false)
                .replace(&*folder.path().to_string_lossy(), "")),
        }
    }

    #[test]
    fn nothing_but_the_section_is_looked_at() {
        let admin = "[admin]\nlisten = \"0.0.0.0:${PORT}\" # all\ntoken = \"file:token\"\n";
        let expected = Ok((
            "127.0.0.1:8099".to_owned(),
            Some("t0ken-in-a-file".to_owned()),
        ));
        for (before, behind) in [
            ("", ""),
            (
                "",
                "[sources.a]\napp_secret = [\"cred:gone\"]\nlisten = \"x\"\n",
            ),
            (
                "[server]\nlisten = \"0.0.0.0:80\"\nmax_body = \n",
                "[sinks.x]\nwhen = \"\n",
            ),
            ("# half a comment\nsinks.x = {\n", "[outbox\npath = 1\n"),
            ("[server]\nnote = \"\"\"\nnever closed\n", "[log]\n"),
            ("[a]\n[a]\n", "[[a]]\n，＝“”\n"),
        ] {
            assert_eq!(
                asked(&format!("{before}{admin}{behind}"), true),
                expected,
                "{before}"
            );
        }
        let dotted = "admin.listen = \"[::]:8085\"\nadmin.unknown = 3\n";
        assert_eq!(asked(dotted, true), Ok(("[::1]:8085".to_owned(), None)));
        assert_eq!(asked("", true), Ok((LISTEN.to_owned(), None)));
    }

    #[test]
    fn the_socket_is_where_the_daemon_makes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        let environment = Environment::of(|name| (name == "DATA").then(|| "data".to_owned()));
        let there = |text: &str| {
            std::fs::write(&file, text).expect("writes");
            let (target, _) = load_admin(&file, &environment, false);
            target.expect("a target").socket
        };
        let beside = |path: &str| Some(folder.path().join(path));
        assert_eq!(there(""), Some("/var/lib/leadgate/admin.sock".into()));
        for (text, path) in [
            ("[outbox]\npath = \"${DATA}\"\n", "data/admin.sock"),
            (
                "[outbox]\npath = \"./x\"\n[sinks.y]\nwhen = \"\n",
                "x/admin.sock",
            ),
            ("outbox.path = \"./x\"\n", "x/admin.sock"),
            (
                "[admin]\nsocket = \"a.sock\"\n[outbox]\npath = 3\n",
                "a.sock",
            ),
            ("[admin]\nsocket = \"a.sock\"\n[outbox\n", "a.sock"),
        ] {
            assert_eq!(there(text), beside(path), "{text}");
        }
        for untold in ["[outbox]\npath = \"${NOWHERE}\"\n", "[outbox]\npath = 3\n"] {
            assert_eq!(there(untold), None, "{untold}");
        }
        let (_, report) = load_admin(&file, &environment, false);
        assert!(!report.has_errors(), "nothing is in the way");
    }

    #[test]
    fn a_token_that_cannot_be_had_here_is_asked_for_only_where_it_is_needed() {
        let text = "[admin]\ntoken = \"cred:admin-token\"\n";
        assert_eq!(asked(text, false), Ok((LISTEN.to_owned(), None)));
        let said = asked(text, true).expect_err("there is no folder of credentials");
        for part in [
            "leadgate.toml:2",
            "admin-token",
            "LEADGATE_ADMIN_TOKEN",
            "--token-file",
        ] {
            let joined = said.replace("\n  │ ", " ").replace("\n        ", " ");
            assert!(joined.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn a_section_that_cannot_be_read_is_said_with_the_way_around_it() {
        for (text, line) in [
            (
                "[log]\n[admin]\nlisten = \"127.0.0.1:1\ntoken = \"s3cret\"\n",
                3,
            ),
            ("[admin]\nlisten = 8081\ntoken = \"s3cret\"", 2),
            ("[admin\nlisten = \"127.0.0.1:1\"\ntoken = \"s3cret\"", 1),
            ("[admin]\n[admin]\ntoken = \"s3cret\"", 2),
            ("[admin]\nlisten = \"localhost\"\ntoken = \"s3cret\"", 2),
        ] {
            let said = asked(text, true).expect_err("cannot be read");
            assert!(
                said.contains(&format!("leadgate.toml:{line}")),
                "{line}: {said}"
            );
            assert!(said.contains("--url"), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
