//! Access: tokens by the command line, over the socket of the daemon's machine.

use std::process::Output;

use leadgate_tests::{Crm, Daemon, Setup, output, output_of};

fn run(daemon: &Daemon, args: &[&str], token: Option<&str>) -> Output {
    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("text");
    let token = token.map(|token| ("LEADGATE_ADMIN_TOKEN", token));
    output(&[args, &["--config", config]].concat(), token.as_slice())
}

#[test]
fn a_token_is_made_used_within_its_role_and_refused_once_it_is_revoked() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let add = ["token", "add", "wang", "--role", "viewer"];
    let made = run(&daemon, &add, None);
    assert_eq!(made.status.code(), Some(0), "{}", output_of(&made));
    let said = String::from_utf8(made.stdout).expect("text");
    let token = said.strip_suffix('\n').expect("a line");
    assert!(token.starts_with("lg_") && token.len() == 46, "and no more");
    assert!(String::from_utf8_lossy(&made.stderr).contains("wang"));
    for _ in 0..2 {
        let listed = run(&daemon, &["sink", "list"], Some(token));
        assert_eq!(listed.status.code(), Some(0), "{}", output_of(&listed));
        let refused = run(&daemon, &["sink", "resume", "crm"], Some(token));
        assert_eq!(refused.status.code(), Some(1));
        let why = output_of(&refused);
        assert!(
            why.contains("has the role viewer") && why.contains("takes operator"),
            "{why}"
        );
        daemon.restart();
    }
    let listed = run(&daemon, &["token", "list", "--json"], None);
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert!(
        listed.contains("\"by\": \"uid:") && !listed.contains(token),
        "{listed}"
    );
    let revoked = run(&daemon, &["token", "revoke", "wang"], None);
    assert_eq!(revoked.status.code(), Some(0), "{}", output_of(&revoked));
    let refused = run(&daemon, &["sink", "list"], Some(token));
    assert_eq!(refused.status.code(), Some(1), "{}", output_of(&refused));
    assert!(!daemon.log().contains(token));
    drop(crm);
}
