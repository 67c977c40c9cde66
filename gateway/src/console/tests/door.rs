//! Coming in, staying in, going out; and what every page carries.

use std::time::Duration;

use super::*;
use crate::console::rooms;

#[actix_web::test]
async fn nobody_sees_a_page_without_a_session_nor_posts_a_form() {
    let browser = Browser::outside();
    let id = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";
    let mut asked = 0;
    for at in rooms() {
        let path = at.path.replace("{id}", id).replace("{name}", "crm");
        for method in &at.methods {
            let method: Method = method.parse().expect("a method");
            let seen = browser.ask(method.clone(), &path, &[], "csrf=").await;
            assert_eq!(seen.status, StatusCode::SEE_OTHER, "{method} {path}");
            assert!(seen.header("location").starts_with("/login"), "{path}");
            assert_eq!(seen.body, "", "{path}");
            asked += 1;
        }
    }
    assert!(asked >= 2);
    let script = browser
        .ask(Method::GET, "/", &[("hx-request", "true")], "")
        .await;
    assert_eq!(script.status, StatusCode::UNAUTHORIZED);
    let deep = browser.get("/leads?source=shop").await;
    assert_eq!(
        deep.header("location"),
        "/login?next=%2Fleads%3Fsource%3Dshop"
    );
}

#[actix_web::test]
async fn every_form_needs_the_secret_of_its_session_and_this_origin() {
    let browser = Browser::new().await;
    let csrf = browser.get("/").await.field("csrf");
    let other = Browser::new().await.get("/").await.field("csrf");
    let id = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";
    let mut asked = 0;
    for at in rooms() {
        if !at.methods.contains(&"POST") {
            continue;
        }
        let path = at.path.replace("{id}", id).replace("{name}", "crm");
        for body in [String::new(), "csrf=".to_owned(), format!("csrf={other}")] {
            let seen = browser.post(&path, &body).await;
            assert_eq!(seen.status, StatusCode::FORBIDDEN, "{path} {body}");
        }
        let body = format!("csrf={csrf}");
        for header in [(ORIGIN.as_str(), "null"), ("sec-fetch-site", "cross-site")] {
            let seen = browser.ask(Method::POST, &path, &[header], &body).await;
            assert_eq!(seen.status, StatusCode::FORBIDDEN, "{path} {header:?}");
        }
        asked += 1;
    }
    assert!(asked >= 1);
    assert_eq!(browser.get("/").await.status, StatusCode::OK, "still in");
}

#[actix_web::test]
async fn the_cookie_is_for_this_host_alone_and_for_tls_where_it_came_by_that() {
    let browser = Browser::outside();
    let seen = browser
        .post("/login", "token=token&next=//evil.example")
        .await;
    assert_eq!(seen.header("location"), "/evil.example");
    let cookie = seen.header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    let tls = [("x-forwarded-proto", "https")];
    let seen = browser
        .ask(Method::POST, "/login", &tls, "token=token")
        .await;
    assert!(
        seen.header("set-cookie")
            .ends_with("SameSite=Strict; Secure")
    );
}

#[actix_web::test]
async fn wrong_tokens_are_refused_counted_and_slowed() {
    let browser = Browser::outside();
    for body in ["", "token=", "token=wrong"] {
        let seen = browser.post("/login", body).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{body}");
        assert!(
            seen.body.contains("令牌不正确，或已被撤销"),
            "{}",
            seen.body
        );
        assert!(seen.headers.get(SET_COOKIE).is_none());
    }
    for _ in 0..10 {
        browser.post("/login", "token=wrong").await;
    }
    let right = browser.post("/login", "token=token").await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(browser.desk.admin.metrics.admin.wrong_tokens.get() >= 10);
}

