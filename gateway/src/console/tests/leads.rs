//! Leads and deliveries: found, shown, revealed, mended, erased.

use super::*;
use crate::admin::tests::{arrival, dead};
use crate::outbox::{LeadId, Via};

/// What the sample says of the customer.
const PERSONAL: [&str; 5] = [
    "13567658911",
    "张三",
    "仓前街道",
    "浙江杭州",
    "43534cf9d5154543",
];

async fn hostile(browser: &Browser) -> LeadId {
    let now = browser.desk.admin.clock.now();
    let mut arrival = arrival(9, now);
    let long = "长".repeat(10_000);
    let name = "<script>alert(1)</script>\" onclick=\"x";
    let mut lead: serde_json::Value = serde_json::from_str(&arrival.lead).expect("JSON");
    lead["city_name"] = format!("{name} \u{202e}\u{1b}[31m").into();
    lead["name"] = name.into();
    lead["area_name"] = long.into();
    lead["other"] = serde_json::json!({ "<b>": "</dd><script src=x>" });
    arrival.lead = lead.to_string();
    arrival.raw = format!("</pre><script>{name}</script>");
    let accepted = browser.desk.admin.outbox.accept(arrival).await;
    accepted.expect("accepted").lead().expect("it is known")
}

#[actix_web::test]
async fn a_lead_is_found_by_the_last_four_and_shown_masked_in_both_languages() {
    let mut browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    for (lang, title, found) in [("zh-CN", "客户", "找到："), ("en", "Customer", "Found:")] {
        browser.lang = lang;
        let seen = browser.send("/leads", "by=phone&value=8911").await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        let link = format!("href=\"/leads/{id}\"");
        for part in [found, title, &link, "张**", "135****8911", "杭州"] {
            assert!(seen.body.contains(part), "{part}: {}", seen.body);
        }
        let none = browser.send("/leads", "by=phone&value=0000").await;
        assert!(!none.body.contains(&link));

        let list = browser.get("/leads?source=&since=&until=").await;
        assert!(list.body.contains(&link), "{}", list.body);
        let lead = browser.get(&format!("/leads/{id}")).await;
        assert_eq!(lead.status, StatusCode::OK, "{}", lead.body);
        for page in [&seen, &list, &lead] {
            for personal in PERSONAL {
                assert!(!page.body.contains(personal), "{personal}: {}", page.body);
            }
        }
        for name in crate::lead::Lead::NAMES {
            assert!(
                lead.body.contains(&format!("<dt title=\"{name}\">")),
                "{name}"
            );
        }
    }
}

#[actix_web::test]
async fn who_it_is_shows_only_to_who_says_why() {
    let browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    let path = format!("/leads/{id}");
    let without = browser.send(&path, "raw=true").await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST);
    let asked = browser.get(&format!("{path}?reveal=true")).await;
    for page in [&without, &asked] {
        assert!(!page.body.contains("13567658911"));
    }
    let seen = browser.send(&path, "reason=he+called+back").await;
    for personal in PERSONAL {
        assert!(seen.body.contains(personal), "{personal}: {}", seen.body);
    }
    assert!(!seen.body.contains("推送原文</h2>"));
    let raw = browser.send(&path, "reason=he+called+back&raw=true").await;
    assert!(raw.body.contains("推送原文</h2>"));
    let filter = crate::outbox::AuditFilter {
        action: Some("leads".to_owned()),
        ..crate::outbox::AuditFilter::default()
    };
    let entries = browser.desk.admin.outbox.audit(&filter, None, 100);
    let entries = entries.expect("reads").items;
    assert_eq!(entries.len(), 3, "two of the second");
    for entry in entries {
        let event = entry.event;
        assert_eq!(event.action, "leads.reveal");
        assert_eq!(
            (event.who.via, event.note.as_str()),
            (Via::Console, "he called back")
        );
        assert_eq!(event.target, id.to_string());
    }
    let phone = browser.send(&path, "reason=call+13567658911").await;
    assert_eq!(phone.status, StatusCode::BAD_REQUEST, "{}", phone.body);
    assert!(!phone.body.contains("张三"));
}

#[actix_web::test]
async fn hostile_leads_are_text_on_every_page() {
    let mut browser = Browser::new().await;
    let id = hostile(&browser).await;
    for lang in ["zh-CN", "en"] {
        browser.lang = lang;
        for page in [
            browser.get("/leads").await,
            browser.get(&format!("/leads/{id}")).await,
            browser
                .send(&format!("/leads/{id}"), "reason=test&raw=true")
                .await,
            browser.get("/deliveries").await,
            browser
                .get("/deliveries?sink=%3Cscript%3E&state=dead")
                .await,
        ] {
            assert!(is_calm(&page.body), "{}", page.body);
            assert!(!page.body.contains("<script>"), "{}", page.body);
            assert!(!page.body.contains('\u{1b}') && !page.body.contains('\u{202e}'));
        }
        let page = browser.send(&format!("/leads/{id}"), "reason=test").await;
        assert!(
            page.body.contains("10,000"),
            "cut, with the whole behind it"
        );
        assert!(
            page.body.contains("<dt><bdi>&lt;b&gt;</bdi></dt>"),
            "{}",
            page.body
        );
    }
}

