//! A person: erased in the browser, in every way that the outbox holds them.

use leadgate_tests::Crm;

use super::logged_in;
use crate::erasing::{OTHERS, PERSON, PHONE, filled, nothing_is_left, others_are_there};

#[test]
#[ignore = "needs Chromium; run tests/run"]
fn a_person_who_is_erased_in_the_browser_is_in_no_file_of_the_outbox() {
    let crm = Crm::start();
    let mut daemon = filled(&crm);
    let home = format!("http://{}", daemon.admin_address());
    let browser = logged_in(&home, "zh-CN");
    let find = |value: &str| {
        browser.click_on("nav a", "客资");
        browser.fill("#value", value);
        browser.click("form[role=search] button");
    };
    // The last four digits may be those of others.
    find(&PHONE[7..]);
    browser.until_there("main tbody tr", 5);
    assert_eq!(browser.count("form[action='/leads/erase']"), 0);
    find(PHONE);
    browser.until_there("main tbody tr", 5);
    browser.click("form[action='/leads/erase'] button");

    // What would go, and whom to tell.
    browser.until_there("main li a", 5);
    let said = browser.text();
    for part in ["隔离推送： 1", "crm", "已送达 5", "strict", "对方未收 5"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(daemon.stat("/leads/stored"), OTHERS + 5, "nothing went yet");
    browser.click_on("main a", "保留");
    browser.until_there("form[role=search]", 1);
    assert_eq!(daemon.stat("/leads/stored"), OTHERS + 5);

    find(PHONE);
    browser.click("form[action='/leads/erase'] button");
    browser.fill("#note", "客户要求删除");
    browser.click("form:has(#note) button.grave");
    browser.until_there(".flash", 1);
    let said = browser.text();
    for part in ["5 条客资，1 条隔离推送", "无法撤销", "crm", "strict"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    nothing_is_left(&daemon);
    find(PHONE);
    browser.until_there("main tbody tr", 0);
    assert_eq!(browser.faults(&home), Vec::<String>::new());

    others_are_there(&daemon);
    assert_eq!(daemon.terminate(), Some(0));
    nothing_is_left(&daemon);
    let log = daemon.log();
    for trace in PERSON {
        assert!(!log.contains(trace), "the log says who it was");
    }
}
