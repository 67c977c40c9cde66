//! What the API shows and does.

use std::time::Duration;

use super::*;

#[actix_web::test]
async fn lists_page_through_all_and_show_nobody() {
    let desk = desk();
    for record in 1..=7 {
        desk.accept(record).await;
    }
    desk.end_all(dead).await;
    desk.accept(8).await;
    for (path, count) in [
        ("/deliveries?limit=3", 8),
        ("/deliveries?limit=3&sink=crm&state=dead", 7),
        ("/deliveries?limit=3&until=1h", 0),
        ("/deliveries?limit=3&since=1h", 8),
        ("/deliveries?limit=3&order=newest&source=shop", 8),
        ("/deliveries?limit=3&reason=rejected&rule=status-4xx", 7),
        ("/deliveries?limit=3&reason=max_age", 0),
        ("/deliveries?limit=3&source=other", 0),
        ("/deliveries?limit=3&orphaned=true", 0),
        ("/deliveries?limit=3&sink=mail", 0),
        ("/leads?limit=3", 8),
        ("/leads?limit=3&order=oldest&source=shop&since=1h", 8),
        ("/leads?limit=3&until=1h", 0),
        ("/leads?limit=3&source=other", 0),
    ] {
        let mut seen = Vec::new();
        let mut next = String::new();
        loop {
            let page = desk.get(&format!("{path}{next}")).await;
            let text = page.to_string();
            for personal in ["13567658911", "张三", "135****"] {
                assert!(!text.contains(personal), "{path}: {text}");
            }
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= 3);
            seen.extend(items.iter().map(|item| item["id"].to_string()));
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{path}");
    }
    let item = desk.get("/deliveries?state=dead&limit=1").await["items"][0].take();
    assert_eq!(item["reason"], "rejected");
    assert_eq!(item["last_reason"], "the destination refused ***11");
    assert!(item["due_at"].is_null() && item["ended_at"].is_string());
}

#[actix_web::test]
async fn lists_come_in_the_order_that_is_asked_for() {
    let desk = desk();
    for record in 1..=3 {
        desk.accept(record).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let ids = async |path: &str| {
        let list = desk.get(path).await["items"].take();
        let ids = list.as_array().expect("items").iter();
        ids.map(|item| item["id"].to_string()).collect::<Vec<_>>()
    };
    for (list, oldest, newest) in [
        ("/deliveries", "/deliveries", "/deliveries?order=newest"),
        ("/leads", "/leads?order=oldest", "/leads"),
    ] {
        let (mut oldest, newest) = (ids(oldest).await, ids(newest).await);
        assert_eq!(oldest.len(), 3, "{list}");
        assert!(oldest.is_sorted(), "{list}");
        oldest.reverse();
        assert_eq!(oldest, newest, "{list}");
    }
}

#[actix_web::test]
async fn what_fails_alike_is_one_group_that_is_listed_and_retried_together() {
    let desk = desk();
    for record in 1..=3 {
        desk.accept(record).await;
        let reason = format!("field 1{record} is missing, said 13567658911");
        desk.end_all_by("status-4xx", &reason, dead).await;
    }
    desk.accept(4).await;
    let other = desk.end_all_by("timeout", "no answer", dead).await[0];
    desk.accept(5).await;
    let soon = |at| State::Waiting {
        due_at: at + 3_600_000,
    };
    desk.end_all_by("status-4xx", "field 7 is missing, said x", soon)
        .await;

    let groups = desk.get("/failure-groups?sink=crm").await;
    assert!(!groups.to_string().contains("135676"), "{groups}");
    assert_eq!(groups["more"], false);
    let all = groups["items"].as_array().expect("items");
    assert_eq!(all.len(), 3, "{groups}");
    let largest = &all[0];
    assert_eq!(largest["rule"], "status-4xx");
    assert_eq!(
        (&largest["count"], &largest["dead"], &largest["retrying"]),
        (&json!(3), &json!(3), &json!(0))
    );
    let group = largest["id"].as_str().expect("an id");
    let list = desk.get(&format!("/deliveries?group={group}")).await;
    let ids: Vec<_> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["id"])
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&&largest["sample"]));
    let first = desk.get("/failure-groups?limit=1").await;
    assert_eq!(
        (&first["more"], &first["items"][0]["id"]),
        (&json!(true), &json!(group))
    );

    let wish = json!({ "action": "retry", "group": group, "rate": 1_000 });
    let (_, plan) = desk.post("/bulk", &wish).await;
    assert_eq!((&plan["count"], &plan["exact"]), (&json!(3), &json!(true)));
    assert_eq!(desk.run(&plan).await["done"], 3);
    let left = desk.get("/deliveries?state=dead").await["items"].take();
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    assert_eq!(left[0]["id"], other.to_string());
}

