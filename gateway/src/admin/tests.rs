//! The API against a real store in a temporary folder.

use std::time::Duration;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, AUTHORIZATION};
use actix_web::test;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::config::OnUpdate;
use crate::delivery::Dispatcher;
use crate::lead::{Lead, SAMPLE};
use crate::outbox::sled::{Options, SledOutbox};
use crate::outbox::{
    Accepted, Claim, DeathReason, DeliveryId, Find, FindBy, Finish, LeadId, Queue, Route,
    SinkPolicy, State, Suspect,
};

/// An API with its store, without lanes: deliveries stay where they are put.
struct Desk {
    admin: Arc<Admin>,
    _folder: TempDir,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let metrics = Metrics::new();
    let policy = |name: &str| SinkPolicy {
        name: name.to_owned(),
        on_update: OnUpdate::Each,
        on_dead: None,
    };
    let outbox = SledOutbox::open(Options {
        path: &folder.path().join("store"),
        queue: 4096,
        cache: 16 << 20,
        keys: &[],
        sinks: vec![policy("crm"), policy("mail")],
        min_free: 0,
        metrics: metrics.outbox.clone(),
    });
    let outbox: Arc<dyn Outbox> = Arc::new(outbox.expect("the store opens"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queue: Arc<dyn Queue> = Arc::clone(&outbox) as Arc<dyn Outbox>;
    let dispatcher = Dispatcher::start(Vec::new(), &queue, &clock, &metrics.delivery);
    let reread = |suspect: &StoredSuspect| {
        (suspect.source == "shop").then(|| arrival(77, suspect.received_at))
    };
    let plugin = |name: &str| (name.to_owned(), "http".to_owned());
    Desk {
        admin: Arc::new(Admin {
            outbox,
            delivery: dispatcher.sinks(),
            sinks: BTreeMap::from([plugin("crm"), plugin("mail")]),
            reread: Arc::new(reread),
            metrics,
            clock,
            token: Some(Secret::new("token".to_owned())),
            open: false,
        }),
        _folder: folder,
    }
}

fn arrival(record: u64, received_at: Millis) -> Arrival {
    let text = SAMPLE.replace("371009", &record.to_string());
    let lead = Lead::parse_json(&text).expect("the sample");
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&record.to_be_bytes());
    Arrival {
        source: "shop".into(),
        received_at,
        identity,
        stable: true,
        content: lead.content_hash(),
        modified_at: None,
        request_id: None,
        method: None,
        lead: String::from_utf8(lead.json()).expect("text"),
        labels: "{}".to_owned(),
        raw: text,
        original: None,
        finds: vec![Find::new(FindBy::Phone, "135 6765 8911")],
        routes: vec![Route {
            sink: "crm".into(),
            failed: None,
        }],
    }
}

impl Desk {
    async fn request(
        &self,
        method: Method,
        path: &str,
        token: bool,
        body: &str,
    ) -> ServiceResponse {
        let app = App::new()
            .app_data(web::Data::from(Arc::clone(&self.admin)))
            .configure(routes)
            .default_service(web::to(no_such_path));
        let service = test::init_service(app).await;
        let mut request = test::TestRequest::with_uri(path)
            .method(method)
            .set_payload(body.to_owned());
        if token {
            request = request.insert_header((AUTHORIZATION, "Bearer token"));
        }
        test::call_service(&service, request.to_request())
            .await
            .map_into_boxed_body()
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let path = format!("/api/v1{path}");
        let answer = self.request(method, &path, true, body).await;
        let status = answer.status().as_u16();
        let body = test::read_body(answer).await;
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    async fn accept(&self, record: u64) -> LeadId {
        let now = self.admin.clock.now();
        let accepted = self.admin.outbox.accept(arrival(record, now)).await;
        match accepted.expect("accepted") {
            Accepted::New { lead, .. } | Accepted::Duplicate { lead, .. } => lead,
        }
    }

    fn claim(&self) -> Vec<Claim> {
        let now = self.admin.clock.now() + 1_000;
        let due = self.admin.outbox.claim("crm", now, 100).expect("reads");
        due.deliveries
    }

    /// Ends an attempt of all that is due.
    async fn end_all(&self, state: impl Fn(Millis) -> State) -> Vec<DeliveryId> {
        let mut ids = Vec::new();
        for claim in self.claim() {
            let State::Waiting { due_at } = claim.delivery.state else {
                panic!("a claim waits")
            };
            let now = self.admin.clock.now();
            let mut delivery = claim.delivery;
            delivery.attempts += 1;
            delivery.state = state(now);
            delivery.history.push(crate::outbox::Attempt {
                number: delivery.attempts,
                started_at: now,
                duration_ms: 3,
                outcome: "rejected".to_owned(),
                rule: "status-4xx".to_owned(),
                reason: "the destination refused 13567658911".to_owned(),
                receipt: String::new(),
                request: "POST /leads".to_owned(),
                response: "400".to_owned(),
                trace_id: "0".repeat(32),
            });
            let finish = Finish {
                id: claim.id,
                sink: "crm".into(),
                now,
                was_due: due_at,
                delivery,
            };
            self.admin.outbox.finish(finish).await.expect("recorded");
            ids.push(claim.id);
        }
        ids
    }

    async fn quarantine(&self, source: &str, body: &str) {
        let suspect = Suspect {
            source: source.into(),
            reason: "unparsable",
            received_at: self.admin.clock.now(),
            request_id: Some("r1".to_owned()),
            query: "app_key=1".to_owned(),
            content_type: "application/json".to_owned(),
            body: body.as_bytes().to_vec(),
        };
        let kept = self.admin.outbox.quarantine(suspect).await;
        kept.expect("kept");
    }
}

fn dead(at: Millis) -> State {
    State::Dead {
        at,
        reason: DeathReason::Rejected,
    }
}

const ID: &str = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";

#[actix_web::test]
async fn no_path_of_the_api_answers_without_the_token() {
    let desk = desk();
    let mut seen = 0;
    for at in resources() {
        let path = at.path.replace("{id}", ID).replace("{name}", "crm");
        let path = format!("/api/v1{path}");
        for method in ["GET", "POST", "DELETE"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let answer = desk.request(method.clone(), &path, false, "").await;
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert!(answer.headers().contains_key("www-authenticate"));
            let body: Value = test::read_body_json(answer).await;
            assert_eq!(body["type"], "urn:leadgate:problem:unauthorized");
            seen += 1;
        }
        let answer = desk.request(Method::DELETE, &path, true, "").await;
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(
            answer.headers().get(ALLOW).expect("an allow header"),
            &at.methods.join(", ")
        );
    }
    assert!(seen >= 3 * 17);
    for path in ["/api/v1/nowhere", "/api/v1"] {
        assert_eq!(
            desk.request(Method::GET, path, false, "").await.status(),
            401
        );
        assert_eq!(
            desk.request(Method::GET, path, true, "").await.status(),
            404
        );
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(
            desk.request(Method::GET, path, false, "").await.status(),
            200
        );
        assert_eq!(
            desk.request(Method::POST, path, false, "").await.status(),
            405
        );
    }
}

#[actix_web::test]
async fn what_cannot_be_meant_is_refused_with_a_hint() {
    let desk = desk();
    for (path, status, hint) in [
        (
            "/deliveries?sate=dead",
            400,
            "unknown parameter `sate`; allowed are sink",
        ),
        ("/deliveries?state=deed", 400, "did you mean `dead`?"),
        ("/deliveries?sink=cmr", 400, "did you mean `crm`?"),
        ("/deliveries?limit=501", 400, "1 to 500"),
        ("/deliveries?older_than=soon", 400, "not a duration"),
        ("/deliveries?cursor=nonsense", 400, "cursor"),
        ("/deliveries/17", 400, "no UUID"),
        ("/stats?all=true", 400, "takes none"),
        (&format!("/deliveries/{ID}"), 404, ID),
        (&format!("/leads/{ID}"), 404, ID),
        (&format!("/quarantine/{ID}"), 404, ID),
        (&format!("/leads/{ID}/raw"), 403, "reveal=true"),
    ] {
        let (found, answer) = desk.ask(Method::GET, path, "").await;
        assert_eq!(found, status, "{path}: {answer}");
        let detail = answer["detail"].as_str().expect("a detail");
        assert!(detail.contains(hint), "{path}: {detail}");
        assert_eq!(answer["status"], status);
        assert!(answer["title"].is_string());
    }
    for (path, body, status) in [
        ("/leads/search", "{", 400),
        ("/leads/search", "{}", 400),
        ("/leads/search", r#"{"by":"phone","value":" "}"#, 400),
        ("/leads/search", r#"{"by":"phone","value":"1","x":1}"#, 400),
        ("/sinks/cmr/pause", "", 404),
        ("/sinks/crm/retry-dead", "", 400),
        (
            "/sinks/crm/retry-dead",
            r#"{"plan":true,"confirm_count":1}"#,
            400,
        ),
        ("/sinks/crm/retry-dead", r#"{"confirm_count":1}"#, 409),
        (&format!("/deliveries/{ID}/retry"), "", 404),
        (&format!("/deliveries/{ID}/cancel"), "", 404),
        (&format!("/quarantine/{ID}/release"), "", 404),
        (&format!("/quarantine/{ID}/discard"), "", 404),
        ("/leads/search", &"x".repeat(MAX_BODY + 1), 413),
    ] {
        let (found, answer) = desk.ask(Method::POST, path, body).await;
        assert_eq!(found, status, "{path}: {answer}");
    }
}

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
        ("/deliveries?limit=3&older_than=1h", 0),
        ("/deliveries?limit=3&newer_than=1h", 8),
        ("/deliveries?limit=3&sink=mail", 0),
        ("/leads?limit=3", 8),
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
async fn dead_letters_of_a_sink_are_retried_together_after_a_plan() {
    let desk = desk();
    for record in 1..=250 {
        desk.accept(record).await;
    }
    while !desk.end_all(dead).await.is_empty() {}
    let path = "/sinks/crm/retry-dead";
    let (_, plan) = desk.post(path, &json!({"plan": true})).await;
    assert_eq!(plan["count"], 250);
    assert_eq!(plan["sample"].as_array().map(Vec::len), Some(5));
    let (status, changed) = desk.post(path, &json!({"confirm_count": 249})).await;
    assert_eq!(status, 409, "{changed}");
    let (status, run) = desk.post(path, &json!({"confirm_count": 250})).await;
    assert_eq!(status, 200);
    assert_eq!(run, json!({"retried": 250, "skipped": 0, "remaining": 0}));
    assert_eq!(desk.get("/stats").await["sinks"]["crm"]["retrying"], 250);
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
async fn a_sink_is_paused_and_resumed_and_shown_so() {
    let desk = desk();
    desk.accept(1).await;
    for (verb, paused) in [("pause", true), ("pause", true), ("resume", false)] {
        let (status, _) = desk.post(&format!("/sinks/crm/{verb}"), &json!({})).await;
        assert_eq!(status, 200);
        let sinks = desk.get("/sinks").await["items"].take();
        assert_eq!(sinks[0]["name"], "crm");
        assert_eq!(sinks[0]["plugin"], "http");
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
