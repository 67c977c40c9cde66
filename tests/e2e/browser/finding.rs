//! Finding: «the lead of the customer with phone …8911 from this morning, where is it?»

use serde_json::json;

use super::logged_in;
use crate::day::{Day, lead, push};

/// Of the document's sample lead.
const PHONE: &str = "13567658911";

#[test]
#[ignore = "needs Chromium; run tests/run"]
fn the_lead_of_a_phone_s_end_is_found_and_shown_in_three_clicks() {
    let day = Day::start();
    push(
        &day.daemon,
        &lead(371_777, &json!({"name": "张三", "city_name": "上海"})),
    );
    let home = day.home();
    let browser = logged_in(&home, "zh-CN");

    browser.click_on("nav a", "客资");
    browser.fill("#value", "8911");
    browser.click("form[role=search] button");
    assert!(!browser.url().contains("8911"), "{}", browser.url());
    browser.until_there("main tbody tr", 1);
    browser.click("main tbody th a");

    browser.until_there("details:has(#reason)", 1);
    let said = browser.text();
    for part in [
        "371777", "8911", "上海", "crm", "erp", "fax", "wecom", "shanghai",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What each sink did with it.
    for state in ["已送达", "死信", "待投递"] {
        assert!(said.contains(state), "{state}: {said}");
    }
    assert_eq!(browser.count("dl.fields dt"), 38, "{said}");
    // Who it is shows to who says why.
    assert!(!said.contains(PHONE), "{said}");
    browser.click("details:has(#reason) summary");
    browser.fill("#reason", "客户来电询问");
    browser.click("details:has(#reason) button");
    browser.until_it_says(PHONE);
    assert!(!day.daemon.log().contains(PHONE), "the log says who it is");
    assert!(
        !day.daemon.log().contains("8911\""),
        "the log says what was searched for"
    );
}