#[actix_web::test]
async fn a_delivery_that_was_done_by_hand_is_delivered_and_says_by_whom() {
    let desk = desk();
    desk.accept(1).await;
    let ids = desk.end_all(dead).await;
    let path = format!("/deliveries/{}/done", ids[0]);
    let (status, problem) = desk.post(&path, &json!({ "by": "Wang" })).await;
    assert_eq!(status, 400, "{problem}");
    let wish = json!({ "by": "Wang", "note": "typed in" });
    let (status, done) = desk.post(&path, &wish).await;
    assert_eq!((status, &done["state"]), (200, &json!("delivered")));
    let last = &done["history"][1];
    assert_eq!(
        (&last["rule"], &last["reason"], &last["receipt"]),
        (&json!("by_hand"), &json!("typed in"), &json!("Wang"))
    );
    let (status, _) = desk.post(&path, &wish).await;
    assert_eq!(status, 409, "it is over");
    assert_eq!(desk.get("/stats").await["sinks"]["crm"]["delivered"], 1);
}

#[actix_web::test]
async fn a_delivery_is_shown_retried_and_cancelled() {
    let desk = desk();
    desk.accept(1).await;
    let id = desk.end_all(dead).await[0];
    let path = format!("/deliveries/{id}");
    let shown = desk.get(&path).await;
    assert_eq!(shown["state"], "dead");
    assert_eq!(shown["history"][0]["rule"], "status-4xx");
    assert_eq!(shown["history"][0]["duration_ms"], 3);

    let (status, retried) = desk.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!((status, &retried["state"]), (200, &json!("retrying")));
    assert_eq!(retried["attempts_not_counted"], 1);
    let claimed = desk.claim();
    assert_eq!(desk.get(&path).await["state"], "in_flight");
    for verb in ["retry", "cancel"] {
        let (status, refused) = desk.post(&format!("{path}/{verb}"), &json!({})).await;
        assert_eq!(
            (status, &refused["type"]),
            (409, &json!("urn:leadgate:problem:in-flight"))
        );
    }
    desk.admin.outbox.unclaim("crm", &[claimed[0].id]);
    desk.end_all(|at| State::Delivered { at }).await;
    let (status, refused) = desk.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(
        (status, &refused["type"]),
        (409, &json!("urn:leadgate:problem:over"))
    );
    let (status, _) = desk
        .post(&format!("{path}/retry"), &json!({"force": true}))
        .await;
    assert_eq!(status, 200);
    let (status, cancelled) = desk.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")));
    let (status, _) = desk.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(status, 409);
    let (status, _) = desk
        .post(&format!("{path}/retry?force=true"), &json!({}))
        .await;
    assert_eq!(status, 200);
}

