//! Encryption at rest: what a thief of the disk finds, and what keys do.

use super::*;
use crate::outbox::{Find, FindBy};

const PHONE: &str = "13567658911";
const NAME: &str = "张三丰";

/// A lead, a dead letter with its answer, and a quarantined push, all about one person.
async fn fill(outbox: &SledOutbox) -> LeadId {
    let mut lead = arrival(1, 1);
    lead.lead = format!("{{\"name\":\"{NAME}\",\"phone\":\"{PHONE}\"}}");
    lead.raw = format!("{NAME} {PHONE}");
    lead.original = Some(format!("{NAME} {PHONE}").into_bytes());
    lead.finds = vec![
        Find::new(FindBy::Phone, PHONE),
        Find::new(FindBy::Nick, NAME),
    ];
    let Ok(Accepted::New { lead, .. }) = outbox.accept(lead).await else {
        panic!("a new lead");
    };
    let claim = claims(outbox, 1_000).remove(0);
    let at = 5;
    let reason = DeathReason::Rejected;
    let mut end = attempt(&claim, State::Dead { at, reason }, at);
    end.delivery.history[0].response = format!("no such customer: {NAME} {PHONE}");
    outbox.finish(end).await.expect("taken");
    let quarantined = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: None,
        signature: String::new(),
        query: format!("q={PHONE}"),
        content_type: String::new(),
        body: format!("{{{NAME} {PHONE}").into_bytes(),
        ceiling: crate::config::Ceiling::default(),
    };
    outbox.quarantine(quarantined).await.expect("kept");
    let secret = Some(format!("{NAME} {PHONE}").into_bytes());
    let kept = outbox.keep_sink_state("crm", "token", secret).await;
    assert_eq!(kept, Ok(true));
    lead
}

/// How often the person shows in the store's files.
fn traces(folder: &TempDir) -> usize {
    let mut found = 0;
    let mut folders = vec![folder.path().join("store")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("reads") {
            let path = entry.expect("reads").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(path).expect("reads");
            let phone = PHONE.as_bytes();
            found += bytes
                .windows(phone.len())
                .filter(|bytes| *bytes == phone)
                .count();
            let name = NAME.as_bytes();
            found += bytes
                .windows(name.len())
                .filter(|bytes| *bytes == name)
                .count();
        }
    }
    found
}

#[tokio::test]
async fn the_stores_files_show_nothing_of_a_person_when_there_is_a_key() {
    let plain = folder();
    let outbox = open(&plain);
    fill(&outbox).await;
    close(outbox);
    assert!(
        traces(&plain) > 0,
        "without a key the files are readable: the search works"
    );

    let sealed = folder();
    let key = OutboxKey::generate();
    let outbox = open_with(&sealed, 64, &[key], 0).expect("opens");
    let lead = fill(&outbox).await;
    let by_phone = outbox.find(&Find::new(FindBy::Phone, "+86 135 6765 8911"), 10);
    assert_eq!(by_phone, Ok(vec![lead]));
    assert_eq!(
        outbox.find(&Find::new(FindBy::Phone, "13567658912"), 10),
        Ok(vec![])
    );
    assert_eq!(
        outbox.find(&Find::new(FindBy::Openid, NAME), 10),
        Ok(vec![])
    );
    close(outbox);
    assert_eq!(traces(&sealed), 0);
}

#[tokio::test]
async fn a_new_key_seals_old_records_again_and_then_the_old_one_can_go() {
    let folder = folder();
    let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
    let outbox = open(&folder);
    let lead = fill(&outbox).await;
    close(outbox);

    for keys in [vec![old.clone()], vec![new.clone(), old]] {
        let outbox = open_with(&folder, 64, &keys, 0).expect("opens");
        let mut resealed = 0;
        let (outbox, resealed) = std::thread::spawn(move || {
            let mut from = None;
            loop {
                // Small steps: a lead of several parts is not cut in the middle.
                let step = outbox.rekey(from.as_deref(), 2).expect("reseals");
                resealed += step.resealed;
                from = step.next;
                if from.is_none() {
                    let again = outbox.rekey(None, 1_000).expect("reads");
                    assert_eq!(again.resealed, 0, "a second run finds nothing to do");
                    return (outbox, resealed);
                }
            }
        })
        .join()
        .expect("no panic");
        assert_eq!(
            resealed, 3,
            "a lead, a delivery and a quarantined push; what is kept is written anew anyway"
        );
        close(outbox);
    }
    let outbox = open_with(&folder, 64, &[new], 0).expect("opens");
    let stored = outbox.lead(lead, 0).expect("reads").expect("is there");
    assert!(stored.raw.contains(PHONE));
    assert_eq!(
        outbox.find(&Find::new(FindBy::Phone, PHONE), 10),
        Ok(vec![lead])
    );
    let quarantined = outbox.quarantined_pushes(None, 10).expect("reads");
    assert_eq!(quarantined.items.len(), 1);
    let kept = outbox.sink_state("crm", "token").expect("reads");
    assert_eq!(kept, Some(format!("{NAME} {PHONE}").into_bytes()));
}

#[tokio::test]
async fn a_sealed_store_does_not_open_without_its_key_and_says_which() {
    let folder = folder();
    let key = OutboxKey::generate();
    let id = key.id().to_string();
    close(open_with(&folder, 64, &[key], 0).expect("opens"));
    for keys in [vec![], vec![OutboxKey::generate()]] {
        let error = open_with(&folder, 64, &keys, 0).err().expect("refused");
        assert!(error.to_string().contains(&id), "{error}");
    }
}
