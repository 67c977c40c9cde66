//! Presets of several steps: what is sent to a destination that has the lead and to one that has
//! not, and once more after a failure; and the tokens for it.

use leadgate_plugin::testing;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::destination::{DESTINATIONS, Fault};
use super::presets::{event, given};
use super::*;

fn delivery_of(kind: &str) -> Delivery {
    let mut event = event();
    event["event"] = json!(kind);
    Delivery::new(
        "0198-delivery",
        1,
        Duration::from_secs(5),
        event.to_string(),
    )
}

/// Whether it is delivered, with this receipt.
fn gave(outcome: &Outcome, receipt: &str) -> bool {
    outcome.kind == OutcomeKind::Delivered && outcome.receipt == receipt
}

#[tokio::test]
async fn a_lead_that_is_not_there_is_created() {
    for one in &DESTINATIONS {
        let server = one.start(false, Fault::None).await;
        let outcome = one
            .sink(&server)
            .deliver(&delivery_of("lead.created"))
            .await;
        assert!(gave(&outcome, "26"), "{}: {outcome:?}", one.preset);
        assert_eq!(outcome.rule, "create/ok", "{}", one.preset);
        assert_eq!(one.came(&server), one.expected("tlc"), "{}", one.preset);
        // An update of a lead that is not there creates it, too.
        let server = one.start(false, Fault::None).await;
        let outcome = one
            .sink(&server)
            .deliver(&delivery_of("lead.updated"))
            .await;
        assert_eq!(outcome.rule, "create/ok", "{}", one.preset);
        assert_eq!(one.came(&server), one.expected("tlc"), "{}", one.preset);
    }
}

#[tokio::test]
async fn a_lead_that_is_there_is_a_duplicate_and_its_update_changes_it() {
    for one in &DESTINATIONS {
        let server = one.start(true, Fault::None).await;
        let sink = one.sink(&server);
        let outcome = sink.deliver(&delivery_of("lead.created")).await;
        assert_eq!(
            (outcome.kind, outcome.rule.as_str()),
            (OutcomeKind::Duplicate, "look/found"),
            "{}",
            one.preset
        );
        let outcome = sink.deliver(&delivery_of("lead.updated")).await;
        assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
        assert_eq!(outcome.rule, "update/ok", "{}", one.preset);
        // The token is fetched once for both.
        assert_eq!(one.came(&server), one.expected("tllu"), "{}", one.preset);
    }
}

#[tokio::test]
async fn a_retry_never_creates_twice() {
    for one in &DESTINATIONS {
        // Done, and then the gateway broke down before it knew.
        let server = one.start(false, Fault::None).await;
        let first = delivery_of("lead.updated");
        one.sink(&server).deliver(&first).await;
        let again = delivery_of("lead.updated");
        again.keep(&first.step_record()).expect("short");
        let outcome = one.sink(&server).deliver(&again).await;
        assert!(gave(&outcome, "26"), "{}: {outcome:?}", one.preset);
        assert_eq!(one.came(&server), one.expected("tlctl"), "{}", one.preset);

        // Made, and the answer was none of the destination's.
        let server = one.start(false, Fault::Unclear).await;
        let sink = one.sink(&server);
        let delivery = delivery_of("lead.created");
        let outcome = sink.deliver(&delivery).await;
        assert_eq!(outcome.kind, OutcomeKind::Ambiguous, "{}", one.preset);
        let outcome = sink.deliver(&delivery).await;
        assert_eq!(outcome.kind, OutcomeKind::Duplicate, "{}", one.preset);
        assert_eq!(one.came(&server), one.expected("tlcl"), "{}", one.preset);

        // Not made: looked up and made.
        let server = one.start(false, Fault::Fails).await;
        let sink = one.sink(&server);
        let delivery = delivery_of("lead.created");
        let outcome = sink.deliver(&delivery).await;
        assert_eq!(
            (outcome.kind, outcome.retry_after),
            (OutcomeKind::Retry, None),
            "{}",
            one.preset
        );
        let outcome = sink.deliver(&delivery).await;
        assert!(gave(&outcome, "26"), "{}: {outcome:?}", one.preset);
        assert_eq!(one.came(&server), one.expected("tlclc"), "{}", one.preset);
    }
}

