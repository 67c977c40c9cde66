//! Erasing and exporting where not all of it can be done: what was done is told, and what was not.

use std::io::{self, Write};

use super::*;
use crate::admin::export::Found;
use crate::admin::subject::{Named, Subject};
use crate::outbox::QuarantineId;
use crate::telemetry::logged::Logged;

const PHONE: &str = "135 6765 8911";

impl Desk {
    /// The same store, opened anew.
    async fn reopened(self, min_free: u64) -> Self {
        let Self { admin, folder } = self;
        let outbox = Arc::clone(&admin.outbox);
        drop(admin);
        let closed = web::block(move || outbox.close()).await;
        closed.expect("closes");
        desk_in(folder, min_free)
    }

    /// Breaks what is stored as these bytes.
    fn damage(&self, bytes: &str) {
        let mut broken = 0;
        let journal = self.folder.path().join("store/journal");
        for file in std::fs::read_dir(journal).expect("reads") {
            let path = file.expect("reads").path();
            let mut all = std::fs::read(&path).expect("reads");
            let found = all.windows(bytes.len());
            let found = found
                .enumerate()
                .filter(|(_, one)| *one == bytes.as_bytes());
            let found: Vec<usize> = found.map(|(at, _)| at).collect();
            for at in &found {
                all[*at] ^= 1;
            }
            if !found.is_empty() {
                broken += found.len();
                std::fs::write(&path, all).expect("writes");
            }
        }
        assert!(broken > 0, "it lies in the journal as it is");
    }

    async fn erase_any(&self, wish: Value) -> Value {
        let (status, answer) = self.post("/leads/erase", &wish).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn pushes(&self) -> Vec<QuarantineId> {
        let page = self.admin.outbox.quarantined_ids(None, 100);
        page.expect("reads").items
    }
}

fn by_phone() -> Subject {
    let named = Named {
        phone: Some(PHONE.to_owned()),
        ..Named::default()
    };
    Subject::of(named).expect("a person")
}

/// What is left of one thing, told in both languages.
fn told<'a>(list: &'a Value, kind: &str, id: &str) -> &'a Value {
    let list = list.as_array().expect("a list");
    let one = list.iter().find(|one| one[kind] == id);
    let one = one.expect("it is named by its id");
    assert!(one["detail"].as_str().is_some_and(str::is_ascii), "{one}");
    let chinese = one["detail_zh"].as_str().expect("text");
    assert!(!chinese.is_ascii(), "{chinese}");
    one
}

#[actix_web::test]
async fn what_went_is_told_and_logged_also_where_it_could_not_be_wiped_off_the_disk() {
    let desk = desk();
    let lead = desk.accept(1).await;
    desk.end_all(|at| State::Delivered { at }).await;
    // No disk has so much room.
    let desk = desk.reopened(u64::MAX / 2).await;
    let logged = Logged::here();
    let done = desk.erase_any(json!({ "phone": PHONE })).await;
    assert_eq!(done["leads"][0]["id"], lead.to_string());
    assert_eq!(done["sinks"], json!({ "crm": { "delivered": 1 } }));
    let detail = done["not_wiped"]["detail"].as_str().expect("it is told");
    assert!(detail.contains("still on the disk"), "{detail}");
    assert!(detail.contains("make room"), "{detail}");
    let chinese = done["not_wiped"]["detail_zh"].as_str().expect("text");
    assert!(chinese.contains("仍在磁盘上"), "{chinese}");
    assert_eq!(logged.events("leads were erased")[0]["leads"], 1);
    let still = "what was erased is still on the disk";
    assert_eq!(logged.events(still).len(), 1);
    // Nothing is there any more, and the disk is not clean all the same.
    let again = desk.erase_any(json!({ "phone": PHONE })).await;
    assert_eq!(again["leads"], json!([]));
    assert!(again["not_wiped"]["detail"].is_string());
    let desk = desk.reopened(0).await;
    let last = desk.erase_any(json!({ "phone": PHONE })).await;
    assert_eq!(last.get("not_wiped"), None);
}

#[actix_web::test]
async fn a_push_that_cannot_be_read_is_named_and_keeps_nobody_from_being_erased() {
    let desk = desk();
    let lead = desk.accept(1).await;
    desk.quarantine("shop", "unreadable, and soon broken").await;
    desk.quarantine("shop", "{\"phone\":\"13567658911\",").await;
    let [broken, mine] = desk.pushes()[..] else {
        panic!("two were kept");
    };
    desk.damage("unreadable, and soon broken");
    assert!(desk.admin.outbox.quarantined_push(broken).is_err());

    let (status, copy) = desk.post("/leads/export", &json!({ "phone": PHONE })).await;
    assert_eq!(status, 200, "{copy}");
    assert_eq!(copy["leads"][0]["id"], lead.to_string());
    assert_eq!(copy["quarantined"][0]["id"], mine.to_string());
    told(&copy["unread"], "quarantined", &broken.to_string());
    assert_eq!(
        (&copy["more"], &copy["complete"]),
        (&json!(false), &json!(false))
    );

    for dry_run in [true, false] {
        let wish = json!({ "phone": PHONE, "dry_run": dry_run });
        let answer = desk.erase_any(wish).await;
        assert_eq!(answer["leads"][0]["id"], lead.to_string());
        assert_eq!(answer["quarantined"][0]["id"], mine.to_string());
        let one = told(&answer["left"], "quarantined", &broken.to_string());
        assert_eq!(one["because"], "unread");
        assert!(
            one["detail"]
                .as_str()
                .is_some_and(|text| text.contains("discard"))
        );
    }
    // What the answer says to do.
    let discard = format!("/quarantine/{broken}/discard");
    let (status, answer) = desk.post(&discard, &json!({})).await;
    assert_eq!(status, 200, "{answer}");
    let done = desk.erase_any(json!({ "phone": PHONE })).await;
    assert_eq!(done["left"], json!([]));
}

