//! The system: what runs, reload, and sessions.

use super::*;

#[actix_web::test]
async fn the_system_says_what_runs_and_who_is_in() {
    let mut browser = Browser::new().await;
    for (lang, words) in [
        ("zh-CN", ["发件箱", "会话", "当前"]),
        ("en", ["Outbox", "Sessions", "this one"]),
    ] {
        browser.lang = lang;
        let seen = browser.get("/system").await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        for word in words.into_iter().chain([env!("CARGO_PKG_VERSION")]) {
            assert!(seen.body.contains(word), "{word}: {}", seen.body);
        }
        assert!(is_calm(&seen.body));
    }
}

#[actix_web::test]
async fn a_reload_that_does_not_work_says_why() {
    let mut browser = Browser::new().await;
    for (lang, said) in [("zh-CN", "此处没有文件"), ("en", "no files here")] {
        browser.lang = lang;
        let seen = browser.send("/system/reload", "").await;
        assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(seen.body.contains(said), "{}", seen.body);
    }
}

#[actix_web::test]
async fn a_session_is_ended_by_another_one() {
    let browser = Browser::new().await;
    let seen = browser.post("/login", "token=token").await;
    let cookie = seen
        .header("set-cookie")
        .split(';')
        .next()
        .expect("a cookie");
    let secret = cookie.split_once('=').expect("a value").1;
    let now = browser.desk.admin.clock.monotonic();
    let other = browser
        .console
        .sessions
        .of(secret, now)
        .expect("it is in")
        .name;
    let path = format!("/system/sessions/{other}/end");
    let done = browser.send(&path, "").await;
    assert_eq!(done.header("location"), "/system", "{}", done.body);
    assert!(browser.console.sessions.of(secret, now).is_none());
    assert!(browser.get("/system").await.body.contains("会话已结束。"));
    assert_eq!(browser.send(&path, "").await.status, StatusCode::NOT_FOUND);
}
