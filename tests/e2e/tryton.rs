//! Tryton: what it answers, and what becomes of leads there.

use leadgate_tests::{Behaviour, Crm, Daemon, SAMPLE, SUCCESS, Setup, Tryton, here, until};
use serde_json::{Value, json};

const PARTY: &str = "/rest/model/party.party";
const LEAD: &str = "/rest/model/sale.opportunity";

fn key() -> String {
    format!("Bearer {}", Tryton::KEY)
}

/// A new party, as REST takes it.
fn party(code: &str) -> Value {
    let mobile = json!({"type": "mobile", "value": "+8613567658911"});
    json!({"name": "张三", "code": code, "contact_mechanisms": [["create", [mobile]]]})
}

/// A new lead of a party, as REST takes it.
fn lead(party: u64) -> Value {
    json!({
        "party": party, "description": "天猫客资", "reference": "tmall:1",
        "company": Tryton::COMPANY, "currency": Tryton::CURRENCY,
    })
}

/// The lead with another field, or without one.
fn with(mut lead: Value, field: &str, value: Option<Value>) -> Value {
    let fields = lead.as_object_mut().expect("a table");
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
    lead
}

// What the preset is written from.
#[test]
#[ignore = "needs Tryton; run tests/run"]
fn what_tryton_answers_over_rest() {
    let tryton = Tryton::start();
    let post = |path: &str, body: &Value| tryton.call(path, &key(), Some(body));
    let search = |code: &str| {
        let domain = json!([["code", "=", code]]);
        post(
            &format!("{PARTY}/search"),
            &json!({"domain": domain, "limit": 1}),
        )
    };

    // A search that finds nothing, a new record, and a search that finds it: party 1 is the company's.
    assert_eq!(search("tmall-1").json(), json!([]));
    let made = post(PARTY, &party("tmall-1"));
    assert_eq!(made.status, 200);
    let id = json!({"id": 2, "__name__": "party.party", "rec_name": "张三"});
    assert_eq!(made.json(), id);
    assert_eq!(search("tmall-1").json(), json!([2]));
    let made = post(LEAD, &lead(2));
    assert_eq!(made.status, 200);
    let id = json!({"id": 1, "__name__": "sale.opportunity", "rec_name": "1 [tmall:1]"});
    assert_eq!(made.json(), id);
    let party = tryton.records(
        "party.party",
        &json!([["id", "=", 2]]),
        &["phone", "mobile"],
    );
    assert_eq!(party[0]["mobile"], "+8613567658911");

    // 400 with JSON: what Tryton itself refuses, for good.
    let code = post(PARTY, &self::party("tmall-1"));
    assert_eq!(code.status, 400);
    let said =
        json!({"status": 400, "message": "The code on party must be unique.", "description": ""});
    assert_eq!(code.json(), said);
    let without = post(LEAD, &with(lead(2), "currency", None));
    assert_eq!(without.status, 400);
    let said = "A value is required for field \"Currency\" in record \"2 [tmall:1]\" of \"Sale Opportunity\".";
    assert_eq!(without.json()["message"], said);

    // 500 with a page: what it does not know, which no retry makes known.
    for (path, body, said) in [
        (
            LEAD,
            with(lead(2), "nofield", Some(json!(1))),
            "<p>&#39;nofield&#39;</p>",
        ),
        ("/rest/model/no.model", lead(2), "<p>&#39;no.model&#39;</p>"),
    ] {
        let unknown = post(path, &body);
        assert_eq!(unknown.status, 500);
        assert!(
            unknown.head.contains("content-type: text/html"),
            "{unknown:?}"
        );
        assert!(unknown.body.contains(said), "{unknown:?}");
    }

    // 401 with a page.
    for key in ["Bearer wrong", ""] {
        let refused = tryton.call(LEAD, key, Some(&lead(2)));
        assert_eq!(refused.status, 401);
        assert!(
            refused.body.contains("<h1>Unauthorized</h1>"),
            "{refused:?}"
        );
    }
    assert_eq!(
        tryton
            .records("sale.opportunity", &json!([]), &["id"])
            .len(),
        1
    );
}

