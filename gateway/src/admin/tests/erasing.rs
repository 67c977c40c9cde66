//! Erasing and exporting what is stored of a person.

use super::*;
use crate::outbox::QuarantineId;

const PHONE: &str = "135 6765 8911";

impl Desk {
    /// A lead of somebody else.
    async fn accept_other(&self, record: u64) -> LeadId {
        let mut other = arrival(record, self.admin.clock.now());
        other.finds = vec![Find::new(FindBy::Phone, "13900000001")];
        let accepted = self.admin.outbox.accept(other).await;
        accepted.expect("accepted").lead().expect("it is known")
    }

    async fn erase(&self, wish: Value) -> Value {
        let (status, answer) = self.post("/leads/erase", &wish).await;
        assert_eq!(status, 200, "{answer}");
        for personal in ["13567658911", "8911", "张三"] {
            assert!(!answer.to_string().contains(personal), "{answer}");
        }
        answer
    }
}

fn ids(answer: &Value, list: &str) -> Vec<String> {
    let items = answer[list].as_array().expect("a list").iter();
    let mut ids: Vec<String> = items
        .map(|item| item["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

#[actix_web::test]
async fn a_person_is_erased_by_phone_after_a_rehearsal_that_changes_nothing() {
    let desk = desk();
    let delivered = desk.accept(1).await;
    desk.end_all(|at| State::Delivered { at }).await;
    let refused = desk.accept(2).await;
    desk.end_all(dead).await;
    let untried = desk.accept(3).await;
    let other = desk.accept_other(4).await;
    // One whose push says the phone and that nobody can place, and one of somebody else.
    desk.quarantine("gone-shop", "{\"phone\":\"13567658911\",")
        .await;
    desk.quarantine("gone-shop", "{\"phone\":\"13900000001\",")
        .await;
    // And one that would become a lead with that phone.
    desk.quarantine("shop", "whatever").await;
    let mut mine = [delivered, refused, untried].map(|lead| lead.to_string());
    mine.sort();

    for wish in [
        json!({ "phone": PHONE, "dry_run": true }),
        json!({ "phone": "+8613567658911", "dry_run": true, "note": "asked on Monday" }),
    ] {
        let plan = desk.erase(wish).await;
        assert_eq!(ids(&plan, "leads"), mine);
        assert_eq!(plan["quarantined"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            plan["sinks"],
            json!({ "crm": { "delivered": 1, "tried": 1 } })
        );
        assert_eq!(
            (&plan["dry_run"], &plan["more"]),
            (&json!(true), &json!(false))
        );
    }
    assert_eq!(desk.admin.outbox.totals().leads, 4);

    let done = desk.erase(json!({ "phone": PHONE })).await;
    assert_eq!(ids(&done, "leads"), mine);
    assert_eq!(done["quarantined"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        done["sinks"],
        json!({ "crm": { "delivered": 1, "tried": 1 } })
    );
    assert_eq!(done["dry_run"], false);
    // Of the other one's push nobody can tell whose it is.
    assert_eq!(done["left"].as_array().map(Vec::len), Some(1));
    assert_eq!(done["left"][0]["because"], "unread");
    let lead = done["leads"].as_array().expect("leads").iter();
    let lead = lead
        .clone()
        .find(|one| one["id"] == delivered.to_string().as_str());
    let lead = lead.expect("is there");
    assert_eq!(
        (&lead["source"], &lead["revisions"]),
        (&json!("shop"), &json!(1))
    );
    assert_eq!(lead["sinks"], json!({ "crm": "delivered" }));
    for gone in mine {
        assert_eq!(
            desk.ask(Method::GET, &format!("/leads/{gone}"), "").await.0,
            404
        );
    }
    let left = desk.get("/leads").await;
    assert_eq!(ids(&left, "items"), [other.to_string()]);
    assert_eq!(desk.admin.outbox.totals().in_quarantine, 1);
    let again = desk.erase(json!({ "phone": PHONE })).await;
    assert_eq!(
        (ids(&again, "leads"), &again["sinks"]),
        (Vec::new(), &json!({}))
    );
}

#[actix_web::test]
async fn a_lead_under_an_attempt_is_named_and_goes_the_next_time() {
    let desk = desk();
    let (busy, free) = (desk.accept(1).await, desk.accept_other(2).await);
    let claim = desk.claim();
    let claim = claim.iter().find(|one| one.delivery.lead == busy);
    let claim = claim.expect("it is claimed").id;
    let done = desk.erase(json!({ "lead": busy.to_string() })).await;
    assert_eq!(ids(&done, "leads"), Vec::<String>::new());
    assert_eq!(done["left"].as_array().map(Vec::len), Some(1));
    let left = &done["left"][0];
    assert_eq!(
        (&left["lead"], &left["because"]),
        (&json!(busy.to_string()), &json!("in_flight"))
    );
    let plan = desk
        .erase(json!({ "lead": busy.to_string(), "dry_run": true }))
        .await;
    assert_eq!(plan["sinks"], json!({ "crm": { "in_doubt": 1 } }));
    desk.admin.outbox.unclaim("crm", &[claim]);
    let done = desk.erase(json!({ "lead": busy.to_string() })).await;
    assert_eq!(ids(&done, "leads"), [busy.to_string()]);
    assert_eq!(done["sinks"], json!({}));
    let left = desk.get("/leads").await;
    assert_eq!(ids(&left, "items"), [free.to_string()]);
    // What is not there (any more) is no mistake: whoever is not sure asks again.
    let none = desk.erase(json!({ "lead": busy.to_string() })).await;
    assert_eq!((&none["leads"], &none["left"]), (&json!([]), &json!([])));
}

#[actix_web::test]
async fn whom_to_erase_is_named_once_and_whole() {
    let desk = desk();
    desk.accept(1).await;
    let long = "x".repeat(201);
    for (wish, hint) in [
        (json!({}), "name one"),
        (json!({ "dry_run": true }), "name one"),
        (json!({ "phone": PHONE, "lead": ID }), "name one"),
        (json!({ "phone": PHONE, "nick": "n" }), "name one"),
        (json!({ "phone": "8911" }), "whole phone"),
        (json!({ "phone": " " }), "`phone` is empty"),
        (json!({ "lead": "1" }), "no UUID"),
        (json!({ "phone": PHONE, "note": long }), "at most 200"),
        (json!({ "phone": PHONE, "note": "a\nb" }), "one line"),
        (json!({ "phon": PHONE }), "not as documented"),
    ] {
        for path in ["/leads/erase", "/leads/export"] {
            if path == "/leads/export" && wish.get("note").or(wish.get("dry_run")).is_some() {
                continue;
            }
            let (status, answer) = desk.post(path, &wish).await;
            assert_eq!(status, 400, "{path} {hint}: {answer}");
            let detail = answer["detail"].as_str().expect("text");
            assert!(detail.contains(hint), "{hint}: {detail}");
            let chinese = answer["detail_zh"].as_str().expect("text");
            assert!(!chinese.is_ascii(), "{chinese}");
            assert!(!answer.to_string().contains("6765"), "{answer}");
        }
    }
    let (status, _) = desk
        .ask(Method::POST, "/leads/erase?phone=13567658911", "{}")
        .await;
    assert_eq!(status, 400, "a person never stands in a URL");
    assert_eq!(desk.admin.outbox.totals().leads, 1);
}

#[actix_web::test]
async fn a_persons_export_has_all_that_is_stored_and_nothing_of_others() {
    let desk = desk();
    let lead = desk.accept(1).await;
    desk.end_all(dead).await;
    desk.accept_other(2).await;
    desk.quarantine("gone-shop", "{\"phone\":\"13567658911\",")
        .await;
    desk.quarantine("gone-shop", "{\"phone\":\"13900000001\",")
        .await;
    let (status, all) = desk.post("/leads/export", &json!({ "phone": PHONE })).await;
    assert_eq!(status, 200, "{all}");
    assert_eq!(ids(&all, "leads"), [lead.to_string()]);
    let one = &all["leads"][0];
    assert_eq!(one["revisions"][0]["lead"]["phone"], "13567658911");
    let raw = one["revisions"][0]["raw"].as_str().expect("text");
    assert!(raw.contains("张三"), "as it was pushed");
    assert_eq!(one["deliveries"][0]["state"], "dead");
    assert_eq!(one["deliveries"][0]["history"][0]["outcome"], "rejected");
    let pushes = ids(&all, "quarantined");
    assert_eq!(pushes.len(), 1);
    assert!(uuid::Uuid::try_parse(&pushes[0]).map(QuarantineId).is_ok());
    assert_eq!(all["quarantined"][0]["body"], "{\"phone\":\"13567658911\",");
    let nobody = json!({ "phone": "13800138000" });
    let (_, none) = desk.post("/leads/export", &nobody).await;
    assert_eq!(
        (&none["leads"], &none["quarantined"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(none["unread"].as_array().map(Vec::len), Some(2));
}