#[actix_web::test]
async fn leads_are_found_by_phone_and_masked_until_revealed() {
    let desk = desk();
    let lead = desk.accept(1).await.to_string();
    for phone in ["13567658911", "+86 135-6765-8911"] {
        let body = json!({"by": "phone", "value": phone});
        let (status, found) = desk.post("/leads/search", &body).await;
        assert_eq!(status, 200);
        assert_eq!(found["items"][0]["id"], lead.as_str(), "{found}");
        assert_eq!(found["items"][0]["sinks"]["crm"], "pending");
        assert!(!found.to_string().contains("张"), "{found}");
    }
    for (by, end) in [("phone", "8911"), ("phone_end", "8911"), ("phone", "8912")] {
        let body = json!({"by": by, "value": end});
        let (status, found) = desk.post("/leads/search", &body).await;
        assert_eq!(status, 200);
        let items = found["items"].as_array().expect("a list").len();
        assert_eq!(items, usize::from(end == "8911"), "{by} {end}");
    }
    let body = json!({"by": "phone", "value": "13800000000"});
    assert_eq!(
        desk.post("/leads/search", &body).await.1["items"],
        json!([])
    );
    let masked = desk.get(&format!("/leads/{lead}")).await;
    assert_eq!(masked["revisions"][0]["lead"]["phone"], "135****8911");
    assert!(!masked.to_string().contains("13567658911"));
    assert_eq!(masked["deliveries"][0]["sink"], "crm");
    let revealed = desk.get(&format!("/leads/{lead}?reveal=true")).await;
    assert_eq!(revealed["revisions"][0]["lead"]["phone"], "13567658911");
    let raw = desk.get(&format!("/leads/{lead}/raw?reveal=true")).await;
    assert!(raw["raw"].as_str().expect("text").contains("张三"));
}

#[actix_web::test]
async fn a_push_in_quarantine_is_released_or_discarded_once() {
    let desk = desk();
    for (source, body) in [("shop", "{13567658911"), ("shop", "[]"), ("gone", "{}")] {
        desk.quarantine(source, body).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let list = desk.get("/quarantine?limit=2").await;
    assert!(list["next"].is_string(), "{list}");
    assert!(!list.to_string().contains("135676"));
    let all = desk.get("/quarantine").await["items"].take();
    let id = |at: usize| all[at]["id"].as_str().expect("an id").to_owned();
    assert!(desk.get(&format!("/quarantine/{}", id(0))).await["body"].is_null());
    let revealed = desk
        .get(&format!("/quarantine/{}?reveal=true", id(0)))
        .await;
    assert_eq!(revealed["body"], "{13567658911");

    let (status, released) = desk
        .post(&format!("/quarantine/{}/release", id(0)), &json!({}))
        .await;
    assert_eq!((status, &released["duplicate"]), (200, &json!(false)));
    let lead = released["lead"].as_str().expect("a lead");
    assert_eq!(
        desk.get(&format!("/leads/{lead}")).await["deliveries"][0]["state"],
        "pending"
    );
    let (status, _) = desk
        .post(&format!("/quarantine/{}/release", id(0)), &json!({}))
        .await;
    assert_eq!(status, 404);
    let (status, _) = desk
        .post(&format!("/quarantine/{}/discard", id(1)), &json!({}))
        .await;
    assert_eq!(status, 200);
    let (status, refused) = desk
        .post(&format!("/quarantine/{}/release", id(2)), &json!({}))
        .await;
    assert_eq!(
        (status, &refused["type"]),
        (409, &json!("urn:leadgate:problem:no-source"))
    );
    let stats = desk.get("/stats").await;
    assert_eq!(stats["leads"]["in_quarantine"], 1);
    assert_eq!(stats["leads"]["stored"], 1);
}

#[actix_web::test]
async fn a_push_by_which_nobody_can_be_reached_is_released_only_when_that_is_said() {
    let desk = desk();
    desk.quarantine("shop", "nobody").await;
    let list = desk.get("/quarantine").await;
    let one = &list["items"][0];
    assert_eq!(one["clock_difference_seconds"], -900, "{list}");
    let path = format!("/quarantine/{}", one["id"].as_str().expect("an id"));
    let shown = desk.get(&path).await;
    assert_eq!(shown["becomes"]["reachable"], false, "{shown}");
    assert_eq!(shown["becomes"]["sinks"], json!(["crm"]));
    let release = format!("{path}/release");
    let (status, refused) = desk.post(&release, &json!({})).await;
    assert_eq!(
        (status, &refused["type"]),
        (409, &json!("urn:leadgate:problem:unreachable"))
    );
    let (status, _) = desk.post(&release, &json!({ "forse": true })).await;
    assert_eq!(status, 400);
    let (status, _) = desk.post(&release, &json!({ "force": true })).await;
    assert_eq!(status, 200);
}

#[actix_web::test]
async fn pushes_are_released_and_discarded_by_reason_source_and_time() {
    let desk = desk();
    for (source, body) in [
        ("shop", "a"),
        ("shop", "b"),
        ("shop", "nobody"),
        ("gone", "c"),
    ] {
        desk.quarantine(source, body).await;
    }
    let wish = |which: Value| {
        let mut wish = which;
        wish["action"] = "release".into();
        wish["rate"] = 1_000.into();
        wish
    };
    for wrong in [
        json!({}),
        json!({ "since": "yesterday" }),
        json!({ "raeson": "unparsable" }),
        json!({ "reason": "typo" }),
        json!({ "source": "typo" }),
    ] {
        let (status, problem) = desk.post("/bulk", &wish(wrong)).await;
        assert_eq!(status, 400, "{problem}");
    }
    for none in [
        json!({ "reason": "stale" }),
        json!({ "until": "1h" }),
        json!({ "since": "2100-01-01 00:00:00", "until": "2101-01-01" }),
        json!({ "source": "other" }),
    ] {
        let (_, plan) = desk.post("/bulk", &wish(none)).await;
        assert_eq!(
            (&plan["count"], &plan["exact"]),
            (&json!(0), &json!(true)),
            "{plan}"
        );
    }
    let which = json!({ "source": "shop", "reason": "unparsable", "since": "1h" });
    let (_, plan) = desk.post("/bulk", &wish(which)).await;
    let sample = &plan["samples"][0];
    assert!(sample["quarantined"].is_string(), "{plan}");
    assert_eq!(
        (&sample["reason"], &sample["becomes"]["sinks"]),
        (&json!("unparsable"), &json!(["crm"]))
    );
    let ended = desk.run(&plan).await;
    assert_eq!(
        (&ended["done"], &ended["skipped_because"]),
        (&json!(2), &json!({ "unreachable": 1 }))
    );
    let left = desk.get("/quarantine?source=shop").await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "{left}");
    let counts = left["counts"].as_array().expect("counts");
    assert!(
        counts
            .iter()
            .any(|count| count["source"] == "gone" && count["entries"] == 1),
        "{left}"
    );
    let mut discard = wish(json!({ "source": "gone" }));
    discard["action"] = "discard".into();
    let (_, plan) = desk.post("/bulk", &discard).await;
    assert_eq!(desk.run(&plan).await["done"], 1);
    assert_eq!(desk.get("/stats").await["leads"]["in_quarantine"], 1);
}