// What the example over JSON-RPC is written from.
#[test]
#[ignore = "needs Tryton; run tests/run"]
fn what_tryton_answers_over_json_rpc() {
    let tryton = Tryton::start();
    let session = tryton.session();
    let made = tryton.rpc(
        &session,
        "model.party.party.create",
        &json!([[party("tmall-1")], {}]),
    );
    assert_eq!(
        (made.status, made.json()),
        (200, json!({"id": 1, "result": [2]}))
    );
    let context = json!({"company": Tryton::COMPANY});
    let create = |lead: Value| {
        let params = json!([[lead], context]);
        tryton.rpc(&session, "model.sale.opportunity.create", &params)
    };
    let made = create(lead(2));
    assert_eq!(
        (made.status, made.json()),
        (200, json!({"id": 1, "result": [1]}))
    );

    // 200 for a failure: what Tryton refuses has a name, what it does not know has none.
    let refused = tryton.rpc(
        &session,
        "model.party.party.create",
        &json!([[party("tmall-1")], {}]),
    );
    let why = json!(["UserError", ["The code on party must be unique.", "", null]]);
    assert_eq!(
        (refused.status, refused.json()),
        (200, json!({"id": 1, "error": why}))
    );
    let unknown = create(with(lead(2), "nofield", Some(json!(1))));
    assert_eq!(
        (unknown.status, unknown.json()),
        (200, json!({"id": 1, "error": ["'nofield'", ""]}))
    );

    // 401: with a wrong password, and with a session that is over.
    let wrong = json!([Tryton::USER, {"password": "wrong"}, "en"]);
    assert_eq!(tryton.rpc("", "common.db.login", &wrong).status, 401);
    tryton.end_sessions();
    let over = create(lead(2));
    assert_eq!((over.status, over.body.as_str()), (401, ""));
    assert_eq!(
        tryton
            .records("sale.opportunity", &json!([]), &["id"])
            .len(),
        1
    );
}

/// A daemon with the sink of an example, with a change to it; it waits only briefly before it
/// tries again.
fn with_example(tryton: &Tryton, example: &str, [old, new]: [&str; 2]) -> Daemon {
    let path = here("../config/sinks.d/examples").join(example);
    let sink = std::fs::read_to_string(path).expect("an example");
    assert!(sink.contains(old), "{sink}");
    let sink = sink.replace(old, new);
    let retry = "retry = { first = \"50ms\", max = \"100ms\" }\nbreaker = { failures = 0 }\n";
    let sink = sink.replace("on_update =", &format!("{retry}on_update ="));
    let url = tryton.url();
    let environment = [
        ("TRYTON_URL", url.as_str()),
        ("TRYTON_KEY", Tryton::KEY),
        ("TRYTON_USER", Tryton::USER),
        ("TRYTON_PASSWORD", Tryton::PASSWORD),
    ];
    Daemon::start(Setup {
        rest: sink,
        environment: environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..Setup::default()
    })
}

/// No change.
const SAME: [&str; 2] = [""; 2];

/// The sample lead under another number and phone.
fn sample(record: u64, phone: &str) -> String {
    SAMPLE
        .replace("371009", &record.to_string())
        .replace("13567658911", phone)
}

/// Pushes leads and waits until each has ended.
fn push(daemon: &Daemon, sink: &str, leads: &[String], state: &str) {
    let pointer = format!("/sinks/{sink}/{state}");
    let before = daemon.stat(&pointer);
    for lead in leads {
        assert_eq!(daemon.shop().push(lead).expect("answered").body, SUCCESS);
    }
    until("all have ended", || {
        daemon.stat(&pointer) == before + leads.len() as u64
    });
}

/// The last delivery of a sink, as operators see it.
fn last(daemon: &Daemon, sink: &str) -> Value {
    let list = daemon
        .admin(&format!("/api/v1/deliveries?sink={sink}"))
        .json();
    let items = list["items"].as_array().expect("a list");
    let id = items.iter().max_by_key(|item| item["created_at"].as_str());
    let id = id.expect("a delivery")["id"].as_str().expect("an id");
    daemon.admin(&format!("/api/v1/deliveries/{id}")).json()
}

/// What the merchant sees: parties but the company's own, and leads.
fn book(tryton: &Tryton) -> (Vec<Value>, Vec<Value>) {
    let others = json!([["id", "!=", 1]]);
    let parties = tryton.records("party.party", &others, &["code", "name", "mobile"]);
    let leads = ["party", "reference", "description", "state"];
    let leads = tryton.records("sale.opportunity", &json!([]), &leads);
    (parties, leads)
}

#[test]
#[ignore = "needs Tryton; run tests/run"]
fn leads_become_opportunities_of_parties_that_are_known_again() {
    let tryton = Tryton::start();
    let daemon = with_example(&tryton, "tryton.toml", SAME);
    push(&daemon, "tryton", &[SAMPLE.to_owned()], "delivered");
    let attempt = &last(&daemon, "tryton")["history"][0];
    assert_eq!(
        (&attempt["receipt"], &attempt["rule"]),
        (&json!("1"), &json!("lead/ok"))
    );
    // The same person asks again, and somebody else asks.
    push(&daemon, "tryton", &[sample(2, "13567658911")], "delivered");
    push(&daemon, "tryton", &[sample(3, "13900000000")], "delivered");
    let (parties, leads) = book(&tryton);
    assert_eq!(
        parties,
        [
            json!({"id": 2, "code": "tmall-371009", "name": "张三", "mobile": "+8613567658911"}),
            json!({"id": 3, "code": "tmall-3", "name": "张三", "mobile": "+8613900000000"}),
        ]
    );
    let lead = |id: u64, party: u64, record: u64| {
        json!({
            "id": id, "party": party, "reference": format!("tmall:{record}"),
            "description": "天猫客资 杭州", "state": "lead",
        })
    };
    let mut leads = leads;
    leads.sort_by_key(|lead| lead["id"].as_u64());
    assert_eq!(leads, [lead(1, 2, 371_009), lead(2, 2, 2), lead(3, 3, 3)]);
}

