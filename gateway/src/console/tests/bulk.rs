//! Failures in groups, and bulk jobs: planned, asked about, started, stopped.

use serde_json::Value;

use super::*;
use crate::admin::tests::dead;

const HOSTILE: &str = "<script>alert(1)</script>\u{202e} \" onclick=\"x";

/// Ids of paths like `/bulk/ID/start` in a page.
fn between<'a>(page: &'a Seen, begins: &str, ends: &str) -> &'a str {
    let (_, rest) = page.body.split_once(begins).expect("it begins");
    let (id, _) = rest.split_once(ends).expect("it ends");
    id
}

impl Browser {
    async fn dead(&self, many: u64) {
        for record in 0..many {
            self.desk.accept(record).await;
        }
        while !self.desk.end_all(dead).await.is_empty() {}
    }

    /// A plan to retry what is dead: its page and its id.
    async fn planned(&self) -> (Seen, String) {
        let plan = self.send("/bulk", "action=retry&sink=crm").await;
        assert_eq!(plan.status, StatusCode::OK, "{}", plan.body);
        let id = between(&plan, "action=\"/bulk/", "/start\"").to_owned();
        (plan, id)
    }

    fn state(&self, id: &str) -> Value {
        let jobs = self.desk.admin.outbox.jobs();
        let job = jobs.iter().find(|(one, _)| one.to_string() == id);
        job.expect("it is kept").1.state.as_str().into()
    }
}

#[actix_web::test]
async fn what_failed_alike_is_a_group_with_a_masked_sample_and_a_plan_for_all_of_it() {
    let mut browser = Browser::new().await;
    for (lang, none) in [("zh-CN", "没有失败的投递。"), ("en", "Nothing fails.")] {
        browser.lang = lang;
        assert!(browser.get("/failures").await.body.contains(none));
    }
    browser.dead(2).await;
    for (lang, title, plan) in [
        ("zh-CN", "失败", "查看重试计划"),
        ("en", "Failures", "Plan a retry"),
    ] {
        browser.lang = lang;
        let seen = browser.get("/failures?sink=crm").await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        for part in [
            title,
            plan,
            "the destination refused",
            "status-4xx",
            "<bdi>crm</bdi>",
            "张**",
            "135****8911",
            "href=\"/deliveries?group=",
        ] {
            assert!(seen.body.contains(part), "{part}: {}", seen.body);
        }
        assert!(!seen.body.contains("13567658911"), "{}", seen.body);
        assert!(is_calm(&seen.body));
        let group = between(&seen, "name=\"group\" value=\"", "\"");
        let listed = browser.get(&format!("/deliveries?group={group}")).await;
        assert_eq!(listed.body.matches("href=\"/deliveries/0").count(), 2);
        let plan = browser
            .send("/bulk", &format!("action=retry&group={group}"))
            .await;
        assert!(plan.body.contains("<b>2</b>"), "{}", plan.body);
    }
    let none = browser.get("/failures?sink=nobody").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn a_plan_shows_what_it_would_do_and_does_nothing_until_it_is_started() {
    let mut browser = Browser::new().await;
    browser.dead(7).await;
    let (plan, id) = browser.planned().await;
    assert!(
        plan.body.contains("这是计划：尚未执行任何操作"),
        "{}",
        plan.body
    );
    let samples = plan.body.split("id=\"samples\"").nth(1).expect("samples");
    assert_eq!(samples.matches("href=\"/deliveries/0").count(), 5);
    assert_eq!(browser.state(&id), "planned");
    let page = format!("/bulk/{id}");
    let started = browser.send(&format!("{page}/start"), "").await;
    assert_eq!(started.header("location"), page, "{}", started.body);
    let said = browser.get(&page).await;
    for part in ["任务已开始。", "已发出的无法收回", "执行中", "hx-get"] {
        assert!(said.body.contains(part), "{part}: {}", said.body);
    }
    let stopped = browser.send(&format!("{page}/cancel"), "").await;
    assert_eq!(stopped.header("location"), page, "{}", stopped.body);
    browser.lang = "en";
    let said = browser.get(&page).await;
    for part in [
        "The job was stopped.",
        "somebody stopped it",
        "Let it go on",
    ] {
        assert!(said.body.contains(part), "{part}: {}", said.body);
    }
    assert!(!said.body.contains("hx-get=\"/bulk"), "{}", said.body);
    let again = browser.send(&format!("{page}/start"), "").await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.body);
    for (lang, action) in [("zh-CN", "重新投递"), ("en", "retry")] {
        browser.lang = lang;
        let list = browser.get("/bulk").await;
        assert!(
            list.body
                .contains(&format!("href=\"{page}\"><bdi>{action}")),
            "{}",
            list.body
        );
    }
}

#[actix_web::test]
async fn over_a_hundred_are_started_by_who_types_how_many_they_are() {
    let browser = Browser::new().await;
    browser.dead(101).await;
    let (plan, id) = browser.planned().await;
    assert!(plan.body.contains("name=\"count\""), "{}", plan.body);
    let start = format!("/bulk/{id}/start");
    for typed in ["", "count=", "count=100", "count=all"] {
        let seen = browser.send(&start, typed).await;
        assert_eq!(seen.status, StatusCode::OK, "{typed}: {}", seen.body);
        assert!(seen.body.contains("没有开始"), "{typed}: {}", seen.body);
        assert_eq!(browser.state(&id), "planned", "{typed}");
    }
    let seen = browser.send(&start, "count=101").await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.body);
    assert_eq!(browser.state(&id), "running");
}

#[actix_web::test]
async fn a_viewer_sees_jobs_and_failures_and_no_form() {
    let browser = Browser::of(Role::Viewer).await;
    browser.dead(1).await;
    for path in ["/failures", "/bulk", "/deliveries"] {
        let seen = browser.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        assert!(!seen.body.contains("action=\"/bulk"), "{}", seen.body);
    }
    let planned = browser.send("/bulk", "action=retry&sink=crm").await;
    assert_eq!(planned.status, StatusCode::FORBIDDEN);
}

#[actix_web::test]
async fn what_a_destination_says_is_text_in_groups_and_plans() {
    let mut browser = Browser::new().await;
    browser.desk.accept(1).await;
    browser.desk.end_all_by("status-4xx", HOSTILE, dead).await;
    for lang in ["zh-CN", "en"] {
        browser.lang = lang;
        let (plan, id) = browser.planned().await;
        let job = browser.get(&format!("/bulk/{id}")).await;
        let failures = browser.get("/failures").await;
        assert!(
            failures.body.contains("&lt;script&gt;"),
            "{}",
            failures.body
        );
        for page in [plan, job, failures] {
            assert!(is_calm(&page.body), "{}", page.body);
            assert!(!page.body.contains('\u{202e}'), "{}", page.body);
        }
    }
}

#[actix_web::test]
async fn many_are_planned_from_a_list_of_deliveries() {
    let browser = Browser::new().await;
    browser.dead(2).await;
    let list = browser.get("/deliveries?sink=crm&state=dead").await;
    assert!(list.body.contains("action=\"/bulk\""), "{}", list.body);
    let plan = browser
        .send("/bulk", "action=cancel&sink=crm&state=dead&note=test")
        .await;
    assert!(plan.body.contains("<b>2</b>"), "{}", plan.body);
    let wrong = browser.send("/bulk", "action=done&sink=crm").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.body);
    assert!(wrong.body.contains("缺少"), "{}", wrong.body);
}
