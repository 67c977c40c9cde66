//! SQL: what real databases make of it.

use leadgate_tests::{
    Authority, Certificate, Client, Daemon, Database, Kind, SAMPLE, SUCCESS, Setup, Shop, output,
    output_of, until,
};
use serde_json::Value;

mod between;

use between::Between;

const NAME: &str = "张三";
const PHONE: &str = "13567658911";

/// A table with a column of every usual type.
fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => {
            "create table leads (record_id bigint primary key, delivery uuid, store numeric(20),
             name varchar(40) not null, phone text, budget integer, hot boolean,
             appointed timestamptz, received timestamptz, whole jsonb, tags text[], note text)"
        }
        Kind::MariaDb => {
            "create table shop.leads (record_id bigint primary key, delivery char(36),
             store decimal(20), name varchar(40) not null, phone text, budget integer,
             hot boolean, appointed datetime, received datetime, whole json, tags json, note text)"
        }
    }
}

/// A statement that inserts or updates.
fn upsert(kind: Kind) -> String {
    let columns = "record_id, delivery, store, name, phone, budget, hot, appointed, received, \
                   whole, tags, note";
    let values = columns.replace(", ", ", :");
    let end = match kind {
        Kind::Postgres => "on conflict (record_id) do update set name = excluded.name",
        Kind::MariaDb => "on duplicate key update name = values(name)",
    };
    format!("insert into leads ({columns}) values (:{values}) {end}")
}

const VALUES: &str = r#"
record_id = "{{ record_id }}"
delivery = "{{ delivery_id }}"
store = "{{ store_id }}"
name = "{{ name }}"
phone = "{{ phone_e164 or phone }}"
budget = "{{ customer_budget }}"
hot = "{{ purchase_intention >= 1 }}"
appointed = "{{ customer_appointment | datetime | format('%F %T') }}"
received = "{{ received_at | datetime('UTC') | format('%F %T') }}"
whole = { city = "{{ city_name }}", other = "{{ other }}", fixed = 7 }
tags = ["{{ city_name }}", "a\"b\\"]
note = "{{ none }}"
"#;

/// A sink that tries again soon.
fn sink(name: &str, url: &str, statement: &str, values: &str, more: &str) -> String {
    format!(
        "[sinks.{name}]\nplugin = \"sql\"\ntimeout = \"3s\"\n\
         retry = {{ first = \"50ms\", max = \"200ms\", max_attempts = 1000, max_age = \"1h\" }}\n\
         breaker = {{ failures = 0 }}\n[sinks.{name}.settings]\nurl = \"{url}\"\n\
         statement = \"\"\"{statement}\"\"\"\n{more}\n[sinks.{name}.settings.values]\n{values}\n"
    )
}

fn daemon(sinks: String) -> Daemon {
    Daemon::start(Setup {
        rest: sinks,
        level: "trace",
        ..Setup::default()
    })
}

/// A database with the table, and a daemon that writes into it.
fn shop(kind: Kind) -> (Database, Daemon) {
    let database = Database::start(kind);
    database.sql(table(kind));
    let daemon = daemon(sink("db", &database.url(), &upsert(kind), VALUES, ""));
    (database, daemon)
}

fn push(daemon: &Daemon, lead: &str) {
    assert_eq!(daemon.shop().push(lead).expect("answered").body, SUCCESS);
}

fn delivered(daemon: &Daemon, count: u64) {
    until("it is delivered", || {
        daemon.stat("/sinks/db/delivered") == count
    });
}

fn deliveries(daemon: &Daemon, sink: &str) -> Vec<Value> {
    let path = format!("/api/v1/deliveries?sink={sink}");
    let list = daemon.admin(&path).json();
    let items = list["items"].as_array().expect("items").iter();
    let whole = items.map(|item| {
        let id = item["id"].as_str().expect("an id");
        daemon.admin(&format!("/api/v1/deliveries/{id}")).json()
    });
    whole.collect()
}

