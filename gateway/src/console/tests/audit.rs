//! The audit log and the tokens: an admin's pages.

use super::*;

#[actix_web::test]
async fn the_log_is_listed_filtered_checked_and_exported_in_both_languages() {
    let mut browser = Browser::new().await;
    browser.desk.quarantine("shop", "[]").await;
    let list = browser.get("/quarantine").await;
    let (_, rest) = list.body.split_once("href=\"/quarantine/").expect("one");
    let id = rest[..36].to_owned();
    browser.send("/leads", "by=phone&value=13567658911").await;
    browser.send(&format!("/quarantine/{id}/discard"), "").await;
    for (lang, texts) in [
        ("zh-CN", ["管理员", "控制台", "没有条目被删除或改动"]),
        (
            "en",
            ["admin", "console", "No entry was removed or changed"],
        ),
    ] {
        browser.lang = lang;
        let page = browser.get("/audit?verify=now&who=&action=").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        assert!(is_calm(&page.body));
        for text in texts {
            assert!(page.body.contains(text), "{text}: {}", page.body);
        }
        assert!(page.body.contains(&format!("href=\"/quarantine/{id}\"")));
        assert!(!page.body.contains("13567658911"));
    }
    let some = browser.get("/audit?action=leads.search").await;
    assert!(!some.body.contains(&id));
    let file = browser
        .send("/audit/export", "action=quarantine.discard")
        .await;
    assert_eq!(file.status, StatusCode::OK, "{}", file.body);
    assert!(file.header("content-disposition").contains("attachment"));
    assert_eq!(file.body.lines().count(), 1, "{}", file.body);
    assert!(file.body.contains(&id));
    let log = browser.desk.get("/audit?action=audit.export").await;
    assert_eq!(log["items"][0]["via"], "console", "{log}");
}

#[actix_web::test]
async fn a_token_is_shown_once_lets_in_and_is_revoked() {
    let mut browser = Browser::new().await;
    let made = browser.send("/tokens", "name=chen&role=viewer").await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let at = made.body.find("lg_").expect("it is shown");
    let token: String = made.body[at..]
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter))
        .collect();
    assert_eq!(made.header("cache-control"), "no-store");
    for (lang, text) in [("zh-CN", "查看者"), ("en", "viewer")] {
        browser.lang = lang;
        let list = browser.get("/tokens").await;
        assert!(list.body.contains("chen") && list.body.contains(text));
        assert!(!list.body.contains(&token), "never again");
        assert!(is_calm(&list.body));
    }
    let mut chen = Browser {
        desk: browser.desk,
        console: Arc::clone(&browser.console),
        cookie: String::new(),
        lang: "zh-CN",
    };
    chen.come_in(&token).await;
    assert_eq!(chen.get("/").await.status, StatusCode::OK);
    assert_eq!(chen.get("/tokens").await.status, StatusCode::FORBIDDEN);
    assert_eq!(chen.get("/audit").await.status, StatusCode::FORBIDDEN);
    let home = chen.get("/").await;
    assert!(!home.body.contains("href=\"/tokens\""), "no way there");
    let admin = Browser {
        desk: chen.desk,
        console: Arc::clone(&chen.console),
        cookie: browser.cookie,
        lang: "zh-CN",
    };
    let done = admin.send("/tokens/chen/revoke", "").await;
    assert_eq!(done.header("location"), "/tokens", "{}", done.body);
    assert!(admin.get("/tokens").await.body.contains("已撤销"));
    let chen = Browser {
        cookie: chen.cookie,
        ..admin
    };
    assert_eq!(chen.get("/").await.status, StatusCode::SEE_OTHER);
    let bad = Browser::new().await.send("/tokens", "name=&role=").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}
