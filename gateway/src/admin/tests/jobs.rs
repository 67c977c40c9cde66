//! Bulk jobs over the API: planned, started, followed, stopped; and what cannot be meant.

use std::time::Duration;

use super::*;
use crate::bulk::Runner;
use crate::telemetry::logged::Logged;

impl Desk {
    /// A job as it is once it does not run any more.
    async fn ended(&self, id: &str) -> Value {
        for _ in 0..6_000 {
            let job = self.get(&format!("/bulk/{id}")).await;
            if job["state"] != "running" {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never ended");
    }

    /// Runs what was planned to its end.
    pub(super) async fn run(&self, job: &Value) -> Value {
        let runner = Runner::start(self.admin.bulk.clone());
        let id = id_of(job);
        let (status, started) = self.post(&format!("/bulk/{id}/start"), &json!({})).await;
        assert_eq!(status, 200, "{started}");
        let ended = self.ended(id).await;
        runner.stop().await;
        ended
    }

    async fn planned(&self, wish: &Value) -> Value {
        let (status, job) = self.post("/bulk", wish).await;
        assert_eq!(status, 200, "{job}");
        job
    }
}

fn id_of(job: &Value) -> &str {
    job["id"].as_str().expect("an id")
}

#[actix_web::test]
async fn a_job_is_planned_with_its_count_started_and_followed_to_its_result() {
    let desk = desk();
    for record in 0..7 {
        desk.accept(record).await;
    }
    let dead = desk.end_all(dead).await;
    let wish = json!({ "action": "retry", "sink": "crm", "rate": 1_000, "note": "renamed" });
    let job = desk.planned(&wish).await;
    assert_eq!((&job["count"], &job["exact"]), (&json!(7), &json!(true)));
    assert_eq!(
        (&job["state"], &job["action"]),
        (&json!("planned"), &json!("retry"))
    );
    assert_eq!(job["filter"]["state"], "dead", "what waits for a person");
    assert!(job["filter"]["until"].is_string(), "the end is fixed");
    let samples: Vec<_> = dead[..5].iter().map(ToString::to_string).collect();
    let shown = job["samples"].as_array().expect("a list").iter();
    let shown = shown.map(|one| one["delivery"].as_str().unwrap_or_default());
    assert_eq!(shown.collect::<Vec<_>>(), samples);
    let id = id_of(&job);
    // One of them leaves before it is started.
    let (status, _) = desk
        .post(&format!("/deliveries/{}/cancel", dead[6]), &json!({}))
        .await;
    assert_eq!(status, 200);
    assert_eq!(desk.get("/stats").await["sinks"]["crm"]["retrying"], 0);
    let runner = Runner::start(desk.admin.bulk.clone());
    let (status, _) = desk.post(&format!("/bulk/{id}/start"), &json!({})).await;
    assert_eq!(status, 200);
    let ended = desk.ended(id).await;
    runner.stop().await;
    assert_eq!(
        (&ended["state"], &ended["done"]),
        (&json!("done"), &json!(6))
    );
    assert_eq!(ended["note"], "renamed");
    let recorded = desk.get("/audit?action=bulk.end").await["items"][0].take();
    assert_eq!(
        (&recorded["target"], &recorded["count"], &recorded["via"]),
        (&job["id"], &json!(6), &json!("job"))
    );
    assert_eq!(desk.get("/stats").await["sinks"]["crm"]["retrying"], 6);
    for verb in ["start", "cancel"] {
        let (status, problem) = desk.post(&format!("/bulk/{id}/{verb}"), &json!({})).await;
        assert_eq!(status, 409, "{problem}");
    }
    let listed = desk.get("/bulk").await;
    assert_eq!(listed["items"][0]["id"], id);
}

#[actix_web::test]
async fn what_was_skipped_is_named_with_the_reason_and_a_stopped_job_waits() {
    let desk = desk();
    let lead = desk.accept(1).await;
    let busy = desk.claim();
    assert_eq!(busy.len(), 1);
    let wish = json!({ "action": "erase", "when": "record_id == 1" });
    let job = desk.planned(&wish).await;
    assert_eq!((&job["count"], &job["exact"]), (&json!(1), &json!(true)));
    let sample = &job["samples"][0];
    assert_eq!(
        (&sample["lead"], &sample["source"]),
        (&json!(lead.to_string()), &json!("shop"))
    );
    let id = id_of(&job);
    let (status, job) = desk.post(&format!("/bulk/{id}/cancel"), &json!({})).await;
    assert_eq!((status, &job["state"]), (200, &json!("cancelled")));
    assert_eq!(job["stopped"], "by_hand");
    let runner = Runner::start(desk.admin.bulk.clone());
    let (status, _) = desk.post(&format!("/bulk/{id}/start"), &json!({})).await;
    assert_eq!(status, 200);
    let ended = desk.ended(id).await;
    runner.stop().await;
    assert_eq!(ended["skipped_because"], json!({ "in_flight": 1 }));
    assert_eq!(
        ended["skipped_ids"],
        json!([{ "id": lead.to_string(), "why": "in_flight" }])
    );
}

#[actix_web::test]
async fn a_job_that_cannot_be_meant_is_refused_with_a_hint() {
    let desk = desk();
    for (wish, hint) in [
        (json!({ "action": "rety" }), "did you mean `retry`?"),
        (
            json!({ "action": "retry", "sink": "cmr" }),
            "did you mean `crm`?",
        ),
        (
            json!({ "action": "retry", "state": "deed" }),
            "did you mean `dead`?",
        ),
        (json!({ "action": "retry", "rate": 0 }), "from 1 to 1000"),
        (
            json!({ "action": "retry", "since": "soon" }),
            "is a time such as",
        ),
        (
            json!({ "action": "retry", "since": "1h", "until": "2h" }),
            "not before",
        ),
        (json!({ "action": "done" }), "say how it was seen to"),
        (json!({ "action": "replay" }), "`to` is missing"),
        (
            json!({ "action": "replay", "to": "cmr" }),
            "did you mean `crm`?",
        ),
        (
            json!({ "action": "replay", "to": "crm", "state": "dead" }),
            "replay does not go by `state`: it takes `to`",
        ),
        (
            json!({ "action": "retry", "sink": "crm", "to": "mail" }),
            "retry does not go by `to`",
        ),
        (
            json!({ "action": "cancel", "sink": "crm", "again": true }),
            "cancel does not go by `again`",
        ),
        (
            json!({ "action": "discard", "source": "shop", "force": true }),
            "discard does not go by `force`",
        ),
        (
            json!({ "action": "move", "to": "crm", "regardless": true }),
            "move does not go by `regardless`",
        ),
        (
            json!({ "action": "erase", "source": "shop", "reason": "stale" }),
            "erase does not go by `reason`",
        ),
        (
            json!({ "action": "release" }),
            "by one or more of `reason`, `source`, `since`, `until`, `when`",
        ),
        (
            json!({ "action": "erase", "when": "taobao_nick == 'tb_zhang'" }),
            "compares `taobao_nick` with a value",
        ),
        (
            json!({ "action": "retry", "rule": "13567658911" }),
            "looks like a phone",
        ),
        (
            json!({ "action": "erase", "when": "record_ids == 1" }),
            "did you mean `record_id`?",
        ),
        (
            json!({ "action": "erase", "when": "phone == '13567658911'" }),
            "looks like a phone",
        ),
        (
            json!({ "action": "erase", "note": "call 13567658911" }),
            "looks like a phone",
        ),
        (
            json!({ "action": "release", "reason": "stal" }),
            "did you mean `stale`?",
        ),
        (json!({ "acton": "retry" }), "not as documented"),
    ] {
        let (status, problem) = desk.post("/bulk", &wish).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!((400..500).contains(&status), "{wish}: {status}");
        assert!(detail.contains(hint), "{wish}: {detail}");
    }
    assert_eq!(desk.get("/bulk").await["items"], json!([]));
    // The ids of shops and goods are as long as phones.
    let wish = json!({ "action": "erase", "when": "store_id == 543776340412" });
    desk.planned(&wish).await;
    let (status, _) = desk.ask(Method::GET, &format!("/bulk/{ID}"), "").await;
    assert_eq!(status, 404);
}

#[actix_web::test]
async fn planning_starting_stopping_and_the_end_are_logged_with_who_what_and_how_many_and_no_note()
{
    let desk = desk();
    for record in 0..3 {
        desk.accept(record).await;
    }
    desk.end_all(dead).await;
    let log = Logged::here();
    let wish = json!({
        "action": "retry", "sink": "crm", "rate": 1_000, "note": "renamed", "by": "Wang",
    });
    let job = desk.planned(&wish).await;
    let id = id_of(&job);
    let (status, _) = desk
        .post(&format!("/bulk/{id}/cancel"), &json!({ "by": "Li" }))
        .await;
    assert_eq!(status, 200);
    assert_eq!(desk.run(&job).await["done"], 3);
    for (event, by) in [
        ("bulk job was planned", "Wang"),
        ("bulk job was cancelled", "Li"),
        ("bulk job was started", "Wang"),
        ("bulk job ended", "Wang"),
    ] {
        let events = log.events(event);
        let said = events.first().unwrap_or_else(|| panic!("no {event}"));
        assert_eq!(
            (&said["job"], &said["count"]),
            (&json!(id), &json!(3)),
            "{said}"
        );
        assert_eq!(
            (&said["by"], &said["action"], said.get("note")),
            (&json!(by), &json!("retry"), None),
            "{event}"
        );
    }
    assert_eq!(log.events("bulk job ended")[0]["done"], 3);
}

#[actix_web::test]
async fn a_replay_goes_by_the_condition_of_its_sink_and_by_its_own_unless_told_otherwise() {
    let desk = desk();
    desk.accept(1).await;
    desk.accept(2).await;
    let of_sink = "store_id == 7 and name == '李四'";
    let replay = |more: &Value| {
        let mut wish = json!({ "action": "replay", "to": "mail", "dry_run": true });
        for (name, value) in more.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        wish
    };
    let both = format!("({of_sink}) and (record_id == 1)");
    for (more, when, count) in [
        (json!({}), json!(of_sink), 0),
        (json!({ "when": "record_id == 1" }), json!(both), 0),
        (
            json!({ "when": "record_id == 1", "regardless": true }),
            json!("record_id == 1"),
            1,
        ),
        (json!({ "regardless": true, "again": true }), json!(null), 2),
    ] {
        let plan = desk.planned(&replay(&more)).await;
        assert_eq!((&plan["when"], &plan["count"]), (&when, &json!(count)));
        assert_eq!(plan["again"], more["again"] == true);
        assert_eq!(plan["id"], Value::Null, "it was only looked at");
    }
    assert_eq!(desk.get("/bulk").await["items"], json!([]));
    // One of the two conditions is not whole, though both together would be.
    let (status, _) = desk
        .post("/bulk", &replay(&json!({ "when": "true) or (true" })))
        .await;
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn a_job_that_waits_says_why_in_both_languages() {
    let desk = desk();
    desk.accept(1).await;
    let wish = json!({ "action": "replay", "to": "crm", "again": true });
    let job = desk.planned(&wish).await;
    let id = id_of(&job);
    desk.admin.outbox.set_min_free(u64::MAX);
    let runner = Runner::start(desk.admin.bulk.clone());
    let (status, _) = desk.post(&format!("/bulk/{id}/start"), &json!({})).await;
    assert_eq!(status, 200);
    let mut shown = Value::Null;
    for _ in 0..6_000 {
        shown = desk.get(&format!("/bulk/{id}")).await;
        if shown["waits"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let listed = desk.get("/bulk").await;
    runner.stop().await;
    for shown in [&shown, &listed["items"][0]] {
        let [en, zh] = ["waits", "waits_zh"].map(|name| shown[name].as_str().unwrap_or_default());
        assert!(en.contains("less room left"), "{shown}");
        assert!(zh.contains("磁盘剩余空间"), "{shown}");
    }
}

#[actix_web::test]
async fn a_job_that_erased_says_which_sinks_had_been_given_what() {
    let desk = desk();
    desk.accept(1).await;
    desk.end_all(|at| State::Delivered { at }).await;
    for record in 2..4 {
        desk.accept(record).await;
    }
    desk.end_all(dead).await;
    let job = desk
        .planned(&json!({ "action": "erase", "source": "shop" }))
        .await;
    let ended = desk.run(&job).await;
    assert_eq!(
        (&ended["state"], &ended["done"]),
        (&json!("done"), &json!(3))
    );
    let had = json!({ "crm": { "delivered": 1, "in_doubt": 2 } });
    assert_eq!(ended["sinks"], had);
}