#[actix_web::test]
async fn a_session_ends_by_leaving_and_with_its_token() {
    let browser = Browser::new().await;
    let seen = browser.send("/logout", "").await;
    assert_eq!(seen.header("location"), "/login");
    assert!(seen.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);

    let browser = Browser::new().await;
    let admin = &browser.desk.admin;
    let token = |token: &str| {
        let old = admin.configured.get();
        admin.configured.set(old.with_token(token))
    };
    token("another");
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
    token("token");
    assert_eq!(
        browser.get("/").await.status,
        StatusCode::SEE_OTHER,
        "it is gone"
    );
    let now = admin.clock.monotonic() + Duration::from_secs(1);
    assert_eq!(browser.console.sessions.list(now).len(), 0);
}

#[actix_web::test]
async fn every_answer_carries_the_headers_and_loads_nothing_of_others() {
    let browser = Browser::new().await;
    for path in ["/", "/login", "/no-such-page", "/assets/0/style.css"] {
        let seen = browser.get(path).await;
        let policy = seen.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}"
        );
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(seen.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(seen.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(seen.header("cache-control"), "no-store", "{path}");
        assert!(is_calm(&seen.body), "{path}: {}", seen.body);
    }
    let page = browser.get("/").await;
    for (begins, kind) in [
        ("<link rel=\"stylesheet\" href=\"", "text/css"),
        ("<script src=\"", "text/javascript"),
    ] {
        let (_, rest) = page.body.split_once(begins).expect("the page names it");
        let seen = browser
            .get(rest.split('"').next().expect("an address"))
            .await;
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.header("content-type").starts_with(kind));
        assert!(seen.header("cache-control").contains("immutable"));
    }
}

#[actix_web::test]
async fn the_language_is_changed_by_a_link_and_remembered() {
    let mut browser = Browser::new().await;
    let seen = browser.get("/?a=b&lang=en").await;
    assert_eq!(seen.header("location"), "/?a=b");
    let cookie = seen
        .header("set-cookie")
        .split(';')
        .next()
        .expect("a cookie");
    assert_eq!(cookie, "leadgate_lang=en");
    browser.cookie = format!("{}; {cookie}", browser.cookie);
    let page = browser.get("/").await;
    assert!(page.body.contains("<html lang=\"en\">") && page.body.contains("Overview"));
}

#[actix_web::test]
async fn a_page_that_is_not_there_says_so_in_the_readers_language() {
    let mut browser = Browser::new().await;
    for (lang, said) in [("zh-CN", "没有这个页面"), ("en", "there is no such page")] {
        browser.lang = lang;
        let seen = browser.get("/no-such-page").await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND);
        assert!(seen.body.contains(said), "{}", seen.body);
    }
    let api = browser.get("/api/v1/no-such").await;
    assert_eq!(
        api.status,
        StatusCode::UNAUTHORIZED,
        "a session is no token"
    );
}

#[actix_web::test]
async fn the_overview_says_what_needs_a_person() {
    let mut browser = Browser::new().await;
    for (lang, word) in LANGUAGES {
        browser.lang = lang;
        let seen = browser.get("/").await;
        assert!(seen.body.contains(word), "{}", seen.body);
        assert!(seen.body.contains("class=\"calm\""), "{}", seen.body);
    }
    browser.desk.accept(1).await;
    browser.desk.end_all(crate::admin::tests::dead).await;
    browser.desk.quarantine("shop", "x").await;
    for (lang, dead, aside) in [
        ("zh-CN", "死信：", "隔离推送："),
        ("en", "dead letters:", "pushes in quarantine:"),
    ] {
        browser.lang = lang;
        let seen = browser.get("/").await;
        assert!(!seen.body.contains("class=\"calm\""));
        for part in [
            dead,
            aside,
            "href=\"/failures\"",
            "<bdi>crm</bdi>",
            "<bdi>mail</bdi>",
        ] {
            assert!(seen.body.contains(part), "{part}: {}", seen.body);
        }
        assert!(!seen.body.contains("13567658911"));
    }
}
