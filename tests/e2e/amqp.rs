//! RabbitMQ: what a real broker's queue holds of the leads.

use leadgate_tests::{Daemon, Rabbit, SAMPLE, SUCCESS, Setup, until};
use serde_json::{Value, json};

fn setup(broker: &Rabbit) -> Setup {
    let rest = format!(
        "[sinks.bus]\nplugin = \"amqp\"\ntimeout = \"2s\"\nbreaker = {{ failures = 0 }}\n\
         retry = {{ first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }}\n\
         [sinks.bus.settings]\nurl = \"{}\"\nexchange = \"leads\"\n\
         routing_key = \"new.{{{{ store_id }}}}\"\nheaders = {{ x-city = \"{{{{ city_name }}}}\" }}\n",
        broker.url()
    );
    Setup {
        rest,
        level: "trace",
        ..Setup::default()
    }
}

/// Nothing of a lead, and no login, in a log that says everything.
fn assert_private(daemon: &Daemon) {
    let log = daemon.log();
    for private in [
        "13567658911",
        "张三",
        "t0psecret",
        "new.437763404",
        "returned us a message",
    ] {
        assert!(!log.contains(private), "{private}");
    }
}

#[test]
#[ignore = "needs RabbitMQ; run tests/run"]
fn a_queue_gets_the_lead_whole_and_what_waited_while_the_broker_was_away() {
    let mut broker = Rabbit::start("");
    broker.bind("leads", "crm", "new.*", &json!({}));
    let daemon = Daemon::start(setup(&broker));
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the lead is delivered", || {
        daemon.stat("/sinks/bus/delivered") == 1
    });
    let message = broker.take("crm");
    let known = daemon.last_attempt("bus");
    assert_eq!(message["message_id"], known["id"]);
    assert_eq!(message["routing_key"], "new.437763404");
    assert_eq!(message["headers"], json!({"x-city": "杭州"}));
    let body = message["body"].as_str().expect("a body");
    let event: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(event["lead"]["name"], "张三");
    assert_eq!(event["lead"]["phone"], "13567658911");

    broker.stop();
    daemon.shop().give(1..4);
    until("attempts have failed", || {
        daemon.stat("/sinks/bus/retrying") == 3
    });
    broker.restart();
    until("all are delivered", || {
        daemon.stat("/sinks/bus/delivered") == 4
    });
    assert!(broker.count("crm") >= 3);
    assert_private(&daemon);
}

#[test]
#[ignore = "needs RabbitMQ; run tests/run"]
fn a_message_that_no_queue_gets_makes_a_dead_letter_that_says_so() {
    let broker = Rabbit::start("");
    broker.bind("leads", "crm", "old.*", &json!({}));
    let daemon = Daemon::start(setup(&broker));
    daemon.shop().give(1..2);
    until("dead", || daemon.stat("/sinks/bus/dead") == 1);
    let known = daemon.last_attempt("bus");
    let reason = known["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("no queue is bound for this message"),
        "{known}"
    );
    assert_private(&daemon);
}
