//! Tryton: what it answers, and what becomes of leads there.

use leadgate_tests::Tryton;
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
