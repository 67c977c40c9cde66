//! The quarantine: looked at masked, revealed with a reason, released after a question, discarded.

use super::*;

const HOSTILE: &str =
    "{\"name\":\"张三\",\"phone\":\"13567658911\",\"x\":\"<script>alert(1)</script>\"}";

/// The only one there.
async fn only(browser: &Browser) -> String {
    let list = browser.get("/quarantine").await;
    assert_eq!(list.status, StatusCode::OK, "{}", list.body);
    let (_, rest) = list.body.split_once("href=\"/quarantine/").expect("one");
    rest[..36].to_owned()
}

#[actix_web::test]
async fn a_push_is_shown_masked_with_what_it_would_become_in_both_languages() {
    let mut browser = Browser::new().await;
    let empty = browser.get("/quarantine").await;
    assert!(empty.body.contains("没有等待处理的推送"), "{}", empty.body);
    browser.desk.quarantine("shop", HOSTILE).await;
    let id = only(&browser).await;
    for (lang, texts) in [
        ("zh-CN", ["放行后会成为", "无法解析", "投递到", "永久丢弃"]),
        (
            "en",
            [
                "What it would become",
                "unparsable",
                "For the sinks",
                "Discard it for good",
            ],
        ),
    ] {
        browser.lang = lang;
        let list = browser
            .get("/quarantine?reason=unparsable&source=shop&since=&until=")
            .await;
        let one = browser.get(&format!("/quarantine/{id}")).await;
        assert_eq!(one.status, StatusCode::OK, "{}", one.body);
        for text in texts {
            assert!(one.body.contains(text), "{text}: {}", one.body);
        }
        for page in [&list, &one] {
            assert!(is_calm(&page.body));
            for hidden in ["13567658911", "张三", "script&gt;alert"] {
                assert!(!page.body.contains(hidden), "{hidden}: {}", page.body);
            }
        }
    }
    let other = browser.get("/quarantine?reason=stale").await;
    assert!(!other.body.contains(&id));
}

#[actix_web::test]
async fn what_was_pushed_is_shown_as_text_to_an_admin_who_says_why() {
    let browser = Browser::new().await;
    browser.desk.quarantine("shop", HOSTILE).await;
    let id = only(&browser).await;
    let path = format!("/quarantine/{id}");
    for reason in ["", "reason=a", "reason=13567658911"] {
        let seen = browser.send(&path, reason).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{reason}");
        assert!(!seen.body.contains("张三"));
    }
    let seen = browser.send(&path, "reason=support+ticket").await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    assert!(seen.body.contains("张三") && seen.body.contains("app_key=1"));
    assert!(seen.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(is_calm(&seen.body));
    let audited = browser.desk.get("/audit?action=quarantine.reveal").await;
    let entry = &audited["items"][0];
    assert_eq!(entry["note"], "support ticket", "{audited}");
    assert_eq!(entry["via"], "console");
    assert_eq!(entry["target"], id);
}

#[actix_web::test]
async fn a_lead_without_phone_and_name_is_asked_about_before_it_is_released() {
    let browser = Browser::of(Role::Operator).await;
    browser.desk.quarantine("shop", "nobody").await;
    let id = only(&browser).await;
    let release = format!("/quarantine/{id}/release");
    let page = browser.get(&format!("/quarantine/{id}")).await;
    assert!(page.body.contains("缺少："), "{}", page.body);
    // Without the box nothing happens but the question.
    for _ in 0..2 {
        let asked = browser.send(&release, "").await;
        assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
        assert!(asked.body.contains("请先确认"), "{}", asked.body);
        assert!(asked.body.contains("name=\"sure\""));
    }
    let leads = browser.desk.get("/leads").await;
    assert_eq!(leads["items"].as_array().map(Vec::len), Some(0));
    let done = browser.send(&release, "sure=true").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let lead = browser.get(done.header("location")).await;
    assert_eq!(lead.status, StatusCode::OK, "{}", lead.body);
    assert!(lead.body.contains("推送已放行"), "{}", lead.body);
    assert!(lead.body.contains("如需撤销"), "{}", lead.body);
    let again = browser.send(&release, "sure=true").await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_whole_lead_is_released_at_once_and_one_nobody_wants_is_discarded() {
    let mut browser = Browser::of(Role::Operator).await;
    browser.lang = "en";
    browser.desk.quarantine("shop", "{}").await;
    let id = only(&browser).await;
    let done = browser.send(&format!("/quarantine/{id}/release"), "").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    browser.desk.quarantine("shop", "[]").await;
    let id = only(&browser).await;
    let gone = browser.send(&format!("/quarantine/{id}/discard"), "").await;
    assert_eq!(gone.header("location"), "/quarantine");
    let list = browser.get("/quarantine").await;
    assert!(
        list.body.contains("The push was discarded."),
        "{}",
        list.body
    );
    assert!(list.body.contains("cannot be undone"));
    assert!(list.body.contains("Nothing waits here."));
    // Of a source that is not configured any more.
    browser.desk.quarantine("gone", "[]").await;
    let id = only(&browser).await;
    let one = browser.get(&format!("/quarantine/{id}")).await;
    assert!(one.body.contains("cannot be released"), "{}", one.body);
    assert!(!one.body.contains("/release\""));
}

#[actix_web::test]
async fn a_viewer_looks_and_decides_nothing() {
    let browser = Browser::of(Role::Viewer).await;
    browser.desk.quarantine("shop", HOSTILE).await;
    let id = only(&browser).await;
    for path in ["/quarantine".to_owned(), format!("/quarantine/{id}")] {
        let page = browser.get(&path).await;
        let forms = page.body.matches("method=\"post\"").count();
        assert_eq!(forms, 1, "only the way out: {}", page.body);
    }
    let forced = browser
        .send(&format!("/quarantine/{id}/release"), "sure=true")
        .await;
    assert_eq!(forced.status, StatusCode::FORBIDDEN);
}