#[test]
#[ignore = "needs Tryton; run tests/run"]
fn an_attempt_that_fails_in_between_makes_nothing_twice() {
    let (tryton, crm) = (Tryton::start(), Crm::start());
    crm.behave(Behaviour::Refuse(503, ""));
    // A step of the merchant's own, behind the others.
    let note = format!(
        "body.currency = 1\n[[sinks.tryton.settings.steps]]\nname = \"note\"\nurl = \"{}\"\nbody.lead = \"{{{{ steps.party.id }}}}\"\n",
        crm.url()
    );
    let daemon = with_example(&tryton, "tryton.toml", ["body.currency = 1", &note]);
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("it was tried again", || crm.received().len() >= 3);
    crm.behave(Behaviour::Take);
    until("it is delivered", || {
        daemon.stat("/sinks/tryton/delivered") == 1
    });
    let (parties, leads) = book(&tryton);
    assert_eq!((parties.len(), leads.len()), (1, 1));
    let noted = crm.received().pop().expect("a note").event();
    assert_eq!(noted, json!({"lead": 2}), "what the first attempt had made");
}

#[test]
#[ignore = "needs Tryton; run tests/run"]
fn what_is_there_already_is_a_duplicate() {
    let tryton = Tryton::start();
    let made = tryton.call(PARTY, &key(), Some(&party("tmall-371009")));
    assert_eq!(made.status, 200);
    let there = with(lead(2), "reference", Some(json!("tmall:371009")));
    assert_eq!(tryton.call(LEAD, &key(), Some(&there)).status, 200);
    let daemon = with_example(&tryton, "tryton.toml", SAME);
    push(&daemon, "tryton", &[SAMPLE.to_owned()], "delivered");
    let attempt = last(&daemon, "tryton")["history"][0].clone();
    assert_eq!(attempt["outcome"], "duplicate", "{attempt}");
    assert_eq!(attempt["rule"], "look_lead/there-already", "{attempt}");
    let (parties, leads) = book(&tryton);
    assert_eq!((parties.len(), leads.len()), (1, 1));
}

#[test]
#[ignore = "needs Tryton; run tests/run"]
fn what_tryton_refuses_for_good_is_a_dead_letter_that_says_why() {
    let tryton = Tryton::start();
    for (changed, rule, reason) in [
        (
            "body.currency = 1\nbody.nofield = 1",
            "lead/unknown-name",
            "500: this Tryton does not know a field or a model of the request",
        ),
        (
            "body.currency = \"{{ none }}\"",
            "lead/refused",
            "400: A value is required for field \"Currency\"",
        ),
    ] {
        let mut daemon = with_example(&tryton, "tryton.toml", ["body.currency = 1", changed]);
        push(&daemon, "tryton", &[SAMPLE.to_owned()], "dead");
        let delivery = last(&daemon, "tryton");
        assert_eq!(delivery["attempts"], 1, "{delivery}");
        assert_eq!(delivery["history"][0]["rule"], rule, "{delivery}");
        let said = delivery["last_reason"].as_str().expect("a reason");
        assert!(said.contains(reason), "{said}");
        daemon.terminate();
        for personal in ["张三", "13567658911", Tryton::KEY] {
            let text = delivery.to_string() + &daemon.log();
            assert!(!text.contains(personal), "{personal}: {text}");
        }
    }
    assert!(book(&tryton).1.is_empty());
}

#[test]
#[ignore = "needs Tryton; run tests/run"]
fn over_json_rpc_a_session_that_is_over_is_renewed() {
    let tryton = Tryton::start();
    let daemon = with_example(&tryton, "tryton-json-rpc.toml", SAME);
    push(&daemon, "tryton-rpc", &[SAMPLE.to_owned()], "delivered");
    tryton.end_sessions();
    push(
        &daemon,
        "tryton-rpc",
        &[sample(2, "13567658911")],
        "delivered",
    );
    let delivery = last(&daemon, "tryton-rpc");
    assert_eq!(delivery["attempts"], 1, "{delivery}");
    assert_eq!(delivery["history"][0]["receipt"], "2", "{delivery}");
    let (parties, leads) = book(&tryton);
    assert_eq!((parties.len(), leads.len()), (1, 2));
}

#[test]
#[ignore = "needs Tryton; run tests/run"]
fn over_json_rpc_a_failure_that_is_answered_with_200_is_none_the_less() {
    let tryton = Tryton::start();
    let daemon = with_example(
        &tryton,
        "tryton-json-rpc.toml",
        ["'description'", "'nofield'"],
    );
    push(&daemon, "tryton-rpc", &[SAMPLE.to_owned()], "dead");
    let delivery = last(&daemon, "tryton-rpc");
    assert_eq!(delivery["history"][0]["rule"], "lead/refused", "{delivery}");
    let reason = delivery["last_reason"].as_str().expect("a reason");
    assert!(reason.contains("nofield"), "{reason}");
    assert!(book(&tryton).1.is_empty());
}
