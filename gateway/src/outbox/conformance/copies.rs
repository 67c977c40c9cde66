//! Copies: backups while writing goes on, exports and imports.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audit::{audited, event, record_days};
use super::engine::{Copying, Setup};
use super::pushes::{
    arrival, back_up, claims, dump, erase, finish, lead_for, lead_of, newest, quarantined,
};
use super::sink_state::{keep, kept};
use super::subject::{Subject, blocking};
use crate::outbox::{
    Accepted, Arrival, Audit, AuditAction, AuditFilter, DAY, EXPORT_VERSION, ExportHeader,
    Exported, Find, FindBy, Intake, LeadId, Maintenance, Operations, Outbox, PauseCause,
    Quarantined, QuarantinedPush, Queue, State, StateName, UpkeepError,
};
use crate::seal::OutboxKey;

fn leads(outbox: &impl Operations) -> BTreeSet<LeadId> {
    let page = outbox.leads(&newest(), None, 100_000).expect("reads");
    page.items.into_iter().collect()
}

/// A file on a disk that is full.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file that takes its time: before each of the first pieces something is accepted.
struct Slow<S> {
    file: std::fs::File,
    outbox: Arc<S>,
    /// How many were accepted, at each piece.
    seen: Vec<u64>,
}

/// How many leads are accepted under a backup, at least.
const MEANWHILE: u64 = 900;

impl<S: Outbox> Write for Slow<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let accepted = || self.outbox.totals().accepted;
        let until = (accepted() + 3).min(MEANWHILE);
        let deadline = Instant::now() + Duration::from_secs(60);
        while accepted() < until {
            assert!(Instant::now() < deadline, "nothing is accepted");
            std::thread::yield_now();
        }
        let now = accepted();
        self.seen.push(now);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Accepts, delivers and erases; the leads that are left, and all that ever were.
async fn load(
    outbox: Arc<impl Outbox>,
    records: std::ops::Range<u64>,
) -> (BTreeSet<LeadId>, BTreeSet<LeadId>) {
    let (mut left, mut ever) = (BTreeSet::new(), BTreeSet::new());
    for record in records {
        let lead = outbox.accept(lead_for(record, "shop", &["crm", "mail"]));
        let lead = lead_of(lead.await.expect("accepted"));
        left.insert(lead);
        ever.insert(lead);
        if record % 3 == 0 {
            let due = outbox.claim("crm", 2_000, 1).expect("claims");
            for claim in &due.deliveries {
                finish(&*outbox, claim, State::Delivered { at: 5 }).await;
            }
        }
        if record % 7 == 0 && erase(&*outbox, lead).await.expect("erases") {
            left.remove(&lead);
        }
    }
    (left, ever)
}

pub(super) async fn a_backup_under_load_is_the_state_at_its_end<E: Copying>() {
    let outbox = Subject::<E>::new();
    let (before, _) = load(outbox.share(), 0..300).await;
    let writing = tokio::spawn(load(outbox.share(), 300..MEANWHILE));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    let backup = tokio::task::spawn_blocking({
        let (outbox, file) = (outbox.share(), file.clone());
        move || {
            let mut to = Slow {
                file: std::fs::File::create(file).expect("makes the file"),
                outbox: Arc::clone(&outbox),
                seen: Vec::new(),
            };
            let done = outbox.backup(&mut to).expect("backs up");
            assert!(to.seen.len() > 3, "it is written in pieces");
            (leads(&*outbox), done, to.seen[2])
        }
    });
    let (ended, done, seen) = backup.await.expect("no panic");
    // One that was erased just after the end of the backup is in it.
    let (_, later) = writing.await.expect("no panic");
    assert!(done.changes > 0, "there was load: {done:?}");
    // A broken file fails only itself, and another backup can be made.
    let failed = blocking(|| outbox.backup(&mut Full));
    assert!(matches!(failed, Err(UpkeepError::File(_))));
    blocking(|| back_up(&*outbox, &folder.path().join("another")));
    load(outbox.share(), 2_000..2_001).await;

    let copy = restored::<E>(&file);
    let there = leads(&*copy);
    let known: BTreeSet<LeadId> = ended.union(&later).copied().collect();
    assert!(before.is_subset(&there) && there.is_subset(&known));
    let accepted = copy.totals().accepted;
    assert!(accepted >= seen, "{accepted}: not what came meanwhile");
    super::counts::recount(&*copy);
    let again = blocking(|| copy.engine.restore(&file).err());
    assert!(again.is_some(), "only where nothing is");
}

/// The store of a backup.
fn restored<E: Copying>(backup: &Path) -> Subject<E> {
    let engine = E::new();
    let restored = blocking(|| engine.restore(backup));
    restored.expect("restores");
    let setup = Setup::default();
    assert_eq!(blocking(|| engine.verify(&setup)), [""; 0]);
    let copy = Subject::at(engine, setup);
    let deadline = Instant::now() + Duration::from_secs(60);
    // What it is searched by may have to be made.
    while copy.counts().is_err() {
        assert!(Instant::now() < deadline, "it does not answer");
        std::thread::yield_now();
    }
    copy
}

