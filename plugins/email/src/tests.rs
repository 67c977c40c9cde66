//! The sink: what it writes, and what it makes of a mail server on loopback that fails.

mod server;

use std::time::Duration;

use leadgate_plugin::{OutcomeKind, Tables, testing};

use super::*;
use server::{MailServer, Reply};

const LEAD: &str = include_str!("../../../tests/data/sample-lead.json");
const ID: &str = "01980000-0000-7000-8000-000000000001.mail";

fn event(change: impl FnOnce(&mut Value)) -> String {
    let mut lead: Value = serde_json::from_str(LEAD).expect("the sample is JSON");
    lead["other"] = json!({});
    change(&mut lead);
    json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop",
        "received_at": "2026-11-24T02:00:00Z", "labels": {}, "raw": "{}", "lead": lead,
    })
    .to_string()
}

fn delivery(event: String) -> Delivery {
    Delivery::new(ID, 1, Duration::from_secs(5), event)
}

fn host() -> Host {
    let mailboxes = [("437763404", "店长 <boss@x.example>"), ("8", "")];
    let mailboxes = mailboxes.map(|(code, label)| (code.to_owned(), label.to_owned()));
    Host::detached(
        "mail",
        Tables::from([("mailbox".to_owned(), mailboxes.into_iter().collect())]),
    )
}

/// Settings for a server on this machine, changed by `more`.
fn settings(more: &Value) -> Settings {
    let mut given = json!({
        "host": "127.0.0.1", "tls": "none", "from": "天猫客资 <leads@shop.example>",
        "to": ["sales@x.example"],
    });
    let given_fields = given.as_object_mut().expect("a table");
    given_fields.extend(more.as_object().expect("a table").clone());
    serde_json::from_value(given).expect("settings")
}

fn sink(more: &Value) -> EmailSink {
    testing::create::<EmailSink>(&settings(more), host())
        .map_err(|problems| format!("{problems:?}"))
        .expect("valid")
}

/// The places and messages of what is wrong with the settings.
fn wrong(more: &Value) -> Vec<(String, String)> {
    testing::check::<EmailSink>(&settings(more), &host())
        .into_iter()
        .map(|problem| (problem.path, problem.message))
        .collect()
}

fn letter(more: &Value, event: String) -> Letter {
    let now = std::time::UNIX_EPOCH + Duration::from_secs(1_795_485_600);
    sink(more)
        .letter(&delivery(event), now)
        .map_err(|problem| problem.to_string())
        .expect("a letter")
        .1
}

#[test]
fn the_letter_for_the_sample_lead() {
    let letter = letter(
        &json!({
            "reply_to": "客服 <service@shop.example>", "cc": ["{{ store_id | lookup('mailbox') }}"],
            "bcc": ["archive@shop.example"], "html": "<p>{{ name }} <b>{{ phone }}</b></p>",
        }),
        event(|_| ()),
    );
    insta::assert_snapshot!(letter.written.replace('\r', ""));
}

#[test]
fn the_texts_by_default() {
    insta::assert_snapshot!("zh_cn", letter(&json!({}), event(|_| ())).readable);
    insta::assert_snapshot!("en", letter(&json!({"lang": "en"}), event(|_| ())).readable);
    let event = event(|lead| {
        for (_, value) in lead.as_object_mut().expect("a table") {
            *value = Value::Null;
        }
    });
    insta::assert_snapshot!("of_nothing", letter(&json!({}), event).readable);
}

