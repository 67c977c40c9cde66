//! Output: readers that go away, full disks behind stdout, 80 columns, and the language of
//! usage.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use leadgate_tests::{Behaviour, Crm, Daemon, SAMPLE, Setup, binary, output, until};

/// The program on a daemon's configuration.
fn command(config: &Path, lang: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .arg("--config")
        .arg(config)
        .env_remove("COLUMNS")
        .env("LEADGATE_LANG", lang)
        .stdin(Stdio::null());
    command
}

/// Everything that prints, with what is in the daemon.
struct Desk {
    daemon: Daemon,
    _crm: Crm,
    delivery: String,
    lead: String,
    quarantined: String,
}

impl Desk {
    fn new() -> Self {
        let crm = Crm::start();
        crm.behave(Behaviour::Refuse(400, ""));
        let daemon = Daemon::start(Setup::with_crm(&crm.url()));
        daemon.shop().give(1..=3);
        daemon
            .shop()
            .push(&SAMPLE[..SAMPLE.len() - 1])
            .expect("answered");
        until("all are dead", || daemon.stat("/sinks/crm/dead") == 3);
        let first = |path: &str| {
            let list = daemon.admin(&format!("/api/v1{path}")).json();
            let id = list["items"][0]["id"].as_str();
            id.expect("an item").to_owned()
        };
        Self {
            delivery: first("/deliveries"),
            lead: first("/leads"),
            quarantined: first("/quarantine"),
            _crm: crm,
            daemon,
        }
    }

    fn config(&self) -> std::path::PathBuf {
        self.daemon.folder().join("leadgate.toml")
    }

    /// All commands that print, and change nothing that another of them shows.
    fn all(&self) -> Vec<Vec<&str>> {
        vec![
            vec!["check"],
            vec!["check", "--json"],
            vec!["config", "schema"],
            vec!["completions", "bash"],
            vec!["completions", "fish"],
            vec!["plugin", "list"],
            vec!["plugin", "list", "--json"],
            vec!["sink", "list"],
            vec!["sink", "list", "--json"],
            vec!["sink", "test", "crm"],
            vec!["outbox", "stats"],
            vec!["outbox", "stats", "--json"],
            vec!["outbox", "deliveries"],
            vec!["outbox", "deliveries", "--json"],
            vec!["outbox", "failures"],
            vec!["outbox", "failures", "--json"],
            vec!["outbox", "show", &self.delivery],
            vec!["outbox", "export"],
            vec!["leads", "list"],
            vec!["leads", "list", "--all", "--json"],
            vec!["leads", "show", &self.lead],
            vec!["leads", "show", &self.lead, "--reveal"],
            vec!["leads", "find", "--phone", "13567658911"],
            vec!["render"],
            vec!["render", "--sink", "crm"],
            vec!["--help"],
            vec!["--version"],
            vec!["outbox", "--help"],
        ]
    }
}

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    Stdio::from(writer)
}

fn full() -> Stdio {
    let full = File::options().write(true).open("/dev/full");
    Stdio::from(full.expect("/dev/full"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_goes_away_ends_every_command_silently() {
    let desk = Desk::new();
    for args in desk.all() {
        let mut one = command(&desk.config(), "en", &args);
        let as_usual = one.output().expect("runs");
        let cut = one.stdout(closed()).output().expect("runs");
        assert_eq!(
            cut.status.code(),
            as_usual.status.code(),
            "{args:?}: {}",
            said(&cut)
        );
        assert!(!said(&cut).contains("panicked"), "{args:?}: {}", said(&cut));
        assert!(
            !said(&cut).to_lowercase().contains("pipe"),
            "{args:?}: {}",
            said(&cut)
        );
    }
    for args in [["run", "--nonsense"], ["outbox", "nonsense"]] {
        let code = command(&desk.config(), "en", &args)
            .stderr(closed())
            .status();
        assert_eq!(code.expect("runs").code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_full_disk_behind_stdout_is_said_and_no_success() {
    let desk = Desk::new();
    for args in desk.all() {
        let output = command(&desk.config(), "en", &args)
            .stdout(full())
            .output()
            .expect("runs");
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        assert_ne!(output.status.code(), Some(101), "{args:?}");
        let said = said(&output);
        assert!(
            said.contains("output cannot be written"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn every_table_fits_80_columns_in_both_languages() {
    let desk = Desk::new();
    let tables = [
        vec!["sink", "list"],
        vec!["outbox", "stats"],
        vec!["outbox", "deliveries"],
        vec!["outbox", "failures"],
        vec!["outbox", "show", &desk.delivery],
        vec!["leads", "list"],
        vec!["leads", "show", &desk.lead],
        vec!["leads", "show", &desk.lead, "--reveal"],
        vec!["plugin", "list"],
    ];
    for lang in ["en", "zh-CN"] {
        for args in &tables {
            let output = command(&desk.config(), lang, args).output().expect("runs");
            assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
            let text = String::from_utf8(output.stdout).expect("text");
            assert!(!text.contains('\u{1b}'), "{args:?}: no colours in a pipe");
            for line in text.lines() {
                let width: usize = line
                    .chars()
                    .map(|one| if one >= '\u{1100}' { 2 } else { 1 })
                    .sum();
                // Some marks below take one column only, so this is an upper bound.
                assert!(
                    width <= 84 && (width <= 80 || !line.is_ascii()),
                    "{args:?} {width}: {line}"
                );
            }
        }
    }
    let text = command(&desk.config(), "zh-CN", &["leads", "list"]).output();
    let text = String::from_utf8(text.expect("runs").stdout).expect("text");
    assert!(text.contains("接收时间") && !text.contains('Z'), "{text}");
    let id = command(&desk.config(), "en", &["leads", "list"]).output();
    let id = String::from_utf8(id.expect("runs").stdout).expect("text");
    assert!(id.contains(&desk.lead), "ids stay whole: {id}");
    assert!(!desk.quarantined.is_empty());
}

#[test]
fn usage_is_in_the_language_that_its_own_flag_asks_for() {
    let text = |args: &[&str]| {
        let output = output(args, &[]);
        String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
    };
    for args in [&["--lang", "zh-CN", "--help"][..], &["--help", "--lang=zh"]] {
        let help = text(args);
        assert!(help.contains("用法：") && help.contains("命令："), "{help}");
        assert!(!help.contains("Usage") && !help.contains("Print"), "{help}");
    }
    let wrong = text(&["--lang", "zh-CN", "outbox", "stats", "--jsno"]);
    assert!(wrong.contains("没有参数“--jsno”"), "{wrong}");
    assert!(text(&["--help"]).contains("Usage:"));
    let raw = text(&["outbox", "a\u{202e}b\u{1b}[2J"]);
    assert!(
        !raw.contains('\u{202e}') && !raw.contains('\u{1b}'),
        "{raw:?}"
    );
}

#[test]
fn a_full_disk_of_the_outbox_is_one_error_with_both_numbers() {
    let daemon = Daemon::start_full(Setup {
        outbox: "min_free = \"1000000GiB\"\n".to_owned(),
        ..Setup::with_crm("http://127.0.0.1:9")
    });
    for record in 1..=50 {
        let answer = daemon.shop().push(leadgate_tests::Shop::lead(record));
        assert_eq!(answer.expect("answered").status, 500);
    }
    until("it is said", || daemon.log().contains("pushes are refused"));
    let log = daemon.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"ERROR\""))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
    assert_eq!(line["wanted"], 1_000_000_u64 << 30);
    assert!(line["free"].as_u64().is_some_and(|free| free > 0), "{line}");
}
