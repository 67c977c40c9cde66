//! That every action leaves an entry, and every look at a person.

use super::*;
use crate::outbox::{AuditEntry, AuditFilter};

impl Desk {
    /// All entries, newest first.
    fn entries(&self) -> Vec<AuditEntry> {
        let page = self
            .admin
            .outbox
            .audit(&AuditFilter::default(), None, 1_000);
        page.expect("reads").items
    }

    /// What is recorded while something is done.
    async fn recorded(&self, method: Method, path: &str, body: &str) -> Vec<AuditEntry> {
        let before = self.entries().len();
        let path = format!("/api/v1{path}");
        let answer = self.request(method, &path, true, body).await;
        let _ = test::read_body(answer).await;
        let mut entries = self.entries();
        entries.truncate(entries.len() - before);
        entries
    }
}

/// Routes that change, reveal or give something out, and what they record.
const RECORDED: [(&str, &str, &str); 30] = [
    ("GET", "/deliveries/{id}/preview", "delivery.reveal"),
    ("POST", "/deliveries/{id}/retry", "delivery.retry"),
    ("POST", "/deliveries/{id}/cancel", "delivery.cancel"),
    ("POST", "/deliveries/{id}/done", "delivery.done"),
    ("POST", "/leads/search", "leads.search"),
    ("POST", "/leads/erase", "leads.erase"),
    ("POST", "/leads/export", "leads.export"),
    ("GET", "/leads/{id}", "leads.reveal"),
    ("GET", "/leads/{id}/raw", "leads.reveal"),
    ("POST", "/bulk", "bulk.plan"),
    ("POST", "/bulk/{id}/start", "bulk.start"),
    ("POST", "/bulk/{id}/cancel", "bulk.cancel"),
    ("POST", "/reload", "reload"),
    ("POST", "/sinks/{name}/pause", "sink.pause"),
    ("POST", "/sinks/{name}/resume", "sink.resume"),
    ("POST", "/sinks/{name}/test", "sink.test"),
    ("GET", "/quarantine/{id}", "quarantine.reveal"),
    ("POST", "/quarantine/{id}/release", "quarantine.release"),
    ("POST", "/quarantine/{id}/discard", "quarantine.discard"),
    ("POST", "/outbox/backup", "outbox.backup"),
    ("POST", "/outbox/export", "outbox.export"),
    ("POST", "/outbox/rekey", "outbox.rekey"),
    ("GET", "/audit/export", "audit.export"),
    ("POST", "/tokens", "token.add"),
    ("POST", "/tokens/{name}/revoke", "token.revoke"),
    ("-", "-", "outbox.import"),
    ("-", "-", "leads.erase_preview"),
    ("-", "-", "bulk.end"),
    ("-", "-", "session.begin"),
    ("-", "-", "session.end"),
];

#[actix_web::test]
async fn every_route_that_changes_or_reveals_leaves_an_entry_and_no_other_does() {
    let desk = desk();
    let mut seen = 0;
    for about in api::abouts() {
        let (method, at) = (about.method, about.path);
        let path = at.replace("{id}", ID).replace("{name}", "crm");
        let mut recorded = Vec::new();
        for query in ["?reveal=true&note=why", "?reveal=true", ""] {
            let asked = Method::from_bytes(method.as_bytes()).expect("a method");
            let asked = desk.recorded(asked, &format!("{path}{query}"), "{}").await;
            recorded.extend(asked);
        }
        let mut known = RECORDED.iter();
        let Some((_, _, action)) = known.find(|(one, path, _)| (*one, *path) == (method, at))
        else {
            assert!(!about.is_recorded(), "{path}: what does it record?");
            assert!(recorded.is_empty(), "{path}: {recorded:?}");
            continue;
        };
        assert!(!recorded.is_empty(), "{method} {path}");
        for entry in &recorded {
            assert_eq!(entry.event.action, *action, "{method} {path}");
            assert_eq!(entry.event.who.name, "admin");
        }
        seen += 1;
    }
    let routes = RECORDED.iter().filter(|(method, ..)| *method != "-");
    assert_eq!(seen, routes.count(), "each is served");
    let names: Vec<&str> = RECORDED.iter().map(|(.., action)| *action).collect();
    let forgotten = crate::outbox::AuditAction::ALL
        .into_iter()
        .find(|action| !names.contains(&action.as_str()));
    assert_eq!(forgotten, None);
}

