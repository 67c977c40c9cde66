//! The store's folder: used by two, written by another version of leadgate.

use std::process::{Command, Stdio};

use leadgate_tests::{Daemon, SUCCESS, Setup, Shop, binary, counted, free_port, until};

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
    counted("second daemons 1, refused 1, acknowledged by the first after that 1");
}

#[test]
fn a_store_of_a_newer_or_older_leadgate_is_refused_and_left_as_it_is() {
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
    let refused = |daemon: &mut Daemon, why: &str| {
        let status = daemon.try_restart().expect("refuses to start");
        assert_eq!(status.code(), Some(1));
        assert!(daemon.log().contains(why), "{}", daemon.log());
    };
    refused(&mut daemon, "use the newer leadgate that wrote it");
    assert_eq!(write_format(known - 1), u32::MAX, "nothing was changed");
    refused(
        &mut daemon,
        "let the leadgate that wrote it deliver what waits",
    );
    assert_eq!(write_format(known), known - 1, "nothing was changed");
    daemon.restart();
    let there = daemon.stat("/leads/accepted");
    counted(format_args!(
        "formats 2 (newer, older), refused 2, acknowledged 1, lost {}",
        1 - there
    ));
    assert_eq!(there, 1);
}
