//! The console in a real browser: every page, in both languages, and what an operator does there.
//!
//! Pages are found by their links, so that one that is new is looked at without a word here.

mod finding;
mod hostile;
mod incident;
mod pages;
mod person;
mod pictures;
mod tour;

use leadgate_tests::Browser;

/// The languages of the console.
const LANGUAGES: [&str; 2] = ["zh-CN", "en"];

/// The token that the harness configures.
const TOKEN: &str = "e2e-admin-token";

/// A browser that has come in, at the overview.
fn logged_in(home: &str, lang: &str) -> Browser {
    let browser = Browser::start();
    browser.open(&format!("{home}/?lang={lang}"));
    log_in(&browser);
    browser
}

fn log_in(browser: &Browser) {
    browser.fill("#token", TOKEN);
    browser.click("main form button");
    browser.until_there("#needs", 1);
}
