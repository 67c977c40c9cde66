//! Copies: backups while writing goes on, exports and imports.

use std::collections::BTreeSet;

use super::*;
use crate::outbox::Find;

fn leads(outbox: &SledOutbox) -> BTreeSet<LeadId> {
    outbox
        .leads(&crate::outbox::LeadFilter::default(), None, 100_000)
        .expect("reads")
        .items
        .into_iter()
        .collect()
}

/// A file on a disk that is full.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_the_state_at_its_end() {
    let folder = folder();
    let outbox = Arc::new(open(&folder));
    let accept = |from: u64, to: u64| {
        let outbox = Arc::clone(&outbox);
        async move {
            let (mut ids, mut ever) = (BTreeSet::new(), BTreeSet::new());
            for record in from..to {
                let mut lead = arrival(record, 1);
                lead.routes.push(Route {
                    sink: "mail".into(),
                    failed: None,
                });
                let Ok(Accepted::New { lead, .. }) = outbox.accept(lead).await else {
                    panic!("accepted")
                };
                ids.insert(lead);
                ever.insert(lead);
                if record % 3 == 0 {
                    let due = outbox.claim("crm", 2_000, 1).expect("claims");
                    for claim in &due.deliveries {
                        super::finish(&outbox, claim, State::Delivered { at: 5 }).await;
                    }
                }
                if record % 7 == 0 {
                    outbox.erase(lead).await.expect("erases");
                    ids.remove(&lead);
                }
            }
            (ids, ever)
        }
    };
    let (before, _) = accept(0, 300).await;
    let writing = tokio::spawn(accept(300, 900));
    let file = folder.path().join("backup");
    let (ended, (done, seen)) = tokio::task::spawn_blocking({
        let (outbox, file) = (Arc::clone(&outbox), file.clone());
        move || {
            let mut to = Slow {
                file: std::fs::File::create(file).expect("makes the file"),
                outbox: Arc::clone(&outbox),
                seen: Vec::new(),
            };
            let done = outbox.backup(&mut to).expect("backs up");
            assert!(to.seen.len() > 3);
            (leads(&outbox), (done, to.seen[2]))
        }
    })
    .await
    .expect("no panic");
    // One that was erased just after the end of the backup is in it.
    let (_, later) = writing.await.expect("no panic");
    assert!(done.changes > 0, "there was load: {done:?}");
    // Another backup can be made, and a broken reader fails only itself.
    let again = Arc::clone(&outbox);
    let failed = tokio::task::spawn_blocking(move || again.backup(&mut Full)).await;
    assert!(matches!(
        failed,
        Ok(Err(crate::outbox::UpkeepError::File(_)))
    ));
    accept(2_000, 2_001).await;

    let to = folder.path().join("restored/store");
    restore(&file, &to, false).expect("restores");
    assert!(
        restore(&file, &to, false).is_err(),
        "only into an empty folder"
    );
    let verdict = verify(&to, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    let restored = TempDirLike(folder.path().join("restored"));
    let copy = restored.open();
    let there = leads(&copy);
    assert!(before.is_subset(&there) && there.is_subset(&ended.union(&later).copied().collect()));
    assert!(
        copy.totals().accepted >= seen,
        "what was accepted meanwhile is in it"
    );
    close(copy);

    let mut bytes = std::fs::read(&file).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).expect("writes");
    let other = folder.path().join("other");
    assert!(restore(&file, &other, false).is_err() && !other.exists());
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes[..bytes.len() - 1]).expect("writes");
    assert!(restore(&file, &other, false).is_err() && !other.exists());
}

/// A file that takes its time: between two pieces something is accepted.
struct Slow {
    file: std::fs::File,
    outbox: Arc<SledOutbox>,
    seen: Vec<u64>,
}

impl std::io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let before = self.outbox.totals().accepted;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while self.outbox.totals().accepted < (before + 3).min(900) {
            assert!(std::time::Instant::now() < deadline, "nothing is accepted");
            std::thread::yield_now();
        }
        self.seen.push(self.outbox.totals().accepted);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

struct TempDirLike(std::path::PathBuf);

impl TempDirLike {
    fn open(&self) -> SledOutbox {
        SledOutbox::open(Options {
            path: &self.0.join("store"),
            queue: 64,
            cache: 16 << 20,
            keys: &[],
            sinks: vec![
                policy("crm", OnUpdate::Each, None),
                policy("mail", OnUpdate::Supersede, None),
            ],
            min_free: 0,
            metrics: Metrics::new().outbox,
        })
        .expect("opens")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_exported_is_imported_as_it_was() {
    let (from, to) = (folder(), folder());
    let outbox = open_with(&from, 64, &[OutboxKey::generate()], 0).expect("opens");
    let find = Find::new(crate::outbox::FindBy::Phone, "13567658911");
    for record in 0..20 {
        for revision in 1..=2 {
            let mut lead = arrival(record, revision);
            lead.original = Some(vec![0xff, u8::try_from(record).unwrap_or(0)]);
            lead.finds = vec![find.clone()];
            outbox.accept(lead).await.expect("accepted");
        }
    }
    let quarantined = |request: &str| QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: Some(request.to_owned()),
        signature: String::new(),
        query: "q".to_owned(),
        content_type: String::new(),
        body: vec![0xfe, 1],
        ceiling: crate::config::Ceiling::default(),
    };
    outbox.quarantine(quarantined("1")).await.expect("kept");
    let claim = outbox
        .claim("crm", 2_000, 1)
        .expect("claims")
        .deliveries
        .remove(0);
    super::finish(&outbox, &claim, State::Delivered { at: 5 }).await;
    let dump = |outbox: &SledOutbox| {
        let mut lines = Vec::new();
        let dumped = outbox.dump(&mut |line| {
            lines.push(serde_json::to_string(&line).expect("writes"));
            Ok(())
        });
        dumped.expect("dumps");
        lines
    };
    let (header, lines) = (outbox.export_header(), dump(&outbox));
    assert_eq!(lines.len(), 21);

    adopt(&to.path().join("store"), 16 << 20, &[], &header).expect("takes the index key");
    let copy = Arc::new(open(&to));
    let load = || {
        let (copy, lines) = (Arc::clone(&copy), lines.clone());
        tokio::task::spawn_blocking(move || {
            let lines = lines
                .iter()
                .map(|line| serde_json::from_str(line).expect("reads"));
            copy.load(lines.collect()).expect("loads")
        })
    };
    let done = load().await.expect("no panic");
    assert_eq!((done.leads, done.deliveries, done.quarantined), (20, 40, 1));
    let again = load().await.expect("no panic");
    assert_eq!(
        (again.leads, again.leads_known, again.quarantined_known),
        (0, 20, 1)
    );
    assert_eq!(dump(&copy), lines, "ids, states and contents are kept");
    assert_eq!(copy.find(&find, 100).expect("finds").len(), 20);
    let mut push = arrival(3, 2);
    push.original = None;
    let known = copy.accept(push).await;
    assert!(matches!(known, Ok(Accepted::Duplicate { revision: 2, .. })));
    assert_eq!(
        copy.quarantine(quarantined("2")).await,
        Ok(Quarantined::Duplicate)
    );
    let (a, b) = (outbox.totals(), copy.totals());
    assert_eq!(
        (a.leads, a.accepted, &a.sinks),
        (b.leads, b.accepted, &b.sinks)
    );
    close(Arc::into_inner(copy).expect("nobody else has it"));
    close(outbox);
    assert!(
        adopt(&from.path().join("store"), 16 << 20, &[], &header).is_err(),
        "another key seals it"
    );
    let verdict = verify(&to.path().join("store"), &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
}