/// Outcome, rule and reason of each attempt of the only delivery.
fn attempts(daemon: &Daemon, sink: &str) -> Vec<[String; 3]> {
    let [delivery] = &deliveries(daemon, sink)[..] else {
        panic!("one delivery of {sink}");
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attempts = delivery["history"].as_array().expect("attempts").iter();
    attempts
        .map(|one| {
            [
                text(&one["outcome"]),
                text(&one["rule"]),
                text(&one["reason"]),
            ]
        })
        .collect()
}

/// Neither the log, at its finest, nor what operators see says who the lead is, or the password.
fn says_nothing_personal(daemon: &Daemon) {
    let listed = daemon.admin("/api/v1/deliveries").json();
    let ids = listed["items"].as_array().expect("items").iter();
    let whole: Vec<_> = ids
        .map(|item| {
            let id = item["id"].as_str().expect("an id");
            daemon.admin(&format!("/api/v1/deliveries/{id}")).body
        })
        .collect();
    let said = [daemon.log(), whole.join("\n")].concat();
    for secret in [NAME, PHONE, "pa:ss", "pa%3Ass"] {
        let place = said.find(secret);
        let around = place.map(|at| &said[said.floor_char_boundary(at.saturating_sub(300))..at]);
        assert!(place.is_none(), "`{secret}` comes after {around:?}");
    }
}

fn a_lead_arrives_once_with_its_types(kind: Kind) {
    let (database, daemon) = shop(kind);
    push(&daemon, SAMPLE);
    delivered(&daemon, 1);
    let delivery = &deliveries(&daemon, "db")[0];
    let id = delivery["id"].as_str().expect("an id");
    assert_eq!(delivery["history"][0]["receipt"], "1 row", "{delivery}");

    let columns = "record_id, delivery, store, name, phone, budget, hot, note is null";
    let (yes, whole) = match kind {
        Kind::Postgres => ("t", "whole->>'city', whole->'fixed', tags[1], tags[2]"),
        Kind::MariaDb => (
            "1",
            "json_value(whole, '$.city'), json_value(whole, '$.fixed'),
             json_value(tags, '$[0]'), json_value(tags, '$[1]')",
        ),
    };
    assert_eq!(
        database.sql(&format!("select {columns} from {}", place(kind))),
        format!("371009|{id}|437763404|{NAME}|+86{PHONE}|1|{yes}|{yes}")
    );
    let text = database.sql(&format!("select {whole} from {}", place(kind)));
    // The client for people doubles a backslash.
    assert_eq!(text.replace(r"\\", r"\"), r#"杭州|7|杭州|a"b\"#);
    let appointed = database.sql(&format!(
        "select count(*) from {} where appointed = '2021-07-17 23:59:59'
         and received > '2026-01-01'",
        place(kind)
    ));
    assert_eq!(appointed, "1");

    // The same delivery once more.
    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("text");
    let again = output(&["outbox", "retry", id, "--force", "--config", config], &[]);
    assert!(again.status.success(), "{}", output_of(&again));
    delivered(&daemon, 2);
    assert_eq!(attempts(&daemon, "db").len(), 2);
    assert_eq!(
        database.sql(&format!("select count(*) from {}", place(kind))),
        "1"
    );

    // An update of the lead.
    push(
        &daemon,
        &SAMPLE.replace(NAME, "李四'; drop table leads; --"),
    );
    delivered(&daemon, 3);
    assert_eq!(
        database.sql(&format!("select name, phone from {}", place(kind))),
        format!("李四'; drop table leads; --|+86{PHONE}")
    );
    // Many at once share few connections.
    daemon.shop().give(1..=50);
    delivered(&daemon, 53);
    assert_eq!(
        database.sql(&format!("select count(*) from {}", place(kind))),
        "51"
    );
    says_nothing_personal(&daemon);
}

fn place(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "leads",
        Kind::MariaDb => "shop.leads",
    }
}

fn what_does_not_fit_is_a_dead_letter_that_says_why(kind: Kind) {
    let database = Database::start(kind);
    database.sql(&format!(
        "create table {} (record_id bigint, name varchar(1) not null, phone varchar(20),
         constraint one_phone unique (phone))",
        place(kind)
    ));
    database.sql(&format!(
        "insert into {} values (1, 'x', '{PHONE}')",
        place(kind)
    ));
    let statement = "insert into leads (record_id, name, phone) values (:id, :name, :phone)";
    let id = "id = \"{{ record_id }}\"\n";
    let [name, short] = ["name = \"{{ name }}\"\n", "name = \"x\"\n"];
    let [phone, none] = ["phone = \"{{ phone }}\"\n", "phone = \"x\"\n"];
    let cases = [
        ("long", format!("{id}{name}{none}"), statement),
        (
            "typed",
            format!("id = \"{{{{ name }}}}\"\n{short}{none}"),
            statement,
        ),
        (
            "empty",
            format!("{id}name = \"{{{{ none }}}}\"\n{none}"),
            statement,
        ),
        ("twice", format!("{id}{short}{phone}"), statement),
        ("lost", id.to_owned(), "insert into nowhere values (:id)"),
    ];
    let sinks: Vec<_> = cases
        .iter()
        .map(|(name, values, statement)| sink(name, &database.url(), statement, values, ""))
        .collect();
    let daemon = daemon(sinks.concat());
    push(&daemon, SAMPLE);
    let expected = match kind {
        Kind::Postgres => [
            (
                "sqlstate-22001",
                "SQLSTATE 22001: a text is too long for its column",
            ),
            (
                "sqlstate-22P02",
                "SQLSTATE 22P02: a value does not fit the type of its column (value id, type int8)",
            ),
            (
                "sqlstate-23502",
                "SQLSTATE 23502: a column that must have a value got none (table leads, column name)",
            ),
            (
                "sqlstate-23505",
                "SQLSTATE 23505: a row with the same key is there, and the statement does not say what to do then (table leads, constraint one_phone)",
            ),
            (
                "sqlstate-42P01",
                "SQLSTATE 42P01: relation \"nowhere\" does not exist",
            ),
        ],
        Kind::MariaDb => [
            (
                "mysql-1406",
                "SQLSTATE 22001 (error 1406): a text is too long for its column (column name)",
            ),
            (
                "mysql-1366",
                "SQLSTATE 22007 (error 1366): a value does not fit the type of its column (column shop.leads.record_id)",
            ),
            (
                "mysql-1048",
                "SQLSTATE 23000 (error 1048): a column that must have a value got none (column name)",
            ),
            (
                "mysql-1062",
                "SQLSTATE 23000 (error 1062): a row with the same key is there, and the statement does not say what to do then (key one_phone)",
            ),
            (
                "mysql-1146",
                "SQLSTATE 42S02 (error 1146): Table 'shop.nowhere' doesn't exist",
            ),
        ],
    };
    for ((sink, _, _), (rule, reason)) in cases.iter().zip(expected) {
        until("it is a dead letter", || {
            daemon.stat(&format!("/sinks/{sink}/dead")) == 1
        });
        let attempts = attempts(&daemon, sink);
        let [[outcome, decided, said]] = &attempts[..] else {
            panic!("one attempt: {attempts:?}");
        };
        assert_eq!((outcome.as_str(), decided.as_str()), ("rejected", rule));
        assert!(said.ends_with(reason), "{said}");
    }
    assert_eq!(
        database.sql(&format!("select count(*) from {}", place(kind))),
        "1"
    );
    says_nothing_personal(&daemon);
}

#[test]
#[ignore = "needs MariaDB"]
fn a_text_beyond_the_character_set_of_its_column_says_which_one_it_needs() {
    let database = Database::start(Kind::MariaDb);
    database.sql("create table shop.leads (name varchar(40) character set utf8mb3)");
    let statement = "insert into leads (name) values (:name)";
    let values = "name = \"{{ name }}\"\n";
    let daemon = daemon(sink("db", &database.url(), statement, values, ""));
    let mut lead: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
    lead["name"] = Value::from("𠮷野家😀");
    push(&daemon, &lead.to_string());
    until("it is a dead letter", || daemon.stat("/sinks/db/dead") == 1);
    let attempts = attempts(&daemon, "db");
    let [[outcome, rule, reason]] = &attempts[..] else {
        panic!("one attempt: {attempts:?}");
    };
    assert_eq!(
        (outcome.as_str(), rule.as_str()),
        ("rejected", "mysql-1366")
    );
    assert!(
        reason.contains("character set") && reason.contains("make it utf8mb4"),
        "{reason}"
    );
    assert!(!reason.contains('😀'), "{reason}");
}

fn a_server_that_comes_back_gets_what_it_missed(kind: Kind) {
    let (mut database, daemon) = shop(kind);
    // A connection is kept when the server goes.
    push(&daemon, SAMPLE);
    delivered(&daemon, 1);
    database.stop();
    daemon.shop().give([5]);
    until("it is tried again", || {
        daemon.stat("/sinks/db/retrying") == 1
    });
    database.go();
    delivered(&daemon, 2);
    assert_eq!(
        database.sql(&format!("select count(*) from {}", place(kind))),
        "2"
    );
    for delivery in deliveries(&daemon, "db") {
        for attempt in delivery["history"].as_array().expect("attempts") {
            let outcome = attempt["outcome"].as_str().expect("an outcome");
            assert!(["retry", "delivered"].contains(&outcome), "{attempt}");
        }
    }
}

fn a_wrong_password_asks_for_another(kind: Kind) {
    let database = Database::start(kind);
    database.sql(table(kind));
    let url = database.url().replace("%25@", "%24@");
    let daemon = daemon(sink("db", &url, &upsert(kind), VALUES, ""));
    push(&daemon, SAMPLE);
    until("it was tried", || daemon.stat("/sinks/db/retrying") == 1);
    let (rule, change) = match kind {
        Kind::Postgres => (
            "sqlstate-28P01",
            "alter user leadgate password 'pa:ss/w@rd#$'",
        ),
        Kind::MariaDb => (
            "mysql-1045",
            "set password for leadgate@'127.0.0.1' = password('pa:ss/w@rd#$')",
        ),
    };
    let [outcome, decided, _] = &attempts(&daemon, "db")[0];
    assert_eq!((outcome.as_str(), decided.as_str()), ("reauth", rule));
    database.sql(change);
    delivered(&daemon, 1);
    says_nothing_personal(&daemon);
}

/// A session that holds the table.
fn lock(database: &Database, kind: Kind) -> Client {
    database.session(match kind {
        Kind::Postgres => "begin; lock table leads in exclusive mode",
        Kind::MariaDb => "lock tables shop.leads write",
    })
}

fn what_takes_too_long_is_cancelled_and_leaves_no_doubt(kind: Kind) {
    let (database, daemon) = shop(kind);
    let rule = match kind {
        Kind::Postgres => "sqlstate-57014",
        Kind::MariaDb => "mysql-1317",
    };
    // First nothing is prepared yet, then there is a connection that is ready.
    for record in [1, 2] {
        let held = lock(&database, kind);
        daemon.shop().give([record]);
        until("it was tried", || daemon.stat("/sinks/db/retrying") == 1);
        let all = deliveries(&daemon, "db");
        let retrying = all.iter().find(|one| one["state"] != "delivered");
        let first = &retrying.expect("one")["history"][0];
        assert_eq!(
            (&first["outcome"], &first["rule"]),
            (&"retry".into(), &rule.into())
        );
        if record == 2 {
            let reason = first["reason"].as_str().expect("a reason");
            assert!(
                reason.ends_with("it took too long and was cancelled"),
                "{reason}"
            );
        }
        drop(held);
        delivered(&daemon, record);
    }
    assert_eq!(
        database.sql(&format!("select count(*) from {}", place(kind))),
        "2"
    );
}

/// What waits while a statement runs goes together in one transaction, and what of it is refused
/// costs nothing but itself.
fn what_waits_goes_in_one_transaction_and_a_bad_row_harms_no_other(kind: Kind) {
    for isolation in ["in-process", "process"] {
        waits_together(kind, isolation);
    }
}

fn waits_together(kind: Kind, isolation: &str) {
    let database = Database::start(kind);
    database.sql(&format!(
        "create table {} (record_id bigint primary key, name varchar(20) not null, tx bigint)",
        place(kind)
    ));
    let tx = match kind {
        Kind::Postgres => "txid_current()",
        Kind::MariaDb => "@@in_transaction",
    };
    let statement = format!("insert into leads (record_id, name, tx) values (:id, :name, {tx})");
    let values = "id = \"{{ record_id }}\"\nname = \"{{ name }}\"\n";
    let config = sink("db", &database.url(), &statement, values, "");
    let config = config.replace("timeout = \"3s\"", "timeout = \"60s\"\nconcurrency = 16");
    let plugin = format!("[plugins.sql]\nisolation = \"{isolation}\"\n");
    let daemon = daemon(plugin + &config);
    let in_flight = |count| {
        until("they are under way", || {
            daemon.stat("/sinks/db/in_flight") == count
        });
    };
    let round = |first: u64, bad: Option<u64>| {
        let held = lock(&database, kind);
        daemon.shop().give([first]);
        in_flight(1);
        for record in first + 1..first + 12 {
            let lead = Shop::lead(record);
            let lead = if bad == Some(record) {
                lead.replace(NAME, &NAME.repeat(11))
            } else {
                lead
            };
            push(&daemon, &lead);
        }
        in_flight(12);
        drop(held);
    };
    let count = |of: &str| {
        let counted = database.sql(&format!("select count({of}) from {}", place(kind)));
        counted.parse::<u64>().expect("a number")
    };

    round(1, None);
    delivered(&daemon, 12);
    assert_eq!(count("*"), 12);
    // The first went alone, the eleven behind it together.
    match kind {
        Kind::Postgres => assert_eq!(count("distinct tx"), 2),
        Kind::MariaDb => assert_eq!(count("nullif(tx, 0)"), 11),
    }

    round(101, Some(105));
    delivered(&daemon, 23);
    until("the bad one is dead", || daemon.stat("/sinks/db/dead") == 1);
    assert_eq!(count("*"), 23);
    let all = deliveries(&daemon, "db");
    for delivery in &all {
        let history = delivery["history"].as_array().expect("attempts");
        assert_eq!(history.len(), 1, "{delivery}");
        let expected = match delivery["state"].as_str() {
            Some("delivered") => "delivered",
            _ => "rejected",
        };
        assert_eq!(history[0]["outcome"], expected, "{delivery}");
    }
    says_nothing_personal(&daemon);
}

fn an_answer_that_is_lost_leaves_doubt_and_one_row(kind: Kind) {
    let database = Database::start(kind);
    database.sql(table(kind));
    let between = Between::start(database.port());
    let url = database.url_at("127.0.0.1", between.port());
    let daemon = daemon(sink("db", &url, &upsert(kind), VALUES, ""));
    between.lose_the_answer_to(NAME);
    push(&daemon, SAMPLE);
    delivered(&daemon, 1);
    let attempts = attempts(&daemon, "db");
    let outcomes: Vec<_> = attempts.iter().map(|one| [&one[0], &one[1]]).collect();
    assert_eq!(
        outcomes,
        [["ambiguous", "connection"], ["delivered", "done"]]
    );
    assert_eq!(
        database.sql(&format!("select count(*) from {}", place(kind))),
        "1"
    );
    says_nothing_personal(&daemon);
}

fn an_encrypted_connection_needs_a_server_that_can_be_trusted(kind: Kind) {
    let authority = Authority::new();
    let database = Database::start_secure(kind, &authority.certificate(&["localhost"]));
    database.sql(table(kind));
    if kind == Kind::MariaDb {
        database.sql("alter user leadgate@'127.0.0.1' require ssl");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("writes");
    let ca = format!("ca = \"{}\"", ca.display());
    let mode = "?sslmode=verify-full";
    let named = database.url_at("localhost", database.port()) + mode;
    let numbered = database.url() + mode;
    let sinks = [
        sink("db", &named, &upsert(kind), VALUES, &ca),
        sink("stranger", &named, &upsert(kind), VALUES, ""),
        sink("other", &numbered, &upsert(kind), VALUES, &ca),
    ];
    let daemon = daemon(sinks.concat());
    push(&daemon, SAMPLE);
    delivered(&daemon, 1);
    if kind == Kind::Postgres {
        let encrypted = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid)
                         where application_name = 'leadgate'";
        assert_eq!(database.sql(encrypted), "t");
    }
    for (sink, why) in [
        (
            "stranger",
            "an authority that is not trusted here; `ca` names",
        ),
        ("other", "not for the name in `url`"),
    ] {
        until("it was tried", || {
            daemon.stat(&format!("/sinks/{sink}/retrying")) == 1
        });
        let [outcome, rule, reason] = &attempts(&daemon, sink)[0];
        assert_eq!((outcome.as_str(), rule.as_str()), ("retry", "connection"));
        assert!(reason.contains(why), "{sink}: {reason}");
    }
}

fn a_server_that_vouches_for_itself_is_trusted_or_the_reason_says_what_to_make(kind: Kind) {
    // As `openssl req -x509` makes it, and as one that is no authority.
    for authority in [true, false] {
        let certificate = Certificate::of_itself(&["localhost"], authority);
        let database = Database::start_secure(kind, &certificate);
        database.sql(table(kind));
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("server.pem");
        std::fs::write(&ca, certificate.public()).expect("writes");
        let ca = format!("ca = \"{}\"", ca.display());
        let url = database.url_at("localhost", database.port()) + "?sslmode=verify-full";
        let daemon = daemon(sink("db", &url, &upsert(kind), VALUES, &ca));
        push(&daemon, SAMPLE);
        if (kind, authority) == (Kind::MariaDb, true) {
            until("it was tried", || daemon.stat("/sinks/db/retrying") == 1);
            let [outcome, rule, reason] = &attempts(&daemon, "db")[0];
            assert_eq!((outcome.as_str(), rule.as_str()), ("retry", "connection"));
            let remedy = "-addext basicConstraints=critical,CA:FALSE and name that as `ca`";
            assert!(reason.contains(remedy), "{reason}");
        } else {
            delivered(&daemon, 1);
        }
        says_nothing_personal(&daemon);
    }
}

/// The same tests for each database.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod postgres {
            $(#[test]
            #[ignore = "needs PostgreSQL; run tests/run"]
            fn $name() {
                super::$name(super::Kind::Postgres);
            })*
        }
        mod mariadb {
            $(#[test]
            #[ignore = "needs MariaDB; run tests/run"]
            fn $name() {
                super::$name(super::Kind::MariaDb);
            })*
        }
    };
}

