//! What sinks' plugins keep: durable, of one sink, bounded.

use super::engine::Engine;
use super::subject::Subject;
use crate::outbox::{Maintenance, SINK_STATE_KEYS};

pub(super) async fn keep(
    outbox: &impl Maintenance,
    sink: &str,
    key: &str,
    value: Option<&str>,
) -> bool {
    let value = value.map(|text| text.as_bytes().to_vec());
    let kept = outbox.keep_sink_state(sink, key, value).await;
    kept.expect("the store takes it")
}

pub(super) fn kept(outbox: &impl Maintenance, sink: &str, key: &str) -> Option<String> {
    let value = outbox.sink_state(sink, key).expect("reads");
    value.map(|bytes| String::from_utf8(bytes).expect("text"))
}

pub(super) async fn a_value_outlives_a_crash_belongs_to_one_sink_and_can_be_forgotten<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    assert!(keep(&*outbox, "crm", "token", Some("one")).await);
    assert!(keep(&*outbox, "crm", "token", Some("two")).await);
    outbox.crash();
    outbox.reopen();
    assert_eq!(kept(&*outbox, "crm", "token").as_deref(), Some("two"));
    assert_eq!(kept(&*outbox, "mail", "token"), None);
    assert_eq!(kept(&*outbox, "crm", "toke"), None);
    assert!(keep(&*outbox, "crm", "token", None).await);
    assert_eq!(kept(&*outbox, "crm", "token"), None);
    outbox.crash();
    assert_eq!(kept(&*outbox, "crm", "token"), None);
    assert!(outbox.sink_state("nobody", "token").is_err());
    let nobody = outbox.keep_sink_state("nobody", "token", None);
    assert!(nobody.await.is_err());
    assert_eq!(outbox.fault(), None);
}

pub(super) async fn a_sink_keeps_so_many_values_and_no_more<E: Engine>() {
    let outbox = Subject::<E>::new();
    for number in 0..SINK_STATE_KEYS {
        assert!(keep(&*outbox, "crm", &format!("k{number}"), Some("v")).await);
    }
    assert!(!keep(&*outbox, "crm", "more", Some("v")).await);
    assert!(keep(&*outbox, "crm", "k3", Some("other")).await);
    assert!(keep(&*outbox, "mail", "more", Some("v")).await);
    assert_eq!(kept(&*outbox, "crm", "more"), None);
    assert_eq!(kept(&*outbox, "crm", "k3").as_deref(), Some("other"));
}
