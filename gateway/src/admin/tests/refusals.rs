//! Who and what is refused, and how it is said.

use actix_web::http::header::ALLOW;

use super::*;

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
async fn a_disk_that_is_too_full_is_not_ready() {
    let desk = desk_with(u64::MAX);
    let answer = desk.request(Method::GET, "/readyz", false, "").await;
    assert_eq!(answer.status(), 503);
    let body: Value = test::read_body_json(answer).await;
    let reason = body["reason"].as_str().expect("a reason");
    assert!(reason.contains("outbox.min_free"), "{reason}");
    assert_eq!(
        desk.request(Method::GET, "/livez", false, "")
            .await
            .status(),
        200
    );
}