#[actix_web::test]
async fn a_lead_that_cannot_be_read_goes_all_the_same_and_its_sinks_are_in_doubt() {
    for by_id in [true, false] {
        let desk = desk();
        let lead = desk.accept(987_654_321).await;
        desk.end_all(dead).await;
        let whole = desk.accept(2).await;
        desk.damage("987654321");
        assert!(desk.admin.outbox.history(lead).is_err());
        let (status, copy) = desk.post("/leads/export", &json!({ "phone": PHONE })).await;
        assert_eq!(status, 200, "{copy}");
        assert_eq!(copy["leads"][0]["id"], whole.to_string());
        told(&copy["unread"], "lead", &lead.to_string());
        assert_eq!(copy["complete"], false);

        let wish = if by_id {
            json!({ "lead": lead.to_string() })
        } else {
            json!({ "phone": PHONE })
        };
        let done = desk.erase_any(wish).await;
        let leads = done["leads"].as_array().expect("leads");
        assert_eq!(leads.len(), if by_id { 1 } else { 2 });
        let gone = leads.iter().find(|one| one["id"] == lead.to_string());
        let gone = gone.expect("it went");
        assert_eq!(
            (&gone["unread"], &gone["source"]),
            (&json!(true), &json!("shop"))
        );
        assert_eq!(gone["sinks"], json!({ "crm": "in_doubt" }));
        assert_eq!(desk.admin.outbox.outline(lead), Ok(None));
    }
}

#[actix_web::test]
async fn a_push_of_which_nobody_can_tell_whose_it_is_is_left_and_named() {
    let desk = desk();
    desk.quarantine("gone-shop", "phone=%31356765891%31").await;
    desk.quarantine("shop", "unreadable for a nick").await;
    let [gone, unreadable] = desk.pushes()[..] else {
        panic!("two were kept");
    };
    let done = desk.erase_any(json!({ "phone": PHONE })).await;
    // The text of the other one was looked through for the phone.
    assert_eq!(done["left"].as_array().map(Vec::len), Some(1));
    let one = told(&done["left"], "quarantined", &gone.to_string());
    assert_eq!(one["because"], "unread");
    for text in ["detail", "detail_zh"] {
        let text = one[text].as_str().expect("text");
        assert!(text.contains("`gone-shop`"), "{text}");
    }
    let done = desk.erase_any(json!({ "nick": "somebody" })).await;
    assert_eq!(done["left"].as_array().map(Vec::len), Some(2));
    for id in [gone, unreadable] {
        let one = told(&done["left"], "quarantined", &id.to_string());
        assert_eq!(one["because"], "unread");
    }
    assert_eq!(desk.admin.outbox.totals().in_quarantine, 2);
    let (_, copy) = desk
        .post("/leads/export", &json!({ "nick": "somebody" }))
        .await;
    assert_eq!(copy["unread"].as_array().map(Vec::len), Some(2));
    // One lead has nothing in quarantine.
    let none = desk.erase_any(json!({ "lead": ID })).await;
    assert_eq!(none["left"], json!([]));
}

/// A reader that goes away after so many writes.
struct Reader(usize);

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn an_export_whose_reader_goes_away_is_logged_with_what_was_given_out() {
    let desk = desk();
    for record in 0..3 {
        desk.accept(record).await;
    }
    let logged = Logged::here();
    let give = |to: &mut dyn Write| {
        let found = Found::of(&desk.admin, &by_phone(), 100);
        let found = found.map_err(|problem| problem.detail().to_owned());
        found
            .expect("reads")
            .give(&desk.admin, &*desk.admin.outbox, to, (&mut 0, &mut 0))
    };
    assert!(give(&mut Reader(4)).is_err());
    let [event] = &logged.events("export was broken off")[..] else {
        panic!("it is logged once");
    };
    assert!(
        event["leads"].as_u64().is_some_and(|leads| leads > 0),
        "{event}"
    );
    assert_eq!(event["by"], "phone");
    assert!(logged.events("leads were exported").is_empty());
    give(&mut io::sink()).expect("given");
    assert_eq!(logged.events("leads were exported")[0]["leads"], 3);
}

#[actix_web::test]
async fn an_export_of_as_much_as_one_request_takes_says_that_there_may_be_more() {
    let desk = desk();
    for record in 0..3 {
        desk.accept(record).await;
    }
    for (most, more) in [(2, true), (4, false)] {
        let found = Found::of(&desk.admin, &by_phone(), most);
        let found = found.map_err(|problem| problem.detail().to_owned());
        let mut text = Vec::new();
        let given = found.expect("reads").give(
            &desk.admin,
            &*desk.admin.outbox,
            &mut text,
            (&mut 0, &mut 0),
        );
        given.expect("given");
        let all: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(all["leads"].as_array().map(Vec::len), Some(most.min(3)));
        assert_eq!(
            (&all["more"], &all["complete"]),
            (&json!(more), &json!(!more))
        );
    }
}