pub(super) async fn a_damaged_backup_is_refused<E: Copying>() {
    let outbox = Subject::<E>::new();
    load(outbox.share(), 0..20).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    blocking(|| back_up(&*outbox, &file));
    let whole = std::fs::read(&file).expect("reads");
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("writes");
        let engine = E::new();
        blocking(|| engine.restore(&file)).is_err()
    };
    for part in 0..16 {
        let mut bytes = whole.clone();
        let at = part * (bytes.len() - 1) / 15;
        bytes[at] ^= 1;
        assert!(refused(&bytes), "byte {at} of {}", bytes.len());
    }
    for left in [0, 1, whole.len() / 2, whole.len() - 1] {
        assert!(refused(&whole[..left]), "{left} bytes of {}", whole.len());
    }
    assert!(!refused(&whole));
}

pub(super) async fn a_backup_holds_what_is_standing<E: Copying>() {
    let outbox = Subject::<E>::new();
    assert!(keep(&*outbox, "crm", "token", Some("kept")).await);
    let note = PauseCause::Person("the CRM moves".to_owned());
    let pause = outbox.pause("mail", Some(note.clone()));
    pause.await.expect("taken");
    outbox.quarantine(quarantined(b"{")).await.expect("kept");
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&*outbox, 1_000).remove(0);
    let journal = outbox.keep("crm", claim.id, "{\"party\":7}".to_owned());
    journal.await.expect("kept");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    blocking(|| back_up(&*outbox, &file));
    let copy = restored::<E>(&file);
    assert_eq!(kept(&*copy, "crm", "token").as_deref(), Some("kept"));
    assert_eq!(copy.pause_of("mail").expect("paused").cause, note);
    assert!(!copy.paused("crm"));
    assert_eq!(claims(&*copy, 1_000)[0].delivery.journal, "{\"party\":7}");
    let lines = blocking(|| (dump(&*outbox), dump(&*copy)));
    assert_eq!(lines.0, lines.1);
    assert_eq!(outbox.totals(), copy.totals());
    let known = copy.accept(arrival(1, 1)).await;
    assert!(matches!(known, Ok(Accepted::Duplicate { revision: 1, .. })));
    let known = copy.quarantine(quarantined(b"{")).await;
    assert_eq!(known, Ok(Quarantined::Duplicate));
}

pub(super) async fn what_was_exported_is_imported_as_it_was<E: Copying>() {
    let key = OutboxKey::generate();
    let mut outbox = Subject::<E>::with(Setup::sealed_with(&[key]));
    let find = Find::new(FindBy::Phone, "13567658911");
    for record in 0..20 {
        for revision in 1..=2 {
            let lead = Arrival {
                original: Some(vec![0xff, u8::try_from(record).unwrap_or(0)]),
                finds: vec![find.clone()],
                ..arrival(record, revision)
            };
            outbox.accept(lead).await.expect("accepted");
        }
    }
    let push = |request: &str| QuarantinedPush {
        request_id: Some(request.to_owned()),
        ..quarantined(&[0xfe, 1])
    };
    outbox.quarantine(push("1")).await.expect("kept");
    let claim = outbox.claim("crm", 2_000, 1).expect("claims");
    let ended = State::Delivered { at: 5 };
    finish(&*outbox, &claim.deliveries[0], ended).await;
    let header = outbox.export_header();
    let lines = blocking(|| dump(&*outbox));
    assert_eq!(lines.len(), 21);

    let engine = E::new();
    let setup = Setup::default();
    let adopted = blocking(|| engine.adopt(&setup, &header));
    adopted.expect("takes the index key");
    let mut copy = Subject::at(engine, setup);
    let read = || -> Vec<Exported> {
        let lines = lines.iter();
        let lines = lines.map(|line| serde_json::from_str(line).expect("reads"));
        lines.collect()
    };
    let done = blocking(|| copy.load(read())).expect("loads");
    assert_eq!((done.leads, done.deliveries, done.quarantined), (20, 40, 1));
    copy.crash();
    let again = blocking(|| copy.load(read())).expect("loads");
    assert_eq!(
        (again.leads, again.leads_known, again.quarantined_known),
        (0, 20, 1)
    );
    let same = blocking(|| dump(&*copy));
    assert!(same == lines, "ids, states and contents are kept");
    assert_eq!(copy.find(&find, 100).expect("finds").len(), 20);
    let known = copy.accept(arrival(3, 2)).await;
    assert!(matches!(known, Ok(Accepted::Duplicate { revision: 2, .. })));
    let known = copy.quarantine(push("2")).await;
    assert_eq!(known, Ok(Quarantined::Duplicate));
    super::counts::recount(&*copy);
    let (a, b) = (outbox.totals(), copy.totals());
    assert_eq!(
        (a.leads, a.accepted, &a.sinks),
        (b.leads, b.accepted, &b.sinks)
    );
    copy.close();
    let problems = blocking(|| copy.engine.verify(&copy.setup));
    assert_eq!(problems, [""; 0]);
    outbox.close();
    let unsealed = blocking(|| outbox.engine.adopt(&Setup::default(), &header));
    assert!(unsealed.is_err(), "another key seals it");
    let other = Subject::<E>::new().export_header();
    let with_leads = blocking(|| outbox.engine.adopt(&outbox.setup, &other));
    assert!(with_leads.is_err(), "it has leads by another index key");
    let own = blocking(|| outbox.engine.adopt(&outbox.setup, &header));
    own.expect("it has that key already");
}

