//! Several steps of one delivery: what is done stays done, whatever happens in between.

use leadgate_tests::{Behaviour, Crm, Daemon, Setup, Shop, until};

/// First a customer at one destination, then a lead at another.
fn setup(parties: &Crm, leads: &Crm) -> Setup {
    let steps = format!(
        r#"
[[sinks.crm.settings.steps]]
name = "party"
url = "{}/party"
body = {{ name = "{{{{ name }}}}" }}
extract = {{ id = "{{{{ body.id }}}}" }}

[[sinks.crm.settings.steps]]
name = "lead"
url = "{}/lead"
body = {{ party = "{{{{ steps.party.id }}}}", record = "{{{{ record_id }}}}" }}
"#,
        parties.url(),
        leads.url()
    );
    let sink = r#"
[sinks.crm]
plugin = "http"
timeout = "30s"
retry = { first = "20ms", max = "100ms", max_attempts = 100000, max_age = "1h" }
breaker = { failures = 0 }
"#;
    Setup {
        rest: format!("{sink}{steps}"),
        ..Setup::default()
    }
}

/// Commits of the outbox since the daemon's start.
fn commits(daemon: &Daemon) -> u64 {
    let text = daemon.admin("/metrics").body;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("leadgate_outbox_commit_duration_seconds_count "));
    count
        .and_then(|count| count.trim().parse().ok())
        .expect("is counted")
}

#[test]
fn a_kill_between_two_steps_does_not_make_the_first_twice() {
    let (parties, leads) = (Crm::start(), Crm::start());
    leads.behave(Behaviour::Hang);
    let mut daemon = Daemon::start(setup(&parties, &leads));
    let before = commits(&daemon);
    daemon.shop().push(Shop::lead(1)).expect("answered");
    until("the second step is under way", || {
        !leads.received().is_empty()
    });
    // The lead, and what the first step gave.
    until("the first step is kept", || commits(&daemon) >= before + 2);
    daemon.kill();
    leads.behave(Behaviour::Take);
    daemon.restart();
    until("delivered", || daemon.stat("/sinks/crm/delivered") == 1);
    assert_eq!(parties.received().len(), 1, "the party was made once");
    let taken = leads.received();
    let taken = taken.iter().rfind(|one| one.taken).expect("taken");
    assert!(taken.body.contains(r#""record":1"#), "{}", taken.body);
}

#[test]
fn a_second_step_that_fails_for_a_while_does_not_repeat_the_first() {
    let (parties, leads) = (Crm::start(), Crm::start());
    leads.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(setup(&parties, &leads));
    daemon.shop().push(Shop::lead(1)).expect("answered");
    until("it was tried often", || leads.received().len() >= 5);
    daemon.terminate();
    leads.behave(Behaviour::Take);
    daemon.restart();
    until("delivered", || daemon.stat("/sinks/crm/delivered") == 1);
    assert_eq!(parties.received().len(), 1, "the party was made once");
}
