//! leadgate's own plugins on the road of every other: from a library, in a process of their own,
//! to real counterparts.

use leadgate_tests::{
    Crm, Daemon, Database, Kafka, Kind, Nats, Rabbit, SAMPLE, SUCCESS, Setup, example, until,
};
use serde_json::{Value, json};

/// A daemon whose sink `out` has the plugin from the library, and the settings.
fn daemon(plugin: &str, settings: &str) -> Daemon {
    allowed(plugin, "", settings)
}

/// The same, with more that its process may do.
fn allowed(plugin: &str, sandbox: &str, settings: &str) -> Daemon {
    let rest = format!(
        "[plugins.lib-{plugin}]\npath = \"{}\"\n{sandbox}\n[sinks.out]\nplugin = \"lib-{plugin}\"\ntimeout = \"5s\"\n\
         retry = {{ first = \"50ms\", max = \"200ms\", max_attempts = 1000, max_age = \"1h\" }}\n\
         breaker = {{ failures = 0 }}\n[sinks.out.settings]\n{settings}\n",
        example("first_party").display()
    );
    Daemon::start(Setup {
        rest,
        level: "trace",
        ..Setup::default()
    })
}

/// Delivers the sample lead, and looks at whose process did it.
fn deliver(daemon: &Daemon) -> Value {
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the lead is delivered", || {
        daemon.stat("/sinks/out/delivered") == 1
    });
    let library = "libfirst_party.so";
    assert!(!maps(daemon.pid(), library), "the daemon has not loaded it");
    assert!(
        children(daemon.pid()).iter().any(|pid| maps(*pid, library)),
        "a child has"
    );
    let log = daemon.log();
    for private in ["13567658911", "张三"] {
        assert!(!log.contains(private), "{private} is in the log:\n{log}");
    }
    daemon.last_attempt("out")
}

/// Whether a process has a file of this name in its memory.
fn maps(pid: u32, library: &str) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
    maps.is_ok_and(|maps| maps.contains(library))
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the daemon runs");
    let lists = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let lists: Vec<_> = lists.collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

#[test]
#[ignore = "needs database servers; run tests/run"]
fn sql_writes_from_a_library_in_a_child() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = Database::start(kind);
        let table = match kind {
            Kind::Postgres => "leads",
            Kind::MariaDb => "shop.leads",
        };
        database.sql(&format!(
            "create table {table} (id bigint primary key, name varchar(40))"
        ));
        let settings = format!(
            "url = \"{}\"\nstatement = \"insert into leads (id, name) values (:id, :name)\"\n\
             values = {{ id = \"{{{{ record_id }}}}\", name = \"{{{{ name }}}}\" }}",
            database.url()
        );
        let daemon = daemon("sql", &settings);
        let known = deliver(&daemon);
        assert_eq!(known["receipt"], "1 row");
        let row = database.sql(&format!("select id, name from {table}"));
        assert!(row.contains("371009") && row.contains("张三"), "{row}");
    }
}

#[test]
#[ignore = "needs a NATS server; run tests/run"]
fn nats_publishes_from_a_library_in_a_child() {
    let server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let settings = format!(
        "servers = [\"nats://{}\"]\nsubject = \"leads.{{{{ store_id }}}}\"",
        server.address()
    );
    let daemon = daemon("nats", &settings);
    let known = deliver(&daemon);
    assert_eq!(known["receipt"], "LEADS seq 1");
    let (_, _, body) = server.message("LEADS", 1);
    let event: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(event["lead"]["name"], "张三");
}

#[test]
#[ignore = "needs RabbitMQ; run tests/run"]
fn amqp_publishes_from_a_library_in_a_child() {
    let broker = Rabbit::start("");
    broker.bind("leads", "crm", "new.*", &json!({}));
    let settings = format!(
        "url = \"{}\"\nexchange = \"leads\"\nrouting_key = \"new.{{{{ store_id }}}}\"",
        broker.url()
    );
    let daemon = daemon("amqp", &settings);
    let known = deliver(&daemon);
    let message = broker.take("crm");
    assert_eq!(message["message_id"], known["id"]);
}

#[test]
fn kafka_produces_from_a_library_in_a_child() {
    let kafka = Kafka::start("leads");
    let settings = format!("brokers = [\"{}\"]\ntopic = \"leads\"", kafka.address());
    let daemon = daemon("kafka", &settings);
    let known = deliver(&daemon);
    assert_eq!(known["receipt"], "leads[0]@0");
    let record = kafka.read("leads", 1).remove(0);
    let event: Value = serde_json::from_str(&record.value).expect("JSON");
    assert_eq!(event["lead"]["name"], "张三");
}

#[test]
fn http_sends_from_a_library_in_a_child() {
    let crm = Crm::start();
    let settings = format!(
        "url = \"{}\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
        crm.url()
    );
    let daemon = daemon("http", &settings);
    deliver(&daemon);
    assert_eq!(crm.received().len(), 1);
}

#[test]
fn file_appends_from_a_library_in_a_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leads.jsonl");
    let write = format!(
        "[plugins.lib-file.sandbox]\nwrite = [\"{}\"]",
        folder.path().display()
    );
    let daemon = allowed("file", &write, &format!("path = \"{}\"", path.display()));
    deliver(&daemon);
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.contains("张三") && text.lines().count() == 1);
}
