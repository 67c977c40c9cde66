//! Stores of any history: sound when they are closed, and salvaged whole but for what is named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::damage::sound;
use super::flips::{roll, runtime, wait};
use super::*;
use crate::outbox::sled::codec::{Codec, Entry, StoreId};
use crate::outbox::sled::journal::{self, Disk, Salvaged};
use crate::outbox::state::Record;
use crate::seal::Keyring;

#[derive(Clone, Debug)]
enum Step {
    Push { record: u8, content: u8 },
    Quarantine(u8),
    End { nth: usize, how: u8 },
    Erase(u8),
    Roll,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_u8..6, 0_u8..4).prop_map(|(record, content)| Step::Push { record, content }),
        1 => (0_u8..3).prop_map(Step::Quarantine),
        6 => (0_usize..8, 0_u8..4).prop_map(|(nth, how)| Step::End { nth, how }),
        1 => (0_u8..6).prop_map(Step::Erase),
        2 => Just(Step::Roll),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 4..40)
}

/// A revision of a lead.
type Whole = (LeadId, u32);

/// Takes the steps on a new store, which has a closed segment in the end, and closes it; the
/// revisions that are in it then.
fn taken(folder: &TempDir, steps: Vec<Step>) -> BTreeSet<Whole> {
    let runtime = runtime();
    let mut outbox = open(folder);
    let mut leads = BTreeMap::new();
    let last = [(6, 1), (7, 1)].map(|(record, content)| Step::Push { record, content });
    let [first, second] = last;
    for step in steps.into_iter().chain([first, Step::Roll, second]) {
        match step {
            Step::Push { record, content } => {
                let accepted = runtime.block_on(outbox.accept(arrival(record.into(), content)));
                let lead = accepted.expect("accepted").lead().expect("known");
                leads.insert(record, lead);
            }
            Step::Quarantine(content) => {
                let push = QuarantinedPush {
                    source: "shop".into(),
                    reason: "unreadable",
                    received_at: 1_000,
                    request_id: None,
                    signature: String::new(),
                    query: String::new(),
                    content_type: String::new(),
                    body: vec![content],
                    ceiling: crate::config::Ceiling::default(),
                };
                runtime.block_on(outbox.quarantine(push)).expect("kept");
            }
            Step::End { nth, how } => {
                let mut claims = claims(&outbox, 10_000);
                if nth < claims.len() {
                    let state = match how {
                        0 => State::Delivered { at: 5 },
                        1 => State::Cancelled { at: 5 },
                        2 => State::Waiting { due_at: 9_000 },
                        _ => State::Dead {
                            at: 5,
                            reason: DeathReason::Rejected,
                        },
                    };
                    runtime.block_on(finish(&outbox, &claims.remove(nth), state));
                }
                let rest: Vec<_> = claims.iter().map(|claim| claim.id).collect();
                outbox.unclaim("crm", &rest);
            }
            Step::Erase(record) => {
                if let Some(lead) = leads.remove(&record) {
                    let erased = runtime.block_on(outbox.erase(lead.into()));
                    assert_eq!(erased.expect("erases").leads, [lead]);
                }
            }
            Step::Roll => roll(&outbox),
            Step::Restart => {
                close(outbox);
                outbox = open(folder);
            }
        }
    }
    let there = revisions(&outbox);
    close(outbox);
    there
}

/// All revisions that a store has.
fn revisions(outbox: &SledOutbox) -> BTreeSet<Whole> {
    let leads = outbox.leads(&LeadFilter::default(), None, 1_000);
    let leads = leads.expect("reads").items.into_iter();
    let histories = leads.map(|id| outbox.history(id).expect("reads").expect("is there"));
    let revisions = histories.flat_map(|one| one.revisions);
    revisions.map(|one| (one.id, one.revision)).collect()
}

