//! Pages: each loads without an error, asks nobody else for anything, breaks no rule of its own
//! policy, fits its window, and can be used by who does not see it.

use std::fmt::Write as _;

use leadgate_tests::{Browser, Crm, Daemon, Look, Setup, counted, here, until};
use serde_json::{Value, json};

use super::tour::{Page, tour};
use super::{LANGUAGES, log_in, logged_in};
use crate::day::Day;

/// What is wrong with the page that the browser is at, apart from its being refused.
pub(super) fn faults(browser: &Browser, home: &str, page: &Page<'_>) -> Vec<String> {
    let mut faults = browser.faults(home);
    if let Some(status) = page.refused {
        // The browser says of the page itself that it is no success.
        let own = format!("the server responded with a status of {status}");
        faults.retain(|fault| !fault.contains(&own));
    }
    faults
}

#[test]
#[ignore = "needs Chromium; run tests/run"]
fn each_page_loads_in_both_languages_without_a_fault_and_asks_nobody_else() {
    let day = Day::start();
    let home = day.home();
    for lang in LANGUAGES {
        let browser = logged_in(&home, lang);
        for look in [Look::DESK, Look::PHONE] {
            browser.dress(look);
            let mut wrong = String::new();
            let mut pages = 0;
            tour(&browser, &day.daemon, &home, &mut |browser, page| {
                for fault in faults(browser, &home, &page) {
                    let _ = writeln!(wrong, "{}: {fault}", page.name);
                }
                for fault in looks(browser, lang) {
                    let _ = writeln!(wrong, "{}: {fault}", page.name);
                }
                pages += 1;
            });
            assert!(wrong.is_empty(), "{look:?} in {lang}:\n{wrong}");
            counted(format!("{pages} pages in {lang}, {} wide", look.width));
        }
    }
}

/// What a reader would find odd.
fn looks(browser: &Browser, lang: &str) -> Vec<String> {
    let mut odd = Vec::new();
    let spoken = browser.script("return document.documentElement.lang", &[]);
    if spoken != lang {
        odd.push(format!("it is in {spoken}"));
    }
    let heads = browser.count("h1");
    if heads != 1 {
        odd.push(format!("it has {heads} titles"));
    }
    let overhang = browser.overhang();
    if overhang != 0 {
        odd.push(format!("it is {overhang} pixels wider than its window"));
    }
    let said = browser.text();
    for left in ["{{", "{%", "[object", "undefined", "&amp;", "&lt;"] {
        if said.contains(left) {
            odd.push(format!("it says {left}"));
        }
    }
    odd
}

fn axe() -> String {
    std::fs::read_to_string(here(".counterparts/node/node_modules/axe-core/axe.min.js"))
        .expect("tests/run has installed axe-core")
}

#[test]
#[ignore = "needs Chromium and axe-core; run tests/run"]
fn axe_finds_no_serious_fault_on_any_page_in_either_language_light_or_dark() {
    let axe = axe();
    let day = Day::start();
    let home = day.home();
    for lang in LANGUAGES {
        let browser = Browser::start();
        let (mut wrong, mut pages) = (String::new(), 0);
        let mut look = |browser: &Browser, name: &str| {
            for look in [Look::DESK.dark(), Look::PHONE, Look::DESK] {
                browser.dress(look);
                for fault in browser.accessibility(&axe) {
                    let _ = writeln!(wrong, "{name} in {lang}, {look:?}: {fault}");
                }
            }
            pages += 1;
        };
        browser.open(&format!("{home}/?lang={lang}"));
        look(&browser, "login");
        browser.fill("#token", "wrong");
        browser.click("main form button");
        browser.until_there("[role=alert]", 1);
        look(&browser, "login-refused");
        log_in(&browser);
        tour(&browser, &day.daemon, &home, &mut |browser, page| {
            look(browser, page.name);
        });
        assert!(wrong.is_empty(), "{wrong}");
        counted(format!("{pages} pages in {lang}, light, dark and narrow"));
    }
}

/// What the tests above rest on.
#[test]
#[ignore = "needs Chromium and axe-core; run tests/run"]
fn what_a_page_may_not_do_is_noticed() {
    let daemon = Daemon::start(Setup::default());
    let home = format!("http://{}", daemon.admin_address());
    let browser = Browser::start();
    browser.open(&format!("{home}/login?lang=en"));
    assert_eq!(browser.faults(&home), Vec::<String>::new());
    let add = |name: &str, properties: Value| {
        let add = "document.body.append(Object.assign( \
            document.createElement(arguments[0]), arguments[1]))";
        browser.script(add, &[name.into(), properties]);
    };
    let noticed = |what: &str| {
        let mut faults = Vec::new();
        until(what, || {
            faults.extend(browser.faults(&home));
            faults.iter().any(|fault| fault.contains(what))
        });
    };
    let elsewhere = "http://127.0.0.1:1/one.png";
    add("img", json!({"src": elsewhere, "alt": ""}));
    noticed("img-src forbids http://127.0.0.1:1/one.png");
    add("script", json!({"textContent": "globalThis.owned = true"}));
    noticed("script-src-elem forbids inline");
    assert!(browser.script("return globalThis.owned", &[]).is_null());
    browser.script("console.error('it went wrong')", &[]);
    noticed("it went wrong");
    add("p", json!({"textContent": "w".repeat(4_000)}));
    assert!(looks(&browser, "en").concat().contains("wider"));
    assert!(looks(&browser, "zh-CN").concat().contains("it is in"));

    browser.open(&format!("{home}/login"));
    assert_eq!(browser.accessibility(&axe()), Vec::<String>::new());
    add("input", json!({"type": "text"}));
    let found = browser.accessibility(&axe());
    assert!(found.concat().contains("label: "), "{found:?}");

    // What no policy forbids: to go elsewhere.
    let other = Crm::start();
    browser.open(&other.url());
    let asked = browser.requests_beyond(&home);
    assert!(asked.contains(&other.url()), "{asked:?}");
}