both!(
    a_lead_arrives_once_with_its_types,
    a_server_that_vouches_for_itself_is_trusted_or_the_reason_says_what_to_make,
    a_server_that_comes_back_gets_what_it_missed,
    a_wrong_password_asks_for_another,
    an_answer_that_is_lost_leaves_doubt_and_one_row,
    an_encrypted_connection_needs_a_server_that_can_be_trusted,
    what_does_not_fit_is_a_dead_letter_that_says_why,
    what_takes_too_long_is_cancelled_and_leaves_no_doubt,
    what_waits_goes_in_one_transaction_and_a_bad_row_harms_no_other,
);

/// Runs `check` or another command over a configuration with this sink.
fn command(args: &[&str], sink: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("leadgate.toml");
    let text = format!(
        "[outbox]\npath = \"{}\"\n[admin]\nallow_without_token = true\n\
         [sources.shop]\nkind = \"tmall\"\npath = \"/x\"\napp_secret = \"env:SECRET\"\n{sink}",
        folder.path().join("store").display()
    );
    std::fs::write(&config, text).expect("writes");
    let config = ["--config", config.to_str().expect("text")];
    let environment = [
        ("SECRET", "x"),
        ("DB", "mysql://u:t0psecret@db.example/shop"),
    ];
    let output = output(&[args, &config].concat(), &environment);
    (output.status.code(), output_of(&output))
}

