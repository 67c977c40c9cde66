//! `check --connect` against real servers: what it says of a good login, a wrong password, a
//! wrong port and a server that is not trusted. It never says a secret.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use leadgate_tests::{Certificate, free_port, here};
#[cfg(feature = "all-plugins")]
use leadgate_tests::{Database, Kafka, Kind, Nats, Rabbit};
use serde_json::Value;

use crate::connect::check;

#[cfg(feature = "all-plugins")]
mod guarded;

/// Every password here has this in it.
const SECRET: &str = "t0p";

/// What is said of a certificate as `openssl req -x509` makes it, if it is not named.
const SELF_MADE: &str =
    "(CA:TRUE), as `openssl req -x509` does; name this very certificate as `ca`";

/// The last step of each sink's way: its name, whether it went well, and what was said.
type Ends = BTreeMap<String, (String, bool, String)>;

/// The ends of the ways of sinks of one plugin: name, and settings.
fn walked(plugin: &str, sinks: &[(&str, String)]) -> Ends {
    let folder = tempfile::tempdir().expect("a folder");
    let sinks: Vec<_> = sinks
        .iter()
        .map(|(name, settings)| {
            format!(
                "[sinks.{name}]\nplugin = \"{plugin}\"\ntimeout = \"5s\"\n\
                 [sinks.{name}.settings]\n{settings}\n"
            )
        })
        .collect();
    let sinks = sinks.concat();
    let (code, people) = check(folder.path(), &sinks, &[]);
    let (same, said) = check(folder.path(), &sinks, &["--json"]);
    assert_eq!((code, same), (Some(1), Some(1)), "{people}{said}");
    for said in [&people, &said] {
        for secret in [SECRET, "pa:ss", "pa%3Ass"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
    let said: Value = serde_json::from_str(&said).expect("JSON alone on stdout");
    let all = said["connect"].as_array().expect("a list").iter();
    all.map(|one| {
        let steps = one["steps"].as_array().expect("a list");
        let last = steps.last().expect("a step");
        let text = |field: &str| last[field].as_str().unwrap_or_default().to_owned();
        let ok = last["ok"] == true;
        assert_eq!(one["result"] == "ok", ok, "{one}");
        let name = one["sink"].as_str().expect("a name").to_owned();
        (name, (text("step"), ok, text("note")))
    })
    .collect()
}

/// Each sink's way ends at this step, well or not, and its word has this in it.
fn assert_ends(ends: &Ends, expected: &[(&str, &str, bool, &str)]) {
    assert_eq!(ends.len(), expected.len(), "{ends:?}");
    for (sink, step, ok, word) in expected {
        let (found, well, said) = &ends[*sink];
        assert_eq!((found.as_str(), *well), (*step, *ok), "{sink}: {ends:?}");
        assert!(said.contains(word), "{sink}: {said}");
    }
}

/// Writes a file; gives a setting that names it.
fn named(folder: &Path, name: &str, text: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writes");
    let setting = format!("ca = \"{}\"", path.display());
    (path, setting)
}

/// A mail server that wants a login; it ends with its standard input.
struct Guarded(Child);

impl Guarded {
    fn start(pem: &Path) -> (Self, String) {
        let mut process = Command::new(here(".counterparts/venv/bin/python"))
            .arg(here("counterparts/logins.py"))
            .arg(pem)
            .args(["leads", "t0p-mail"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run has installed aiosmtpd");
        let stdout = process.stdout.take().expect("piped");
        let mut lines = BufReader::new(stdout).lines();
        let port = lines.next().expect("a port").expect("reads");
        (Self(process), port)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs the PyPI library aiosmtpd; run tests/run"]
fn a_mail_server_is_asked_for_its_certificate_and_takes_the_login() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::of_itself(&["localhost"], true);
    let (pem, _) = named(folder.path(), "server.pem", &certificate.pem);
    let (_, ours) = named(folder.path(), "ours.pem", certificate.public());
    let other = Certificate::of_itself(&["localhost"], true);
    let (_, other) = named(folder.path(), "other.pem", other.public());
    let (_server, port) = Guarded::start(&pem);
    let mail = |port: &str, password: &str, more: &str| {
        format!(
            "host = \"localhost\"\nport = {port}\ntls = \"starttls\"\nusername = \"leads\"\n\
             password = \"{password}\"\nfrom = \"a@shop.test\"\nto = [\"b@shop.test\"]\n{more}"
        )
    };
    let closed = free_port().to_string();
    let ends = walked(
        "email",
        &[
            ("good", mail(&port, "t0p-mail", &ours)),
            ("password", mail(&port, "t0p-wrong", &ours)),
            ("port", mail(&closed, "t0p-mail", &ours)),
            ("stranger", mail(&port, "t0p-mail", &other)),
            (
                "early",
                mail(&port, "t0p-mail", &ours).replace("starttls", "tls"),
            ),
        ],
    );
    assert_ends(
        &ends,
        &[
            ("good", "login", true, ""),
            ("password", "login", false, "535"),
            ("port", "tcp", false, "refused"),
            ("stranger", "tls", false, SELF_MADE),
            ("early", "tls", false, "does not speak TLS"),
        ],
    );
}

#[cfg(feature = "all-plugins")]
fn a_database_is_logged_in_to_and_the_statement_tried(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::of_itself(&["localhost"], false);
    let database = Database::start_secure(kind, &certificate);
    let table = match kind {
        Kind::Postgres => "leads",
        Kind::MariaDb => "shop.leads",
    };
    database.sql(&format!("create table {table} (name varchar(40))"));
    let (_, ours) = named(folder.path(), "ours.pem", certificate.public());
    let other = Certificate::of_itself(&["localhost"], false);
    let (_, other) = named(folder.path(), "other.pem", other.public());
    let sink = |url: &str, table: &str, more: &str| {
        format!(
            "url = \"{url}?sslmode=verify-full\"\n\
             statement = \"insert into {table} (name) values (:name)\"\n\
             values = {{ name = \"{{{{ name }}}}\" }}\n{more}"
        )
    };
    let url = database.url_at("localhost", database.port());
    let closed = database.url_at("localhost", free_port());
    let wrong = url.replace("pa%3Ass", "t0p-wrong");
    let ends = walked(
        "sql",
        &[
            ("good", sink(&url, "leads", &ours)),
            ("password", sink(&wrong, "leads", &ours)),
            ("port", sink(&closed, "leads", &ours)),
            ("stranger", sink(&url, "leads", &other)),
            ("table", sink(&url, "leeds", &ours)),
        ],
    );
    let (password, missing) = match kind {
        Kind::Postgres => ("SQLSTATE 28P01", "42P01"),
        Kind::MariaDb => ("error 1045", "error 1146"),
    };
    assert_ends(
        &ends,
        &[
            ("good", "login", true, "the statement fits"),
            ("password", "login", false, password),
            ("port", "tcp", false, "refused"),
            ("stranger", "login", false, "`ca` names"),
            ("table", "login", false, missing),
        ],
    );
    assert_eq!(database.sql(&format!("select count(*) from {table}")), "0");

    // A server without TLS, or what is none.
    let plain = Database::start(kind);
    let plain = plain.url_at("localhost", plain.port());
    let ends = walked("sql", &[("plain", sink(&plain, "leads", &ours))]);
    let (step, ok, said) = &ends["plain"];
    assert_eq!((step.as_str(), *ok), ("login", false), "{said}");
    assert!(said.contains("the server does not offer TLS"), "{said}");
}

#[cfg(feature = "all-plugins")]
#[test]
#[ignore = "needs PostgreSQL; run tests/run"]
fn postgres_is_logged_in_to_and_the_statement_tried() {
    a_database_is_logged_in_to_and_the_statement_tried(Kind::Postgres);
}

#[cfg(feature = "all-plugins")]
#[test]
#[ignore = "needs MariaDB; run tests/run"]
fn mariadb_is_logged_in_to_and_the_statement_tried() {
    a_database_is_logged_in_to_and_the_statement_tried(Kind::MariaDb);
}

#[cfg(feature = "all-plugins")]
#[test]
#[ignore = "needs a NATS server; run tests/run"]
fn a_nats_server_is_logged_in_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::of_itself(&["localhost"], true);
    let (pem, _) = named(folder.path(), "server.pem", &certificate.pem);
    let (_, ours) = named(folder.path(), "ours.pem", certificate.public());
    let other = Certificate::of_itself(&["localhost"], true);
    let (_, other) = named(folder.path(), "other.pem", other.public());
    let users = "authorization { user: leads, password: t0p-nats }";
    let pem = pem.display();
    let encrypted = format!("{users}\ntls {{ cert_file: \"{pem}\", key_file: \"{pem}\" }}");
    let server = Nats::start_with(&encrypted, Value::Null);
    let plain = Nats::start_with(users, Value::Null);
    let sink = |port: u16, password: &str, ca: &str| {
        format!(
            "servers = [\"tls://localhost:{port}\"]\nsubject = \"leads\"\nuser = \"leads\"\n\
             password = \"{password}\"\n{ca}"
        )
    };
    let port = server.port();
    let ends = walked(
        "nats",
        &[
            ("good", sink(port, "t0p-nats", &ours)),
            ("password", sink(port, "t0p-wrong", &ours)),
            ("port", sink(free_port(), "t0p-nats", &ours)),
            ("stranger", sink(port, "t0p-nats", &other)),
            ("plain", sink(plain.port(), "t0p-nats", &ours)),
        ],
    );
    assert_ends(
        &ends,
        &[
            ("good", "login", true, ""),
            ("password", "login", false, "refused the login"),
            ("port", "tcp", false, "refused"),
            ("stranger", "login", false, SELF_MADE),
            ("plain", "login", false, "does not speak TLS"),
        ],
    );
}

#[cfg(feature = "all-plugins")]
#[test]
#[ignore = "needs RabbitMQ; run tests/run"]
fn rabbitmq_is_logged_in_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::of_itself(&["localhost"], true);
    let (pem, _) = named(folder.path(), "server.pem", &certificate.pem);
    let (_, ours) = named(folder.path(), "ours.pem", certificate.public());
    let other = Certificate::of_itself(&["localhost"], true);
    let (_, other) = named(folder.path(), "other.pem", other.public());
    let (port, pem) = (free_port(), pem.display());
    let broker = Rabbit::start(&format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.certfile = {pem}\n\
         ssl_options.keyfile = {pem}\nssl_options.verify = verify_none"
    ));
    let open = broker.address();
    let open = open.rsplit(':').next().expect("a port").parse();
    let sink = |port: u16, login: &str, ca: &str| {
        format!("url = \"amqps://{login}@localhost:{port}\"\nrouting_key = \"crm\"\n{ca}")
    };
    let good = "leads:t0psecret";
    let ends = walked(
        "amqp",
        &[
            ("good", sink(port, good, &ours)),
            ("password", sink(port, "leads:t0p-wrong", &ours)),
            ("port", sink(free_port(), good, &ours)),
            ("stranger", sink(port, good, &other)),
            ("plain", sink(open.expect("a number"), good, &ours)),
        ],
    );
    assert_ends(
        &ends,
        &[
            ("good", "login", true, ""),
            ("password", "login", false, "refused the login"),
            ("port", "tcp", false, "refused"),
            ("stranger", "login", false, SELF_MADE),
            ("plain", "login", false, "does not speak TLS"),
        ],
    );
}

#[cfg(feature = "all-plugins")]
#[test]
fn kafka_is_logged_in_to_and_the_topic_looked_for() {
    let kafka = Kafka::start("leads");
    let unknown = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error("nowhere", unknown).expect("set");
    let sink = |address: &str, topic: &str, more: &str| {
        format!("brokers = [\"{address}\"]\ntopic = \"{topic}\"\n{more}")
    };
    let login = "username = \"leads\"\npassword = \"t0p-kafka\"";
    let closed = format!("127.0.0.1:{}", free_port());
    let ends = walked(
        "kafka",
        &[
            ("good", sink(&kafka.address(), "leads", "")),
            ("password", sink(&guarded::start(), "leads", login)),
            ("port", sink(&closed, "leads", "")),
            ("topic", sink(&kafka.address(), "nowhere", "")),
        ],
    );
    assert_ends(
        &ends,
        &[
            ("good", "login", true, "the topic is there"),
            ("password", "login", false, "refused the login"),
            ("port", "login", false, &closed),
            ("topic", "login", false, "the topic is not there"),
        ],
    );
}
