//! Sinks, their mapping tester, and plugins.

use super::*;
use crate::admin::tests::dead;
use crate::admin::tests::mapping::{SECRET, mapped};

/// As a form sends a text.
fn coded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// What stands in an area of a page's form.
fn area(seen: &Seen, name: &str) -> String {
    let (_, rest) = seen
        .body
        .split_once(&format!("<textarea id=\"{name}\""))
        .unwrap_or_else(|| panic!("{}", seen.body));
    let (_, text) = rest.split_once(">\n").expect("an area");
    let text = text.split("</textarea>").next().expect("an end");
    let text = text.replace("&#34;", "\"").replace("&#39;", "'");
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
}

#[actix_web::test]
async fn sinks_are_shown_with_what_waits_and_what_is_set_in_both_languages() {
    let mut browser = Browser::at(mapped().await).await;
    browser.desk.accept(1).await;
    browser.desk.end_all(dead).await;
    for (lang, list, one) in [
        (
            "zh-CN",
            ["已暂停", "18/min", "不限"],
            ["投递速率上限", "store_id == 437763404", "对方拒绝"],
        ),
        (
            "en",
            ["paused", "18/min", "no limit"],
            ["Attempts at most", "store_id == 437763404", "rejected"],
        ),
    ] {
        browser.lang = lang;
        let all = browser.get("/sinks").await;
        assert_eq!(all.status, StatusCode::OK, "{}", all.body);
        for part in list
            .into_iter()
            .chain(["href=\"/sinks/crm\"", "href=\"/sinks/mail\""])
        {
            assert!(all.body.contains(part), "{part}: {}", all.body);
        }
        let crm = browser.get("/sinks/crm").await;
        assert_eq!(crm.status, StatusCode::OK, "{}", crm.body);
        let dead = "/deliveries?sink=crm&amp;state=dead";
        for part in one.into_iter().chain([dead, "max_attempts"]) {
            assert!(crm.body.contains(part), "{part}: {}", crm.body);
        }
        for page in [&all, &crm] {
            assert!(
                is_calm(&page.body) && !page.body.contains(SECRET),
                "{}",
                page.body
            );
        }
        let none = browser.get("/sinks/nobody").await;
        assert_eq!(none.status, StatusCode::NOT_FOUND);
    }
}

#[actix_web::test]
async fn a_sink_is_paused_with_a_note_and_resumed_and_the_page_says_so() {
    let mut browser = Browser::new().await;
    let note = "<script>x</script> the CRM renamed a field";
    let paused = browser
        .send("/sinks/crm/pause", &format!("note={}", coded(note)))
        .await;
    assert_eq!(paused.header("location"), "/sinks/crm", "{}", paused.body);
    assert!(browser.desk.admin.outbox.paused("crm"));
    let said = browser.get("/sinks/crm").await;
    assert!(said.body.contains("目的地已暂停"), "{}", said.body);
    for path in ["/sinks", "/sinks/crm"] {
        let page = browser.get(path).await;
        assert!(
            page.body.contains("the CRM renamed a field"),
            "{}",
            page.body
        );
        assert!(is_calm(&page.body), "{}", page.body);
    }
    browser.lang = "en";
    let resumed = browser.send("/sinks/crm/resume", "").await;
    assert_eq!(resumed.header("location"), "/sinks/crm", "{}", resumed.body);
    assert!(!browser.desk.admin.outbox.paused("crm"));
    let said = browser.get("/sinks/crm").await;
    assert!(said.body.contains("ended: its pause"), "{}", said.body);
    let again = browser.send("/sinks/crm/resume", "").await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    let said = browser.get("/sinks/crm").await;
    assert!(
        said.body.contains("Nothing held the sink back."),
        "{}",
        said.body
    );
    // Without a lane there is nobody to send it.
    let tested = browser.send("/sinks/crm/test", "").await;
    assert_eq!(tested.status, StatusCode::NOT_FOUND, "{}", tested.body);
}

#[actix_web::test]
async fn a_mapping_is_tried_on_a_dead_letter_and_ends_with_what_to_paste() {
    let mut browser = Browser::at(mapped().await).await;
    let lead = browser.desk.accept(1).await;
    let delivery = browser.desk.end_all(dead).await[0];
    let file = browser.desk.file();
    for (lang, words) in [
        (
            "zh-CN",
            ["逐行对比", "启用这些设置", "leadgate check", "接收这条客资"],
        ),
        (
            "en",
            [
                "Line by line",
                "To use these settings",
                "leadgate check",
                "wants this lead",
            ],
        ),
    ] {
        browser.lang = lang;
        let delivery_page = browser.get(&format!("/deliveries/{delivery}")).await;
        let link = format!("/sinks/crm/mapping?id={delivery}");
        assert!(delivery_page.body.contains(&link), "{}", delivery_page.body);
        let form = browser.get(&link).await;
        assert_eq!(form.status, StatusCode::OK, "{}", form.body);
        assert!(form.body.contains("+8613800138000"), "{}", form.body);
        let settings = area(&form, "settings");
        assert!(settings.contains("token = \"file:token\""), "{settings}");
        let edited = coded(&settings.replace("phone = ", "mobile = "));
        for id in [delivery.to_string(), lead.to_string()] {
            let seen = browser
                .send("/sinks/crm/mapping", &format!("id={id}&settings={edited}"))
                .await;
            assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
            for word in words {
                assert!(seen.body.contains(word), "{word}: {}", seen.body);
            }
            assert!(
                seen.body.contains("<li class=\"removed\">"),
                "{}",
                seen.body
            );
            assert!(seen.body.contains("<li class=\"added\">"), "{}", seen.body);
            assert!(area(&seen, "settings").contains("mobile = "));
            for hidden in [SECRET, "13567658911", "张三", "浙江杭州"] {
                assert!(!seen.body.contains(hidden), "{hidden}: {}", seen.body);
            }
            assert!(is_calm(&seen.body), "{}", seen.body);
        }
    }
    assert_eq!(browser.desk.file(), file, "nothing is saved");
}

