//! `leadgate top`: on a terminal, without one, and for a program.

use std::io::Write;
use std::process::{Command, Stdio};

use leadgate_tests::{Crm, Daemon, Setup, binary, until};

#[test]
fn without_a_terminal_it_is_one_snapshot_of_80_columns() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..=3);
    until("they are delivered", || crm.taken() == 3);
    for (lang, word) in [("en", "accepted 3"), ("zh-CN", "已接收 3")] {
        let (code, out, err) = daemon.command(&["top", "--lang", lang]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains(word) && out.contains("crm"), "{out}");
        assert!(!out.contains('\u{1b}'), "{out:?}");
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
    let (code, out, _) = daemon.command(&["top", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(code, 0);
    assert_eq!(json["leads"]["accepted"], 3);
    assert_eq!(json["leads"]["accepted_per_second"], 0.0);
    assert_eq!(json["sinks"][0]["name"], "crm");
}

#[test]
#[ignore = "needs Python 3"]
fn on_a_terminal_it_ends_by_q_and_by_ctrl_c_and_gives_the_terminal_back() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let config = daemon.folder().join("leadgate.toml");
    for key in ["q", "\u{3}"] {
        let mut python = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/counterparts/terminal.py"
            ))
            .args(["--after", "q quits"])
            .arg(binary())
            .args(["top", "--lang", "en", "--config"])
            .arg(&config)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut stdin = python.stdin.take().expect("piped");
        stdin.write_all(key.as_bytes()).expect("writes");
        drop(stdin);
        let output = python.wait_with_output().expect("ends");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{key:?}: {shown:?}");
        let left = shown
            .rfind("\u{1b}[?1049l")
            .expect("the screen is given back");
        assert!(shown.find("\u{1b}[?1049h").expect("it was taken") < left);
        assert!(shown[..left].contains("crm"), "{shown:?}");
    }
}
