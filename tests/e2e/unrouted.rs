//! Leads that no sink wants: counted, listed, told of, and brought in by a re-push.

use leadgate_tests::{Crm, Daemon, Setup, output, until};
use serde_json::Value;

fn run(daemon: &Daemon, args: &[&str]) -> String {
    let config = daemon.folder().join("leadgate.toml");
    let mut all = args.to_vec();
    all.extend(["--config", config.to_str().expect("text")]);
    let output = output(&all, &[]);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn lead(record: u64) -> String {
    format!(
        r#"{{"record_id":{record},"name":"n{record}","phone":"13800138000","seller_id":1,"city_name":"B"}}"#
    )
}

#[test]
fn leads_that_no_sink_wants_are_seen_and_a_re_push_brings_them_in() {
    let crm = Crm::start();
    let sink = Setup::http_sink("crm", &crm.url());
    let picky = sink.replacen(
        "plugin = \"http\"\n",
        "plugin = \"http\"\nwhen = \"city_name == 'A'\"\n",
        1,
    );
    let mut daemon = Daemon::start(Setup {
        rest: picky,
        ..Setup::default()
    });
    for record in 1..=10 {
        daemon.shop().push(lead(record)).expect("answered");
    }
    assert_eq!(daemon.stat("/leads/unrouted"), 10);
    let metrics = daemon.admin("/metrics").body;
    assert!(metrics.contains("leadgate_leads_unrouted 10"), "{metrics}");
    assert!(
        metrics.contains("leadgate_leads_unrouted_total 10"),
        "{metrics}"
    );
    assert_eq!(daemon.log().matches("no sink wanted a lead").count(), 1);
    let listed = run(&daemon, &["leads", "list", "--unrouted", "--all", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let items = listed["items"].as_array().expect("a list");
    assert_eq!(items.len(), 10);
    let id = items[0]["id"].as_str().expect("an id").to_owned();
    let shown = run(&daemon, &["leads", "show", &id]);
    assert!(shown.contains("no sink wanted it"), "{shown}");

    assert_eq!(daemon.terminate(), Some(0));
    let file = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(&file, text.replace("when = \"city_name == 'A'\"\n", "")).expect("writes");
    daemon.restart();
    for record in 1..=10 {
        daemon.shop().push(lead(record)).expect("answered");
        // And once more: now it is a duplicate.
        daemon.shop().push(lead(record)).expect("answered");
    }
    until("all are delivered", || crm.deliveries().len() == 10);
    assert_eq!(crm.received().len(), 10, "each once");
    assert_eq!(daemon.stat("/leads/unrouted"), 0);
    assert_eq!(daemon.stat("/leads/stored"), 10);
    assert_eq!(daemon.stat("/leads/duplicate"), 10);
    let shown = run(&daemon, &["leads", "show", &id]);
    assert!(!shown.contains("no sink wanted it"), "{shown}");
}
