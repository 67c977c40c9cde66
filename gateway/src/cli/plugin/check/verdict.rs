//! The verdict: what each test found, and whether the library keeps to the contract.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::super::{Global, out, table};
use super::super::part::told::Both;
use super::super::subject::Subject;
use super::battery::Test;
use crate::lang::Lang;
use crate::terminal;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Failed,
    Crashed,
    Timeout,
    /// It could not be judged.
    Skipped,
}

impl Status {
    const ALL: [Self; 5] = [
        Self::Ok,
        Self::Failed,
        Self::Crashed,
        Self::Timeout,
        Self::Skipped,
    ];

    /// Its stable name.
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
        }
    }

    fn shown(self, lang: Lang) -> &'static str {
        let zh = match self {
            Self::Ok => "通过",
            Self::Failed => "失败",
            Self::Crashed => "崩溃",
            Self::Timeout => "超时",
            Self::Skipped => "跳过",
        };
        lang.pick(self.as_str(), zh)
    }
}

/// What one test found.
struct Found {
    id: &'static str,
    title: Both,
    status: Status,
    details: Vec<Both>,
    took: Duration,
}

/// What all of them found.
pub(super) struct Verdict {
    file: PathBuf,
    is_program: bool,
    sha256: String,
    pub(super) name: String,
    /// What the plugin says of itself.
    pub(super) facts: BTreeMap<String, Value>,
    tests: Vec<Found>,
}

