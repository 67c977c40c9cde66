//! Recent pushes: listed with what each means, one with what was signed of it.

use super::*;
use crate::admin::tests::pushes::{push, refused};
use crate::telemetry::pushes::{PushVerdict, RecentPush};

const ID: &str = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";

#[actix_web::test]
async fn the_last_pushes_are_told_in_both_languages_with_what_to_do() {
    let mut browser = Browser::of(Role::Viewer).await;
    let empty = browser.get("/pushes").await;
    assert_eq!(empty.status, StatusCode::OK, "{}", empty.body);
    assert!(empty.body.contains("启动以来还没有收到推送"));
    let pushes = &browser.desk.admin.pushes;
    for verdict in PushVerdict::ALL {
        pushes.note(push(verdict, None));
    }
    pushes.note(RecentPush {
        lead: Some(ID.to_owned()),
        ..push(PushVerdict::Accepted, None)
    });
    pushes.note(RecentPush {
        quarantined: Some(ID.to_owned()),
        ..push(PushVerdict::Quarantined, Some("stale"))
    });
    pushes.note(refused());
    for (lang, texts) in [
        (
            "zh-CN",
            [
                "已存为新客资。",
                "验证未通过",
                "签名不对",
                "时间戳过期",
                "看签了什么",
            ],
        ),
        (
            "en",
            [
                "It was stored as a new lead.",
                "refused",
                "wrong sign",
                "stale",
                "what was signed",
            ],
        ),
    ] {
        browser.lang = lang;
        let list = browser
            .get("/pushes?class=&verdict=&source=&limit=200")
            .await;
        assert_eq!(list.status, StatusCode::OK, "{}", list.body);
        assert!(is_calm(&list.body));
        for text in texts {
            assert!(list.body.contains(text), "{text}: {}", list.body);
        }
        for link in [
            format!("href=\"/leads/{ID}\""),
            format!("href=\"/quarantine/{ID}\""),
            "href=\"/pushes/17\"".to_owned(),
            "10.0.0.9".to_owned(),
        ] {
            assert!(list.body.contains(&link), "{link}");
        }
        let good = browser.get("/pushes?class=taken").await;
        assert!(!good.body.contains("href=\"/pushes/17\""));
        let one = browser.get("/pushes/1").await;
        assert_eq!(one.status, StatusCode::OK, "{}", one.body);
        assert!(is_calm(&one.body));
    }
}

#[actix_web::test]
async fn a_wrong_signature_shows_what_was_signed_and_what_to_mend() {
    let mut browser = Browser::of(Role::Viewer).await;
    browser.desk.admin.pushes.note(refused());
    for (lang, texts) in [
        (
            "zh-CN",
            [
                "密钥是对的，但参数 session 是签名之后才加上的。",
                "怎么办：",
            ],
        ),
        (
            "en",
            [
                "The secret is right, but the parameter session was added",
                "What to do:",
            ],
        ),
    ] {
        browser.lang = lang;
        let one = browser.get("/pushes/1").await;
        assert_eq!(one.status, StatusCode::OK, "{}", one.body);
        for text in texts.into_iter().chain([
            "⟨secret⟩app_key1session⟨1⟩⟨body 312⟩⟨secret⟩",
            "0A1B…2C3D",
            "utf-8",
        ]) {
            assert!(one.body.contains(text), "{text}: {}", one.body);
        }
    }
    let gone = browser.get("/pushes/2").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn what_a_sender_wrote_is_text_on_the_page_of_a_push() {
    let browser = Browser::of(Role::Viewer).await;
    let mut push = refused();
    let signed = push.signed.as_mut().expect("signed");
    signed.text = "⟨secret⟩<script>alert(1)</script>\u{202e}".to_owned();
    signed.order = vec!["<b>".to_owned()];
    browser.desk.admin.pushes.note(push);
    let one = browser.get("/pushes/1").await;
    assert!(is_calm(&one.body), "{}", one.body);
    assert!(one.body.contains("&lt;script&gt;"), "{}", one.body);
    assert!(!one.body.contains("<b>app") && !one.body.contains("<code><b>"));
    assert!(one.body.contains("U+202E"));
}
