//! `leadgate plugin check`: whether a built library keeps to the contract.
//!
//! A battery of tests, each in a child process of its own with a time limit, so that a library
//! that crashes in one is still judged by the others. What reaches the plugin's destination is
//! not judged: there may be none.

mod battery;
mod made_up;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use self::battery::{BATTERY, Test};
use self::verdict::{Status, Verdict};
use super::super::{BAD_CONFIG, FAILED, Global, fail};
use super::part::child::{self, Ending, Ran};
use super::part::told::{Both, Line, Request};
use super::part::{self, Part, person};
use super::subject::{self, Kind, Subject};
use crate::config;
use crate::plugin::Plugins;

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(in super::super) struct Args {
    /// The library, or a program for the exec plugin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the plugin in it [default: the only one]
    #[arg(long, value_name = "NAME", value_parser = subject::name)]
    name: Option<String>,
    /// TOML or JSON file with good settings; thousands of test leads go where they say [default:
    /// made up from the schema]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Show only what is not well
    #[arg(long)]
    only_failed: bool,
    /// Do it in this process, for a debugger: the first crash ends it
    #[arg(long)]
    in_process: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    match check(global, args) {
        Ok(verdict) => {
            verdict.print(global, args.only_failed);
            if verdict.conforms() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            }
        }
        Err(code) => code,
    }
}

fn check(global: &Global, args: &Args) -> Result<Verdict, ExitCode> {
    let subject = Subject::read(global, &args.file)?;
    let folder = part::folder().map_err(|error| fail(error, FAILED))?;
    let mut battery = Battery {
        verdict: Verdict::of(&subject),
        folder: folder.path().to_owned(),
        hidden: person::hidden(),
        in_process: args.in_process,
        leaks: BTreeMap::new(),
        printed: Vec::new(),
        number: 0,
    };
    battery.file(&subject);
    let name = match subject.meant(args.name.as_deref()) {
        Ok(name) => name,
        Err(why) => {
            battery.symbols(&subject, Err(why));
            battery.without("symbols");
            return Ok(battery.verdict);
        }
    };
    if !subject.is_program() {
        battery.symbols(&subject, Ok(&name));
    }
    battery.verdict.name.clone_from(&name);
    let mut request = Request {
        part: Part::Load,
        file: (!subject.is_program()).then(|| subject.path.clone()),
        name: name.clone(),
        settings: Value::Null,
        made_up: false,
        folder: PathBuf::new(),
        told: PathBuf::new(),
        hidden: Vec::new(),
        event: String::new(),
        timeout_ms: u64::try_from(ATTEMPT.as_millis()).unwrap_or(u64::MAX),
    };
    for test in BATTERY {
        if subject.is_program() && !battery::is_for_programs(test.part) {
            continue;
        }
        if test.part == Part::Settings {
            let given = args.settings.as_deref();
            let (settings, secrets) = match (given, subject.is_program()) {
                (Some(file), false) => given_for(global, file, &name, &battery.schema())?,
                (None, false) => {
                    request.made_up = true;
                    let made = made_up::of(&battery.schema(), &battery.folder);
                    (made.unwrap_or_default(), vec![made_up::CANARY.to_owned()])
                }
                (given, true) => program(global, &subject, given)?,
            };
            request.settings = settings;
            battery.hidden.extend(secrets);
        }
        if test.needs_settings && request.settings.is_null() && test.part != Part::Settings {
            battery.skip(test);
            continue;
        }
        let status = battery.run(test, &request)?;
        match (test.part, status) {
            // Nothing more can be said of what does not load.
            (Part::Load | Part::Descriptor, status) if status != Status::Ok => {
                battery.without(test.id);
                return Ok(battery.verdict);
            }
            (Part::Settings, status) if status != Status::Ok => request.settings = Value::Null,
            _ => {}
        }
    }
    battery.outputs();
    Ok(battery.verdict)
}

/// Settings of the `exec` plugin for a program: those that were given, which must name it, or
/// nothing but its file.
pub(super) fn program(
    global: &Global,
    subject: &Subject,
    given: Option<&Path>,
) -> Result<(Value, Vec<String>), ExitCode> {
    let lang = global.lang();
    let Some(file) = given else {
        let settings = json!({ "command": [subject.path], "base": subject.path.parent() });
        return Ok((settings, Vec::new()));
    };
    let plugins = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let Some(exec) = plugins.get("exec") else {
        let why = Both::plain("there is no plugin `exec`");
        return Err(subject::unusable(lang, &subject.shown, &why));
    };
    let (mut settings, secrets) = given_for(global, file, "exec", exec.schema())?;
    let absolute = std::path::absolute(file).map_err(|error| fail(error, FAILED))?;
    let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    if settings["base"].is_null() {
        settings["base"] = json!(folder);
    }
    let runs_in = settings["folder"].as_str().map_or(folder, PathBuf::from);
    let command = settings["command"].as_array().into_iter().flatten();
    let is_named = command
        .filter_map(Value::as_str)
        .any(|word| runs_in.join(word).canonicalize().ok() == subject.path.canonicalize().ok());
    if !is_named {
        let shown = file.display();
        let why = Both::new(
            format!("the `command` in {shown} does not run it"),
            format!("{shown} 中的 `command` 没有运行它"),
        );
        return Err(subject::unusable(lang, &subject.shown, &why));
    }
    Ok((settings, secrets))
}

