//! Every preset: what it sends for the platform's sample lead, what it asks for, and what each
//! answer that the destination documents means.

use leadgate_plugin::testing;
use std::path::Path;
use std::time::UNIX_EPOCH;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, json};

use super::*;
use crate::answer::Answer;
use crate::classify;
use crate::redact::Redactor;

const NAMES: [&str; 15] = [
    "standard-webhooks",
    "feishu-bot",
    "dingtalk-robot",
    "wecom-robot",
    "slack",
    "hubspot",
    "salesforce",
    "frappe",
    "espocrm",
    "zoho",
    "odoo",
    "fxiaoke",
    "xiaoshouyi",
    "feishu-bitable",
    "tryton",
];

/// What only the merchant knows, invented.
pub(super) fn given(preset: &str) -> Value {
    let mut given = match preset {
        "standard-webhooks" => {
            json!({"url": "https://crm.example/leads", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
        }
        "feishu-bot" => {
            json!({"url": "https://open.feishu.cn/open-apis/bot/v2/hook/HOOK", "secret": "SECx"})
        }
        "dingtalk-robot" => {
            json!({"url": "https://oapi.dingtalk.com/robot/send?access_token=TOKEN", "secret": "SECx"})
        }
        "wecom-robot" => {
            json!({"url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=KEY"})
        }
        "slack" => json!({"url": "https://hooks.slack.com/services/TEAM/BOT/HOOK"}),
        "hubspot" => json!({"auth": {"token": "TOKEN"}}),
        "salesforce" => json!({
            "url": "https://shop.my.salesforce.com/services/data/v62.0/sobjects/Lead/Tmall_Record_Id__c/{{ record_id }}",
            "auth": {"token_url": "https://shop.my.salesforce.com/services/oauth2/token", "client_id": "ID", "client_secret": "SECRET"},
        }),
        "frappe" => {
            json!({"url": "https://crm.example/api/resource/CRM%20Lead", "auth": {"value": "token KEY:SECRET"}})
        }
        "espocrm" => json!({"url": "https://crm.example/api/v1/LeadCapture/KEY"}),
        "zoho" => json!({
            "url": "https://www.zohoapis.com.cn/crm/v8/Leads/upsert",
            "auth": {"token_url": "https://accounts.zoho.com.cn/oauth/v2/token", "refresh_token": "REFRESH", "client_id": "ID", "client_secret": "SECRET"},
        }),
        "odoo" => {
            json!({"url": "https://crm.example/json/2/crm.lead", "auth": {"token": "KEY"}, "headers": {"x-odoo-database": "shop"}})
        }
        "fxiaoke" => json!({
            "headers": {"x-fs-ea": "EA", "x-fs-userid": "1000"},
            "auth": {"body": {"appId": "ID", "appSecret": "SECRET", "permanentCode": "CODE"}},
        }),
        "xiaoshouyi" => json!({
            "auth": {"username": "USER", "password": "PASSWORDTOKEN", "client_id": "ID", "client_secret": "SECRET"},
            "steps": [{"name": "create", "body": {"data": {"entityType": 7}}}],
        }),
        "feishu-bitable" => json!({
            "url": "https://open.feishu.cn/open-apis/bitable/v1/apps/APP/tables/TABLE",
            "auth": {"body": {"app_id": "ID", "app_secret": "SECRET"}},
        }),
        "tryton" => json!({"url": "https://tryton.example/shop", "auth": {"token": "TOKEN"}}),
        other => panic!("no settings for {other}"),
    };
    given["preset"] = json!(preset);
    given
}

fn parts(given: Value) -> Result<Parts, Problems> {
    let written: Written = serde_json::from_value(given).expect("a table");
    understand(&written, &Host::detached("crm", Tables::new())).map(|prepared| prepared.parts)
}

/// The platform's sample lead; every other field is there, and none.
pub(super) fn event() -> Value {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../plugin-api/event.schema.json"))
            .expect("JSON");
    let fields = schema["$defs"]["Lead"]["properties"].as_object();
    let mut lead: Map<String, Value> = fields
        .expect("fields")
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    let push: Map<String, Value> =
        serde_json::from_str(include_str!("../../../../tests/data/sample-lead.json"))
            .expect("JSON");
    lead.extend(push);
    lead["other"] = json!({});
    lead["phone_e164"] = json!("+8613567658911");
    lead["gmt_appointment_at"] = json!("2021-07-17T23:59:59+08:00");
    json!({
        "event": "lead.created", "id": "0198c0de-0000-7000-8000-000000000001", "revision": 1,
        "source": "shop", "received_at": "2026-11-24T02:00:00.370Z", "lead": lead, "labels": {},
        "raw": "{}",
    })
}

fn render_of(given: Value, event: &Value) -> String {
    let parts = parts(given).expect("good settings");
    let delivery = Delivery::new(
        "0198-delivery",
        1,
        Duration::from_secs(5),
        event.to_string(),
    );
    let context = parts.context(&delivery).expect("a context");
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let token = Secret::new("TOKEN");
    let rendered = parts.render(&delivery, &context, &token, now);
    rendered.expect("requests")
}

fn render(given: Value) -> String {
    render_of(given, &event())
}

#[test]
fn each_renders_the_sample_lead() {
    for name in NAMES {
        insta::assert_snapshot!(name, render(given(name)));
    }
}

/// The digest of three leads: the sample, one that says nothing, one with all too much.
fn digest(name: &str) -> String {
    let parts = parts(given(name)).expect("good settings");
    let digest = parts.digest.as_ref().expect("chats have one");
    let sample = event();
    let mut empty = event();
    for (_, value) in empty["lead"].as_object_mut().expect("a lead").iter_mut() {
        *value = Value::Null;
    }
    let mut much = event();
    much["lead"]["city_name"] = json!(format!("<@all>{}", "杭州".repeat(100)));
    let leads: Vec<Delivery> = [sample, empty, much]
        .iter()
        .map(|event| Delivery::new("D", 1, Duration::from_secs(5), event.to_string()))
        .collect();
    let context = Context::of(&crate::digest::leads(&leads));
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let request = parts.request(&digest.step, &leads[0], &context, None, now);
    request.expect("a request").render()
}

#[test]
fn the_digest_of_a_chat_masks_phones_and_mentions_nobody() {
    for name in ["feishu-bot", "dingtalk-robot", "wecom-robot", "slack"] {
        let text = digest(name);
        assert!(
            text.contains("3 条新客资") && text.contains("135****8911"),
            "{text}"
        );
        for secret in ["13567658911", "张三", "<@all>"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        insta::assert_snapshot!(format!("digest-{name}"), text);
    }
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let said: Vec<String> = NAMES
        .iter()
        .flat_map(|name| {
            let problems = parts(json!({"preset": name})).err().expect("problems");
            problems.into_iter()
        })
        .map(|problem| format!("{problem}\n  {}\n", problem.help))
        .collect();
    insta::assert_snapshot!("missing", said.concat());
}

#[test]
fn other_mistakes_are_found_together_with_what_is_missing() {
    let problems = parts(json!({"preset": "feishu-bot", "method": "DELETE"}));
    let said: Vec<_> = problems.err().expect("problems").into_iter().collect();
    let places: Vec<_> = said.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(places, ["", "/method"]);
}

#[test]
fn a_lead_that_says_nothing_is_sent_all_the_same() {
    let mut event = event();
    for field in event["lead"].as_object_mut().expect("fields").values_mut() {
        *field = Value::Null;
    }
    event["lead"]["other"] = json!({});
    event["event"] = json!("lead.updated");
    // Salesforce has the record id in its path: without one the lead is a dead letter.
    for name in NAMES.into_iter().filter(|name| *name != "salesforce") {
        let text = render_of(given(name), &event);
        assert!(name != "slack" || text.contains("客资更新"), "{text}");
    }
    let hubspot = render_of(given("hubspot"), &event);
    assert!(
        hubspot.contains(r#""id": "0198c0de-0000-7000-8000-000000000001""#)
            && hubspot.contains(r#""properties": {}"#),
        "{hubspot}"
    );
}

#[test]
fn chats_get_neither_phone_nor_name_and_nobody_is_mentioned() {
    let mut event = event();
    event["lead"]["city_name"] = json!(format!("<!channel><@all>{}", "杭".repeat(2000)));
    for name in ["feishu-bot", "dingtalk-robot", "wecom-robot", "slack"] {
        let text = render_of(given(name), &event);
        assert!(text.contains("135****8911"), "{text}");
        for hidden in ["13567658911", "张三", "仓前", "<"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        assert!(text.len() < 2048, "{text}");
    }
}

#[test]
fn the_merchants_keys_are_laid_over() {
    let mut frappe = given("frappe");
    frappe["body"] = json!({"custom_record": "{{ record_id }}", "source": "Tmall"});
    frappe["query"] = json!({"a": "{{ store_id }}"});
    let text = render(frappe);
    assert!(
        text.starts_with("POST https://crm.example/api/resource/CRM%20Lead?a=437763404\n"),
        "{text}"
    );
    for line in [
        r#""custom_record": 371009"#,
        r#""first_name": "张三""#,
        r#""source": "Tmall""#,
    ] {
        assert!(text.contains(line), "{text}");
    }
    let mut hubspot = given("hubspot");
    hubspot["auth"] = json!({"kind": "query", "name": "key", "value": "KEY"});
    let text = render(hubspot);
    assert!(text.contains("/upsert?key=***\n"), "{text}");
    let mut robot = given("dingtalk-robot");
    robot.as_object_mut().expect("a table").remove("secret");
    assert!(!render(robot).contains("sign="));
}

#[tokio::test]
async fn salesforce_is_given_a_new_token_when_the_session_is_over() {
    let tokens = std::sync::atomic::AtomicUsize::new(0);
    let server = super::server::start(move |request| {
        if request.starts_with("POST /services/oauth2/token") {
            let number = tokens.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            let answer = json!({"access_token": format!("t{number}")});
            return (200, answer.to_string());
        }
        if request.contains("authorization: Bearer t2\r\n") {
            return (201, r#"{"id":"00Q7"}"#.to_owned());
        }
        (401, r#"[{"errorCode":"INVALID_SESSION_ID"}]"#.to_owned())
    })
    .await;
    let mut given = given("salesforce");
    given["url"] = json!(format!("{}/Lead/{{{{ record_id }}}}", server.url));
    given["auth"]["token_url"] = json!(format!("{}/services/oauth2/token", server.url));
    let written = serde_json::from_value(given).expect("a table");
    let sink =
        testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new())).expect("good");
    let delivery = Delivery::new("d", 1, Duration::from_secs(5), event().to_string());
    let outcome = sink.deliver(&delivery).await;
    let receipt = "00Q7".to_owned();
    assert_eq!(
        (outcome.kind, &outcome.receipt),
        (OutcomeKind::Delivered, &receipt),
        "{outcome:?}"
    );
    let lines: Vec<_> = server
        .requests()
        .iter()
        .filter_map(|request| Some(request.lines().next()?.to_owned()))
        .collect();
    let token = "POST /services/oauth2/token HTTP/1.1";
    let lead = "PATCH /Lead/371009 HTTP/1.1";
    assert_eq!(lines, [token, lead, token, lead]);
}

#[test]
fn each_is_described_and_has_an_example() {
    let schema = serde_json::to_value(schemars::schema_for!(Preset)).expect("JSON");
    let listed: Vec<_> = schema["oneOf"]
        .as_array()
        .expect("cases")
        .iter()
        .map(|case| case["const"].as_str().expect("a name"))
        .collect();
    assert_eq!(listed, NAMES);
    let readme = include_str!("../../README.md");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/sinks.d");
    for name in NAMES {
        assert!(readme.contains(&format!("\n### `{name}`\n")), "{name}");
        assert!(readme.contains(&format!("\n| `{name}` |")), "{name}");
        let file = match name {
            "standard-webhooks" => "webhook.toml".to_owned(),
            _ => format!("examples/{name}.toml"),
        };
        let example = std::fs::read_to_string(examples.join(file)).expect(name);
        assert!(example.contains(&format!("preset = \"{name}\"")), "{name}");
    }
}

/// One answer of a destination, and what it means there: the outcome and the rule.
type Row = (&'static str, u16, &'static str, &'static str, &'static str);

#[rustfmt::skip] // A row a line.
const ANSWERS: [Row; 86] = [
    ("standard-webhooks", 200, r#"{"id":"crm-1"}"#, "delivered crm-1", "status-2xx"),
    ("standard-webhooks", 204, "", "delivered HTTP 204", "status-2xx"),
    ("standard-webhooks", 408, "", "retry 7s", "status-408"),
    ("standard-webhooks", 429, "", "throttled 7s", "status-429"),
    ("standard-webhooks", 500, "", "retry 7s", "status-5xx"),
    ("standard-webhooks", 410, "", "rejected", "gone"),
    ("standard-webhooks", 400, "", "rejected", "status-4xx"),
    ("feishu-bot", 200, r#"{"code":0,"msg":"success"}"#, "delivered HTTP 200", "ok"),
    ("feishu-bot", 200, r#"{"code":11232,"msg":"x"}"#, "throttled 7s", "too-fast"),
    ("feishu-bot", 400, r#"{"code":11232,"msg":"x"}"#, "throttled 7s", "too-fast"),
    ("feishu-bot", 200, r#"{"code":9499,"msg":"x"}"#, "rejected", "bad-body"),
    ("feishu-bot", 200, r#"{"code":19021,"msg":"x"}"#, "rejected", "bad-signature"),
    ("feishu-bot", 200, r#"{"code":19022,"msg":"x"}"#, "rejected", "bad-address"),
    ("feishu-bot", 200, r#"{"code":19024,"msg":"x"}"#, "rejected", "bad-keyword"),
    ("feishu-bot", 200, r#"{"code":1,"msg":"x"}"#, "rejected", "refused"),
    ("feishu-bot", 200, "<html>", "ambiguous", "not-the-bot"),
    ("feishu-bot", 429, "", "throttled 7s", "status-429"),
    ("feishu-bot", 502, r#"{"code":1}"#, "retry 7s", "status-5xx"),
    ("dingtalk-robot", 200, r#"{"errcode":0,"errmsg":"ok"}"#, "delivered HTTP 200", "ok"),
    ("dingtalk-robot", 200, r#"{"errcode":130101}"#, "throttled 600s", "too-fast"),
    ("dingtalk-robot", 200, r#"{"errcode":-1}"#, "retry 7s", "busy"),
    ("dingtalk-robot", 200, r#"{"errcode":310000}"#, "rejected", "bad-security"),
    ("dingtalk-robot", 200, r#"{"errcode":300001}"#, "rejected", "bad-token"),
    ("dingtalk-robot", 200, r#"{"errcode":40035}"#, "rejected", "refused"),
    ("dingtalk-robot", 200, "{}", "ambiguous", "not-the-robot"),
    ("dingtalk-robot", 503, "", "retry 7s", "status-5xx"),
    ("wecom-robot", 200, r#"{"errcode":0,"errmsg":"ok"}"#, "delivered HTTP 200", "ok"),
    ("wecom-robot", 200, r#"{"errcode":45009}"#, "throttled 60s", "too-fast"),
    ("wecom-robot", 200, r#"{"errcode":-1}"#, "retry 7s", "busy"),
    ("wecom-robot", 200, r#"{"errcode":93000}"#, "rejected", "bad-key"),
    ("wecom-robot", 200, r#"{"errcode":40008}"#, "rejected", "refused"),
    ("wecom-robot", 200, "<html>", "ambiguous", "not-the-robot"),
    ("slack", 200, "ok", "delivered HTTP 200", "ok"),
    ("slack", 200, "<html>", "ambiguous", "not-slack"),
    ("slack", 429, "", "throttled 7s", "status-429"),
    ("slack", 500, "", "retry 7s", "status-5xx"),
    ("slack", 400, "invalid_payload", "rejected", "bad-payload"),
    ("slack", 403, "", "rejected", "forbidden"),
    ("slack", 404, "", "rejected", "not-there"),
    ("slack", 410, "", "rejected", "not-there"),
    ("hubspot", 200, r#"{"results":[{"id":"51","new":true}]}"#, "delivered 51", "ok"),
    ("hubspot", 200, r#"{"results":[{"id":"51","new":false}],"numErrors":0}"#, "delivered 51", "ok"),
    ("hubspot", 207, r#"{"results":[],"numErrors":1,"errors":[{"category":"VALIDATION_ERROR"}]}"#, "rejected", "row-refused"),
    ("hubspot", 200, r#"{"results":[],"numErrors":1,"errors":[{"category":"CONFLICT"}]}"#, "rejected", "row-refused"),
    ("hubspot", 200, "<html>", "ambiguous", "not-hubspot"),
    ("hubspot", 423, "", "retry 7s", "locked"),
    ("hubspot", 429, "", "throttled 7s", "status-429"),
    ("hubspot", 502, "", "retry 7s", "status-5xx"),
    ("hubspot", 400, "{}", "rejected", "invalid"),
    ("hubspot", 403, "{}", "rejected", "scope"),
    ("salesforce", 201, r#"{"id":"00Q7"}"#, "delivered 00Q7", "ok"),
    ("salesforce", 200, r#"{"id":"00Q7"}"#, "delivered 00Q7", "ok"),
    ("salesforce", 204, "", "delivered HTTP 204", "ok"),
    ("salesforce", 300, "[]", "rejected", "several"),
    ("salesforce", 401, r#"[{"errorCode":"INVALID_SESSION_ID"}]"#, "reauth", "status-401"),
    ("salesforce", 403, r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#, "throttled 3600s", "limit"),
    ("salesforce", 400, r#"[{"errorCode":"UNABLE_TO_LOCK_ROW"}]"#, "retry 7s", "locked"),
    ("salesforce", 400, r#"[{"errorCode":"DUPLICATES_DETECTED","allowSave":true}]"#, "rejected", "duplicate-rule"),
    ("salesforce", 400, r#"[{"errorCode":"REQUIRED_FIELD_MISSING"}]"#, "rejected", "required-field"),
    ("salesforce", 403, "[]", "rejected", "status-4xx"),
    ("salesforce", 404, "[]", "rejected", "no-field"),
    ("salesforce", 503, "", "retry 7s", "status-5xx"),
    ("frappe", 200, r#"{"data":{"name":"CRM-LEAD-7"}}"#, "delivered CRM-LEAD-7", "ok"),
    ("frappe", 200, "<html>", "ambiguous", "not-frappe"),
    ("frappe", 409, "{}", "duplicate", "there-already"),
    ("frappe", 417, "{}", "rejected", "invalid"),
    ("frappe", 403, "{}", "rejected", "forbidden"),
    ("frappe", 503, "", "retry 7s", "status-5xx"),
    ("espocrm", 200, "true", "delivered HTTP 200", "status-2xx"),
    ("espocrm", 400, "", "rejected", "invalid"),
    ("espocrm", 404, "", "rejected", "bad-key"),
    ("zoho", 201, r#"{"data":[{"code":"SUCCESS","action":"insert","details":{"id":"41"}}]}"#, "delivered 41", "ok"),
    ("zoho", 200, r#"{"data":[{"code":"SUCCESS","action":"update","details":{"id":"41"}}]}"#, "delivered 41", "ok"),
    ("zoho", 401, r#"{"code":"INVALID_TOKEN"}"#, "reauth", "status-401"),
    ("zoho", 401, r#"{"code":"OAUTH_SCOPE_MISMATCH"}"#, "rejected", "scope"),
    ("zoho", 429, r#"{"code":"TOO_MANY_REQUESTS"}"#, "throttled 7s", "too-fast"),
    ("zoho", 429, "", "throttled 7s", "status-429"),
    ("zoho", 400, r#"{"code":"LIMIT_EXCEEDED"}"#, "throttled 3600s", "limit"),
    ("zoho", 202, r#"{"data":[{"code":"MANDATORY_NOT_FOUND","details":{"api_name":"Company"}}]}"#, "rejected", "required-field"),
    ("zoho", 202, r#"{"data":[{"code":"INVALID_DATA","details":{"api_name":"Mobile"}}]}"#, "rejected", "invalid"),
    ("zoho", 202, r#"{"data":[{"code":"DUPLICATE_DATA","details":{}}]}"#, "rejected", "row-refused"),
    ("zoho", 403, r#"{"code":"NO_PERMISSION"}"#, "rejected", "refused"),
    ("zoho", 400, r#"{"code":"INVALID_MODULE"}"#, "rejected", "refused"),
    ("zoho", 500, r#"{"code":"INTERNAL_ERROR"}"#, "retry 7s", "status-5xx"),
    ("zoho", 200, "<html>", "ambiguous", "not-zoho"),
    ("zoho", 200, r#"{"data":[]}"#, "ambiguous", "not-zoho"),
];

#[test]
fn each_documented_answer_means_what_the_destination_says() {
    for (name, status, body, kind, rule) in ANSWERS {
        judge(name, "", status, body, kind, rule);
    }
}

/// Whether the preset `name` takes an answer to its `step` for what it means there.
pub(super) fn judge(name: &str, step: &str, status: u16, body: &str, kind: &str, rule: &str) {
    let event = event().to_string();
    let headers = HeaderMap::from_iter([
        (
            HeaderName::from_static("retry-after"),
            HeaderValue::from_static("7"),
        ),
        (
            HeaderName::from_static("x-ogw-ratelimit-reset"),
            HeaderValue::from_static("52"),
        ),
    ]);
    let parts = parts(given(name)).expect("good settings");
    let mut steps = parts.steps.iter();
    let own = steps.find(|one| one.name == step).expect("a step");
    let answer = Answer::new(status, headers, body.as_bytes());
    let redactor = Redactor::new(event.as_bytes(), &parts.secrets, None);
    let rules = [&own.rules, &parts.rules];
    let outcome = classify::decide(rules, &answer, &redactor, UNIX_EPOCH);
    let word = outcome.kind.as_str();
    let meant = match (outcome.kind, outcome.retry_after) {
        (OutcomeKind::Delivered, None) => format!("{word} {}", outcome.receipt),
        (_, Some(after)) => format!("{word} {}s", after.as_secs()),
        (_, None) => word.to_owned(),
    };
    let asked = format!("{name} {step}: {status} {body}");
    assert_eq!(
        (meant.as_str(), outcome.rule.as_str()),
        (kind, rule),
        "{asked}"
    );
    assert!(
        outcome.reason.is_empty() == meant.starts_with("delivered"),
        "{asked}: {}",
        outcome.reason
    );
}
