//! The sink as its users see it: settings in, outcomes and files out.

use leadgate_plugin::testing;
use std::time::Duration;

use super::*;

fn settings(path: PathBuf) -> Settings {
    Settings {
        path,
        ..Settings::default()
    }
}

fn host() -> Host {
    Host::detached("log", leadgate_plugin::Tables::new())
}

fn delivery(number: u32) -> Delivery {
    Delivery::new(
        format!("d{number}"),
        1,
        Duration::from_secs(5),
        format!("{{\"n\":{number}}}"),
    )
}

#[tokio::test]
async fn deliveries_that_come_together_are_all_written_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leads.jsonl");
    let sink = testing::create::<FileSink>(&settings(path.clone()), host()).expect("valid");
    let deliveries: Vec<_> = (0..100).map(delivery).collect();
    let outcomes =
        futures_util::future::join_all(deliveries.iter().map(|one| sink.deliver(one))).await;
    assert!(
        outcomes.iter().all(|outcome| outcome.rule == "synced"),
        "{outcomes:?}"
    );
    let text = std::fs::read_to_string(&path).expect("written");
    let mut lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 100);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 100);
}

#[tokio::test]
async fn a_full_disk_is_a_retry_that_says_so() {
    let settings = settings("/dev/full".into());
    let sink = testing::create::<FileSink>(&settings, host()).expect("valid");
    let outcome = sink.deliver(&delivery(1)).await;
    assert!(
        outcome.kind == leadgate_plugin::OutcomeKind::Retry,
        "{outcome:?}"
    );
    assert!(outcome.reason.contains("No space left"), "{outcome:?}");
}

#[tokio::test]
async fn a_template_makes_the_line_and_what_it_cannot_make_is_a_dead_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leads.jsonl");
    let mut settings = settings(path.clone());
    settings.line = Some(serde_json::json!({"n": "{{ other.n }}", "ref": "{{ delivery_id }}"}));
    let sink = testing::create::<FileSink>(&settings, host()).expect("valid");
    let event = |other| {
        Delivery::new(
            "d1",
            1,
            Duration::from_secs(5),
            format!("{{\"lead\":{{\"other\":{other}}}}}"),
        )
    };
    assert_eq!(sink.deliver(&event("{\"n\":7}")).await.rule, "synced");
    let text = std::fs::read_to_string(&path).expect("written");
    assert_eq!(text, "{\"n\":7,\"ref\":\"d1\"}\n");
    let outcome = sink.deliver(&event("{}")).await;
    assert_eq!(outcome.kind, leadgate_plugin::OutcomeKind::Rejected);
    assert_eq!(
        outcome.reason,
        "settings.line.n: there is no such value for this lead; use `| default(…)` if that may be: `other.n`"
    );
    settings.line = Some(serde_json::json!({"n": "{{ nmae }}"}));
    let problems = testing::check::<FileSink>(&settings, &host());
    let places: Vec<_> = problems
        .into_iter()
        .map(|one| (one.path, one.range))
        .collect();
    assert_eq!(places, [("/line/n".to_owned(), Some(3..7))]);
}

#[test]
fn whatever_a_lead_says_it_is_one_line_or_one_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leads");
    let columns = serde_json::json!([
        {"name": "name", "value": "{{ name | default('') }}"},
        {"name": "remark", "value": "{{ remark | default('') }}"},
    ]);
    for more in [
        serde_json::json!({"format": "jsonl"}),
        serde_json::json!({"format": "csv", "columns": columns}),
    ] {
        let mut given = more.clone();
        given["path"] =
            serde_json::json!(path.with_extension(more["format"].as_str().expect("a word")));
        let settings: Settings = serde_json::from_value(given).expect("settings");
        let recorder = testing::Recorder::new("log");
        let sink: FileSink = testing::create(&settings, recorder.host()).expect("valid");
        for delivery in testing::deliveries() {
            let outcome = testing::deliver(&sink, &delivery);
            assert_eq!(outcome.rule, "synced", "{outcome:?}");
            assert!(!testing::shows_a_person(&format!("{outcome:?}")));
        }
        let text = std::fs::read_to_string(&settings.path).expect("written");
        let wanted = if more["format"] == "csv" {
            // Its line break is inside of quotes, and so is its formula made text.
            assert!(text.contains("\"'=1+1\"\"'`;'--"), "{text}");
            5
        } else {
            assert!(
                text.lines()
                    .all(|line| serde_json::from_str::<leadgate_plugin::Event>(line).is_ok())
            );
            4
        };
        let lines = text
            .split_terminator('\n')
            .filter(|line| !line.starts_with("X-Injected"));
        assert_eq!(lines.count(), wanted, "{text}");
        assert!(!recorder.shows_a_person());
    }
}

#[test]
fn a_missing_folder_is_a_problem_of_the_path() {
    let problems =
        testing::check::<FileSink>(&settings("/nowhere/at/all/leads.jsonl".into()), &host());
    let paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["/path"]);
}