#[test]
fn every_attempt_writes_the_same_but_for_the_date() {
    let sink = sink(&json!({"html": "<p>{{ name }}</p>"}));
    let at = |seconds, attempt| {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        let delivery = Delivery::new(ID, attempt, Duration::from_secs(5), event(|_| ()));
        let letter = sink.letter(&delivery, now).expect("a letter").1;
        let text = letter.written;
        text.lines()
            .filter(|line| !line.starts_with("Date: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = at(1_795_485_600, 1);
    assert_eq!(first, at(1_795_489_999, 7));
    let id = "Message-ID: <01980000-0000-7000-8000-000000000001-mail@shop.example>";
    assert!(first.iter().any(|line| line == id), "{first:?}");
}

#[test]
fn a_lead_adds_no_header_and_no_recipient() {
    let evil = "x\r\nBcc: evil@evil.example\r\n\r\n<b>&";
    let event = event(|lead| lead["name"] = json!(evil));
    let letter = letter(
        &json!({
            "to": ["{{ name }} <sales@x.example>"], "subject": "S {{ name }}", "html": "{{ name }}",
        }),
        event,
    );
    let text = &letter.written;
    let head = text.split("\r\n\r\n").next().expect("a header");
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    let recipients: Vec<_> = letter.to.iter().map(ToString::to_string).collect();
    assert_eq!(recipients, ["sales@x.example"]);
    assert!(
        letter
            .readable
            .contains("Subject: S x Bcc: evil@evil.example <b>&\n"),
        "{}",
        letter.readable
    );
    assert!(
        letter.readable.contains("\r\n\r\n&lt;b&gt;&amp;"),
        "{}",
        letter.readable
    );
}

#[test]
fn recipients_come_from_lists_tables_and_leads_each_once() {
    let letter = letter(
        &json!({
            "to": ["a@x.example", "{{ ['b@x.example', 'A <a@x.example>', none] }}",
                "{{ store_id | lookup('mailbox') }}", "{{ other.mail | default(none) }}"],
            "cc": ["{{ 'd@x.example, e@x.example' | split(',') }}"],
            "bcc": ["{{ 8 | lookup('mailbox') }}", "b@x.example", "c@x.example"],
        }),
        event(|_| ()),
    );
    let recipients: Vec<_> = letter.to.iter().map(ToString::to_string).collect();
    assert_eq!(
        recipients,
        [
            "a@x.example",
            "b@x.example",
            "boss@x.example",
            "d@x.example",
            "e@x.example",
            "c@x.example"
        ]
    );
    assert!(
        !letter.written.contains("c@x.example"),
        "bcc is not written"
    );
}

#[tokio::test]
async fn what_a_lead_gives_as_address_is_a_dead_letter_that_does_not_show_it() {
    for (more, expected) in [
        (
            json!({"cc": ["ok@x.example", "{{ phone }}"]}),
            "settings.cc.1: not an e-mail address",
        ),
        (
            json!({"reply_to": "{{ phone }}"}),
            "settings.reply_to: not an e-mail address",
        ),
        (
            json!({"to": ["{{ 9 | lookup('mailbox') }}"]}),
            "settings.to.0: not an e-mail address",
        ),
        (
            json!({"to": ["{{ 8 | lookup('mailbox') }}"]}),
            "settings.to: no recipient for this lead",
        ),
        (
            json!({"subject": "{{ other.vip }}!"}),
            "settings.subject: there is no such value for this lead; use `| default(…)` if that may be: `other.vip`",
        ),
    ] {
        let outcome = sink(&more).deliver(&delivery(event(|_| ()))).await;
        assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
        assert_eq!(
            (outcome.rule.as_str(), outcome.reason.as_str()),
            ("template", expected)
        );
    }
}

#[test]
fn wrong_settings_are_named() {
    for (more, expected) in [
        (json!({}), &[][..]),
        (json!({"host": "mail.x.example"}), &["/tls"]),
        (json!({"host": "10.0.0.1"}), &["/tls"]),
        (json!({"host": "localhost.x.example"}), &["/tls"]),
        (json!({"host": "LOCALHOST"}), &[]),
        (json!({"host": "::1"}), &[]),
        (json!({"host": "mail.x.example", "tls": "starttls"}), &[]),
        (
            json!({"host": "mail.x.example:25", "tls": "tls"}),
            &["/host"],
        ),
        (json!({"host": ""}), &["/host"]),
        (json!({"username": "me"}), &["/username"]),
        (json!({"password": "t0p"}), &["/password"]),
        (json!({"username": "me", "password": "t0p"}), &[]),
        (json!({"from": "leads", "to": []}), &["/from", "/to"]),
        (json!({"from": "{{ name }} <a@x.example>"}), &["/from"]),
        (
            json!({"to": ["a@x.example", "b"], "cc": ["c@"], "bcc": ["d d@x.example"], "reply_to": "e"}),
            &["/reply_to", "/to/1", "/cc/0", "/bcc/0"],
        ),
        (
            json!({"to": ["{{ store_id | lookup('mailboxes') }}"]}),
            &["/to/0"],
        ),
        (
            json!({"subject": "{{ nmae }}", "text": "{{ name", "html": "{{ name | nope }}"}),
            &["/subject", "/text", "/html"],
        ),
    ] {
        let found = wrong(&more);
        let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, expected, "{more}: {found:?}");
    }
}

#[test]
fn an_authority_is_read_when_settings_are_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = include_str!("tests/authority.pem").to_owned();
    let files = [
        ("good.pem", whole.clone()),
        (
            "key.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
        ),
        ("cut.pem", whole.chars().take(200).collect()),
        (
            "garbled.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        ("long.pem", whole.clone() + &"\n".repeat(1024 * 1024)),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("writes");
    }
    for (name, tls, from, expected) in [
        ("good.pem", "tls", "a@x.example", &[][..]),
        ("good.pem", "starttls", "a@x.example", &[]),
        (
            "good.pem",
            "none",
            "a@x.example",
            &["/ca: without TLS nobody shows a certificate"],
        ),
        (
            "none.pem",
            "tls",
            "a@x.example",
            &["/ca: none.pem: no such file or directory (os error 2)"],
        ),
        // With what is wrong elsewhere.
        (
            ".",
            "tls",
            "nobody",
            &[
                "/from: not an e-mail address",
                "/ca: .: is a directory (os error 21)",
            ],
        ),
        (
            "key.pem",
            "tls",
            "a@x.example",
            &["/ca: key.pem: no certificate in it"],
        ),
        (
            "cut.pem",
            "tls",
            "a@x.example",
            &["/ca: cut.pem: a certificate in it cannot be read"],
        ),
        (
            "garbled.pem",
            "starttls",
            "a@x.example",
            &["/ca: garbled.pem: a certificate in it cannot be read"],
        ),
        (
            "long.pem",
            "tls",
            "a@x.example",
            &["/ca: long.pem: longer than 1 MiB: that is no file of certificates"],
        ),
    ] {
        let path = folder.path().join(name);
        let found = wrong(&json!({"host": "localhost", "tls": tls, "ca": path, "from": from}));
        let shown = folder.path().display().to_string() + "/";
        let found: Vec<_> = found
            .iter()
            .map(|(place, message)| format!("{place}: {}", message.replace(&shown, "")))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_example_in_the_configuration_is_good() {
    let example = include_str!("../../../config/sinks.d/email.toml");
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', ':']) => rest,
        _ => line,
    });
    let example = lines.collect::<Vec<_>>().join("\n");
    let example: toml::Table = toml::from_str(&example).expect("TOML");
    let given = example["sinks"]["mail"]["settings"].clone();
    let settings: Settings = given.try_into().expect("settings");
    let problems = testing::check::<EmailSink>(&settings, &host());
    assert!(problems.is_empty(), "{problems:?}");
}

/// The outcome with a server that follows `script`.
async fn outcome(script: server::Script, more: &Value) -> (Outcome, MailServer) {
    let server = MailServer::start(script).await;
    let mut more = more.clone();
    more["port"] = json!(server.port);
    let outcome = sink(&more).deliver(&delivery(event(|_| ()))).await;
    let shown = format!("{outcome:?}");
    for private in [
        "x.example",
        "shop.example",
        "t0psecret",
        "张三",
        "13567658911",
    ] {
        assert!(!shown.contains(private), "{shown}");
    }
    (outcome, server)
}

#[tokio::test]
async fn a_letter_that_is_taken_leaves_the_answer_as_receipt() {
    let login = json!({"username": "leads@shop.example", "password": "t0psecret"});
    let (outcome, server) = outcome(|_| None, &login).await;
    let receipt = "250 2.0.0 Ok: queued as 4XyZ for ***".to_owned();
    assert_eq!(
        (outcome.kind, &outcome.receipt),
        (OutcomeKind::Delivered, &receipt)
    );
    assert_eq!(outcome.rule, "taken");
    assert_eq!((server.count("AUTH"), server.count("RCPT")), (1, 1));
    assert_eq!(server.count("EHLO shop.example"), 1);
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test]
async fn answers_decide() {
    let cases: [(server::Script, &str, usize); 9] = [
        (
            |line| (line == "CONNECT").then_some(Reply::Say("554 no service")),
            "retry smtp-554",
            0,
        ),
        (
            |line| {
                line.starts_with("AUTH")
                    .then_some(Reply::Say("535 5.7.8 bad t0psecret"))
            },
            "reauth smtp-535",
            0,
        ),
        (
            |line| {
                line.starts_with("AUTH")
                    .then_some(Reply::Say("454 4.7.0 later"))
            },
            "retry smtp-454",
            0,
        ),
        (
            |line| {
                line.starts_with("MAIL")
                    .then_some(Reply::Say("451 4.3.0 busy"))
            },
            "retry smtp-451",
            0,
        ),
        (
            |line| {
                line.starts_with("RCPT")
                    .then_some(Reply::Say("550 5.1.1 <sales@x.example> no such user sales"))
            },
            "rejected smtp-550",
            0,
        ),
        (
            |line| (line == "DATA").then_some(Reply::Say("421 going down")),
            "retry smtp-421",
            0,
        ),
        (
            |line| (line == "DATA").then_some(Reply::Say("250 what")),
            "retry connection",
            0,
        ),
        (
            |line| (line == ".").then_some(Reply::Say("452 4.3.1 full")),
            "retry smtp-452",
            1,
        ),
        (
            |line| (line == ".").then_some(Reply::Say("550 5.7.1 spam from 13567658911 张三")),
            "rejected smtp-550",
            1,
        ),
    ];
    let login = json!({"username": "leads@shop.example", "password": "t0psecret"});
    for (script, expected, letters) in cases {
        let (outcome, server) = outcome(script, &login).await;
        let kind = outcome.kind.as_str();
        assert_eq!(format!("{kind} {}", outcome.rule), expected, "{outcome:?}");
        assert_eq!(server.letters().len(), letters, "{expected}");
    }
}

#[tokio::test]
async fn a_server_that_leaves_is_in_doubt_only_after_the_letter() {
    let (before, _) = outcome(|line| (line == "DATA").then_some(Reply::HangUp), &json!({})).await;
    assert_eq!(
        (before.kind, before.retry_after),
        (OutcomeKind::Retry, None),
        "{before:?}"
    );
    let (after, server) = outcome(|line| (line == ".").then_some(Reply::HangUp), &json!({})).await;
    assert_eq!(after.kind, OutcomeKind::Ambiguous, "{after:?}");
    assert_eq!(server.letters().len(), 1);
    let nobody = sink(&json!({"port": 1}))
        .deliver(&delivery(event(|_| ())))
        .await;
    assert_eq!(
        (nobody.kind, nobody.retry_after),
        (OutcomeKind::Retry, None),
        "{nobody:?}"
    );
    assert!(nobody.reason.contains("refused"), "{nobody:?}");
}

#[tokio::test]
async fn a_server_that_hangs_costs_our_patience_and_after_the_letter_the_attempt() {
    let quick = json!({"timeout": "100ms"});
    let (before, _) = outcome(
        |line| line.starts_with("RCPT").then_some(Reply::Hang),
        &quick,
    )
    .await;
    assert_eq!(
        (before.kind, before.retry_after),
        (OutcomeKind::Retry, None),
        "{before:?}"
    );
    assert_eq!(before.rule, "timeout");
    let server = MailServer::start(|line| (line == ".").then_some(Reply::Hang)).await;
    let short = Delivery::new(ID, 1, Duration::from_millis(400), event(|_| ()));
    let after = sink(&json!({"port": server.port, "timeout": "100ms"}))
        .deliver(&short)
        .await;
    assert_eq!(after.kind, OutcomeKind::Ambiguous, "{after:?}");
    assert_eq!(after.rule, "timeout");
}

#[tokio::test]
async fn those_refused_for_good_do_not_hold_up_the_others() {
    let three = json!({"to": ["a@x.example", "gone@x.example", "c@x.example"]});
    let (outcome, server) = outcome(
        |line| {
            line.contains("gone@")
                .then_some(Reply::Say("550 5.1.1 <gone@x.example> unknown"))
        },
        &three,
    )
    .await;
    assert_eq!(outcome.rule, "taken-in-part");
    assert!(
        outcome
            .response
            .ends_with("refused 1 of 3 recipients: 550 5.1.1 *** unknown"),
        "{outcome:?}"
    );
    assert!(outcome.kind == OutcomeKind::Delivered);
    assert_eq!(server.letters().len(), 1);
}

/// Lines that the scripts below have seen, to answer the second attempt otherwise.
fn recipients_of(server: &MailServer) -> Vec<String> {
    let lines = server.lines();
    let rcpt = lines
        .iter()
        .filter_map(|line| line.strip_prefix("RCPT TO:"));
    rcpt.map(str::to_owned).collect()
}

#[tokio::test]
async fn one_full_mailbox_keeps_the_letter_from_nobody_else_and_gets_it_alone_later() {
    static FULL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);
    use std::sync::atomic::Ordering;
    let server = MailServer::start(|line| match line {
        line if line.contains("gone@") => Some(Reply::Say("550 5.1.1 <gone@x.example> unknown")),
        line if line.contains("full@") && FULL.load(Ordering::Relaxed) => {
            Some(Reply::Say("452 4.2.2 full@x.example is full"))
        }
        _ => None,
    })
    .await;
    let to = json!([
        "a@x.example",
        "gone@x.example",
        "full@x.example",
        "c@x.example"
    ]);
    let sink = sink(&json!({"port": server.port, "to": to}));
    let delivery = delivery(event(|_| ()));
    let first = sink.deliver(&delivery).await;
    assert_eq!(
        (first.kind, first.retry_after),
        (OutcomeKind::Retry, None),
        "{first:?}"
    );
    assert_eq!(first.rule, "taken-in-part");
    assert_eq!(
        first.reason,
        "1 of 4 recipients are refused for now, the others have it: 452 4.2.2 *** is ***"
    );
    assert!(
        !delivery.step_record().contains("example"),
        "addresses are kept"
    );
    // Still full: nobody gets a second one.
    let second = sink.deliver(&delivery).await;
    assert_eq!(
        (second.kind, second.retry_after),
        (OutcomeKind::Retry, None),
        "{second:?}"
    );
    assert_eq!(second.rule, "smtp-452");
    assert!(
        second.reason.ends_with("1 of 4 recipients wait for it"),
        "{second:?}"
    );
    FULL.store(false, Ordering::Relaxed);
    let third = sink.deliver(&delivery).await;
    assert!(third.kind == OutcomeKind::Delivered, "{third:?}");
    assert_eq!(third.rule, "taken-in-part");
    assert!(
        third.response.ends_with("refused 1 of 4 recipients"),
        "{third:?}"
    );
    assert_eq!(server.letters().len(), 2);
    let told = recipients_of(&server);
    let count = |who: &str| told.iter().filter(|one| one.contains(who)).count();
    let counts = ["a@", "c@", "gone@", "full@"].map(count);
    assert_eq!(counts, [1, 1, 1, 3], "{told:?}");
}

#[tokio::test]
async fn when_the_rest_is_refused_for_good_the_others_have_it_all_the_same() {
    static GONE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    use std::sync::atomic::Ordering;
    let server = MailServer::start(|line| match line {
        line if !line.contains("b@") => None,
        _ if GONE.load(Ordering::Relaxed) => Some(Reply::Say("550 5.1.1 gone")),
        _ => Some(Reply::Say("451 4.7.1 greylisted")),
    })
    .await;
    let sink = sink(&json!({"port": server.port, "to": ["a@x.example", "b@x.example"]}));
    let delivery = delivery(event(|_| ()));
    let outcome = sink.deliver(&delivery).await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None)
    );
    GONE.store(true, Ordering::Relaxed);
    let outcome = sink.deliver(&delivery).await;
    assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    assert!(
        outcome
            .response
            .ends_with("refused 1 of 2 recipients: 550 5.1.1 gone"),
        "{outcome:?}"
    );
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test]
async fn when_all_are_refused_for_now_nobody_is_remembered() {
    let (outcome, server) = outcome(
        |line| {
            line.starts_with("RCPT")
                .then_some(Reply::Say("451 4.7.1 greylisted"))
        },
        &json!({"to": ["a@x.example", "b@x.example"]}),
    )
    .await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert_eq!(outcome.rule, "smtp-451");
    assert_eq!((server.count("RCPT"), server.count("DATA")), (2, 0));
}

