//! What sinks' plugins keep: durable, sealed, bounded, and in every copy.

use super::*;
use crate::outbox::SINK_STATE_KEYS;

async fn keep(outbox: &SledOutbox, sink: &str, key: &str, value: Option<&str>) -> bool {
    let value = value.map(|text| text.as_bytes().to_vec());
    let kept = outbox.keep_sink_state(sink, key, value).await;
    kept.expect("the store takes it")
}

fn kept(outbox: &SledOutbox, sink: &str, key: &str) -> Option<String> {
    let value = outbox.sink_state(sink, key).expect("reads");
    value.map(|bytes| String::from_utf8(bytes).expect("text"))
}

#[tokio::test]
async fn a_value_outlives_a_restart_belongs_to_one_sink_and_can_be_forgotten() {
    let folder = folder();
    let outbox = open(&folder);
    assert!(keep(&outbox, "crm", "token", Some("one")).await);
    assert!(keep(&outbox, "crm", "token", Some("two")).await);
    close(outbox);
    let outbox = open(&folder);
    assert_eq!(kept(&outbox, "crm", "token").as_deref(), Some("two"));
    assert_eq!(kept(&outbox, "mail", "token"), None);
    assert_eq!(kept(&outbox, "crm", "toke"), None);
    assert!(keep(&outbox, "crm", "token", None).await);
    assert_eq!(kept(&outbox, "crm", "token"), None);
    assert!(outbox.sink_state("nobody", "token").is_err());
}

#[tokio::test]
async fn a_sink_keeps_so_many_values_and_no_more() {
    let folder = folder();
    let outbox = open(&folder);
    for number in 0..SINK_STATE_KEYS {
        assert!(keep(&outbox, "crm", &format!("k{number}"), Some("v")).await);
    }
    assert!(!keep(&outbox, "crm", "more", Some("v")).await);
    assert!(keep(&outbox, "crm", "k3", Some("other")).await);
    assert!(keep(&outbox, "mail", "more", Some("v")).await);
    assert_eq!(kept(&outbox, "crm", "more"), None);
    assert_eq!(kept(&outbox, "crm", "k3").as_deref(), Some("other"));
}

#[tokio::test]
async fn it_is_in_a_backup_in_a_salvage_and_whole_for_verify() {
    let folder = folder();
    let outbox = open(&folder);
    assert!(keep(&outbox, "crm", "token", Some("kept")).await);
    let file = folder.path().join("backup");
    let mut to = std::fs::File::create(&file).expect("makes the file");
    let outbox = std::thread::spawn(move || {
        outbox.backup(&mut to).expect("backs up");
        outbox
    })
    .join()
    .expect("no panic");
    close(outbox);
    let path = folder.path().join("store");
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    for copy in ["restored", "saved"] {
        let copied = tempfile::tempdir().expect("a folder");
        let to = copied.path().join("store");
        if copy == "restored" {
            restore(&file, &to, false).expect("restores");
        } else {
            salvage(&path, &to, &[]).expect("salvages");
        }
        let outbox = open(&copied);
        assert_eq!(
            kept(&outbox, "crm", "token").as_deref(),
            Some("kept"),
            "{copy}"
        );
        close(outbox);
    }
}