#[tokio::test]
async fn what_is_refused_inside_of_200_is_not_delivered() {
    for one in &DESTINATIONS {
        let server = one.start(false, Fault::Refuses).await;
        let outcome = one
            .sink(&server)
            .deliver(&delivery_of("lead.created"))
            .await;
        let expected = match one.preset {
            // Its errors have a status.
            "odoo" => OutcomeKind::Ambiguous,
            _ => OutcomeKind::Rejected,
        };
        assert_eq!(outcome.kind, expected, "{}", one.preset);
        assert!(outcome.reason.contains(one.says), "{outcome:?}");
        let kept = format!("{outcome:?}");
        for hidden in ["13567658911", "张三", "SECRET", "token1", "KEY"] {
            assert!(!kept.contains(hidden), "{hidden}: {kept}");
        }
        assert_eq!(one.came(&server), one.expected("tlc"), "{}", one.preset);
    }
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_once_and_its_step_sent_again() {
    for one in DESTINATIONS.iter().filter(|one| !one.token.is_empty()) {
        let server = one.start(false, Fault::Stale).await;
        let outcome = one
            .sink(&server)
            .deliver(&delivery_of("lead.created"))
            .await;
        assert!(gave(&outcome, "26"), "{}: {outcome:?}", one.preset);
        assert_eq!(one.came(&server), "tltlc", "{}", one.preset);
    }
    // A key does not renew itself: tried again later, until somebody has put in another.
    let odoo = &DESTINATIONS[0];
    let server = odoo.start(false, Fault::Stale).await;
    let outcome = odoo
        .sink(&server)
        .deliver(&delivery_of("lead.created"))
        .await;
    assert_eq!(outcome.kind, OutcomeKind::Reauth);
    assert!(outcome.reason.contains("three months"), "{outcome:?}");
    assert_eq!(odoo.came(&server), "l");
}

#[tokio::test]
async fn many_leads_at_once_ask_for_one_token() {
    let fxiaoke = &DESTINATIONS[1];
    let server = fxiaoke.start(true, Fault::None).await;
    let sink = Arc::new(fxiaoke.sink(&server));
    let leads: Vec<_> = (0..8)
        .map(|_| {
            let sink = Arc::clone(&sink);
            tokio::spawn(async move { sink.deliver(&delivery_of("lead.created")).await })
        })
        .collect();
    for lead in leads {
        assert_eq!(lead.await.expect("ends").kind, OutcomeKind::Duplicate);
    }
    let came = fxiaoke.came(&server);
    assert_eq!(came.matches('t').count(), 1, "{came}");
    assert_eq!(came.matches('l').count(), 8, "{came}");
}

#[tokio::test]
async fn each_asks_for_its_token_as_it_should_and_sends_it_along() {
    let asked = [
        (
            1,
            r#"{"appId":"ID","appSecret":"SECRET","grantType":"app_secret","permanentCode":"CODE"}"#,
        ),
        (
            2,
            "grant_type=password&password=PASSWORDTOKEN&username=USER&client_id=ID&client_secret=SECRET",
        ),
        (3, r#"{"app_id":"ID","app_secret":"SECRET"}"#),
    ];
    for (number, body) in asked {
        let one = &DESTINATIONS[number];
        let server = one.start(false, Fault::None).await;
        one.sink(&server)
            .deliver(&delivery_of("lead.created"))
            .await;
        let requests = server.requests();
        assert!(requests[0].ends_with(body), "{}", one.preset);
        for request in &requests[1..] {
            let with = |header: &str| request.contains(&format!("{header}\r\n"));
            assert!(with("authorization: Bearer token1"), "{}", one.preset);
            let fxiaoke = with("x-fs-ea: EA") && with("x-fs-userid: 1000");
            assert_eq!(fxiaoke, one.preset == "fxiaoke");
        }
    }
}

#[tokio::test]
async fn credentials_that_are_refused_with_200_are_named_by_their_code() {
    let refused = r#"{"errorCode":10006,"errorMessage":"appSecret SECRET is illegal"}"#;
    let server = server::start(move |_| (200, refused.to_owned())).await;
    let sink = DESTINATIONS[1].sink(&server);
    let outcome = sink.deliver(&delivery_of("lead.created")).await;
    assert_eq!(outcome.kind, OutcomeKind::Reauth);
    assert_eq!(
        outcome.reason,
        "step `look`: the token endpoint answered 200 10006"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn fields_of_the_merchant_take_the_place_of_the_presets() {
    let render = |preset: &str, steps: Value| {
        let mut given = given(preset);
        given["steps"] = steps;
        let written = serde_json::from_value(given).expect("a table");
        let sink = testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new()))
            .expect("good");
        let text = sink.render(&delivery_of("lead.created"));
        text.expect("renders").expect("can")
    };
    let condition = json!({"field_name": "编号", "operator": "is", "value": ["{{ record_id }}"]});
    let text = render(
        "feishu-bitable",
        json!([
            {"name": "look", "body": {"field_names": ["编号"], "filter": {"conditions": [condition]}}},
            {"name": "create", "body": {"fields": {"编号": "{{ record_id | string }}", "预算": "{{ customer_budget }}"}}},
            {"name": "update", "body": {"fields": {"预算": "{{ customer_budget }}"}}},
        ]),
    );
    for foreign in ["天猫记录号", "客户", "手机", "城市", "留资时间"] {
        assert!(!text.contains(foreign), "{foreign}: {text}");
    }
    for own in [
        r#""conjunction": "and""#,
        r#""编号": "371009""#,
        r#""预算": 1"#,
    ] {
        assert!(text.contains(own), "{own}: {text}");
    }
    let fields = json!({"dataObjectApiName": "LeadsObj", "leads_pool_id": "P", "field_7__c": "{{ record_id | string }}"});
    let text = render(
        "fxiaoke",
        json!([{"name": "create", "body": {"triggerWorkFlow": false, "data": {"object_data": fields}}}]),
    );
    for own in [r#""triggerWorkFlow": false"#, r#""field_7__c": "371009""#] {
        assert!(text.contains(own), "{own}: {text}");
    }
    assert!(!text.contains(r#""tmall_record_id__c": "#), "{text}");
}

#[tokio::test]
async fn an_update_names_what_was_found() {
    for one in &DESTINATIONS {
        let server = one.start(true, Fault::None).await;
        one.sink(&server)
            .deliver(&delivery_of("lead.updated"))
            .await;
        let requests = server.requests();
        let update = requests.last().expect("requests");
        let named = match one.preset {
            "odoo" => r#""ids":[26]"#,
            "fxiaoke" => r#""_id":"26""#,
            _ => "/26 HTTP/1.1",
        };
        assert!(update.contains(named), "{}: {update}", one.preset);
    }
}

#[tokio::test]
async fn zoho_is_given_a_new_token_when_the_old_one_ran_out() {
    let tokens = AtomicUsize::new(0);
    let server = server::start(move |request| {
        if request.starts_with("POST /oauth/v2/token") {
            let number = tokens.fetch_add(1, Ordering::Relaxed) + 1;
            let answer = json!({"access_token": format!("t{number}"), "expires_in": 3600});
            return (200, answer.to_string());
        }
        if request.contains("authorization: Zoho-oauthtoken t2\r\n") {
            let row = json!({"code": "SUCCESS", "action": "insert", "details": {"id": "41"}});
            return (201, json!({"data": [row]}).to_string());
        }
        (401, r#"{"code":"INVALID_TOKEN"}"#.to_owned())
    })
    .await;
    let mut given = given("zoho");
    given["url"] = json!(format!("{}/crm/v8/Leads/upsert", server.url));
    given["auth"]["token_url"] = json!(format!("{}/oauth/v2/token", server.url));
    let written = serde_json::from_value(given).expect("a table");
    let sink =
        testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new())).expect("good");
    let outcome = sink.deliver(&delivery_of("lead.created")).await;
    assert!(gave(&outcome, "41"), "{outcome:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests[0].ends_with(
            "grant_type=refresh_token&refresh_token=REFRESH&client_id=ID&client_secret=SECRET"
        ),
        "the grant is another"
    );
}

#[test]
fn ids_that_must_be_random_look_so_and_stay_the_same() {
    for (preset, name) in [
        ("fxiaoke", "thirdTraceId="),
        ("feishu-bitable", "client_token="),
    ] {
        let written = serde_json::from_value(given(preset)).expect("a table");
        let sink = testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new()))
            .expect("good");
        let ids = || {
            let text = sink.render(&delivery_of("lead.created"));
            let text = text.expect("renders").expect("can");
            let ids: Vec<_> = text
                .split(name)
                .skip(1)
                .filter_map(|rest| rest.get(..36).map(str::to_owned))
                .collect();
            ids
        };
        let made = ids();
        assert_eq!(made, ids(), "the same over all attempts");
        for (number, id) in made.iter().enumerate() {
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!((&id[14..15], &id[19..20]), ("4", "a"), "{id}");
            assert!(!made[..number].contains(id), "one for each step");
        }
        assert!(!made.is_empty());
    }
}
