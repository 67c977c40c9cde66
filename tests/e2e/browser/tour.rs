//! The tour: one page of every kind, by the links of those before it, and what forms show.

use std::collections::{BTreeSet, VecDeque};

use leadgate_tests::{Browser, Daemon};

/// A page of the tour.
pub(super) struct Page<'a> {
    /// A name that is the same in each run, fit for a file.
    pub(super) name: &'a str,
    /// The status it may come with, if that is no success.
    pub(super) refused: Option<u16>,
}

impl<'a> Page<'a> {
    fn good(name: &'a str) -> Self {
        Self {
            name,
            refused: None,
        }
    }
}

/// Kinds of pages that links must lead to.
const KNOWN: [&str; 19] = [
    "overview",
    "leads",
    "leads-one",
    "deliveries",
    "deliveries-one",
    "failures",
    "bulk",
    "bulk-one",
    "sinks",
    "sinks-one",
    "sinks-one-mapping",
    "quarantine",
    "quarantine-one",
    "pushes",
    "pushes-one",
    "plugins",
    "audit",
    "tokens",
    "system",
];

/// Shows each page to `see`, from the overview on and back to it.
pub(super) fn tour(
    browser: &Browser,
    daemon: &Daemon,
    home: &str,
    see: &mut dyn FnMut(&Browser, Page<'_>),
) {
    let known = sinks(daemon);
    let mut seen = BTreeSet::new();
    let mut ahead = VecDeque::from(["/".to_owned()]);
    while let Some(path) = ahead.pop_front() {
        let name = kind(&path, &known);
        if !seen.insert(name.clone()) {
            continue;
        }
        browser.open(&format!("{home}{path}"));
        assert_ne!(browser.title(), "", "{path}");
        see(browser, Page::good(&name));
        ahead.extend(links(browser, home));
        // What is folded away.
        if browser.count("main details:not([open])") > 0 {
            let open = "document.querySelectorAll('details').forEach(one => one.open = true)";
            browser.script(open, &[]);
            see(browser, Page::good(&format!("{name}-open")));
        }
    }
    for name in KNOWN {
        assert!(seen.contains(name), "no link leads to {name}: {seen:?}");
    }
    beyond_links(browser, home, see);
    browser.open(&format!("{home}/"));
}

/// Where the links of the page lead within the console.
fn links(browser: &Browser, home: &str) -> Vec<String> {
    let all = browser.script(
        "return [...document.querySelectorAll('a[href]:not([download])')].map(one => one.href)",
        &[],
    );
    let all = all.as_array().expect("a list").iter();
    let all = all.map(|link| link.as_str().expect("text"));
    let paths = all.map(|link| {
        let path = link.strip_prefix(home);
        path.unwrap_or_else(|| panic!("{} leads to {link}", browser.path()))
    });
    let paths = paths.map(|path| path.split('#').next().unwrap_or_default());
    paths
        .filter(|path| !path.contains("lang="))
        .map(str::to_owned)
        .collect()
}

fn sinks(daemon: &Daemon) -> BTreeSet<String> {
    let stats = daemon.stats();
    let sinks = stats["sinks"].as_object().expect("sinks");
    sinks.keys().cloned().collect()
}

/// What kind of page a path is: what names one of many is left out, as are the values of a
/// query.
fn kind(path: &str, sinks: &BTreeSet<String>) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let mut kind: Vec<&str> = segments
        .map(|segment| {
            let is_one =
                sinks.contains(segment) || segment.contains(|letter: char| letter.is_ascii_digit());
            if is_one { "one" } else { segment }
        })
        .collect();
    if kind.is_empty() {
        kind.push("overview");
    }
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    // The rest of a list looks as its beginning.
    let names: BTreeSet<&str> = names
        .filter(|name| !name.is_empty() && *name != "cursor")
        .collect();
    kind.extend(names);
    kind.join("-")
}

/// What only a form or a mistake leads to.
fn beyond_links(browser: &Browser, home: &str, see: &mut dyn FnMut(&Browser, Page<'_>)) {
    let mut good = |name: &str| see(browser, Page::good(name));
    browser.open(&format!("{home}/leads"));
    browser.fill("#value", "8001");
    browser.click("form[role=search] button");
    browser.until_there("main tbody tr", 1);
    good("leads-found");
    browser.click("main tbody th a");
    browser.click("details:has(#reason) summary");
    browser.fill("#reason", "客户来电核对预约");
    browser.click("details:has(#reason) input[type=checkbox]");
    good("leads-one-asks");
    browser.click("details:has(#reason) button");
    browser.until_it_says("13800138001");
    good("leads-one-shown");
    browser.open(&format!("{home}/leads"));
    browser.click("main tbody th a");
    browser.click("button.grave");
    browser.until_there("input[name=sure]", 1);
    good("leads-one-erase");
    browser.open(&format!("{home}/leads"));
    browser.fill("#value", "13800138002");
    browser.click("form[role=search] button");
    browser.click("form[action='/leads/erase'] button");
    browser.until_there("input[name=sure]", 1);
    good("leads-person-erase");
    browser.open(&format!("{home}/system"));
    browser.click("form[action='/system/reload'] button");
    browser.until_there(".flash", 1);
    good("system-reloaded");
    browser.open(&format!(
        "{home}/leads/00000000-0000-7000-8000-000000000000"
    ));
    see(
        browser,
        Page {
            name: "sorry",
            refused: Some(404),
        },
    );
}