/// Settings that were given, and the secrets in them.
pub(super) fn given_for(
    global: &Global,
    file: &Path,
    name: &str,
    schema: &Value,
) -> Result<(Value, Vec<String>), ExitCode> {
    let catalogue = Known { name, schema };
    let environment = config::Environment::process();
    let (alone, report) = config::load_settings(file, name, &environment, &catalogue);
    super::super::check::print_report(global, &report);
    let alone = alone.ok_or(ExitCode::from(BAD_CONFIG))?;
    let secrets = alone.secrets.iter();
    let secrets = secrets.map(|secret| secret.expose().to_owned()).collect();
    Ok((alone.settings, secrets))
}

/// The one plugin, by what a child has told of it.
struct Known<'a> {
    name: &'a str,
    schema: &'a Value,
}

impl config::Catalogue for Known<'_> {
    fn names(&self) -> Vec<String> {
        vec![self.name.to_owned()]
    }

    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, plugin: &str) -> Option<Value> {
        (plugin == self.name).then(|| self.schema.clone())
    }

    fn check(&self, _: &str, _: &str, _: &Value, _: &crate::lead::Tables) -> Vec<config::Problem> {
        // The child asks the plugin itself.
        Vec::new()
    }

    fn load(&mut self, _: &str, _: &config::Plugin) -> Result<(), String> {
        Ok(())
    }
}

/// The battery while it runs.
struct Battery {
    verdict: Verdict,
    folder: PathBuf,
    /// Texts that nothing may say.
    hidden: Vec<String>,
    in_process: bool,
    /// Where something of the person was said: what, and in which tests.
    leaks: BTreeMap<String, (BTreeSet<String>, BTreeSet<&'static str>)>,
    /// Which tests wrote to stdout.
    printed: Vec<&'static str>,
    number: u32,
}

impl Battery {
    fn schema(&self) -> Value {
        let schema = self.verdict.facts.get("schema").and_then(Value::as_str);
        schema
            .and_then(|schema| serde_json::from_str(schema).ok())
            .unwrap_or_default()
    }

    fn file(&mut self, subject: &Subject) {
        let test = &battery::FILE;
        let (status, details) = match subject.fit() {
            Ok(()) => (Status::Ok, Vec::new()),
            Err(error) => (Status::Failed, vec![Both::plain(error.to_string())]),
        };
        self.verdict.add(test, status, details, Duration::ZERO);
    }

    fn symbols(&mut self, subject: &Subject, name: Result<&str, Both>) {
        let (status, detail) = match name {
            Ok(_) => {
                let all = match &subject.kind {
                    Kind::Library(plugins) => plugins.iter(),
                    Kind::Program => [].iter(),
                };
                let all: Vec<_> = all.map(|name| format!("leadgate_plugin_{name}")).collect();
                (Status::Ok, Both::plain(all.join(", ")))
            }
            Err(why) => (Status::Failed, why),
        };
        self.verdict
            .add(&battery::SYMBOLS, status, vec![detail], Duration::ZERO);
    }

    /// Everything that is left is skipped, because `first` did not go well.
    fn without(&mut self, first: &str) {
        let tests = BATTERY.iter().chain(battery::OUTPUTS);
        for test in tests {
            if !self.verdict.has(test.id) && test.id != first {
                let why = Both::new(
                    format!("nothing can be said before `{first}` is well"),
                    format!("`{first}` 通过之前无法判断"),
                );
                self.verdict
                    .add(test, Status::Skipped, vec![why], Duration::ZERO);
            }
        }
    }

    fn skip(&mut self, test: &Test) {
        let why = Both::new(
            "needs good settings: --settings FILE",
            "需要正确的设置：--settings FILE",
        );
        self.verdict
            .add(test, Status::Skipped, vec![why], Duration::ZERO);
    }

