//! Hostile leads: whatever a stranger writes into a form is text on every page, in the command
//! line and in the logs.

use std::fmt::Write as _;

use leadgate_tests::{Browser, Daemon, output_with};
use serde_json::json;

use super::pages::faults;
use super::tour::tour;
use super::{LANGUAGES, logged_in};
use crate::day::{Day, lead, push, told};

/// What would be done if it were more than text; one for each way in.
const PAYLOADS: [&str; 7] = [
    "<script>globalThis.owned = 1</script>",
    "\"><img src=x onerror=\"globalThis.owned = 1\" class=owned>",
    "'><svg onload=globalThis.owned=1 class=owned></svg>",
    "</title></textarea></pre><b class=owned>",
    "{{7*7}}{% raw %}${7*7}",
    "javascript:globalThis.owned=1",
    "\u{202e}gnp.elif\u{2066}\u{200f}",
];
/// Moves the cursor, clears the screen, sets the title and the clipboard.
const TERMINAL: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}]52;c;b3duZWQ=\u{7}\u{9b}31m\r\u{8}\u{7f}";
/// A field's worth of one.
const LONG: usize = 10_000;

/// The field with everything, and each in a field of its own.
fn hostile() -> String {
    let [script, image, vector, ends, template, link, marks] = PAYLOADS;
    lead(
        666,
        &json!({
            "name": script, "city_name": image, "area_name": vector, "street_name": ends,
            "kf_name": template, "taobao_nick": link, "province_name": marks,
            "address": format!("{}{TERMINAL}", PAYLOADS.concat()),
            "remark": format!("{script}{}", "长".repeat(LONG)),
            "order_num": script,
            "phone": "13800138666",
            "new <script>globalThis.owned=1</script>": image,
        }),
    )
}

/// What a page did that it should not, or does not say.
fn owned(browser: &Browser) -> Vec<String> {
    let mut wrong = Vec::new();
    if !browser
        .script("return globalThis.owned ?? null", &[])
        .is_null()
    {
        wrong.push("a script of the lead ran".to_owned());
    }
    for made in [
        ".owned",
        ".asked",
        "main script",
        "main img",
        "[onerror], [onload]",
        "a[href^=javascript]",
    ] {
        if browser.count(made) > 0 {
            wrong.push(format!("the lead made {made}"));
        }
    }
    let said = browser.text();
    let does = |letter: char| {
        (letter.is_control() && !"\n\t".contains(letter))
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(letter) = said.chars().find(|letter| does(*letter)) {
        wrong.push(format!("it has the letter {letter:?}"));
    }
    wrong
}

#[test]
#[ignore = "needs Chromium; run tests/run"]
fn a_hostile_lead_is_text_on_every_page() {
    let day = Day::start();
    push(&day.daemon, &hostile());
    let home = day.home();
    let found = told(&day.daemon, &["leads", "list", "--limit", "1"]);
    let id = found["items"][0]["id"].as_str().expect("an id").to_owned();
    for lang in LANGUAGES {
        let browser = logged_in(&home, lang);
        let mut wrong = String::new();
        tour(&browser, &day.daemon, &home, &mut |browser, page| {
            for fault in owned(browser)
                .into_iter()
                .chain(faults(browser, &home, &page))
            {
                let _ = writeln!(wrong, "{}: {fault}", page.name);
            }
        });
        assert!(wrong.is_empty(), "in {lang}:\n{wrong}");

        // Whole and with the push as it came.
        browser.open(&format!("{home}/leads/{id}"));
        assert_eq!(owned(&browser), Vec::<String>::new());
        browser.click("details:has(#reason) summary");
        browser.fill("#reason", "<i class=asked>");
        browser.click("details:has(#reason) input[type=checkbox]");
        browser.click("details:has(#reason) button");
        browser.until_it_says("13800138666");
        assert_eq!(owned(&browser), Vec::<String>::new());
        browser.script(
            "document.querySelectorAll('details').forEach(one => one.open = true)",
            &[],
        );
        let said = browser.text();
        for payload in &PAYLOADS[..6] {
            assert!(said.contains(payload), "{payload}: {said}");
        }
        for mark in ["U+202E", "␛[2J"] {
            assert!(said.contains(mark), "{mark}: {said}");
        }
        assert!(said.contains(&"长".repeat(LONG)), "the long field is whole");
        assert_eq!(owned(&browser), Vec::<String>::new());
        assert_eq!(browser.overhang(), 0);
        let none = browser.faults(&home);
        assert_eq!(none, Vec::<String>::new());
    }
    on_a_terminal(&day.daemon, &id);
    let log = day.daemon.log();
    assert!(
        !log.contains("owned") && !log.contains("13800138666"),
        "the log tells of it"
    );
}

/// What the command line shows of it is text, too, in either language.
fn on_a_terminal(daemon: &Daemon, id: &str) {
    let deliveries = told(daemon, &["outbox", "deliveries", "--sink", "erp", "--all"]);
    let mut all = deliveries["items"].as_array().expect("a list").iter();
    let delivery = all.rfind(|one| one["lead"] == id);
    let delivery = delivery.expect("its delivery")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let commands: [&[&str]; 7] = [
        &["leads", "show", id],
        &["leads", "show", id, "--reveal"],
        &["leads", "list"],
        &["outbox", "show", &delivery],
        &["outbox", "deliveries"],
        &["outbox", "failures"],
        &["render", "--sink", "crm", "--id", id],
    ];
    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("text");
    for command in commands {
        for lang in LANGUAGES {
            let args = [command, &["--config", config, "--lang", lang]].concat();
            let output = output_with(&args, &[], "");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{command:?}: {said}");
            let acts = said.chars().find(|letter| {
                (letter.is_control() && !"\n\t".contains(*letter))
                    || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            });
            assert_eq!(acts, None, "{command:?} in {lang}: {said:?}");
        }
    }
}