#[test]
fn mistakes_are_shown_in_place_before_anything_runs() {
    let statement = "insert into leads values (:record_id, :nmae); delete from leads";
    let values = "record_id = \"{{ record_idd }}\"\nname = \"{{ name }}\"";
    let (code, said) = command(&["check"], &sink("db", "env:DB", statement, values, ""));
    assert_eq!(code, Some(78), "{said}");
    for part in [
        "`:nmae` has no value",
        "did you mean `name`?",
        "one statement, not several",
        "the statement does not use `:name`",
        "did you mean `nmae`?",
        "did you mean `record_id`?",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("t0psecret"), "{said}");
}

#[test]
fn render_shows_statement_and_values_and_no_password() {
    let lead = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(lead.path(), Shop::lead(7)).expect("writes");
    let path = lead.path().to_str().expect("text");
    let statement = "insert into leads values (:id, :who, :when)";
    let values = "id = \"{{ record_id }}\"\nwho = \"{{ name }}\"\nwhen = \"{{ none }}\"";
    let (code, said) = command(
        &["render", "--sink", "db", "--lead", path],
        &sink("db", "env:DB", statement, values, ""),
    );
    assert_eq!(code, Some(0), "{said}");
    let expected = "MySQL at db.example:3306/shop:\n\
                    insert into leads values (:id, :who, :when)\n\n\
                    :id = 7\n:when = null\n:who = \"张三\"";
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("t0psecret"), "{said}");
}