#[tokio::test]
async fn a_server_with_a_limit_for_a_message_gets_several() {
    static TOLD: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    use std::sync::atomic::Ordering;
    let (outcome, server) = outcome(
        |line| {
            if line.starts_with("MAIL") {
                TOLD.store(0, Ordering::Relaxed);
            }
            (line.starts_with("RCPT") && TOLD.fetch_add(1, Ordering::Relaxed) >= 2)
                .then_some(Reply::Say("452 4.5.3 too many recipients"))
        },
        &json!({"to": ["a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example"]}),
    )
    .await;
    assert_eq!(outcome.rule, "taken", "{outcome:?}");
    assert_eq!(server.letters().len(), 3);
}

#[tokio::test]
async fn a_step_record_that_cannot_be_read_is_doubt_and_nobody_gets_a_letter() {
    let server = MailServer::start(|_| None).await;
    let delivery = delivery(event(|_| ()));
    delivery.keep("{\"taken\":[\"00").expect("keeps");
    let outcome = sink(&json!({"port": server.port})).deliver(&delivery).await;
    assert_eq!(outcome.kind, OutcomeKind::Ambiguous, "{outcome:?}");
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_when_the_server_closed_it() {
    let server = MailServer::start(|line| (line == ".").then_some(Reply::Say("250 ok"))).await;
    let kept = sink(&json!({"port": server.port}));
    for _ in 0..3 {
        let outcome = kept.deliver(&delivery(event(|_| ()))).await;
        assert_eq!(outcome.rule, "taken", "{outcome:?}");
    }
    assert_eq!((server.count("CONNECT"), server.letters().len()), (1, 3));

    // This one says goodbye to the second letter of a connection.
    let server = MailServer::start(|line| {
        line.starts_with("MAIL").then(|| {
            use std::sync::atomic::{AtomicUsize, Ordering};
            static MAILS: AtomicUsize = AtomicUsize::new(0);
            let second = MAILS.fetch_add(1, Ordering::Relaxed) == 1;
            Reply::Say(if second {
                "421 too long idle"
            } else {
                "250 ok"
            })
        })
    })
    .await;
    let kept = sink(&json!({"port": server.port}));
    for _ in 0..2 {
        let outcome = kept.deliver(&delivery(event(|_| ()))).await;
        assert_eq!(outcome.rule, "taken", "{outcome:?}");
    }
    assert_eq!((server.count("CONNECT"), server.letters().len()), (2, 2));
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let server = MailServer::start(|line| (line == ".").then_some(Reply::Hang)).await;
    let one = sink(&json!({"port": server.port, "connections": 1}));
    let short = |ms| Delivery::new(ID, 1, Duration::from_millis(ms), event(|_| ()));
    let (first, second) = (short(1000), short(300));
    let (first, second) = tokio::join!(one.deliver(&first), one.deliver(&second));
    assert_eq!(first.kind, OutcomeKind::Ambiguous, "{first:?}");
    assert_eq!(
        (second.kind, second.retry_after, second.rule.as_str()),
        (OutcomeKind::Retry, None, "not-processed")
    );
    assert_eq!(server.count("CONNECT"), 1);
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing() {
    let (outcome, server) = outcome(
        |_| None,
        &json!({"tls": "starttls", "username": "u", "password": "t0psecret"}),
    )
    .await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert!(outcome.reason.contains("STARTTLS"), "{outcome:?}");
    assert_eq!((server.count("AUTH"), server.count("MAIL")), (0, 0));
}

#[test]
fn a_look_shows_the_letter_without_the_password() {
    let sink = sink(&json!({"username": "u", "password": "t0psecret", "port": 2525}));
    let shown = Sink::render(&sink, &delivery(event(|_| ()))).expect("renders");
    let shown = shown.expect("a text");
    assert!(
        shown.starts_with("message to 127.0.0.1:2525:\nFrom: "),
        "{shown}"
    );
    assert!(shown.contains("Subject: 新客资：张三"), "{shown}");
    assert!(!shown.contains("t0psecret"), "{shown}");
}

/// A certificate for `localhost` that is its own authority, as `openssl req -x509` makes them,
/// and what a server shows it by.
fn self_made() -> (String, tokio_rustls::TlsAcceptor) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("signs");
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("fits");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    (certificate.pem(), acceptor)
}

#[tokio::test]
async fn a_self_made_certificate_is_trusted_if_it_is_the_one_that_was_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (pem, acceptor) = self_made();
    let (other, _) = self_made();
    for (name, pem) in [("ours.pem", pem), ("other.pem", other)] {
        std::fs::write(folder.path().join(name), pem).expect("writes");
    }
    for (tls, upgrade) in [("tls", false), ("starttls", true)] {
        let server = MailServer::encrypted(acceptor.clone(), upgrade).await;
        let with = |host: &str, ca: &str| {
            json!({"host": host, "port": server.port, "tls": tls, "ca": folder.path().join(ca),
                "username": "leads@shop.example", "password": "t0psecret"})
        };
        let sink = sink(&with("localhost", "ours.pem"));
        for _ in 0..2 {
            let outcome = sink.deliver(&delivery(event(|_| ()))).await;
            assert_eq!(outcome.rule, "taken", "{tls}: {outcome:?}");
        }
        assert_eq!(server.letters().len(), 2);
        assert_eq!(server.count("AUTH"), 1, "the connection is used again");
        for (host, ca, why) in [
            ("localhost", "other.pem", "CA:TRUE"),
            ("127.0.0.1", "ours.pem", "not for the name in `host`"),
        ] {
            let refused = super::tests::sink(&with(host, ca));
            let refused = refused.deliver(&delivery(event(|_| ()))).await;
            assert_eq!(refused.rule, "tls", "{refused:?}");
            assert!(refused.reason.contains(why), "{}", refused.reason);
        }
        assert_eq!(server.letters().len(), 2);
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing_from_who_named_its_certificate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, self_made().0).expect("writes");
    let more = json!({"host": "localhost", "tls": "starttls", "ca": ca});
    let (outcome, server) = outcome(|_| None, &more).await;
    assert!(
        outcome.reason.contains("does not offer STARTTLS"),
        "{outcome:?}"
    );
    assert_eq!((server.count("MAIL"), server.letters().len()), (0, 0));
}