#[actix_web::test]
async fn what_is_wrong_is_shown_above_what_was_typed() {
    let mut browser = Browser::at(mapped().await).await;
    let settings = area(&browser.get("/sinks/crm/mapping").await, "settings");
    for (lang, words) in [
        ("zh-CN", "修改后的设置无法使用"),
        ("en", "cannot be used: 1 error"),
    ] {
        browser.lang = lang;
        let wrong = settings.replace("{{ name }}", "{{ nmae }}");
        let body = format!(
            "settings={}&push={}",
            coded(&wrong),
            coded("{\"store_id\": 7}")
        );
        let seen = browser.send("/sinks/crm/mapping", &body).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        for part in [words, "edited.toml:12:", "role=\"alert\""] {
            assert!(seen.body.contains(part), "{part}: {}", seen.body);
        }
        assert_eq!(area(&seen, "settings").trim(), wrong.trim());
        assert_eq!(area(&seen, "push"), "{\"store_id\": 7}");
        for (field, value) in [
            ("id", "1"),
            ("id", &uuid::Uuid::now_v7().to_string()),
            ("push", "["),
        ] {
            let body = format!("{field}={}", coded(value));
            let seen = browser.send("/sinks/crm/mapping", &body).await;
            assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
            assert!(seen.body.contains("role=\"alert\""), "{}", seen.body);
        }
    }
}

#[actix_web::test]
async fn a_hostile_lead_that_is_pasted_is_text() {
    let mut browser = Browser::at(mapped().await).await;
    let settings = area(&browser.get("/sinks/crm/mapping").await, "settings");
    let name = "</textarea></pre><script>alert(1)</script>\" onclick=\"x";
    let long = "长".repeat(10_000);
    let push = serde_json::json!({ "name": format!("{name}{long}"), "phone": "13811112222", "store_id": 7 });
    let body = format!(
        "settings={}&push={}",
        coded(&settings.replace("{{ name }}", "<i>{{ name }}")),
        coded(&push.to_string())
    );
    for lang in ["zh-CN", "en"] {
        browser.lang = lang;
        let seen = browser.send("/sinks/crm/mapping", &body).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        assert!(seen.body.contains("+8613811112222"), "{}", seen.body);
        assert!(is_calm(&seen.body), "{}", seen.body);
        assert!(
            !seen.body.contains("<script>") && !seen.body.contains("<i>"),
            "{}",
            seen.body
        );
        assert_eq!(seen.body.matches("</textarea>").count(), 2);
    }
    // As large as the API takes it, which is more than other forms may be.
    let large = serde_json::json!({ "name": "长".repeat(60_000), "store_id": 7 }).to_string();
    let body = format!("settings={}&push={}", coded(&settings), coded(&large));
    let seen = browser.send("/sinks/crm/mapping", &body).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("class=\"sides\""));
}

#[actix_web::test]
async fn a_viewer_sees_sinks_and_changes_and_tries_nothing() {
    let browser = Browser::of(Role::Viewer).await;
    let page = browser.get("/sinks/crm").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    for part in ["/sinks/crm/pause", "/sinks/crm/test", "/sinks/crm/mapping"] {
        assert!(!page.body.contains(part), "{part}");
        let done = browser.send(part, "").await;
        assert_eq!(done.status, StatusCode::FORBIDDEN, "{part}: {}", done.body);
    }
    let tester = browser.get("/sinks/crm/mapping").await;
    assert_eq!(tester.status, StatusCode::FORBIDDEN);
    assert!(!browser.desk.admin.outbox.paused("crm"));
}

#[actix_web::test]
async fn plugins_are_shown_with_where_they_run_and_who_uses_them() {
    let mut browser = Browser::new().await;
    for (lang, words) in [
        ("zh-CN", ["内置", "leadgate 进程内", "能力"]),
        ("en", ["built in", "in leadgate&#39;s process", "It can"]),
    ] {
        browser.lang = lang;
        let seen = browser.get("/plugins").await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        for part in words
            .into_iter()
            .chain(["render", "href=\"/sinks/crm\"", "<bdi>file</bdi>"])
        {
            assert!(seen.body.contains(part), "{part}: {}", seen.body);
        }
        assert!(is_calm(&seen.body), "{}", seen.body);
    }
}