#[test]
fn line_breaks_never_split_a_line() {
    assert_eq!(line(b"{\n}"), b"{ }\n");
}

fn places(settings: &Settings) -> Vec<(String, String)> {
    testing::check::<FileSink>(settings, &host())
        .into_iter()
        .map(|one| (one.path, one.help))
        .collect()
}

#[tokio::test]
async fn a_row_has_the_columns_in_their_order_and_keeps_what_a_lead_says_as_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("leads.csv");
    let settings = serde_json::json!({
        "path": path, "format": "csv", "bom": true, "columns": [
            {"name": "手机", "value": "{{ phone_e164 }}"},
            {"name": "姓名", "value": "{{ name }}"},
            {"name": "门店", "value": "{{ store_id }}"},
            {"name": "备注", "value": "{{ other.note }}"},
        ],
    });
    let settings: Settings = serde_json::from_value(settings).expect("settings");
    let sink = testing::create::<FileSink>(&settings, host()).expect("valid");
    let event = |other: &str| {
        let lead = format!(
            "{{\"phone_e164\":\"+8613567658911\",\"name\":\"=张,三\",\"store_id\":7,\"other\":{other}}}"
        );
        let event = format!("{{\"lead\":{lead}}}");
        Delivery::new("d1", 1, Duration::from_secs(5), event)
    };
    let written = event("{\"note\":null}");
    assert_eq!(sink.deliver(&written).await.rule, "synced");
    let text = std::fs::read_to_string(&path).expect("written");
    let row = "+8613567658911,\"'=张,三\",7,";
    assert_eq!(text, format!("\u{feff}手机,姓名,门店,备注\r\n{row}\r\n"));
    let shown = sink.render(&written).expect("renders").expect("a text");
    assert_eq!(
        shown,
        format!("append to {}:\n手机,姓名,门店,备注\n{row}", path.display())
    );
    let outcome = sink.deliver(&event("{}")).await;
    assert_eq!(outcome.kind, leadgate_plugin::OutcomeKind::Rejected);
    assert_eq!(
        outcome.reason,
        "settings.columns.3.value: there is no such value for this lead; use `| default(…)` if that may be: `other.note`"
    );
}

#[tokio::test]
async fn a_full_disk_is_a_retry_for_csv_as_well() {
    let settings = Settings {
        format: Format::Csv,
        columns: vec![Column {
            name: "n".to_owned(),
            value: "{{ delivery_id }}".to_owned(),
        }],
        ..settings("/dev/full".into())
    };
    let sink = testing::create::<FileSink>(&settings, host()).expect("valid");
    let outcome = sink.deliver(&delivery(1)).await;
    assert!(
        outcome.kind == leadgate_plugin::OutcomeKind::Retry,
        "{outcome:?}"
    );
    assert!(outcome.reason.contains("No space left"), "{outcome:?}");
}

#[test]
fn rotation_is_a_word_a_size_or_both() {
    let read = |rotate: serde_json::Value| {
        let settings = serde_json::json!({"path": "/tmp/leads", "rotate": rotate});
        serde_json::from_value::<Settings>(settings).map(|settings| {
            rotation(&settings)
                .map(|rotation| (rotation.daily.is_some(), rotation.size, rotation.keep))
        })
    };
    let good = |rotate| read(rotate).expect("reads").expect("valid");
    assert_eq!(good("daily".into()), (true, None, 366));
    assert_eq!(good("2KiB".into()), (false, Some(2048), 10));
    let both = serde_json::json!({"daily": true, "size": "2KiB"});
    assert_eq!(good(both), (true, Some(2048), 366));
    assert!(read("weekly".into()).is_err());
    assert!(read(serde_json::json!({"hourly": true})).is_err());
    assert!(read(serde_json::json!({})).expect("reads").is_err());
    assert!(read("1KiB".into()).expect("reads").is_ok());
    assert!(read("1000B".into()).expect("reads").is_err());
}

#[test]
fn settings_that_do_not_go_together_are_all_found() {
    let mut wrong = Settings {
        bom: true,
        columns: vec![Column {
            name: "n".to_owned(),
            value: "{{ name }}".to_owned(),
        }],
        timezone: Some("Asia/Shanghai".to_owned()),
        ..settings("/tmp/leads".into())
    };
    let found: Vec<_> = places(&wrong).into_iter().map(|(path, _)| path).collect();
    assert_eq!(found, ["/columns", "/bom", "/timezone"]);
    wrong.format = Format::Csv;
    wrong.line = Some(serde_json::json!({}));
    wrong.rotate = Some(Rotate {
        daily: true,
        size: None,
    });
    wrong.timezone = Some("Asia/Shangai".to_owned());
    let found = places(&wrong);
    assert_eq!(found[0].0, "/line");
    let guess = ("/timezone", "did you mean `Asia/Shanghai`?");
    assert_eq!((found[1].0.as_str(), found[1].1.as_str()), guess);
    assert_eq!(found.len(), 2);
}
