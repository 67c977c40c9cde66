//! The incident in the browser: a CRM renames a field, and an operator finds it, mends it and
//! brings the day in without a single double.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leadgate_tests::{Browser, Daemon, Setup, until};
use serde_json::Value;

use super::logged_in;
use crate::incident::{FAILED, Taken, scripted, sink};

/// Of the sample lead.
const PHONE: &str = "13567658911";

/// How often the CRM took each lead.
fn counts(taken: &Taken) -> BTreeMap<u64, usize> {
    let taken = taken.lock().expect("no panic");
    let all = taken.iter();
    all.map(|(record, requests)| (*record, requests.len()))
        .collect()
}

fn value(browser: &Browser, field: &str) -> String {
    let value = "return document.querySelector(arguments[0]).value";
    let value = browser.script(value, &[field.into()]);
    value.as_str().expect("text").to_owned()
}

/// Opens the mapping tester for the lead that a group of failures shows as its sample.
fn tester(browser: &Browser) {
    browser.click_on("nav a", "失败");
    browser.click("main tbody a[href^='/deliveries/']");
    browser.click("main a[href^='/sinks/crm/mapping?id=']");
    browser.until_there("#settings", 1);
    assert_ne!(value(browser, "#id"), "", "it is about that lead");
}

/// The sides of the tester: as it runs, and as edited if it is.
fn sides(browser: &Browser) -> Vec<String> {
    let sides = "return [...document.querySelectorAll('.sides > div')].map(one => one.innerText)";
    let sides = browser.script(sides, &[]);
    let sides = sides.as_array().expect("a list").iter();
    let sides = sides.map(|side: &Value| side.as_str().expect("text").to_owned());
    sides.collect()
}

fn is_renamed(request: &str) -> bool {
    request.contains("\"mobile\"") && !request.contains("\"phone\"")
}

#[test]
#[ignore = "needs Chromium; run tests/run"]
fn a_bad_day_is_repaired_in_the_browser_and_the_crm_has_each_lead_once() {
    let (renamed, taken) = (Arc::default(), Taken::default());
    let crm = scripted(&renamed, &taken);
    let daemon = Daemon::start(Setup {
        rest: sink(&crm.url()),
        ..Setup::default()
    });
    daemon.shop().give(1..=20);
    until("all is well", || counts(&taken).len() == 20);
    renamed.store(true, Ordering::SeqCst);
    let failed = 21..=20 + FAILED;
    daemon.shop().give(failed.clone());
    until("they are dead letters", || {
        daemon.stat("/sinks/crm/dead") == FAILED
    });
    let home = format!("http://{}", daemon.admin_address());
    let browser = logged_in(&home, "zh-CN");

    // One group of failures, with how many they are and one of them.
    browser.click_on("nav a", "失败");
    browser.until_there("main tbody tr", 1);
    let said = browser.text();
    assert!(said.contains(&FAILED.to_string()), "{said}");
    assert!(!said.contains(PHONE), "{said}");

    // Nothing more is to fail meanwhile.
    browser.click_on("nav a", "目的地");
    browser.click_on("main tbody th a", "crm");
    browser.click("details:has(#note) summary");
    browser.fill("#note", "CRM 字段改名");
    browser.click("details:has(#note) button");
    browser.until_there(".flash", 1);
    let waiting = 101..=110;
    daemon.shop().give(waiting.clone());

    // What the CRM would be sent of one of them with the field renamed; nothing is saved.
    tester(&browser);
    let settings = value(&browser, "#settings");
    assert!(settings.contains("\nphone = "), "{settings}");
    browser.fill("#settings", &settings.replace("\nphone = ", "\nmobile = "));
    browser.click("form.tester button");
    browser.until_there(".sides > div", 2);
    let [now, edited] = &sides(&browser)[..] else {
        panic!("two sides: {}", browser.text())
    };
    assert!(!is_renamed(now) && is_renamed(edited), "{now}\n{edited}");
    assert!(!browser.text().contains(PHONE), "who it is was made up");

    // The table that it shows goes into the file by hand.
    let table = "return document.querySelector('section[aria-labelledby=next] > pre').innerText";
    let table = browser.script(table, &[]);
    let table = table.as_str().expect("text");
    let path = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    let (kept, _) = text.split_once("[sinks.crm]").expect("the last table");
    std::fs::write(&path, format!("{kept}{table}\n")).expect("writes");
    let (code, said, errors) = daemon.command(&["check"]);
    assert_eq!(code, 0, "{said}{errors}\n{table}");
    browser.click_on("nav a", "系统");
    browser.click("form[action='/system/reload'] button");
    browser.until_there(".flash", 1);
    let said = browser.text();
    assert!(said.contains("sinks.crm"), "{said}");
    tester(&browser);
    assert!(is_renamed(&sides(&browser)[0]), "{}", browser.text());

    // What waited goes, and then the group, after its plan was looked at.
    browser.click_on("nav a", "目的地");
    browser.click_on("main tbody th a", "crm");
    browser.click("form[action='/sinks/crm/resume'] button");
    let has = |record: u64| counts(&taken).contains_key(&record);
    until("what waited is delivered", || waiting.clone().all(has));
    browser.click_on("nav a", "失败");
    browser.click("main tbody form button");
    browser.until_there("section.start", 1);
    let said = browser.text();
    for part in [&FAILED.to_string(), "mobile", "这是计划"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(PHONE), "{said}");
    assert!(!failed.clone().any(has), "nothing was sent yet");
    browser.click("section.start button");
    browser.until_it_says("已完成");
    until("all are delivered", || failed.clone().all(has));
    browser.click_on("nav a", "失败");
    browser.until_it_says("没有失败的投递");
    assert_eq!(browser.faults(&home), Vec::<String>::new());

    let all = (1..=20).chain(failed).chain(waiting);
    let once: BTreeMap<u64, usize> = all.map(|record| (record, 1)).collect();
    assert_eq!(counts(&taken), once);
}
