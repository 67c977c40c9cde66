//! The store's folder: used by two, written by a newer leadgate, damaged.

use std::process::{Command, Stdio};

use leadgate_tests::{Daemon, SUCCESS, Setup, Shop, binary, free_port, until};

#[test]
fn a_second_daemon_on_the_same_store_refuses_and_the_first_goes_on() {
    let daemon = Daemon::start(Setup::default());
    let first = std::fs::read_to_string(daemon.folder().join("leadgate.toml")).expect("reads");
    let second = [daemon.public(), daemon.admin_address()]
        .iter()
        .fold(first, |text, taken| {
            text.replace(&taken.to_string(), &format!("127.0.0.1:{}", free_port()))
        });
    let path = daemon.folder().join("second.toml");
    std::fs::write(&path, second).expect("writes");
    let mut child = Command::new(binary())
        .args(["run", "--config"])
        .arg(&path)
        .env("LEADGATE_LANG", "en")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut ended = None;
    until("the second has ended", || {
        ended = child.try_wait().expect("waits");
        ended.is_some()
    });
    let output = child.wait_with_output().expect("its output");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("is in use by another leadgate; stop it first"),
        "{text}"
    );
    let answer = daemon.shop().push(Shop::lead(1)).expect("answered");
    assert_eq!(answer.body, SUCCESS);
}

#[test]
fn a_store_of_a_newer_leadgate_is_refused_and_left_as_it_is() {
    let mut daemon = Daemon::start(Setup::default());
    let answer = daemon.shop().push(Shop::lead(1)).expect("answered");
    assert_eq!(answer.body, SUCCESS);
    assert_eq!(daemon.terminate(), Some(0));
    let path = daemon.folder().join("store");
    let write_format = |format: u32| {
        let store = sled::open(&path).expect("opens");
        let before = store
            .insert("m/format", &format.to_be_bytes())
            .expect("writes");
        store.flush().expect("flushes");
        let before = before.expect("the store says its format");
        u32::from_be_bytes(before.as_ref().try_into().expect("a number"))
    };
    let known = write_format(u32::MAX);
    let status = daemon.try_restart().expect("refuses to start");
    assert_eq!(status.code(), Some(1));
    assert!(
        daemon
            .log()
            .contains("use the newer leadgate that wrote it"),
        "{}",
        daemon.log()
    );
    assert_eq!(write_format(known), u32::MAX, "nothing was changed");
    daemon.restart();
    assert_eq!(daemon.stat("/leads/accepted"), 1);
}
