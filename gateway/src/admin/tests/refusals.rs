//! Who and what is refused, and how it is said.

use actix_web::http::header::ALLOW;
use leadgate_plugin::hex;

use super::*;

#[actix_web::test]
async fn no_path_of_the_api_answers_without_the_token() {
    let desk = desk();
    let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for about in api::abouts() {
        paths.entry(about.path).or_default().push(about.method);
    }
    let mut seen = 0;
    for (path, methods) in paths {
        let path = path.replace("{id}", ID).replace("{name}", "crm");
        let path = format!("/api/v1{path}");
        for method in ["GET", "POST", "DELETE"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let answer = desk.request(method.clone(), &path, false, "").await;
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert!(answer.headers().contains_key("www-authenticate"));
            assert_eq!(
                answer.headers().get("cache-control").expect("it says so"),
                "no-store"
            );
            let body: Value = test::read_body_json(answer).await;
            assert_eq!(body["type"], "urn:leadgate:problem:unauthorized");
            seen += 1;
        }
        let answer = desk.request(Method::DELETE, &path, true, "").await;
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(
            answer.headers().get(ALLOW).expect("an allow header"),
            &methods.join(", ")
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
        ("/deliveries?since=soon", 400, "`since` is a time such as"),
        ("/deliveries?since=1h&until=2h", 400, "not before"),
        (
            "/deliveries?reason=rejekted",
            400,
            "did you mean `rejected`?",
        ),
        ("/deliveries?group=17", 400, "16 hex digits"),
        ("/deliveries?source=shp", 400, "did you mean `shop`?"),
        ("/deliveries?order=new", 400, "there are: oldest, newest"),
        ("/leads?source=shp", 400, "did you mean `shop`?"),
        (
            "/leads?unrouted=true&source=shop",
            400,
            "`unrouted` lists all",
        ),
        ("/failure-groups?sink=cmr", 400, "did you mean `crm`?"),
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
        ("/leads/search", r#"{"by":"phone_end","value":"911"}"#, 400),
        ("/sinks/cmr/pause", "", 404),
        ("/sinks/crm/retry-dead", "", 404),
        ("/bulk", "", 400),
        ("/bulk", r#"{"action":"erase"}"#, 400),
        (&format!("/bulk/{ID}/start"), "", 404),
        (
            &format!("/bulk/{ID}/cancel"),
            r#"{"by":"13567658911"}"#,
            400,
        ),
        (&format!("/deliveries/{ID}/retry"), "", 404),
        (&format!("/deliveries/{ID}/retry?force=true"), "{", 400),
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

#[actix_web::test]
async fn ten_wrong_tokens_pause_the_address_and_are_counted() {
    let desk = desk();
    let ask = async |token: &str| {
        let app = App::new()
            .app_data(web::Data::from(Arc::clone(&desk.admin)))
            .configure(|config| routes(config, |_| {}));
        let service = test::init_service(app).await;
        let request = test::TestRequest::with_uri("/api/v1/stats")
            .insert_header((AUTHORIZATION, format!("Bearer {token}")))
            .peer_addr("10.0.0.7:4711".parse().expect("an address"));
        test::call_service(&service, request.to_request()).await
    };
    assert_eq!(ask("token").await.status(), 200);
    for _ in 0..10 {
        assert_eq!(ask("guess").await.status(), 401);
    }
    for token in ["guess", "token"] {
        let answer = ask(token).await;
        assert_eq!(answer.status(), 429, "{token}");
        let wait = answer.headers().get("retry-after").expect("a wait");
        let wait: u64 = wait.to_str().expect("text").parse().expect("seconds");
        assert!((1..=61).contains(&wait), "{wait}");
        let body: Value = test::read_body_json(answer).await;
        assert_eq!(body["type"], "urn:leadgate:problem:too-many-guesses");
    }
    // Other addresses, and who gives no token at all, are not concerned.
    assert_eq!(desk.ask(Method::GET, "/stats", "").await.0, 200);
    for _ in 0..20 {
        let answer = desk.request(Method::GET, "/api/v1/stats", false, "").await;
        assert_eq!(answer.status(), 401);
    }
    let metrics = desk.request(Method::GET, "/metrics", false, "").await;
    let metrics = String::from_utf8(test::read_body(metrics).await.to_vec()).expect("text");
    assert!(
        metrics.contains("leadgate_admin_wrong_tokens_total 10"),
        "{metrics}"
    );
}

#[actix_web::test]
async fn a_cursor_of_another_list_or_of_nobody_is_a_bad_parameter() {
    let desk = desk();
    for record in 1..=3 {
        desk.accept(record).await;
        let quarantined = QuarantinedPush {
            source: "shop".into(),
            reason: "unparsable",
            received_at: 1_000,
            request_id: None,
            signature: record.to_string(),
            ceiling: crate::config::Ceiling::default(),
            query: String::new(),
            content_type: String::new(),
            body: vec![u8::try_from(record).expect("small")],
        };
        desk.admin
            .outbox
            .quarantine(quarantined)
            .await
            .expect("kept");
    }
    let lists = [
        "/leads",
        "/quarantine",
        "/deliveries",
        "/deliveries?sink=crm",
    ];
    let at = |list: &str, rest: &str| {
        let sign = if list.contains('?') { '&' } else { '?' };
        format!("{list}{sign}{rest}")
    };
    let mut cursors = Vec::new();
    for list in lists {
        let page = desk.get(&at(list, "limit=1")).await;
        let next = page["next"].as_str().expect("a next page").to_owned();
        let second = desk.get(&at(list, &format!("limit=1&cursor={next}"))).await;
        assert_ne!(page["items"], second["items"], "{list}");
        cursors.push((list, next));
    }
    let foreign = [
        hex(b"m/index-key"),
        hex(b"m/totals"),
        hex(b"u"),
        hex(b"l"),
        hex(b"uz"),
        hex(&[b'w'; 5]),
        hex(&[0xff; 17]),
        hex(&[b'x'; 21]),
        "00".to_owned(),
    ];
    for list in lists {
        let others = cursors
            .iter()
            .filter(|(of, _)| of.split('?').next() != list.split('?').next());
        for cursor in foreign.iter().chain(others.map(|(_, cursor)| cursor)) {
            let path = at(list, &format!("cursor={cursor}"));
            let (status, problem) = desk.ask(Method::GET, &path, "").await;
            assert_eq!(status, 400, "{path}: {problem}");
            let detail = problem["detail"].as_str().expect("a detail");
            assert!(detail.contains("not a cursor of this list"), "{detail}");
        }
    }
    let (_, next) = &cursors[3];
    let path = format!("/deliveries?sink=mail&cursor={next}");
    assert_eq!(
        desk.ask(Method::GET, &path, "").await.0,
        400,
        "of another sink"
    );
    let (status, _) = desk.post("/outbox/rekey", &json!({ "from": "xyz" })).await;
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn a_rebound_name_reaches_nothing_of_a_listener_on_loopback() {
    let desk = desk();
    let app = App::new()
        .app_data(web::Data::from(Arc::clone(&desk.admin)))
        .configure(|config| routes(config, |_| {}));
    let service = test::init_service(app).await;
    for path in ["/livez", "/readyz", "/metrics", "/api/v1/stats", "/nowhere"] {
        for (header, value, status) in [
            ("host", "evil.example:8081", Some(403)),
            ("origin", "http://evil.example", Some(403)),
            ("host", "127.0.0.1:8081", None),
        ] {
            let request = test::TestRequest::with_uri(path)
                .insert_header((header, value))
                .insert_header((AUTHORIZATION, "Bearer token"));
            let answer = test::call_service(&service, request.to_request()).await;
            let got = answer.status().as_u16();
            let wanted = status.unwrap_or(if path == "/nowhere" { 404 } else { 200 });
            assert_eq!(got, wanted, "{path} {header}: {value}");
        }
    }
}
