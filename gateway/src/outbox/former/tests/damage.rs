//! Damage: what flipped bytes do, and what can be saved.

use std::path::Path;

use super::*;

const LEADS: u64 = 300;

/// A store that was closed and opened once, so that part of its log is behind a snapshot.
async fn filled(folder: &TempDir) {
    for half in 0..2 {
        let outbox = open(folder);
        let records = half * LEADS / 2..(half + 1) * LEADS / 2;
        let pushes = records.map(|record| {
            let mut lead = arrival(record, 1);
            lead.raw = "r".repeat(1_000);
            outbox.accept(lead)
        });
        for accepted in join_all(pushes).await {
            accepted.expect("accepted");
        }
        close(outbox);
    }
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

/// Leads that wait for `crm`, by what was counted and by what is there.
fn waiting(outbox: &SledOutbox) -> (u64, usize) {
    let filter = Filter::default();
    let page = outbox.deliveries(&filter, None, 5_000).expect("reads");
    (outbox.totals().leads, page.items.len())
}

/// Leads that one damaged message can take along: a page of them, and what was changed in it
/// until it was written whole again.
const A_PAGE: u64 = 17 + 10;

#[derive(PartialEq, Eq)]
enum Stop {
    Sound,
    Crash,
}

/// Damages the store in many places, one at a time. Nothing may be lost silently, the damaged
/// file must stay as it is, and what is whole must be saved.
async fn damaged_in_many_places(stop: Stop, at_most: u64, damage: impl Fn(&mut [u8], usize)) {
    const PLACES: usize = 40;
    let whole = folder();
    filled(&whole).await;
    let store = whole.path().join("store");
    if stop == Stop::Crash {
        std::fs::remove_file(store.join("clean")).expect("removes");
    }
    let bytes = std::fs::read(store.join("db")).expect("reads");
    let (mut sound, mut refused, mut saved_all, mut fewest) = (0, 0, 0, LEADS);
    let (mut all_wait, mut again) = (0, 0);
    for step in 0..PLACES {
        let folder = folder();
        let damaged = folder.path().join("store");
        copy(&store, &damaged);
        let mut bytes = bytes.clone();
        let at = step * bytes.len() / PLACES + step * 37 % (bytes.len() / PLACES);
        damage(&mut bytes, at);
        std::fs::write(damaged.join("db"), &bytes).expect("writes");
        let verdict = verify(&damaged, &[], 16 << 20).expect("verifies");
        match try_open(&folder, 64) {
            Ok(outbox) => {
                sound += 1;
                assert_eq!(waiting(&outbox), (LEADS, 300), "byte {at}");
                assert_eq!(verdict.found, 0, "byte {at}: {:?}", verdict.problems);
                close(outbox);
                continue;
            }
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
        assert!(verdict.found > 0, "byte {at}");
        let to = folder.path().join("saved");
        let saved =
            salvage(&damaged, &to, &[]).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let now = std::fs::read(damaged.join("db")).expect("reads");
        assert!(now == bytes, "byte {at}: the damaged file was changed");
        assert!(saved.leads + at_most >= LEADS, "byte {at}: {saved:?}");
        if let Some(missing) = saved.missing_leads {
            assert_eq!(saved.leads + missing, LEADS, "byte {at}: {saved:?}");
        }
        assert!(
            saved.deliveries + at_most >= saved.leads,
            "byte {at}: {saved:?}"
        );
        saved_all += u32::from(saved.leads == LEADS);
        all_wait += u32::from(saved.deliveries == LEADS);
        again += saved.again;
        fewest = fewest.min(saved.leads);
        let verdict = verify(&to, &[], 16 << 20).expect("verifies");
        assert_eq!(verdict.found, 0, "byte {at}: {:?}", verdict.problems);
        assert_eq!(verdict.leads, saved.leads);
    }
    println!(
        "of {PLACES} places: {sound} harmless, {refused} refused, {saved_all} of those lost no \
         lead and {all_wait} no delivery, {again} deliveries were made again, the worst saved \
         {fewest} of {LEADS}"
    );
    assert!(refused > 0 && saved_all > 0);
}

#[tokio::test]
async fn a_flipped_byte_loses_nothing_silently_and_the_damaged_file_is_not_touched() {
    damaged_in_many_places(Stop::Sound, A_PAGE, |bytes, at| bytes[at] ^= 0xff).await;
}

#[tokio::test]
async fn a_block_of_zeros_loses_nothing_silently_and_the_damaged_file_is_not_touched() {
    damaged_in_many_places(Stop::Sound, 2 * A_PAGE, |bytes, at| {
        let from = at / 4096 * 4096;
        let to = bytes.len().min(from + 4096);
        bytes[from..to].fill(0);
    })
    .await;
}

#[tokio::test]
async fn after_a_crash_a_flipped_byte_loses_nothing_silently_either() {
    damaged_in_many_places(Stop::Crash, A_PAGE, |bytes, at| bytes[at] ^= 0xff).await;
}

/// Segments that were filled, freed and used again hold what they held before behind their
/// end; that is no damage.
#[tokio::test]
async fn a_soundly_closed_store_is_sound_whatever_was_written_and_removed() {
    const ROUNDS: u64 = 12;
    let folder = folder();
    let store = folder.path().join("store");
    let mut random = fastrand::Rng::with_seed(7);
    let mut reused = 0;
    for round in 0..ROUNDS {
        let outbox = open(&folder);
        let count = random.u64(20..200);
        let size = random.usize(10..6_000);
        let pushes = (0..count).map(|record| {
            let mut lead = arrival(1_000 * round + record, 1);
            lead.raw = "r".repeat(size);
            outbox.accept(lead)
        });
        let mut leads = Vec::new();
        for accepted in join_all(pushes).await {
            if let Accepted::New { lead, .. } = accepted.expect("accepted") {
                leads.push(lead);
            }
        }
        for lead in leads {
            if random.u8(..10) > 0 {
                outbox.erase(lead).await.expect("erases");
            }
        }
        close(outbox);
        let log = log::Log::open(&store).expect("opens");
        let found = log.read(|_| Ok(())).expect("reads");
        assert_eq!(found.damage, [], "round {round}");
        let length = std::fs::metadata(store.join("db")).expect("is there").len();
        reused += u32::from(found.end > length);
        let verdict = verify(&store, &[], 16 << 20).expect("verifies");
        assert_eq!(verdict.found, 0, "round {round}: {:?}", verdict.problems);
        // And if its end was not noted, as after a crash.
        std::fs::remove_file(store.join("clean")).expect("removes");
        let verdict = verify(&store, &[], 16 << 20).expect("verifies");
        assert_eq!(verdict.found, 0, "round {round}: {:?}", verdict.problems);
    }
    println!("of {ROUNDS} rounds {reused} ended in a segment that was used before");
    assert!(reused > 0, "no segment was used again");
}

#[tokio::test]
async fn a_log_that_lost_its_newest_commits_is_refused_and_stays_as_it_is() {
    let folder = folder();
    filled(&folder).await;
    let db = folder.path().join("store/db");
    // The beginning of the newest segment's end: what the last commits wrote.
    let mut bytes = std::fs::read(&db).expect("reads");
    let last = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("not empty");
    bytes[last - 4_000..=last].fill(0);
    std::fs::write(&db, &bytes).expect("writes");
    let opened = try_open(&folder, 64).err().map(|error| error.to_string());
    let opened = opened.expect("refused");
    assert!(opened.contains("damaged"), "{opened}");
    assert!(std::fs::read(&db).expect("reads") == bytes || opened.contains("acknowledged"));
}

#[tokio::test]
async fn verification_names_every_kind_of_disorder() {
    let folder = folder();
    filled(&folder).await;
    let store = folder.path().join("store");
    let sound = verify(&store, &[], 16 << 20).expect("verifies");
    assert_eq!((sound.found, sound.leads, sound.waiting), (0, LEADS, 300));
    {
        let db = engine::open(&store, 16 << 20).expect("opens");
        let first = |room: &[u8]| {
            let entry = db.scan_prefix(room).next().expect("an entry");
            entry.expect("reads")
        };
        let (due, _) = first(b"q");
        db.remove(due).expect("removes");
        let (order, _) = first(b"o");
        db.remove(order).expect("removes");
        let (identity, _) = first(b"i");
        db.remove(identity).expect("removes");
        let (waiting, _) = db
            .scan_prefix(b"w")
            .nth(1)
            .expect("a delivery")
            .expect("reads");
        db.insert(waiting, vec![1, 2, 3]).expect("writes");
        let (lead, _) = db.scan_prefix(b"l").last().expect("a lead").expect("reads");
        db.remove(lead).expect("removes");
        db.flush().expect("flushes");
    }
    let verdict = verify(&store, &[], 16 << 20).expect("verifies");
    for part in [
        "not in the due index",
        "order does not name it",
        "identity does not lead to it",
        "a damaged record",
        "its lead is not there",
        "says 300, there are 299",
    ] {
        let named = |problem: &crate::outbox::Problem| problem.what.to_string().contains(part);
        assert!(
            verdict.problems.iter().any(named),
            "{part}: {:?}",
            verdict.problems
        );
    }
    let to = folder.path().join("saved");
    let saved = salvage(&store, &to, &[]).expect("salvages");
    assert_eq!((saved.leads, saved.missing_leads), (LEADS - 1, Some(1)));
    assert_eq!((saved.deliveries, saved.again), (LEADS - 1, 1));
    let again = "its state is lost: it waits again";
    let named = saved
        .losses
        .iter()
        .find(|loss| loss.what.to_string() == again);
    let named = named.expect("named").key.to_string();
    let verdict = verify(&to, &[], 16 << 20).expect("verifies");
    assert_eq!((verdict.found, verdict.waiting), (0, LEADS - 1));
    let db = engine::open(&store, 16 << 20).expect("opens");
    let (damaged, _) = db.scan_prefix(b"w").nth(1).expect("one").expect("reads");
    let id = key::delivery_at_end(&damaged).expect("an id").to_string();
    assert!(named.contains(&id), "under the same id: {named}");
}

#[tokio::test]
async fn a_store_in_use_is_not_verified() {
    let folder = folder();
    let outbox = open(&folder);
    let refused = verify(&folder.path().join("store"), &[], 16 << 20);
    assert!(refused.is_err_and(|error| error.to_string().contains("in use")));
    close(outbox);
}