#[actix_web::test]
async fn a_sink_is_paused_and_resumed_and_shown_so() {
    let desk = desk();
    desk.accept(1).await;
    for (verb, paused) in [("pause", true), ("pause", true), ("resume", false)] {
        let (status, _) = desk.post(&format!("/sinks/crm/{verb}"), &json!({})).await;
        assert_eq!(status, 200);
        let sinks = desk.get("/sinks").await["items"].take();
        assert_eq!(sinks[0]["name"], "crm");
        assert_eq!(sinks[0]["plugin"], "http");
        let stats = desk.get("/stats").await["sinks"].take();
        assert_eq!(stats["crm"]["plugin"], "http");
        assert_eq!(sinks[0]["paused"], paused);
        assert_eq!(sinks[0]["pending"], 1);
        assert_eq!(sinks[0]["breaker"], "closed");
        let metrics = desk.request(Method::GET, "/metrics", false, "").await;
        let metrics = test::read_body(metrics).await;
        let text = String::from_utf8_lossy(&metrics);
        let line = format!("leadgate_sink_paused{{sink=\"crm\"}} {}", u8::from(paused));
        assert!(text.contains(&line), "{text}");
        for family in ["leadgate_quarantine 0", "leadgate_outbox_disk_free_bytes "] {
            assert!(text.contains(family), "{family}");
        }
    }
}
