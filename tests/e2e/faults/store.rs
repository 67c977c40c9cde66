//! The store's folder: used by two, written by another version of leadgate.

use std::process::{Command, Stdio};

use leadgate_tests::{Daemon, SUCCESS, Setup, Shop, binary, counted, free_port, until};

/// Bytes of a segment's header, with its checksum in the middle.
const HEADER: usize = 40;

/// CRC-32, as segments have it.
fn crc(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
        })
    });
    !sum
}

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
    let store = daemon.folder().join("store");
    let segment = store.join("journal/00000001.seg");
    let write_format = |format: u16| {
        let mut bytes = std::fs::read(&segment).expect("reads");
        let before = u16::from_le_bytes([bytes[6], bytes[7]]);
        bytes[6..8].copy_from_slice(&format.to_le_bytes());
        let sum = crc(&[&bytes[..12], &bytes[16..HEADER]].concat());
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&segment, bytes).expect("writes");
        before
    };
    let known = write_format(u16::MAX);
    let refused = |daemon: &mut Daemon, why: &str| {
        let status = daemon.try_restart().expect("refuses to start");
        assert_eq!(status.code(), Some(1));
        assert!(daemon.log().contains(why), "{}", daemon.log());
    };
    refused(&mut daemon, "use the leadgate that wrote it");
    assert_eq!(write_format(known), u16::MAX, "nothing was changed");
    // What the formats before had: one database, at the top.
    let (new, old) = (daemon.folder().join("new"), &store);
    std::fs::rename(&store, &new).expect("moves it away");
    drop(sled::open(old).expect("makes one"));
    refused(&mut daemon, "leadgate outbox export");
    assert!(!store.join("journal").exists(), "nothing was made in there");
    std::fs::remove_dir_all(old).expect("removes");
    std::fs::rename(&new, &store).expect("moves it back");
    daemon.restart();
    let there = daemon.stat("/leads/accepted");
    counted(format_args!(
        "formats 2 (newer, older), refused 2, acknowledged 1, lost {}",
        1 - there
    ));
    assert_eq!(there, 1);
}
