//! Who may do what: every path by every role, with and without a token, and tokens' lives.

use std::time::Duration;

use crate::outbox::Role;

use super::*;

/// A desk with a token of each role.
struct Guarded {
    desk: Desk,
    tokens: Vec<(Role, String)>,
}

async fn guarded() -> Guarded {
    let desk = desk();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let token = desk.make(&format!("of-{role}"), role).await;
        tokens.push((role, token));
    }
    Guarded { desk, tokens }
}

impl Desk {
    async fn make(&self, name: &str, role: Role) -> String {
        let wish = json!({ "name": name, "role": role });
        let (status, made) = self.post("/tokens", &wish).await;
        assert_eq!(status, 200, "{made}");
        made["token"].as_str().expect("a token").to_owned()
    }

    async fn close(&self) {
        let outbox = Arc::clone(&self.admin.outbox);
        let closed = web::block(move || outbox.close()).await;
        closed.expect("it is closed");
    }

    async fn ask_by(&self, token: &str, method: Method, path: &str, body: &str) -> (u16, Value) {
        let whole = format!("/api/v1{path}");
        let header = format!("Bearer {token}");
        let answer = self.request_by(Some(&header), method.clone(), &whole, body);
        let answer = answer.await;
        let status = answer.status().as_u16();
        let body = test::read_body(answer).await;
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        if status != 200 {
            documented::check(&method, path, status, &answer);
        }
        (status, answer)
    }
}

fn refused_by_role(status: u16, answer: &Value) -> bool {
    status == 403 && answer["type"] == "urn:leadgate:problem:role-too-low"
}

#[actix_web::test]
async fn every_path_is_open_to_the_roles_that_it_names_and_to_no_others() {
    let Guarded { desk, tokens } = guarded().await;
    for about in api::abouts() {
        let path = about.path.replace("{id}", ID).replace("{name}", "crm");
        let method = Method::from_bytes(about.method.as_bytes()).expect("a method");
        let whole = format!("/api/v1{path}");
        let none = desk.request(method.clone(), &whole, false, "").await;
        assert_eq!(none.status(), 401, "{method} {path}");
        for (role, token) in &tokens {
            let (status, answer) = desk.ask_by(token, method.clone(), &path, "").await;
            let refused = refused_by_role(status, &answer);
            assert_eq!(
                refused,
                *role < about.role,
                "{role} {method} {path}: {answer}"
            );
            assert_ne!(status, 401, "{role} {method} {path}");
            for one in &about.parameters {
                let Some(needed) = one.role else { continue };
                for (value, asks) in [("true", true), ("false", false)] {
                    let path = format!("{path}?{}={value}", one.name);
                    let answer = desk.ask_by(token, method.clone(), &path, "").await;
                    let needed = if asks {
                        needed.max(about.role)
                    } else {
                        about.role
                    };
                    assert_eq!(
                        refused_by_role(answer.0, &answer.1),
                        *role < needed,
                        "{role} {method} {path}: {}",
                        answer.1
                    );
                }
            }
        }
    }
}

/// What shows a person, takes one away, or lets somebody in is an admin's; what changes anything
/// is no viewer's. Written by hand: a path that is opened by mistake fails here.
#[actix_web::test]
async fn what_is_an_admins_and_what_a_viewer_may_is_as_it_was_decided() {
    let of = |role: Role, method: &str| {
        let all = api::abouts().filter(|about| about.role == role && about.method == method);
        all.map(|about| about.path).collect::<Vec<_>>()
    };
    assert_eq!(
        of(Role::Admin, "POST"),
        [
            "/leads/erase",
            "/leads/export",
            "/outbox/backup",
            "/outbox/export",
            "/outbox/rekey",
            "/tokens",
            "/tokens/{name}/revoke",
        ]
    );
    assert_eq!(
        of(Role::Admin, "GET"),
        [
            "/leads/{id}/raw",
            "/tokens",
            "/audit",
            "/audit/verify",
            "/audit/export",
        ]
    );
    assert_eq!(of(Role::Viewer, "POST"), ["/leads/search"]);
    let reveals = api::abouts().filter(|about| {
        let mut parameters = about.parameters.iter();
        parameters.any(|one| one.name == "reveal" && one.role == Some(Role::Admin))
    });
    let reveals: Vec<_> = reveals.map(|about| about.path).collect();
    assert_eq!(
        reveals,
        [
            "/deliveries/{id}/preview",
            "/leads/{id}",
            "/leads/{id}/raw",
            "/quarantine/{id}",
        ]
    );
}

#[actix_web::test]
async fn a_bulk_erasure_is_planned_and_started_by_admins_alone() {
    let Guarded { desk, tokens } = guarded().await;
    desk.accept(1).await;
    let wish = json!({ "action": "erase", "source": "shop" }).to_string();
    let mut start = String::new();
    for (role, token) in &tokens {
        let (status, plan) = desk.ask_by(token, Method::POST, "/bulk", &wish).await;
        assert_eq!(status == 200, *role == Role::Admin, "{plan}");
        if let Some(id) = plan["id"].as_str() {
            start = format!("/bulk/{id}/start");
        }
    }
    for (role, token) in &tokens {
        let (status, started) = desk.ask_by(token, Method::POST, &start, "").await;
        assert_eq!(status == 200, *role == Role::Admin, "{role}: {started}");
    }
    let retry = json!({ "action": "retry", "sink": "crm" }).to_string();
    let (status, _) = desk
        .ask_by(&tokens[1].1, Method::POST, "/bulk", &retry)
        .await;
    assert_eq!(status, 200, "an operator's");
}

