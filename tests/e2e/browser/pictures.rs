//! Pictures of every page, in both languages, light and dark, on a desk and on a phone, for
//! people to look at: `LEADGATE_TEST_PICTURES=FOLDER`, without which none are made.

use std::path::PathBuf;

use leadgate_tests::{Browser, Look, counted};

use super::tour::tour;
use super::{LANGUAGES, log_in};
use crate::day::Day;

const LOOKS: [(&str, Look); 4] = [
    ("wide-light", Look::DESK),
    ("wide-dark", Look::DESK.dark()),
    ("phone-light", Look::PHONE),
    ("phone-dark", Look::PHONE.dark()),
];

#[test]
#[ignore = "needs Chromium; run tests/run"]
fn each_page_has_its_picture() {
    let Some(folder) = std::env::var_os("LEADGATE_TEST_PICTURES").map(PathBuf::from) else {
        println!("no pictures: LEADGATE_TEST_PICTURES names no folder");
        return;
    };
    std::fs::create_dir_all(&folder).expect("a folder");
    let day = Day::start();
    let home = day.home();
    let mut made = 0;
    for lang in LANGUAGES {
        let mut take = |browser: &Browser, name: &str| {
            for (how, look) in LOOKS {
                browser.dress(look);
                let picture = browser.picture();
                assert!(picture.starts_with(b"\x89PNG"), "{name}");
                let file = folder.join(format!("{name}.{lang}.{how}.png"));
                std::fs::write(file, picture).expect("writes");
                made += 1;
            }
            browser.dress(Look::DESK);
        };
        let browser = Browser::start();
        browser.open(&format!("{home}/login?lang={lang}"));
        take(&browser, "login");
        log_in(&browser);
        tour(&browser, &day.daemon, &home, &mut |browser, page| {
            take(browser, page.name);
        });
    }
    counted(format!("{made} pictures"));
}