pub(super) async fn an_export_that_cannot_be_written_says_so<E: Copying>() {
    let outbox = Subject::<E>::new();
    for record in 0..3 {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    let mut written = 0;
    let failed = blocking(|| {
        outbox.dump(&mut |_| {
            written += 1;
            if written == 2 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })
    });
    assert!(matches!(failed, Err(UpkeepError::File(_))));
    assert_eq!((written, outbox.fault()), (2, None));
}

pub(super) async fn what_was_erased_is_in_no_export<E: Copying>() {
    let outbox = Subject::<E>::new();
    for record in 0..2 {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    let leads = outbox.leads(&newest(), None, 9).expect("reads").items;
    assert_eq!(erase(&*outbox, leads[0]).await, Ok(true));
    let lines = blocking(|| dump(&*outbox));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(&leads[1].to_string()));
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

pub(super) async fn an_export_of_version_1_is_imported<E: Copying>() {
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

pub(super) async fn a_backup_takes_the_audit_log_along<E: Copying>() {
    let mut outbox = Subject::<E>::new();
    record_days(&outbox, 0..50).await;
    blocking(|| outbox.retire_audit(31 * DAY)).expect("retires");
    let before = audited(&outbox, &AuditFilter::default(), 90);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut to = file.reopen().expect("opens");
    blocking(|| outbox.backup(&mut to)).expect("backs up");
    // What comes later is not in it.
    record_days(&outbox, 50..52).await;
    let engine = E::new();
    engine.restore(file.path()).expect("restores");
    let mut restored = Subject::at(engine, Setup::default());
    assert_eq!(audited(&restored, &AuditFilter::default(), 90), before);
    assert_eq!(
        blocking(|| restored.verify_audit()).expect("reads").broken,
        None
    );
    assert_eq!(
        restored.record(event(60 * DAY, AuditAction::Reload)).await,
        Ok(51)
    );
    for one in [&mut outbox, &mut restored] {
        one.close();
        assert_eq!(one.engine.verify(&one.setup), Vec::<String>::new());
        one.open();
    }
}

pub(super) async fn an_export_takes_the_audit_log_along_and_an_import_knows_it<E: Copying>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    record_days(&outbox, 0..50).await;
    let mut lines = Vec::new();
    let dumped = blocking(|| {
        outbox.dump(&mut |one| {
            lines.push(one);
            Ok(())
        })
    });
    dumped.expect("dumps");
    let is_entry = |line: &&Exported| matches!(line, Exported::Audit(_));
    assert_eq!(lines.iter().filter(is_entry).count(), 50);
    let engine = E::new();
    let header: ExportHeader = outbox.export_header();
    engine.adopt(&Setup::default(), &header).expect("adopts");
    let mut taken = Subject::at(engine, Setup::default());
    // As they are read from lines of text.
    let text = lines
        .iter()
        .map(|line| serde_json::to_string(line).expect("text"));
    let lines: Vec<Exported> = text
        .map(|line| serde_json::from_str(&line).expect("reads"))
        .collect();
    assert_eq!(taken.record(event(9, AuditAction::Reload)).await, Ok(1));
    let done = blocking(|| taken.load(lines.clone())).expect("loads");
    assert_eq!((done.leads, done.audit, done.audit_known), (1, 50, 0));
    taken.crash();
    let again = blocking(|| taken.load(lines)).expect("loads");
    assert_eq!(
        (again.leads_known, again.audit, again.audit_known),
        (1, 0, 50)
    );
    let (before, after) = (
        audited(&outbox, &AuditFilter::default(), 90),
        audited(&taken, &AuditFilter::default(), 90),
    );
    assert_eq!(after.len(), 51);
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(was.event, is.event);
        let origin = is.origin.expect("it came from elsewhere");
        assert_eq!((origin.number, origin.chain), (was.number, was.chain));
    }
    assert_eq!(
        blocking(|| taken.verify_audit()).expect("reads").broken,
        None
    );
}
