//! Damage: what flipped bytes do, and what can be saved.

use std::path::{Path, PathBuf};

use super::super::current::{self, Catalog};
use super::super::index::{Change as IndexChange, Order};
use super::super::journal::{self, Batch, Disk, Journal, Salvaged};
use super::super::place::Place;
use super::super::{codec, keys};
use super::*;
use crate::outbox::{FindBy, PauseCause, Verdict};
use crate::seal::Keyring;

const LEADS: u64 = 300;
/// Leads that are pushed at once, and so share a frame at most.
const TOGETHER: usize = 10;
const CACHE: usize = 16 << 20;

fn phone(record: u64) -> String {
    format!("135{record:08}")
}

fn large(record: u64) -> Arrival {
    let mut lead = arrival(record, 1);
    lead.raw = "r".repeat(1_000);
    lead.finds = vec![Find::new(FindBy::Phone, &phone(record))];
    lead
}

/// A store that was closed and opened once, with ended, dead and waiting deliveries.
async fn filled(folder: &TempDir) {
    for half in 0..2 {
        let outbox = open(folder);
        let records: Vec<u64> = (half * LEADS / 2..(half + 1) * LEADS / 2).collect();
        for some in records.chunks(TOGETHER) {
            let pushes = some.iter().map(|record| outbox.accept(large(*record)));
            for accepted in join_all(pushes).await {
                accepted.expect("accepted");
            }
        }
        let some = claims(&outbox, 2_000);
        for (at, claim) in some.iter().enumerate().take(20) {
            let state = match at % 4 {
                0 => State::Delivered { at: 5 },
                1 => State::Waiting { due_at: 3_000 },
                2 => State::Cancelled { at: 5 },
                _ => State::Dead {
                    at: 5,
                    reason: DeathReason::Rejected,
                },
            };
            finish(&outbox, claim, state).await;
        }
        let ids: Vec<_> = some.iter().map(|claim| claim.id).collect();
        outbox.unclaim("crm", &ids);
        close(outbox);
    }
}

fn store(folder: &TempDir) -> PathBuf {
    folder.path().join("store")
}