#[actix_web::test]
async fn a_token_is_shown_once_kept_as_a_hash_and_refused_once_it_is_revoked() {
    let desk = desk();
    let token = desk.make("wang", Role::Operator).await;
    assert!(token.starts_with("lg_") && token.len() == 46, "its length");
    assert_eq!(desk.ask_by(&token, Method::GET, "/stats", "").await.0, 200);
    let list = desk.get("/tokens").await;
    assert!(!list.to_string().contains(&token));
    let item = &list["items"][0];
    assert_eq!(
        (&item["name"], &item["role"], &item["by"]),
        (&json!("wang"), &json!("operator"), &json!("admin"))
    );
    assert!(item["last_used_at"].is_string(), "{list}");
    for wrong in [&token[3..], &token.to_lowercase(), "lg_", "wang"] {
        let (status, _) = desk.ask_by(wrong, Method::GET, "/stats", "").await;
        assert_eq!(status, 401);
    }
    let taken = json!({ "name": "wang", "role": "viewer" });
    let (status, problem) = desk.post("/tokens", &taken).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:leadgate:problem:taken"))
    );
    let (status, _) = desk.post("/tokens/wang/revoke", &json!({})).await;
    assert_eq!(status, 200);
    let (status, _) = desk.ask_by(&token, Method::GET, "/stats", "").await;
    assert_eq!(status, 401, "at once");
    let (status, problem) = desk.post("/tokens/wang/revoke", &json!({})).await;
    assert_eq!(status, 404, "{problem}");
    let new = desk.make("wang", Role::Viewer).await;
    assert_eq!(desk.ask_by(&new, Method::GET, "/stats", "").await.0, 200);
    assert_eq!(desk.ask_by(&token, Method::GET, "/stats", "").await.0, 401);
    // Nobody who reads the disk has it.
    desk.close().await;
    for file in walk(desk.folder.path()) {
        let bytes = std::fs::read(file).expect("reads");
        let mut windows = bytes.windows(token.len());
        assert!(!windows.any(|part| part == new.as_bytes() || part == token.as_bytes()));
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("reads");
    let paths = entries.map(|entry| entry.expect("reads").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[actix_web::test]
async fn a_token_outlives_a_restart_and_when_it_was_used_does_to_the_hour() {
    let first = desk();
    let token = first.make("wang", Role::Viewer).await;
    assert_eq!(first.ask_by(&token, Method::GET, "/stats", "").await.0, 200);
    // The use is queued before what comes now.
    first
        .admin
        .outbox
        .pause("crm", None)
        .await
        .expect("written");
    first.close().await;
    let Desk { admin, folder } = first;
    drop(admin);
    let again = desk_in(folder, 0);
    let known = again.admin.outbox.tokens();
    assert!(known[0].1.last_used.is_some(), "{known:?}");
    assert_eq!(again.ask_by(&token, Method::GET, "/stats", "").await.0, 200);
    assert_eq!(
        again.ask_by(&token, Method::GET, "/tokens", "").await.0,
        403
    );
}

#[actix_web::test]
async fn names_say_whose_a_token_is_and_pass_for_nobody_else() {
    let desk = desk();
    let long = "x".repeat(65);
    for name in [
        "",
        "admin",
        "local",
        "uid:0",
        "a b",
        "-x",
        "13567658911",
        &long,
    ] {
        let wish = json!({ "name": name, "role": "viewer" });
        let (status, problem) = desk.post("/tokens", &wish).await;
        assert_eq!(status, 400, "{name}: {problem}");
    }
    let wish = json!({ "name": "王伟", "role": "operater" });
    let (_, problem) = desk.post("/tokens", &wish).await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("did you mean `operator`?"), "{detail}");
    desk.make("王伟", Role::Viewer).await;
}

/// All tokens of an address count together: who has one valid token guesses others no faster.
#[actix_web::test]
async fn guesses_pause_their_address_for_every_token() {
    let Guarded { desk, tokens } = guarded().await;
    let right = &tokens[0].1;
    for _ in 0..10 {
        assert_eq!(
            desk.ask_by("lg_guess", Method::GET, "/stats", "").await.0,
            401
        );
    }
    for token in [right.as_str(), "token", "lg_guess"] {
        let (status, _) = desk.ask_by(token, Method::GET, "/stats", "").await;
        assert_eq!(status, 429, "also who has a right one waits");
    }
    let now = desk.admin.clock.monotonic();
    let from = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let left = desk.admin.guesses.pause(from, now).expect("it pauses");
    assert!(left > Duration::from_secs(30));
}

#[actix_web::test]
async fn without_a_configured_token_named_ones_are_what_counts() {
    let desk = desk();
    let token = desk.make("wang", Role::Viewer).await;
    desk.configure(|configured| configured.token = None);
    assert_eq!(desk.ask_by(&token, Method::GET, "/stats", "").await.0, 200);
    assert_eq!(desk.ask_by("token", Method::GET, "/stats", "").await.0, 401);
    // Open on loopback: a token that is right counts all the same.
    desk.configure(|configured| configured.open = true);
    assert_eq!(desk.ask_by(&token, Method::GET, "/tokens", "").await.0, 403);
    assert_eq!(
        desk.ask_by("token", Method::GET, "/tokens", "").await.0,
        200
    );
    let (status, _) = desk.post("/tokens/wang/revoke", &json!({})).await;
    assert_eq!(status, 200);
    desk.configure(|configured| configured.open = false);
    let (status, problem) = desk.ask_by(&token, Method::GET, "/stats", "").await;
    assert_eq!(status, 403, "nobody can be let in: {problem}");
}