impl Verdict {
    pub(super) fn of(subject: &Subject) -> Self {
        Self {
            file: subject.shown.clone(),
            is_program: subject.is_program(),
            sha256: subject.sha256.clone(),
            name: String::new(),
            facts: BTreeMap::new(),
            tests: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, test: &Test, status: Status, details: Vec<Both>, took: Duration) {
        self.tests.push(Found {
            id: test.id,
            title: test.title(),
            status,
            details,
            took,
        });
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.tests.iter().any(|test| test.id == id)
    }

    /// Whether all was judged, and found well.
    pub(super) fn conforms(&self) -> bool {
        self.tests.iter().all(|test| test.status == Status::Ok)
    }

    pub(super) fn print(&self, global: &Global, only_failed: bool) {
        if global.json {
            out::json(&self.json(global.lang(), only_failed));
            return;
        }
        for line in self.lines(global.lang(), only_failed, terminal::columns()) {
            outln!("{line}");
        }
    }

    fn fact(&self, name: &str) -> &str {
        let fact = self.facts.get(name).and_then(Value::as_str);
        fact.unwrap_or("-")
    }

    fn json(&self, lang: Lang, only_failed: bool) -> Value {
        let tests: Vec<_> = self
            .shown(only_failed)
            .map(|test| {
                let details: Vec<_> = test.details.iter().map(|one| one.pick(lang)).collect();
                json!({
                    "id": test.id,
                    "title": test.title.pick(lang),
                    "status": test.status.as_str(),
                    "details": details,
                    "took_ms": u64::try_from(test.took.as_millis()).unwrap_or(u64::MAX),
                })
            })
            .collect();
        let known = |name| self.facts.get(name).cloned().unwrap_or_default();
        json!({
            "file": self.file,
            "name": self.name,
            "version": known("version"),
            "abi": known("abi"),
            "vendor": known("vendor"),
            "description": known("description"),
            "url": known("url"),
            "sha256": self.sha256,
            "conforms": self.conforms(),
            "counts": self.counts(),
            "tests": tests,
        })
    }

    fn counts(&self) -> Value {
        let counts = Status::ALL.map(|status| {
            let of_it = self.tests.iter().filter(|test| test.status == status);
            (status.as_str().to_owned(), Value::from(of_it.count()))
        });
        Value::Object(counts.into_iter().collect())
    }

    fn shown(&self, only_failed: bool) -> impl Iterator<Item = &Found> {
        let wanted = move |test: &&Found| !only_failed || test.status != Status::Ok;
        self.tests.iter().filter(wanted)
    }

    /// Tests that were skipped for one and the same reason.
    fn alike(&self) -> Vec<(&Both, Vec<&'static str>)> {
        let mut alike: Vec<(&Both, Vec<&'static str>)> = Vec::new();
        for test in &self.tests {
            let Some(why) = test
                .details
                .first()
                .filter(|_| test.status == Status::Skipped)
            else {
                continue;
            };
            match alike.iter_mut().find(|(known, _)| *known == why) {
                Some((_, ids)) => ids.push(test.id),
                None => alike.push((why, vec![test.id])),
            }
        }
        alike.retain(|(_, ids)| ids.len() > 1);
        alike
    }

    fn is_alike(&self, test: &Found) -> bool {
        let mut alike = self.alike().into_iter();
        test.status == Status::Skipped && alike.any(|(_, ids)| ids.contains(&test.id))
    }

    fn lines(&self, lang: Lang, only_failed: bool, columns: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let name = if self.name.is_empty() {
            "-"
        } else {
            &self.name
        };
        let head = if self.is_program {
            format!("{} · {name}", self.file.display())
        } else {
            let (version, abi) = (self.fact("version"), self.fact("abi"));
            format!("{} · {name} {version} · ABI {abi}", self.file.display())
        };
        lines.extend(table::wrapped(&head, columns));
        for test in self.shown(only_failed).filter(|test| !self.is_alike(test)) {
            let status = test.status.shown(lang);
            let padding = " ".repeat(9_usize.saturating_sub(terminal::width(status)));
            let title = test.title.pick(lang);
            let head = format!("{status}{padding}{:<13}{title}", test.id);
            lines.extend(hanging(&head, columns, 22));
            for detail in &test.details {
                let detail = detail.pick(lang).replace(['\n', '\r'], " ");
                let detail = format!("{}{detail}", " ".repeat(22));
                lines.extend(hanging(&detail, columns, 22));
            }
        }
        for (why, ids) in self.alike() {
            let skipped = Status::Skipped.shown(lang);
            let padding = " ".repeat(9_usize.saturating_sub(terminal::width(skipped)));
            lines.extend(hanging(
                &format!("{skipped}{padding}{}", ids.join(", ")),
                columns,
                9,
            ));
            let why = format!("{}{}", " ".repeat(22), why.pick(lang));
            lines.extend(hanging(&why, columns, 22));
        }
        if !self.is_program {
            lines.push(format!("sha256 = \"{}\"", self.sha256));
        }
        lines.extend(table::wrapped(&self.sentence(lang), columns));
        lines
    }

    fn sentence(&self, lang: Lang) -> String {
        let counts: Vec<_> = Status::ALL
            .into_iter()
            .filter_map(|status| {
                let count = self.tests.iter().filter(|test| test.status == status);
                let count = count.count();
                (count > 0).then(|| format!("{count} {}", status.shown(lang)))
            })
            .collect();
        let counts = counts.join(lang.pick(", ", "，"));
        let all_failed = self
            .tests
            .iter()
            .all(|test| matches!(test.status, Status::Ok | Status::Skipped));
        let verdict = match (self.conforms(), all_failed) {
            (true, _) => lang.pick("it keeps to the contract", "符合约定"),
            (false, true) => lang.pick(
                "what could be judged is well; not all could be",
                "能判断的都通过；并非全部都能判断",
            ),
            (false, false) => lang.pick("it does not keep to the contract", "不符合约定"),
        };
        format!("{verdict}{}{counts}", lang.colon())
    }
}

/// A text in lines, of which all but the first are indented.
fn hanging(text: &str, columns: usize, indent: usize) -> Vec<String> {
    let lead: String = text.chars().take_while(|letter| *letter == ' ').collect();
    let mut lines = Vec::new();
    let mut rest = text;
    let first = table::wrapped(rest.trim_start(), columns.saturating_sub(lead.len()));
    if let Some(line) = first.first() {
        lines.push(format!("{lead}{line}"));
        rest = rest.trim_start()[line.len()..].trim_start();
    }
    let room = columns.saturating_sub(indent).max(20);
    for line in table::wrapped(rest, room) {
        if !line.is_empty() {
            lines.push(format!("{}{line}", " ".repeat(indent)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::battery::{BATTERY, FILE, OUTPUTS, SYMBOLS};
    use super::*;

    fn verdict(status: Status) -> Verdict {
        let mut verdict = Verdict {
            file: "target/release/libmy_erp.so".into(),
            is_program: false,
            sha256: "a".repeat(64),
            name: "my-erp".to_owned(),
            facts: BTreeMap::new(),
            tests: Vec::new(),
        };
        let long = "it says something long about what is wrong ".repeat(6);
        let zh = "这里有一段很长的说明，".repeat(20);
        for test in [FILE, SYMBOLS].iter().chain(BATTERY).chain(OUTPUTS) {
            let details = vec![Both::new(long.as_str(), zh.as_str())];
            verdict.add(test, Status::Ok, details, Duration::from_millis(3));
        }
        verdict.tests[3].status = status;
        verdict
    }

    #[test]
    fn a_verdict_fits_a_terminal_and_names_each_test_once() {
        for lang in [Lang::En, Lang::ZhCn] {
            let lines = verdict(Status::Crashed).lines(lang, false, 80);
            for line in &lines {
                assert!(terminal::width(line) <= 80, "{line}");
            }
            let text = lines.join("\n");
            for test in [FILE, SYMBOLS].iter().chain(BATTERY).chain(OUTPUTS) {
                let of_it = lines
                    .iter()
                    .filter(|line| line.split_whitespace().nth(1) == Some(test.id));
                assert_eq!(of_it.count(), 1, "{}: {text}", test.id);
            }
        }
    }

    #[test]
    fn only_a_battery_that_was_judged_as_a_whole_and_found_well_conforms() {
        for status in Status::ALL {
            let verdict = verdict(status);
            assert_eq!(verdict.conforms(), status == Status::Ok, "{status:?}");
            let json = verdict.json(Lang::En, true);
            let shown = json["tests"].as_array().map_or(0, Vec::len);
            assert_eq!(shown, usize::from(status != Status::Ok), "{json}");
        }
    }
}
