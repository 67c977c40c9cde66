//! Upkeep: backups, damage and moving, with the real binary.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use leadgate_tests::{Behaviour, Crm, Daemon, Load, Setup, output, until};

fn outbox(daemon: &Daemon, args: &[&str]) -> Output {
    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("text");
    output(&[&["outbox"], args, &["--config", config]].concat(), &[])
}

fn succeeded(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    text
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Puts another store in the place of the daemon's.
fn replace(daemon: &Daemon, with: &Path) {
    let store = daemon.folder().join("store");
    std::fs::rename(&store, daemon.folder().join("old")).expect("moves the old one");
    std::fs::rename(with, store).expect("moves the new one");
}

fn taken(crm: &Crm) -> BTreeSet<u64> {
    let received = crm.received();
    let taken = received.iter().filter(|one| one.taken);
    taken.map(leadgate_tests::Received::record_id).collect()
}

#[test]
fn a_backup_under_load_restores_what_was_acknowledged() {
    let crm = Crm::start();
    crm.behave(Behaviour::Hang);
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let load = Load::start(&daemon.shop());
    until("there is something", || load.count() >= 200);
    let file = daemon.folder().join("backup");
    let before = load.so_far();
    succeeded(&outbox(&daemon, &["backup", "--to", path(&file)]));
    let mode = std::fs::metadata(&file)
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let in_use = outbox(&daemon, &["verify"]);
    assert_eq!(in_use.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("in use"));
    load.stop();
    daemon.kill();
    let to = daemon.folder().join("restored");
    succeeded(&outbox(
        &daemon,
        &["restore", "--from", path(&file), "--to", path(&to)],
    ));
    replace(&daemon, &to);
    succeeded(&outbox(&daemon, &["verify"]));
    crm.behave(Behaviour::Take);
    daemon.restart();
    until("all acknowledged before the backup are delivered", || {
        before.is_subset(&taken(&crm))
    });
}