fn segment(store: &Path, number: u32) -> PathBuf {
    store.join("journal").join(journal::name(number))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes the folder");
    for entry in std::fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("reads").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

/// Verifies a store that must be sound.
pub(super) fn sound(path: &Path, keys: &[OutboxKey]) -> Verdict {
    let verdict = verify(path, keys, CACHE).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    verdict
}

/// Damages copies of one store, each at one place. Nothing may be lost silently, the damaged
/// file must stay as it is, and what is whole must be saved.
async fn damaged_in_many_places(at_most: u64, with_index: bool, damage: impl Fn(&mut [u8], usize)) {
    const PLACES: usize = 40;
    let whole = folder();
    filled(&whole).await;
    let store = store(&whole);
    if !with_index {
        std::fs::remove_dir_all(store.join("index")).expect("removes");
    }
    let before = sound(&store, &[]);
    let path = segment(&store, 1);
    let bytes = std::fs::read(&path).expect("reads");
    // The rest is room that was taken ahead.
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("filled") + 1;
    let (mut harmless, mut refused, mut saved_all, mut fewest) = (0, 0, 0, LEADS);
    let (mut all_deliveries, mut again) = (0, 0);
    for step in 0..PLACES {
        let folder = folder();
        let damaged = folder.path().join("store");
        copy(&store, &damaged);
        let mut bytes = bytes.clone();
        let at = step * end / PLACES + step * 37 % (end / PLACES);
        damage(&mut bytes, at);
        std::fs::write(segment(&damaged, 1), &bytes).expect("writes");
        let verdict = verify(&damaged, &[], CACHE).expect("verifies");
        match try_open(&folder, 64) {
            Ok(outbox) => {
                harmless += 1;
                assert_eq!(outbox.totals().leads, LEADS, "byte {at}");
                assert_eq!(verdict.found, 0, "byte {at}: {:?}", verdict.problems);
                close(outbox);
                continue;
            }
            Err(OpenError::Damaged { .. } | OpenError::Broken { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
        assert!(verdict.found > 0, "byte {at}");
        let to = folder.path().join("saved");
        let saved =
            salvage(&damaged, &to, &[]).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let now = std::fs::read(segment(&damaged, 1)).expect("reads");
        assert!(now == bytes, "byte {at}: the damaged file was changed");
        let all = (saved.leads, saved.deliveries) == (LEADS, LEADS);
        assert!(saved.lost > 0 || all, "byte {at}: {saved:?}");
        assert!(saved.leads + at_most >= LEADS, "byte {at}: {saved:?}");
        if let Some(missing) = saved.missing_leads {
            assert_eq!(saved.leads + missing, LEADS, "byte {at}: {saved:?}");
        }
        let deliveries = saved.deliveries + if with_index { 0 } else { at_most };
        assert!(deliveries >= saved.leads, "byte {at}: {saved:?}");
        saved_all += u32::from(saved.leads == LEADS);
        all_deliveries += u32::from(saved.deliveries == LEADS);
        again += saved.again;
        fewest = fewest.min(saved.leads);
        let after = sound(&to, &[]);
        assert_eq!(after.leads, saved.leads);
        assert_eq!(after.waiting + after.done + after.dead, saved.deliveries);
        if with_index && saved.leads == LEADS {
            let states = |verdict: &Verdict| (verdict.waiting, verdict.done, verdict.dead);
            assert_eq!(states(&after), states(&before), "byte {at}");
        }
    }
    println!(
        "of {PLACES} places: {harmless} harmless, {refused} refused, {saved_all} of those lost no \
         lead and {all_deliveries} no delivery, {again} deliveries were made again, the worst \
         saved {fewest} of {LEADS}"
    );
    assert!(refused > 0);
}

#[tokio::test]
async fn a_flipped_byte_loses_nothing_silently_and_the_damaged_file_is_not_touched() {
    damaged_in_many_places(TOGETHER as u64, true, |bytes, at| bytes[at] ^= 0xff).await;
}

#[tokio::test]
async fn a_block_of_zeros_loses_nothing_silently_and_the_damaged_file_is_not_touched() {
    damaged_in_many_places(3 * TOGETHER as u64, true, |bytes, at| {
        let from = at / 4096 * 4096;
        let to = bytes.len().min(from + 4096);
        bytes[from..to].fill(0);
    })
    .await;
}

#[tokio::test]
async fn without_an_index_a_flipped_byte_loses_nothing_silently_either() {
    damaged_in_many_places(TOGETHER as u64, false, |bytes, at| bytes[at] ^= 0xff).await;
}

#[tokio::test]
async fn a_sound_store_is_salvaged_whole_and_works_as_it_did() {
    let folder = folder();
    filled(&folder).await;
    let outbox = open(&folder);
    let cause = PauseCause::Person("until noon".to_owned());
    outbox.pause("mail", Some(cause)).await.expect("paused");
    let kept = outbox.keep_sink_state("crm", "token", Some(b"t".to_vec()));
    kept.await.expect("kept");
    close(outbox);
    let before = sound(&store(&folder), &[]);
    let saved = tempfile::tempdir().expect("a folder");
    let to = saved.path().join("store");
    let told = salvage(&store(&folder), &to, &[]).expect("salvages");
    assert_eq!((told.leads, told.lost), (LEADS, 0), "{:?}", told.losses);
    assert_eq!((told.missing_leads, told.again), (Some(0), 0));
    assert_eq!(sound(&to, &[]), before);
    let (old, new) = (open(&folder), open(&saved));
    let ids = |outbox: &SledOutbox| {
        let claims = claims(outbox, 9_000).into_iter();
        let all = claims.map(|claim| (claim.id, claim.delivery));
        all.collect::<Vec<_>>()
    };
    until_made(&new).await;
    assert_eq!(ids(&old), ids(&new));
    let find = Find::new(FindBy::Phone, &phone(7));
    assert_eq!(old.find(&find, 9), new.find(&find, 9));
    assert_eq!(new.find(&find, 9).expect("finds").len(), 1);
    assert_eq!(new.pause_of("mail"), old.pause_of("mail"));
    assert!(new.paused("mail"));
    assert_eq!(
        new.sink_state("crm", "token").expect("reads").as_deref(),
        Some(b"t".as_slice())
    );
    let again = new.accept(large(3)).await.expect("accepted");
    assert!(matches!(again, Accepted::Duplicate { .. }), "{again:?}");
    close(old);
    close(new);
}

/// Waits until the index of a store that has none is made.
async fn until_made(outbox: &SledOutbox) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while outbox.find(&Find::new(FindBy::Nick, "x"), 1).is_err()
        || outbox.claim("crm", 0, 1).is_err()
    {
        assert!(std::time::Instant::now() < until, "no index");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Where the first record that fits lies.
fn place_of(path: &Path, fits: impl Fn(&codec::Entry) -> bool) -> Place {
    let codec = codec::Codec::new(Keyring::new(&[]), codec::StoreId([0; 16]));
    for one in journal::salvage(&Disk, path, None).expect("reads") {
        let Salvaged::Frame(frame) = one.expect("reads") else {
            continue;
        };
        for (place, bytes) in frame.records() {
            if codec.clear(bytes).is_ok_and(|entry| fits(&entry)) {
                return place;
            }
        }
    }
    panic!("no such record")
}

fn flip(path: &Path, at: u32) {
    let mut bytes = std::fs::read(path).expect("reads");
    bytes[at as usize + 10] ^= 1;
    std::fs::write(path, bytes).expect("writes");
}

#[tokio::test]
async fn what_had_left_does_not_come_back_because_the_record_that_says_so_is_damaged() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(large(1)).await.expect("accepted");
    let push = QuarantinedPush {
        source: "shop".into(),
        reason: "unreadable",
        received_at: 1_000,
        request_id: None,
        signature: "s".to_owned(),
        query: String::new(),
        content_type: String::new(),
        body: b"who".to_vec(),
        ceiling: crate::config::Ceiling {
            max_entries: 10,
            max_bytes: 1 << 20,
        },
    };
    let kept = outbox.quarantine(push).await.expect("kept");
    let Quarantined::New(id) = kept else {
        panic!("{kept:?}")
    };
    assert!(outbox.discard(id).await.expect("discards"));
    outbox.accept(large(2)).await.expect("accepted");
    close(outbox);
    let path = segment(&store(&folder), 1);
    let gone = |entry: &codec::Entry| {
        let codec::Entry::Record { record, .. } = entry else {
            return false;
        };
        matches!(record, crate::outbox::state::Record::QuarantineGone { .. })
    };
    flip(&path, place_of(&path, gone).offset);
    let saved = salvage(&store(&folder), &folder.path().join("saved"), &[]).expect("salvages");
    assert_eq!((saved.leads, saved.quarantined), (2, 0), "{saved:?}");
    std::fs::remove_dir_all(store(&folder).join("index")).expect("removes");
    let saved = salvage(&store(&folder), &folder.path().join("more"), &[]).expect("salvages");
    assert_eq!(saved.quarantined, 1, "nobody knows it without the index");
}

#[tokio::test]
async fn what_is_missing_is_named_by_its_writes_and_by_what_the_index_knows() {
    let folder = folder();
    filled(&folder).await;
    let path = segment(&store(&folder), 1);
    let revision = |entry: &codec::Entry| {
        let codec::Entry::Record { record, .. } = entry else {
            return false;
        };
        matches!(record, crate::outbox::state::Record::Revision { .. })
    };
    flip(&path, place_of(&path, revision).offset);
    let verdict = verify(&store(&folder), &[], CACHE).expect("verifies");
    let texts = |problems: &[crate::outbox::Problem]| -> Vec<String> {
        let all = problems.iter();
        all.map(|one| format!("{}: {}", one.key, one.what))
            .collect()
    };
    let named = texts(&verdict.problems);
    let gap = named.iter().find(|one| one.contains("00000001.seg, bytes"));
    let gap = gap.unwrap_or_else(|| panic!("{named:?}"));
    assert!(gap.contains("it holds no whole write: writes "), "{gap}");
    let saved = salvage(&store(&folder), &folder.path().join("saved"), &[]).expect("salvages");
    let missing = LEADS - saved.leads;
    assert!((1..=TOGETHER as u64).contains(&missing), "{saved:?}");
    assert_eq!(saved.missing_leads, Some(missing));
    let named = texts(&saved.losses);
    let leads = named
        .iter()
        .filter(|one| one.starts_with("lead ") && one.ends_with("its record is lost"));
    assert_eq!(leads.count() as u64, missing, "{named:?}");
    for one in verdict.problems.iter().chain(&saved.losses) {
        let text = format!("{one:?}");
        assert!(!text.contains("135"), "nothing personal: {text}");
    }
}

#[tokio::test]
async fn a_store_that_lost_the_first_page_of_its_one_segment_knows_its_leads_as_before() {
    let folder = folder();
    filled(&folder).await;
    let path = segment(&store(&folder), 1);
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[..4_096].fill(0);
    std::fs::write(&path, bytes).expect("writes");
    let error = try_open(&folder, 16).err().expect("refused").to_string();
    assert!(error.contains("begins with zeros"), "{error}");
    let saved = tempfile::tempdir().expect("a folder");
    let told = salvage(&store(&folder), &saved.path().join("store"), &[]).expect("salvages");
    assert!(told.leads >= LEADS - 2 * TOGETHER as u64, "{told:?}");
    let new = open(&saved);
    until_made(&new).await;
    let record = LEADS - 1;
    let find = Find::new(FindBy::Phone, &phone(record));
    assert_eq!(new.find(&find, 9).expect("finds").len(), 1);
    let again = new.accept(large(record)).await.expect("accepted");
    assert!(matches!(again, Accepted::Duplicate { .. }), "{again:?}");
    close(new);
}

#[tokio::test]
async fn a_missing_segment_is_named_with_its_writes_and_the_rest_is_saved() {
    let folder = folder();
    filled(&folder).await;
    {
        let (mut journal, recovered) = opened(&store(&folder));
        let mut standing = recovered.standing;
        for frame in journal.reader().scan(1, 0).expect("reads") {
            for (place, bytes) in frame.expect("whole").records() {
                standing.take(&journal.codec().decode(bytes).expect("reads"), place);
            }
        }
        journal.roll(&standing).expect("rolls");
        journal.close(&standing).expect("closes");
    }
    let outbox = open(&folder);
    outbox.accept(large(1_000)).await.expect("accepted");
    close(outbox);
    sound(&store(&folder), &[]);
    std::fs::remove_file(segment(&store(&folder), 1)).expect("removes");
    let verdict = verify(&store(&folder), &[], CACHE).expect("verifies");
    let named = verdict.problems.iter().any(|one| {
        one.key.to_string() == "00000001.seg" && one.what.to_string().contains("writes 1 to ")
    });
    assert!(named, "{:?}", verdict.problems);
    let saved = salvage(&store(&folder), &folder.path().join("saved"), &[]).expect("salvages");
    assert_eq!((saved.leads, saved.missing_leads), (1, Some(LEADS)));
    sound(&folder.path().join("saved"), &[]);
}

fn opened(store: &Path) -> (Journal, journal::Recovered) {
    let fresh = || codec::Standing::new(crate::seal::IndexKey::generate());
    let options = journal::Options::default();
    let folder = store.join("journal");
    Journal::open(Arc::new(Disk), &folder, Keyring::new(&[]), options, fresh).expect("opens")
}

/// Changes the index of a store that is closed, behind its back.
fn meddle(store: &Path, change: impl FnOnce(&Catalog) -> Vec<IndexChange>) {
    let id = opened(store).0.codec().store();
    let catalog = current::open(&store.join("index"), CACHE, id).expect("opens");
    let changes = change(&catalog);
    catalog.index.put(catalog.index.applied(), changes);
    catalog.index.checkpoint().expect("writes");
    catalog.index.close();
}

fn first(catalog: &Catalog, room: u8) -> (Vec<u8>, Vec<u8>) {
    let from = std::ops::Bound::Included([room].as_slice().to_vec());
    let mut all = catalog.index.range(
        from.as_ref().map(Vec::as_slice),
        std::ops::Bound::Unbounded,
        Order::Ascending,
    );
    all.next().expect("an entry").expect("reads")
}

#[tokio::test]
async fn verification_names_every_kind_of_disorder() {
    let folder = folder();
    filled(&folder).await;
    let path = store(&folder);
    let before = sound(&path, &[]);
    assert_eq!((before.leads, before.revisions), (LEADS, LEADS));
    assert_eq!(before.waiting + before.done + before.dead, LEADS);
    assert_eq!((before.done, before.dead), (20, 10));
    for (room, part) in [
        (keys::DUE, "due entry of delivery"),
        (keys::DELIVERY, "list entry of delivery"),
        (keys::LEAD, "lead "),
        (keys::COUNT, "count of deliveries of sink crm"),
        (keys::GROUP, "count of a failure group of sink crm"),
        (keys::SEGMENT, "count of what lives in 0000000"),
        (keys::SINK, "sink "),
    ] {
        for added in [false, true] {
            let copied = folder.path().join(format!("{room}-{added}"));
            copy(&path, &copied);
            meddle(&copied, |catalog| {
                let (mut key, value) = first(catalog, room);
                let (mut old, mut new) = (Some(value.clone()), None);
                if added {
                    *key.last_mut().expect("a key") ^= 1;
                    (old, new) = (catalog.index.get(&key).expect("reads"), Some(value));
                }
                vec![IndexChange { key, old, new }]
            });
            let verdict = verify(&copied, &[], CACHE).expect("verifies");
            if room == keys::SINK && added {
                // A name that nothing needs: whatever its number, nothing has it.
                continue;
            }
            let named = |one: &crate::outbox::Problem| one.key.to_string().contains(part);
            assert!(
                verdict.problems.iter().any(named),
                "{part} {added}: {:?}",
                verdict.problems
            );
            let named = verdict.problems.iter().find(|one| named(one));
            let advice = named.expect("it is named").advice.to_string();
            assert!(advice.contains("`leadgate outbox rebuild`"), "{advice}");
            assert_eq!(verdict.leads, LEADS);
        }
    }
    // Counts that are not what there is.
    let (mut journal, recovered) = opened(&path);
    let mut standing = recovered.standing;
    standing.totals.leads = LEADS + 1;
    let mut batch = Batch::default();
    let codec = Arc::clone(journal.codec());
    batch.entry(&codec, &codec::Entry::Totals(standing.totals.clone()));
    let appended = journal.append(&mut batch, &|| standing.clone());
    appended.expect("writes");
    journal.close(&standing).expect("closes");
    drop(journal);
    let verdict = verify(&path, &[], CACHE).expect("verifies");
    let text = format!("says {}, there are {LEADS}", LEADS + 1);
    let named = |one: &crate::outbox::Problem| one.what.to_string() == text;
    assert!(verdict.problems.iter().any(named), "{:?}", verdict.problems);
    let to = folder.path().join("saved");
    salvage(&path, &to, &[]).expect("salvages");
    sound(&to, &[]);
}

#[tokio::test]
async fn an_index_that_cannot_be_used_is_said_and_the_journal_is_verified_all_the_same() {
    let folder = folder();
    filled(&folder).await;
    let path = store(&folder);
    for entry in std::fs::read_dir(path.join("index")).expect("reads") {
        let entry = entry.expect("reads").path();
        if entry.is_file() {
            let length = std::fs::metadata(&entry).expect("is there").len();
            std::fs::write(&entry, vec![7; usize::try_from(length).expect("small")])
                .expect("writes");
        }
    }
    let verdict = verify(&path, &[], CACHE).expect("verifies");
    assert_eq!(verdict.leads, LEADS);
    let named = |one: &crate::outbox::Problem| one.key.to_string() == "the index";
    assert!(verdict.problems.iter().any(named), "{:?}", verdict.problems);
    std::fs::remove_dir_all(path.join("index")).expect("removes");
    sound(&path, &[]);
}

#[tokio::test]
async fn a_sealed_store_is_verified_and_salvaged_with_its_key_only() {
    let folder = folder();
    let key = OutboxKey::generate();
    let outbox = open_with(&folder, 64, std::slice::from_ref(&key), 0).expect("opens");
    outbox.accept(large(1)).await.expect("accepted");
    close(outbox);
    let keys = [key];
    assert_eq!(sound(&store(&folder), &keys).leads, 1);
    for keys in [vec![], vec![OutboxKey::generate()]] {
        let refused = verify(&store(&folder), &keys, CACHE).err();
        let refused = refused.expect("refused").to_string();
        assert!(refused.contains("not configured"), "{refused}");
        let to = folder.path().join("none");
        let refused = salvage(&store(&folder), &to, &keys).err();
        let refused = refused.expect("refused").to_string();
        assert!(refused.contains("not configured"), "{refused}");
        assert!(!to.exists());
    }
    let to = folder.path().join("saved");
    let saved = salvage(&store(&folder), &to, &keys).expect("salvages");
    assert_eq!((saved.leads, saved.lost), (1, 0));
    assert_eq!(sound(&to, &keys).leads, 1);
}

#[tokio::test]
async fn a_soundly_closed_store_is_sound_whatever_was_written_and_removed() {
    const ROUNDS: u64 = 6;
    let folder = folder();
    let mut random = fastrand::Rng::with_seed(7);
    let mut left = 0;
    for round in 0..ROUNDS {
        let outbox = open(&folder);
        until_made(&outbox).await;
        let count = random.u64(20..60);
        let size = random.usize(10..6_000);
        let mut leads = Vec::new();
        for record in 0..count {
            let mut lead = large(1_000 * round + record);
            lead.raw = "r".repeat(size);
            if let Accepted::New { lead, .. } = outbox.accept(lead).await.expect("accepted") {
                leads.push(lead);
            }
        }
        left += count;
        // Pushed again, as it was and changed.
        for record in 0..count / 2 {
            let again = outbox.accept(arrival(1_000 * round + record, u8::from(record % 2 == 0)));
            again.await.expect("accepted");
        }
        for claim in claims(&outbox, 2_000).iter().take(10) {
            let state = State::Waiting { due_at: 4_000 };
            finish(&outbox, claim, state).await;
        }
        for lead in leads.into_iter().step_by(9).take(3) {
            let erased = outbox.erase(lead.into()).await.expect("erases");
            left -= erased.leads.len() as u64;
        }
        close(outbox);
        let verdict = sound(&store(&folder), &[]);
        assert_eq!(verdict.leads, left, "round {round}");
    }
    let to = folder.path().join("saved");
    let saved = salvage(&store(&folder), &to, &[]).expect("salvages");
    assert_eq!((saved.leads, saved.lost), (left, 0), "{:?}", saved.losses);
    sound(&to, &[]);
}

#[tokio::test]
async fn a_store_in_use_or_none_at_all_is_not_verified() {
    let folder = folder();
    let outbox = open(&folder);
    let refused = verify(&store(&folder), &[], CACHE);
    assert!(refused.is_err_and(|error| error.to_string().contains("in use")));
    close(outbox);
    std::fs::remove_file(segment(&store(&folder), 1)).expect("removes");
    let refused = verify(&store(&folder), &[], CACHE);
    assert!(refused.is_err_and(|error| error.to_string().contains("no outbox")));
    assert!(!segment(&store(&folder), 1).exists(), "none is made");
    assert!(verify(folder.path(), &[], CACHE).is_err());
}