    /// Runs one test to its end.
    fn run(&mut self, test: &'static Test, request: &Request) -> Result<Status, ExitCode> {
        self.number += 1;
        let folder = self.folder.join(format!("{}-{}", self.number, test.id));
        std::fs::create_dir(&folder).map_err(|error| fail(error, FAILED))?;
        let request = Request {
            part: test.part,
            told: self.folder.join(format!("{}.told", self.number)),
            hidden: self.hidden.clone(),
            folder,
            ..request.clone()
        };
        let ran = if self.in_process {
            here(&request)
        } else {
            child::run(&request, test.limit)
        };
        let ran = ran.map_err(|error| fail(error, FAILED))?;
        Ok(self.judge(test, ran))
    }

    fn judge(&mut self, test: &'static Test, ran: Ran) -> Status {
        let mut faults = Vec::new();
        let mut notes = Vec::new();
        let mut skipped = Vec::new();
        let mut step = Both::plain("-");
        for line in ran.lines {
            match line {
                Line::Step(now) => step = now,
                Line::Fault(fault) => faults.push(fault),
                Line::Note(note) => notes.push(note),
                Line::Skip(why) => skipped.push(why),
                Line::Fact(name, value) if name == person::LEAK => {
                    let what = value.as_str().unwrap_or_default();
                    self.leak(test, what);
                }
                Line::Fact(name, value) => {
                    self.verdict.facts.insert(name, value);
                }
                Line::Log { .. } | Line::Outcome(_) | Line::Kept(_) | Line::End => {}
            }
        }
        if !ran.stdout.is_empty() {
            self.printed.push(test.id);
        }
        for (name, wrote) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            for found in person::found(&self.hidden, wrote) {
                self.leak(test, &format!("{name}: {found}"));
            }
        }
        let (status, mut details) = match ran.ending {
            Ending::Crashed(how) => {
                let mut said = vec![Both::new(
                    format!("{how} while {}", step.en),
                    format!("{how}，正在{}", step.zh),
                )];
                said.extend(last_words(&self.hidden, &ran.stderr));
                (Status::Crashed, said)
            }
            Ending::TimedOut => {
                let seconds = test.limit.as_secs();
                let why = Both::new(
                    format!("not ended within {seconds} s, while {}", step.en),
                    format!("{seconds} 秒内没有结束，正在{}", step.zh),
                );
                (Status::Timeout, vec![why])
            }
            Ending::Done if !faults.is_empty() => (Status::Failed, Vec::new()),
            Ending::Done if !skipped.is_empty() => (Status::Skipped, Vec::new()),
            Ending::Done => (Status::Ok, Vec::new()),
        };
        details.extend(faults);
        details.extend(skipped);
        details.extend(notes);
        details.dedup();
        self.verdict.add(test, status, details, ran.took);
        status
    }

    /// `what` is a place and the name of what was said there.
    fn leak(&mut self, test: &Test, what: &str) {
        let (place, what) = what.split_once(": ").unwrap_or((what, "-"));
        let (whats, tests) = self.leaks.entry(place.to_owned()).or_default();
        whats.insert(what.to_owned());
        tests.insert(test.id);
    }

    /// What all tests together wrote.
    fn outputs(&mut self) {
        for test in battery::OUTPUTS {
            let details = match test.id {
                "stdout" if self.in_process => continue,
                "stdout" if self.printed.is_empty() => Vec::new(),
                "stdout" => vec![Both::plain(self.printed.join(", "))],
                _ => {
                    let leaks = self.leaks.iter().map(|(place, (whats, tests))| {
                        let whats: Vec<_> = whats.iter().map(String::as_str).collect();
                        let tests: Vec<_> = tests.iter().copied().collect();
                        Both::plain(format!(
                            "{place}: {} ({})",
                            whats.join(", "),
                            tests.join(", ")
                        ))
                    });
                    leaks.collect()
                }
            };
            let status = if details.is_empty() {
                Status::Ok
            } else {
                Status::Failed
            };
            self.verdict.add(test, status, details, Duration::ZERO);
        }
    }
}

/// What a child wrote last, without what nobody may see.
fn last_words(hidden: &[String], stderr: &[u8]) -> Option<Both> {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let mut line: String = line.chars().take(300).collect();
    for one in hidden {
        line = line.replace(one.as_str(), "***");
    }
    let found = person::found(hidden, line.as_bytes());
    found.is_empty().then(|| {
        Both::new(
            format!("its last words: {line}"),
            format!("最后的输出：{line}"),
        )
    })
}

/// The same in this process.
fn here(request: &Request) -> std::io::Result<Ran> {
    let began = std::time::Instant::now();
    part::perform(request)?;
    Ok(Ran {
        ending: Ending::Done,
        lines: super::part::told::read(&request.told),
        stdout: Vec::new(),
        stderr: Vec::new(),
        took: began.elapsed(),
    })
}
