//! Kafka: what a topic holds of the leads.

use leadgate_tests::{Daemon, Kafka, SAMPLE, SUCCESS, Setup, until};
use serde_json::Value;

fn setup(kafka: &Kafka, topic: &str) -> Setup {
    let rest = format!(
        "[sinks.bus]\nplugin = \"kafka\"\ntimeout = \"2s\"\nbreaker = {{ failures = 0 }}\n\
         retry = {{ first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }}\n\
         [sinks.bus.settings]\nbrokers = [\"{}\"]\ntopic = \"{topic}\"\n\
         headers = {{ x-city = \"{{{{ city_name }}}}\" }}\noptions = {{ \"reconnect.backoff.max.ms\" = 100 }}\n",
        kafka.address()
    );
    Setup {
        rest,
        level: "trace",
        ..Setup::default()
    }
}

fn assert_private(daemon: &Daemon) {
    let log = daemon.log();
    for private in ["13567658911", "张三"] {
        assert!(!log.contains(private), "{private}");
    }
}

#[test]
fn a_topic_gets_the_lead_whole_and_what_waited_while_the_broker_was_away() {
    let kafka = Kafka::start("leads");
    let daemon = Daemon::start(setup(&kafka, "leads"));
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the lead is delivered", || {
        daemon.stat("/sinks/bus/delivered") == 1
    });
    let record = kafka.read("leads", 1).remove(0);
    let known = daemon.last_attempt("bus");
    assert_eq!(record.key.as_deref(), Some("371009"));
    assert_eq!(record.headers[0], ("x-city".to_owned(), "杭州".to_owned()));
    assert_eq!(record.headers[1].0, "leadgate-delivery-id");
    assert_eq!(record.headers[1].1, known["id"].as_str().expect("an id"));
    assert_eq!(known["receipt"], "leads[0]@0");
    let event: Value = serde_json::from_str(&record.value).expect("JSON");
    assert_eq!(event["lead"]["name"], "张三");
    assert_eq!(event["lead"]["phone"], "13567658911");

    kafka.cluster.broker_down(1).expect("down");
    daemon.shop().give(1..4);
    until("attempts have failed", || {
        daemon.stat("/sinks/bus/retrying") == 3
    });
    kafka.cluster.broker_up(1).expect("up");
    until("all are delivered", || {
        daemon.stat("/sinks/bus/delivered") == 4
    });
    assert!(kafka.count("leads") >= 4);
    assert_private(&daemon);
}

#[test]
fn a_topic_that_is_not_there_makes_a_dead_letter_that_says_so() {
    let kafka = Kafka::start("leads");
    let unknown = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error("nowhere", unknown).expect("set");
    let daemon = Daemon::start(setup(&kafka, "nowhere"));
    daemon.shop().give(1..2);
    until("dead", || daemon.stat("/sinks/bus/dead") == 1);
    let known = daemon.last_attempt("bus");
    assert_eq!(
        known["reason"],
        "the topic is not there; make it, or mend `topic`"
    );
    assert_private(&daemon);
}
