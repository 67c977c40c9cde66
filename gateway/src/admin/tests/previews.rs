//! What would be sent, and how that differs from what was; and where a lead never went.

use futures_util::future::BoxFuture;

use super::*;
use crate::plugin::{Call, Outcome};
use crate::telemetry::logged::Logged;

/// What it would send is made of the lead's fields; nothing is ever sent.
struct Mapping;

impl Destination for Mapping {
    fn deliver(&self, _: Call) -> BoxFuture<'_, Outcome> {
        panic!("the sink is paused")
    }

    fn render(&self, call: Call) -> Result<Option<String>, String> {
        let event: Value = serde_json::from_slice(&call.event).expect("JSON");
        let lead = &event["lead"];
        if lead["record_id"] == 13 {
            return Err(format!("no store for {}", lead["name"]));
        }
        let body = json!({ "mobile": lead["phone"], "store": lead["store_id"] });
        Ok(Some(format!("POST http://crm/leads\n\n{body:#}")))
    }
}

/// With a sink that renders, at rest.
pub(crate) async fn rendering() -> Desk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let desk = desk_in(folder, 0);
    let by_hand = crate::outbox::PauseCause::Person(String::new());
    let paused = desk.admin.outbox.pause("crm", Some(by_hand)).await;
    paused.expect("paused");
    let Desk { admin, folder } = desk;
    let outbox = Arc::clone(&admin.outbox);
    let closed = web::block(move || outbox.close()).await;
    closed.expect("it is closed");
    drop(admin);
    desk_to(folder, 0, Some(Arc::new(Mapping)))
}

fn difference() -> Value {
    json!([
        { "at": "/mobile", "before": null, "now": "text" },
        { "at": "/phone", "before": "text", "now": null },
    ])
}

#[actix_web::test]
async fn a_delivery_is_shown_as_it_was_sent_and_as_it_would_be_sent_today() {
    let desk = rendering().await;
    desk.accept(1).await;
    let id = desk.end_all(dead).await[0];
    let log = Logged::here();
    let path = format!("/deliveries/{id}/preview");
    let shown = desk.get(&path).await;
    assert_eq!(shown["last"]["number"], 1, "{shown}");
    let request = shown["last"]["request"].as_str().expect("a request");
    assert!(
        request.starts_with("POST http://crm/leads (40 bytes)"),
        "{request}"
    );
    assert_eq!(shown["difference"], difference());
    let now = shown["now"].as_str().expect("a request");
    assert!(now.contains("\"mobile\": \"***\""), "{now}");
    assert!(now.contains("\"store\": 437763404"), "{now}");
    assert!(log.events("lead was revealed").is_empty());
    let revealed = desk.get(&format!("{path}?reveal=true")).await;
    let now = revealed["now"].as_str().expect("a request");
    assert!(now.contains("13567658911"), "{now}");
    assert_eq!(log.events("lead was revealed").len(), 1);
    let (status, _) = desk
        .ask(Method::GET, &format!("/deliveries/{ID}/preview"), "")
        .await;
    assert_eq!(status, 404);
}

#[actix_web::test]
async fn what_cannot_be_rendered_says_why_and_nothing_of_who_it_is() {
    let desk = rendering().await;
    desk.accept(13).await;
    let id = desk.end_all(dead).await[0];
    let shown = desk.get(&format!("/deliveries/{id}/preview")).await;
    assert_eq!(shown["now"], Value::Null);
    assert_eq!(shown["cannot"], "no store for \"***\"", "{shown}");
    assert!(shown.get("difference").is_none(), "{shown}");
    // Without a lane there is nobody to ask.
    let desk = self::desk();
    desk.accept(1).await;
    let id = desk.end_all(dead).await[0];
    let shown = desk.get(&format!("/deliveries/{id}/preview")).await;
    assert_eq!(shown["cannot"], "its sink is not configured any more");
}

