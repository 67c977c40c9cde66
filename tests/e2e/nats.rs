//! NATS: what a real server's stream holds of the leads.

use leadgate_tests::{Daemon, Nats, SAMPLE, SUCCESS, Setup, until};
use serde_json::{Value, json};

fn setup(server: &Nats) -> Setup {
    let rest = format!(
        "[sinks.bus]\nplugin = \"nats\"\ntimeout = \"1s\"\nbreaker = {{ failures = 0 }}\n\
         retry = {{ first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }}\n\
         [sinks.bus.settings]\nservers = [\"nats://{}\"]\nsubject = \"leads.{{{{ store_id }}}}\"\n\
         headers = {{ x-city = \"{{{{ city_name }}}}\" }}\n",
        server.address()
    );
    Setup {
        rest,
        ..Setup::default()
    }
}

fn lead(body: &str) -> Value {
    let event: Value = serde_json::from_str(body).expect("JSON");
    event["lead"].clone()
}

#[test]
#[ignore = "needs a NATS server; run tests/run"]
fn a_stream_gets_the_lead_whole_under_the_deliverys_id() {
    let server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let daemon = Daemon::start(setup(&server));
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the lead is delivered", || {
        daemon.stat("/sinks/bus/delivered") == 1
    });
    let (subject, headers, body) = server.message("LEADS", 1);
    assert_eq!(subject, "leads.437763404");
    let lead = lead(&body);
    assert_eq!(lead["name"], "张三");
    assert_eq!(lead["phone"], "13567658911");
    let known = daemon.last_attempt("bus");
    let id = known["id"].as_str().expect("an id");
    assert!(
        headers.contains(&format!("Nats-Msg-Id: {id}\r\n")),
        "{headers}"
    );
    assert!(headers.contains("x-city: 杭州\r\n"), "{headers}");
    assert_eq!(known["receipt"], "LEADS seq 1");
    assert_eq!(known["request"], "publish to leads.{{ store_id }}");
}

#[test]
#[ignore = "needs a NATS server; run tests/run"]
fn attempts_without_an_answer_are_repeated_and_the_stream_has_the_lead_once() {
    let server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let daemon = Daemon::start(setup(&server));
    daemon.shop().give(1..2);
    until("the connection is there", || {
        daemon.stat("/sinks/bus/delivered") == 1
    });
    server.freeze(true);
    daemon.shop().give(2..3);
    let ambiguous = "leadgate_delivery_attempts_total{outcome=\"ambiguous\",sink=\"bus\"}";
    until("two attempts had no answer", || {
        let metrics = daemon.admin("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with(ambiguous));
        let count = line.and_then(|line| line.rsplit(' ').next());
        count.and_then(|count| count.parse::<u64>().ok()) >= Some(2)
    });
    server.freeze(false);
    until("delivered", || daemon.stat("/sinks/bus/delivered") == 2);
    assert_eq!(server.count("LEADS"), 2, "each lead once");
}

#[test]
#[ignore = "needs a NATS server; run tests/run"]
fn a_subject_without_a_stream_makes_a_dead_letter_that_says_so() {
    let server = Nats::start();
    let daemon = Daemon::start(setup(&server));
    daemon.shop().give(1..2);
    until("dead", || daemon.stat("/sinks/bus/dead") == 1);
    let known = daemon.last_attempt("bus");
    let reason = known["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("no stream is bound to this subject"),
        "{known}"
    );
}

#[test]
#[ignore = "needs a NATS server; run tests/run"]
fn a_server_that_was_away_gets_what_waited_for_it() {
    let mut server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    server.stop();
    let daemon = Daemon::start(setup(&server));
    daemon.shop().give(1..4);
    until("attempts have failed", || {
        daemon.stat("/sinks/bus/retrying") == 3
    });
    server.restart();
    until("all are delivered", || {
        daemon.stat("/sinks/bus/delivered") == 3
    });
    assert_eq!(server.count("LEADS"), 3);
}