/// Sequence numbers of the whole frames of a journal, and the revisions that lie in them.
fn whole(journal: &Path) -> (BTreeSet<u64>, BTreeSet<Whole>) {
    let codec = Codec::new(Keyring::new(&[]), StoreId([0; 16]));
    let (mut sequences, mut revisions) = (BTreeSet::new(), BTreeSet::new());
    for file in std::fs::read_dir(journal).expect("reads") {
        let path = file.expect("reads").path();
        if path.extension().is_none_or(|end| end != "seg") {
            continue;
        }
        for one in journal::salvage(&Disk, &path, None).expect("reads") {
            let Salvaged::Frame(frame) = one.expect("reads") else {
                continue;
            };
            sequences.insert(frame.sequence);
            for (_, bytes) in frame.records() {
                if let Ok(Entry::Record { record, .. }) = codec.clear(bytes)
                    && let Record::Revision { lead, revision, .. } = record
                {
                    revisions.insert((lead, revision.number));
                }
            }
        }
    }
    (sequences, revisions)
}

/// Flips a byte of some frame in some closed segment.
fn damage(journal: &Path, random: u64) {
    let mut segments: Vec<_> = std::fs::read_dir(journal)
        .expect("reads")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    segments.sort();
    segments.pop();
    let mut random = fastrand::Rng::with_seed(random);
    let path = &segments[random.usize(..segments.len())];
    let frames: Vec<_> = journal::salvage(&Disk, path, None)
        .expect("reads")
        .filter_map(|one| match one.expect("reads") {
            Salvaged::Frame(frame) => Some(frame.offset..frame.offset + frame.bytes()),
            Salvaged::Gap { .. } => None,
        })
        .collect();
    let frame = frames[random.usize(..frames.len())].clone();
    let at = random.u64(frame);
    let mut bytes = std::fs::read(path).expect("reads");
    bytes[usize::try_from(at).expect("small")] ^= 1 << random.u8(..8);
    std::fs::write(path, bytes).expect("writes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_happened_a_store_is_sound_and_all_that_is_whole_is_salvaged(
        steps in steps(), random: u64, with_index: bool,
    ) {
        let folder = folder();
        let there = taken(&folder, steps);
        let store = folder.path().join("store");
        let before = sound(&store, &[]);
        prop_assert_eq!(before.revisions, there.len() as u64);
        let to = folder.path().join("sound");
        let saved = salvage(&store, &to, &[]).expect("salvages");
        prop_assert_eq!((saved.lost, saved.missing_leads), (0, Some(0)), "{:?}", saved.losses);
        prop_assert_eq!(sound(&to, &[]), before);

        let journal = store.join("journal");
        let (written, _) = whole(&journal);
        damage(&journal, random);
        if !with_index {
            std::fs::remove_dir_all(store.join("index")).expect("removes");
        }
        let (left, readable) = whole(&journal);
        let gone: Vec<u64> = written.difference(&left).copied().collect();
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else {
            return Err(TestCaseError::fail("nothing was damaged"));
        };
        let again = tempfile::tempdir().expect("a folder");
        let to = again.path().join("store");
        let saved = salvage(&store, &to, &[]).expect("salvages");
        let named = saved.losses.iter().map(|one| format!("{}: {}", one.key, one.what));
        let named: Vec<String> = named.collect();
        let gap = format!("writes {first} to {last} are gone");
        prop_assert!(named.iter().any(|one| one.contains(&gap)), "{} {:?}", gap, named);
        // What came behind a lost revision is saved without it, which is said.
        let cut: Vec<String> = there.difference(&readable).map(|one| one.0.to_string()).collect();
        for one in verify(&to, &[], 16 << 20).expect("verifies").problems {
            let of_cut = cut.iter().any(|lead| one.key.to_string().contains(lead));
            let what = one.what.to_string();
            prop_assert!(of_cut && what == "an earlier revision is not there", "{one:?}");
        }
        let outbox = open(&again);
        wait("its index is made", || outbox.counts().ok());
        let expected: BTreeSet<Whole> = there.intersection(&readable).copied().collect();
        prop_assert_eq!(revisions(&outbox), expected);
        close(outbox);
        for (lead, revision) in there.difference(&readable) {
            let lost = format!("lead {lead} revision {revision}: its record is lost");
            prop_assert!(!with_index || named.contains(&lost), "{} {:?}", lost, named);
        }
    }
}