#[actix_web::test]
async fn an_entry_says_to_what_why_and_what_became_of_it_and_nobody_s_data() {
    let desk = desk();
    let lead = desk.accept(1).await;
    let delivery = desk.end_all(dead).await[0];
    desk.quarantine("shop", "unreadable 13567658911").await;
    let push = desk.get("/quarantine").await["items"][0]["id"].take();
    let push = push.as_str().expect("an id").to_owned();
    let phone = "13567658911";
    let search = json!({ "by": "phone", "value": phone }).to_string();
    let erase = json!({ "phone": phone, "dry_run": true, "note": "asked on Monday" }).to_string();
    let by_lead = json!({ "lead": lead.to_string() }).to_string();
    let pause = json!({ "note": "renamed a field" }).to_string();
    let done = json!({ "note": "typed in", "by": "Wang" }).to_string();
    let plan = json!({ "action": "retry", "sink": "crm", "note": "mended" }).to_string();
    for (method, path, body, target, filter, count, result) in [
        (
            Method::POST,
            "/leads/search",
            &*search,
            "",
            "by=phone",
            Some(1),
            "done",
        ),
        (
            Method::POST,
            "/leads/erase",
            &erase,
            "",
            "by=phone",
            Some(2),
            "done",
        ),
        (
            Method::POST,
            "/leads/export",
            &by_lead,
            &*lead.to_string(),
            "by=lead",
            Some(1),
            "done",
        ),
        (
            Method::GET,
            &format!("/leads/{lead}?reveal=true"),
            "",
            &lead.to_string(),
            "",
            None,
            "done",
        ),
        (
            Method::GET,
            &format!("/leads/{ID}?reveal=true"),
            "",
            ID,
            "",
            None,
            "refused",
        ),
        (
            Method::POST,
            "/sinks/crm/pause",
            &pause,
            "crm",
            "",
            None,
            "done",
        ),
        (
            Method::POST,
            "/sinks/cmr/pause",
            "",
            "",
            "",
            None,
            "refused",
        ),
        (
            Method::POST,
            &format!("/deliveries/{delivery}/done"),
            &done,
            &delivery.to_string(),
            "by=Wang",
            None,
            "done",
        ),
        (Method::POST, "/bulk", &plan, "*", "*", Some(0), "done"),
        (
            Method::POST,
            &format!("/quarantine/{push}/discard"),
            "",
            &push,
            "",
            None,
            "done",
        ),
        (Method::POST, "/reload", "", "", "", None, "failed"),
        (Method::POST, "/outbox/export", "", "", "", Some(1), "done"),
    ] {
        let recorded = desk.recorded(method.clone(), path, body).await;
        let event = &recorded.first().unwrap_or_else(|| panic!("{path}")).event;
        if target != "*" {
            assert_eq!((&*event.target, &*event.filter), (target, filter), "{path}");
        }
        assert_eq!(
            (event.count, event.result.as_str()),
            (count, result),
            "{path}"
        );
    }
    let erased = desk.recorded(Method::POST, "/leads/erase", &by_lead).await;
    let results: Vec<&str> = erased.iter().map(|one| one.event.result.as_str()).collect();
    assert_eq!(
        results,
        ["done", "begun"],
        "one before it goes, one when it is gone"
    );
    let text = serde_json::to_string(&desk.entries()).expect("JSON");
    for personal in [phone, "张三"] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
    for said in ["asked on Monday", "renamed a field", "typed in", "mended"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let state = desk.get("/audit/verify").await;
    assert_eq!(state["sound"], true, "{state}");
    assert_eq!(state["last"], desk.entries().len());
}

#[actix_web::test]
async fn a_note_that_names_a_phone_is_refused_wherever_it_is_given() {
    let desk = desk();
    let note = "call 135 6765 8911";
    let says = json!({ "note": note }).to_string();
    let erase = json!({ "lead": ID, "note": note }).to_string();
    let reveal = format!("/leads/{ID}?reveal=true&note=call%2013567658911");
    for (method, path, body) in [
        (Method::POST, "/sinks/crm/pause", &*says),
        (Method::POST, "/leads/erase", &erase),
        (Method::POST, &format!("/deliveries/{ID}/done"), &says),
        (Method::GET, &reveal, ""),
        (Method::GET, "/audit/export?who=13567658911", ""),
    ] {
        let (status, problem) = desk.ask(method, path, body).await;
        assert_eq!(status, 400, "{path}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("looks like a phone"), "{path}: {detail}");
    }
    let text = serde_json::to_string(&desk.entries()).expect("JSON");
    for phone in ["13567658911", "135 6765 8911"] {
        assert!(!text.contains(phone), "{text}");
    }
}

#[actix_web::test]
async fn the_log_is_listed_filtered_and_given_out() {
    let desk = desk();
    for _ in 0..3 {
        desk.post("/sinks/crm/pause", &json!({})).await;
        desk.post("/sinks/cmr/pause", &json!({})).await;
        desk.post("/leads/search", &json!({ "by": "nick", "value": "x" }))
            .await;
    }
    let count = async |query: &str| {
        let mut seen = 0;
        let mut next = String::new();
        loop {
            let page = desk.get(&format!("/audit?limit=2{query}{next}")).await;
            seen += page["items"].as_array().expect("items").len();
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return seen,
            }
        }
    };
    for (query, wanted) in [
        ("", 9),
        ("&action=sink", 6),
        ("&action=sink.pause&result=refused", 3),
        ("&action=leads.search", 3),
        ("&who=admin&since=1h", 9),
        ("&who=li", 0),
        ("&until=1h", 0),
    ] {
        assert_eq!(count(query).await, wanted, "{query}");
    }
    let newest = desk.get("/audit?limit=1").await["items"][0].take();
    assert_eq!(
        (&newest["number"], &newest["via"]),
        (&json!(9), &json!("api"))
    );
    let refused = desk.get("/audit?result=refused&limit=1").await["items"][0].take();
    assert_eq!(refused["problem"], "not-found");
    for (path, hint) in [
        ("/audit?action=leads.serach", "did you mean `leads.search`?"),
        ("/audit?result=nothing", "there are: begun"),
        ("/audit?cursor=00ff", "not a cursor of this list"),
    ] {
        let (status, problem) = desk.ask(Method::GET, path, "").await;
        assert_eq!(status, 400, "{path}: {problem}");
        assert!(problem["detail"].to_string().contains(hint), "{problem}");
    }
    let path = "/api/v1/audit/export?action=sink";
    let answer = desk.request(Method::GET, path, true, "").await;
    let text = test::read_body(answer).await;
    let lines = std::str::from_utf8(&text).expect("text").lines();
    let entries: Vec<AuditEntry> = lines
        .map(|line| serde_json::from_str(line).expect("an entry"))
        .collect();
    assert_eq!(entries.len(), 6);
    assert!(entries.windows(2).all(|two| two[0].number < two[1].number));
    let given = &desk.entries()[0].event;
    assert_eq!((given.count, &*given.filter), (Some(6), "action=sink"));
}

#[actix_web::test]
async fn what_cannot_be_recorded_is_not_done_and_pushes_go_on() {
    let desk = desk();
    let lead = desk.accept(1).await;
    // A folder that takes no file.
    let folder = desk.folder.path().join("store").join("audit");
    std::fs::write(&folder, "in the way").expect("writes");
    let reveal = format!("/leads/{lead}?reveal=true");
    for (method, path) in [
        (Method::POST, "/sinks/crm/pause"),
        (Method::POST, "/leads/erase"),
        (Method::POST, "/outbox/export"),
        (Method::GET, &*reveal),
    ] {
        let (status, problem) = desk.ask(method, path, "{}").await;
        assert_eq!(status, 503, "{path}: {problem}");
        assert_eq!(problem["type"], "urn:leadgate:problem:audit-unavailable");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("nothing was done"), "{detail}");
    }
    assert!(!desk.admin.outbox.paused("crm"));
    desk.accept(2).await;
    assert_eq!(desk.claim().len(), 2);
    desk.get(&format!("/leads/{lead}")).await;
    assert_eq!(
        desk.request(Method::GET, "/readyz", false, "")
            .await
            .status(),
        200
    );
    // Once it can be written again, so are actions.
    std::fs::remove_file(&folder).expect("removes");
    assert_eq!(desk.post("/sinks/crm/pause", &json!({})).await.0, 200);
    assert!(desk.admin.outbox.paused("crm"));
    assert_eq!(desk.entries().len(), 1);
}

#[actix_web::test]
async fn what_is_recorded_is_counted_by_action_from_the_start() {
    let desk = desk();
    super::super::audit::begin(&desk.admin.metrics.admin);
    let count = |text: &str, action: &str| {
        let line = format!("leadgate_operator_actions_total{{action=\"{action}\"}} ");
        let count = text.lines().find_map(|one| one.strip_prefix(&line));
        count.expect("there is one").to_owned()
    };
    let before = desk.admin.metrics.text();
    assert_eq!(count(&before, "leads.erase"), "0");
    desk.post("/sinks/crm/pause", &json!({})).await;
    let after = desk.admin.metrics.text();
    assert_eq!(
        (count(&after, "sink.pause"), count(&after, "leads.erase")),
        ("1".to_owned(), "0".to_owned())
    );
}
