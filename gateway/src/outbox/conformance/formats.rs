//! Promise 4: a format is versioned; an unknown newer one is refused with a clear error and
//! stays as it is.

use super::engine::Engine;
use super::pushes::{arrival, claims, dump, newest};
use super::subject::{Subject, blocking};
use crate::outbox::{
    EXPORT_VERSION, Exported, Find, FindBy, Intake, Maintenance, Operations, StateName,
};

pub(super) async fn a_newer_format_is_refused_and_not_touched<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.close();
    outbox.engine.pretend_newer(true);
    for _ in 0..2 {
        let refused = blocking(|| outbox.engine.open(&outbox.setup).err());
        let refused = refused.expect("refused");
        assert!(refused.contains("format"), "{refused}");
        assert!(refused.contains("newer"), "what to do: {refused}");
    }
    outbox.engine.pretend_newer(false);
    outbox.open();
    assert_eq!(claims(&*outbox, 1_000).len(), 1);
}

/// A lead and a quarantined push as leadgate wrote them when version 1 was made.
const VERSION_1: [&str; 2] = [
    r#"{"lead":{"id":"0190a0b0-c0d0-7000-8000-000000000001","revisions":[{"revision":1,
        "source":"shop","received_at":1000,
        "identity":"0101010101010101010101010101010101010101010101010101010101010101",
        "stable":true,
        "content":"0202020202020202020202020202020202020202020202020202020202020202",
        "modified_at":7,"request_id":"r","method":"m","lead":"{\"a\":1}","labels":"{}",
        "raw":"raw","original":"/wE=","finds":["0003030303030303030303030303030303"]}],
      "deliveries":[{"id":"0190a0b0-c0d0-7000-8000-000000000002","sink":"crm","source":"shop",
        "lead":"0190a0b0-c0d0-7000-8000-000000000001","revision":1,"created_at":1000,
        "state":{"Dead":{"at":9,"reason":"rejected"}},"attempts":1,
        "budget":{"spent":0,"since":1000},"fallback_of":null,
        "history":[{"number":1,"started_at":1,"duration_ms":2,"outcome":"rejected","rule":"r",
          "reason":"no","receipt":"","request":"","response":"","trace_id":""}]}]}}"#,
    r#"{"quarantined":{"id":"0190a0b0-c0d0-7000-8000-000000000003","source":"shop",
      "reason":"stale","received_at":5,"request_id":null,"query":"q","content_type":"t",
      "body":"/gE=",
      "fingerprint":"0404040404040404040404040404040404040404040404040404040404040404"}}"#,
];

pub(super) async fn an_export_of_version_1_is_imported<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    assert_eq!(outbox.export_header().leadgate_export, EXPORT_VERSION);
    let lines = VERSION_1.map(|line| serde_json::from_str::<Exported>(line).expect("reads"));
    let done = blocking(|| outbox.load(lines.to_vec())).expect("loads");
    assert_eq!((done.leads, done.deliveries, done.quarantined), (1, 1, 1));
    outbox.crash();
    let leads = outbox.leads(&newest(), None, 9).expect("reads").items;
    let history = outbox.history(leads[0]).expect("reads").expect("is there");
    assert_eq!(history.revisions[0].lead, "{\"a\":1}");
    assert_eq!(
        history.revisions[0].original.as_deref(),
        Some(&[0xff, 1][..])
    );
    assert_eq!(history.deliveries[0].state, StateName::Dead);
    assert_eq!(history.deliveries[0].delivery.history[0].reason, "no");
    assert_eq!(outbox.totals().sinks["crm"].dead_letters(), 1);
    let aside = outbox.quarantined_pushes(None, 9).expect("reads").items;
    assert_eq!(aside[0].body, [0xfe, 1]);
    let unknown = Find::new(FindBy::Phone, "13567658911");
    assert_eq!(outbox.find(&unknown, 9), Ok(vec![]));
    let known = blocking(|| outbox.load(lines.to_vec())).expect("loads");
    assert_eq!((known.leads_known, known.quarantined_known), (1, 1));
    assert_eq!(blocking(|| dump(&*outbox)).len(), 2);
}