#[actix_web::test]
async fn a_lead_is_erased_only_when_that_was_seen_and_said() {
    let browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    let path = format!("/leads/{id}/erase");
    let asked = browser.send(&path, "").await;
    assert!(asked.body.contains("name=\"sure\""), "{}", asked.body);
    assert_eq!(
        browser.get(&format!("/leads/{id}")).await.status,
        StatusCode::OK
    );
    let gone = browser.send(&path, "sure=true&note=asked").await;
    assert_eq!(gone.header("location"), "/leads", "{}", gone.body);
    let said = browser.get("/leads").await;
    assert!(said.body.contains("客资已擦除。") && said.body.contains("无法撤销"));
    let again = browser.get("/leads").await;
    assert!(!again.body.contains("客资已擦除。"), "once");
    assert_eq!(
        browser.get(&format!("/leads/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[actix_web::test]
async fn a_person_is_erased_by_what_names_nobody_else() {
    let browser = Browser::new().await;
    let id = browser.desk.accept(1).await.to_string();
    let offers = "action=\"/leads/erase\"";
    let by_end = browser.send("/leads", "by=phone&value=8911").await;
    assert!(by_end.body.contains(&id) && !by_end.body.contains(offers));
    let by_end = browser.send("/leads/erase", "by=phone&value=8911&sure=true");
    assert_eq!(by_end.await.status, StatusCode::BAD_REQUEST);

    let person = "by=phone&value=13567658911";
    let found = browser.send("/leads", person).await;
    assert!(found.body.contains(offers), "{}", found.body);
    let asked = browser.send("/leads/erase", person).await;
    for part in ["擦除此人？", "name=\"sure\"", id.as_str()] {
        assert!(asked.body.contains(part), "{part}: {}", asked.body);
    }
    let is_there = browser.get(&format!("/leads/{id}")).await;
    assert_eq!(is_there.status, StatusCode::OK);
    let sure = format!("{person}&sure=true");
    let gone = browser.send("/leads/erase", &sure).await;
    assert_eq!(gone.header("location"), "/leads", "{}", gone.body);
    let said = browser.get("/leads").await;
    assert!(said.body.contains("已擦除此人：1 条客资"), "{}", said.body);
    let lost = browser.get(&format!("/leads/{id}")).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_dead_letter_is_shown_with_its_attempts_and_tried_again() {
    let mut browser = Browser::new().await;
    browser.desk.accept(1).await;
    let id = browser.desk.end_all(dead).await[0];
    let path = format!("/deliveries/{id}");
    for (lang, state, reason) in [("zh-CN", "死信", "对方拒绝"), ("en", "dead", "rejected")] {
        browser.lang = lang;
        let list = browser.get("/deliveries?sink=crm&state=dead").await;
        assert!(
            list.body.contains(&format!("href=\"{path}\"")),
            "{}",
            list.body
        );
        let page = browser.get(&path).await;
        for part in [
            state,
            reason,
            "status-4xx",
            "POST http://crm/leads",
            "0123456789abcdef",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        assert!(!page.body.contains("13567658911"), "{}", page.body);
        assert!(is_calm(&page.body));
        let preview = browser.get(&format!("{path}?preview=now")).await;
        assert!(preview.body.contains("id=\"preview\""), "{}", preview.body);
    }
    browser.lang = "zh-CN";
    let done = browser.send(&format!("{path}/retry"), "").await;
    assert_eq!(done.header("location"), path, "{}", done.body);
    let page = browser.get(&path).await;
    assert!(page.body.contains("正在重新投递。"), "{}", page.body);
    assert!(
        page.body.contains("class=\"chip w"),
        "it waits: {}",
        page.body
    );

    let done = browser.send(&format!("{path}/cancel"), "").await;
    assert_eq!(done.header("location"), path, "{}", done.body);
    assert!(browser.get(&path).await.body.contains("投递已取消。"));
    let over = browser.send(&format!("{path}/retry"), "").await;
    let over = (over.status, over.body);
    let forced = browser.send(&format!("{path}/retry"), "force=true").await;
    assert_eq!(
        forced.status,
        StatusCode::SEE_OTHER,
        "{over:?} {}",
        forced.body
    );
}

#[actix_web::test]
async fn done_by_hand_needs_a_note() {
    let browser = Browser::new().await;
    browser.desk.accept(1).await;
    let id = browser.desk.end_all(dead).await[0];
    let path = format!("/deliveries/{id}/done");
    assert_eq!(
        browser.send(&path, "").await.status,
        StatusCode::BAD_REQUEST
    );
    let done = browser.send(&path, "note=called+them").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let page = browser.get(&format!("/deliveries/{id}")).await;
    assert!(page.body.contains("已记为人工完成。"));
}

#[actix_web::test]
async fn a_filter_that_means_nothing_is_said_and_not_ignored() {
    let mut browser = Browser::new().await;
    for (lang, said) in [("zh-CN", "未知参数"), ("en", "unknown parameter")] {
        browser.lang = lang;
        for path in ["/leads?sate=1", "/deliveries?sate=1"] {
            let seen = browser.get(path).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(seen.body.contains(said), "{}", seen.body);
        }
    }
}

#[actix_web::test]
async fn a_lead_tells_what_happened_in_order_of_time() {
    let mut browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    let delivery = browser.desk.end_all(dead).await[0];
    let mut changed = arrival(1, browser.desk.admin.clock.now());
    let mut lead: serde_json::Value = serde_json::from_str(&changed.lead).expect("JSON");
    lead["city_name"] = "宁波".into();
    changed.lead = lead.to_string();
    changed.content = [7; 32];
    let accepted = browser.desk.admin.outbox.accept(changed).await;
    assert_eq!(accepted.expect("accepted").lead(), Some(id));
    for (lang, events) in [
        (
            "zh-CN",
            [
                "<b>收到</b>",
                "<span>第 1 次</span>",
                "死信",
                "<b>收到版本 2</b>",
                "变更： <bdi>城市</bdi>",
            ],
        ),
        (
            "en",
            [
                "<b>received</b>",
                "<span>attempt 1</span>",
                "dead",
                "<b>received revision 2</b>",
                "changed: <bdi>City</bdi>",
            ],
        ),
    ] {
        browser.lang = lang;
        let page = browser.get(&format!("/leads/{id}")).await;
        let (_, told) = page.body.split_once("id=\"timeline\"").expect("a timeline");
        let mut rest = told.to_owned();
        for event in events {
            let (_, after) = rest
                .split_once(event)
                .unwrap_or_else(|| panic!("{event}: {told}"));
            rest = after.to_owned();
        }
        assert!(told.contains(&format!("href=\"/deliveries/{delivery}\"")));
    }
}

#[actix_web::test]
async fn a_lead_says_which_sinks_did_not_want_it_and_by_which_part_of_their_condition() {
    let mut browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    for (lang, why, part) in [
        ("zh-CN", "不符合 when 条件", "否：store_id == 7"),
        ("en", "its condition does not want it", "no: store_id == 7"),
    ] {
        browser.lang = lang;
        let page = browser.get(&format!("/leads/{id}")).await;
        for part in ["<bdi>mail</bdi>", why, part] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
    }
}

#[actix_web::test]
async fn a_lead_is_replayed_to_a_sink_by_a_plan_of_that_lead_alone() {
    let browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    let page = browser.get(&format!("/leads/{id}")).await;
    let (since, until) = (page.field("since"), page.field("until"));
    let coded = |text: &str| text.replace(':', "%3A");
    let form = |more: &str| {
        let (since, until) = (coded(&since), coded(&until));
        format!("action=replay&to=crm&source=shop&since={since}&until={until}{more}")
    };
    let plan = browser.send("/bulk", &form("&again=true")).await;
    assert!(plan.body.contains("<b>1</b>"), "{}", plan.body);
    assert!(
        plan.body.contains(&format!("href=\"/leads/{id}\"")),
        "{}",
        plan.body
    );
    assert!(plan.body.contains("补发到 crm") && plan.body.contains("会再次发送"));
}

#[actix_web::test]
async fn leads_are_filtered_by_city_store_merchant_sink_and_state() {
    let browser = Browser::new().await;
    let id = browser.desk.accept(1).await;
    let link = format!("href=\"/leads/{id}\"");
    for (query, is_there) in [
        ("city=%E6%9D%AD", true),
        ("city=%E5%AE%81%E6%B3%A2", false),
        ("sink=crm&state=pending", true),
        ("sink=crm&state=delivered", false),
        ("store_id=0&seller_id=0", false),
    ] {
        let seen = browser.get(&format!("/leads?{query}")).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        assert_eq!(
            seen.body.contains(&link),
            is_there,
            "{query}: {}",
            seen.body
        );
    }
}

#[actix_web::test]
async fn what_would_be_sent_is_shown_with_its_difference_and_as_a_command() {
    let mut browser = Browser::rendering().await;
    browser.desk.accept(1).await;
    let id = browser.desk.end_all(dead).await[0];
    let path = format!("/deliveries/{id}?preview=now");
    for (lang, then) in [("zh-CN", "与上次相比"), ("en", "Against the last attempt")] {
        browser.lang = lang;
        let page = browser.get(&path).await;
        for part in [
            then,
            "<code class=\"id\">/mobile</code>",
            "<code class=\"id\">/phone</code>",
            "curl -X POST &#39;http://crm/leads&#39;",
            "&quot;mobile&quot;: &quot;***&quot;",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        let plan = browser.send("/bulk", "action=retry&sink=crm").await;
        assert!(
            plan.body.contains("<code class=\"id\">/mobile</code>"),
            "{}",
            plan.body
        );
        for page in [page, plan] {
            assert!(!page.body.contains("13567658911") && is_calm(&page.body));
        }
    }
}