#[actix_web::test]
async fn a_plan_shows_what_would_be_sent_and_of_a_retry_what_is_otherwise() {
    let desk = rendering().await;
    for record in 1..=6 {
        desk.accept(record).await;
    }
    let dead = desk.end_all(dead).await;
    let (_, retry) = desk
        .post("/bulk", &json!({ "action": "retry", "sink": "crm" }))
        .await;
    let samples = retry["samples"].as_array().expect("samples");
    assert_eq!(samples.len(), 5, "{retry}");
    for (sample, id) in samples.iter().zip(&dead) {
        assert_eq!(sample["delivery"], id.to_string());
        assert_eq!(sample["difference"], difference());
        let now = sample["now"].as_str().expect("a request");
        assert!(
            now.starts_with("POST http://crm/leads") && !now.contains("135676"),
            "{now}"
        );
    }
    let wish = json!({ "action": "replay", "to": "crm", "when": "record_id == 6" });
    let (_, replay) = desk.post("/bulk", &wish).await;
    let sample = &replay["samples"][0];
    assert!(
        sample["lead"].is_string() && sample["now"].is_string(),
        "{replay}"
    );
    assert!(
        sample.get("difference").is_none(),
        "nothing was sent before"
    );
    let wish = json!({ "action": "cancel", "sink": "crm" });
    let (_, cancel) = desk.post("/bulk", &wish).await;
    let sample = &cancel["samples"][0];
    assert_eq!(
        (&sample["state"], sample.get("now")),
        (&json!("dead"), None),
        "{cancel}"
    );
}

#[actix_web::test]
async fn a_lead_says_to_which_sinks_it_never_went_and_why() {
    let desk = desk();
    let lead = desk.accept(1).await;
    let path = format!("/leads/{lead}");
    let shown = desk.get(&path).await;
    let never = shown["never"].as_array().expect("a list");
    assert_eq!(never.len(), 1, "it went to crm: {shown}");
    let mail = &never[0];
    assert_eq!(
        (&mail["sink"], &mail["why"]),
        (&json!("mail"), &json!("condition"))
    );
    let parts = &mail["when"]["parts"];
    assert_eq!(parts[0]["values"], json!({ "store_id": 437_763_404 }));
    assert_eq!(
        (&parts[0]["holds"], &parts[1]["reached"]),
        (&json!(false), &json!(false))
    );
    // From now on it wants every lead, which this one came before.
    let now = desk.admin.clock.now() + 1_000;
    let mut configured = desk.admin.configured.get().sinks.clone();
    let mail = configured.get_mut("mail").expect("it is there");
    (mail.when, mail.since) = (None, now);
    let before = desk.admin.configured.get();
    desk.admin.configured.set(Configured {
        sinks: configured,
        sources: before.sources.clone(),
        tables: Tables::new(),
        revision: None,
        loaded_at: now,
        outbox: before.outbox.clone(),
        encrypted: before.encrypted,
        plugins: Vec::new(),
        catalogue: before.catalogue.clone(),
        token: before.token.clone(),
        open: false,
    });
    let shown = desk.get(&path).await;
    let mail = &shown["never"][0];
    assert_eq!(mail["why"], "configured_since", "{shown}");
    assert_eq!(mail["since"], rfc3339(now));
}

#[actix_web::test]
async fn where_an_attempt_went_is_shown_without_whose_lead_it_was() {
    let desk = rendering().await;
    desk.accept(1).await;
    let was = "POST http://crm/13567658911 (40 bytes) {\"phone\":\"text\",\"store\":\"number\"}";
    let ended = desk.end_all_after(was, "status-4xx", "no", dead).await;
    let path = format!("/deliveries/{}/preview", ended[0]);
    let shown = desk.get(&path).await;
    let place = &shown["difference"][0];
    let before = place["before"].as_str().expect("another place");
    assert!(before.starts_with("POST http://crm/"), "{shown}");
    assert!(!shown.to_string().contains("13567658911"), "{shown}");
}
