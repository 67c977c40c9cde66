//! Promise 8 on the disk: after an erasure no file below the store's folder holds anything of
//! what was erased, wherever it had come to lie; everything else is still there.

use std::path::Path;
use std::time::{Duration, Instant};

use super::cleaning::{break_index, roll, runtime, segments_of, until};
use super::*;
use crate::outbox::{
    BulkAction, BulkPlan, Count, DAY, JobStep, Population, PushFilter, QuarantinedPush, Retention,
    Stepped, Target,
};

/// What the person's bytes are known by, and those of another.
const PERSON: &str = "13567658911";
const OTHER: &str = "13900000001";

/// A lead of whoever has `phone`.
fn of(phone: &str, record: u64, content: u8) -> Arrival {
    Arrival {
        raw: format!("phone={phone} {}", "x".repeat(2_000)),
        finds: vec![Find::new(crate::outbox::FindBy::Phone, phone)],
        ..arrival(record, content)
    }
}

fn push_of(phone: &str, number: u8) -> QuarantinedPush {
    QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: None,
        signature: format!("{phone} {number}"),
        query: format!("phone={phone}"),
        content_type: String::new(),
        body: format!("{number} {phone}").into_bytes(),
        ceiling: crate::config::Ceiling::default(),
    }
}

/// Files below a folder that hold `text`.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("reads") {
        let path = entry.expect("reads").path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if let Ok(bytes) = std::fs::read(&path)
            && String::from_utf8_lossy(&bytes).contains(text)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

fn gone_from(folder: &TempDir, text: &str) {
    assert_eq!(holding(folder.path(), text), Vec::<String>::new());
}

fn newest_segment(outbox: &SledOutbox) -> u32 {
    outbox.reads.bodies.journal().open_segment().number
}

struct Store {
    outbox: SledOutbox,
    runtime: tokio::runtime::Runtime,
}

impl Store {
    fn open(folder: &TempDir) -> Self {
        Self {
            outbox: open(folder),
            runtime: runtime(),
        }
    }

    fn accept(&self, arrival: Arrival) -> LeadId {
        let accepted = self.runtime.block_on(self.outbox.accept(arrival));
        accepted.expect("accepted").lead().expect("it is known")
    }

    fn quarantine(&self, push: QuarantinedPush) -> QuarantineId {
        let kept = self.runtime.block_on(self.outbox.quarantine(push));
        let Ok(Quarantined::New(id)) = kept else {
            panic!("kept");
        };
        id
    }

    fn erase(&self, what: Erasure) -> Erased {
        let erased = self.runtime.block_on(self.outbox.erase(what));
        erased.expect("erases")
    }

    /// A job of one step with one target.
    fn job(&self, action: BulkAction, target: Target<Arrival>) -> Stepped {
        let plan = BulkPlan {
            by: String::new(),
            note: String::new(),
            action,
            over: Population::Quarantine(PushFilter::default()),
            when: None,
            rate: 1,
            count: Count::Exact(1),
        };
        let step = JobStep {
            from: None,
            targets: vec![target],
            skipped: Vec::new(),
            to: None,
        };
        let made = async {
            let planned = self.outbox.plan_job(plan, 1).await?;
            let id = planned.expect("there is room");
            self.outbox.start_job(id, 1).await?;
            self.outbox.step_job(id, step, 1).await
        };
        self.runtime.block_on(made).expect("taken")
    }

    /// Ends the attempts of all that is due, with an answer that repeats who it was.
    fn end_all(&self, state: &State) {
        for claim in claims(&self.outbox, 5_000) {
            let mut finish = attempt(&claim, state.clone(), 5);
            let raw = claim.lead.raw.split(' ').next().unwrap_or_default();
            let last = finish.delivery.history.last_mut().expect("an attempt");
            last.response = format!("no: {raw}");
            finish.delivery.journal = format!("step 1 of {raw}");
            let ended = self.runtime.block_on(self.outbox.finish(finish));
            ended.expect("taken");
        }
    }
}

#[test]
fn nothing_of_a_person_is_on_the_disk_after_an_erasure_and_all_others_are() {
    let folder = folder();
    let store = Store::open(&folder);
    let outbox = &store.outbox;
    let mut others = Vec::new();
    let mut leads = Vec::new();
    // Over several segments: revisions, retries, dead letters.
    for round in 0..3 {
        leads.push(store.accept(of(PERSON, 1 + round, 1)));
        others.push(store.accept(of(OTHER, 100 + round, 1)));
        store.end_all(&State::Waiting { due_at: 10 });
        roll(outbox);
        store.accept(of(PERSON, 1, 10 + u8::try_from(round).expect("small")));
        store.end_all(&State::Dead {
            at: 5,
            reason: DeathReason::Rejected,
        });
    }
    // In quarantine: one that is there, one that became a lead, one that was thrown away.
    let kept = store.quarantine(push_of(PERSON, 1));
    let released = store.quarantine(push_of(PERSON, 2));
    let discarded = store.quarantine(push_of(PERSON, 3));
    let stays = store.quarantine(push_of(OTHER, 4));
    roll(outbox);
    let released = outbox.release(released, of(PERSON, 50, 1), 5_000);
    let released = store.runtime.block_on(released).expect("released");
    leads.push(released.expect("was there").lead().expect("a lead"));
    let did = store.runtime.block_on(outbox.discard(discarded));
    assert_eq!(did, Ok(true));
    // A lead whose time was over.
    let over = store.accept(of(PERSON, 60, 1));
    store.end_all(&State::Delivered { at: 5 });
    roll(outbox);
    let keep = Retention {
        done_ms: DAY,
        dead_ms: 100 * DAY,
        dead_by: Millis::MAX,
    };
    let now = 2 * DAY;
    let swept = outbox.sweep(keep, now, None, 100).expect("sweeps");
    assert!(swept.leads > 0);
    assert!(outbox.history(over).expect("reads").is_none());
    // Pushes that came while there was no index.
    break_index(outbox);
    for record in 70..72 {
        let deferred = store.runtime.block_on(outbox.accept(of(PERSON, record, 1)));
        deferred.expect("accepted");
    }
    for number in [5, 5] {
        let pushed = outbox.quarantine(push_of(PERSON, number));
        store.runtime.block_on(pushed).expect("kept");
    }
    until("there is an index", || {
        let standing = outbox.standing.read().expect("nobody panicked");
        outbox.reads.current.get().is_some() && standing.deferred.is_empty()
    });
    roll(outbox);
    assert!(holding(folder.path(), PERSON).len() > 3);

    let find = |phone| Find::new(crate::outbox::FindBy::Phone, phone);
    let found = outbox.find(&find(PERSON), 100).expect("reads");
    let known = leads.iter().filter(|lead| found.contains(lead)).count();
    assert_eq!(
        (known, found.len()),
        (3, 5),
        "three dead ones, two that were deferred"
    );
    let pushes = outbox.quarantined_pushes(None, 100).expect("reads").items;
    let pushes = pushes.into_iter().map(|push| push.id);
    let pushes: Vec<QuarantineId> = pushes.filter(|id| *id != stays).collect();
    assert!(pushes.contains(&kept));
    let open_before = newest_segment(outbox);
    let erased = store.erase(Erasure {
        leads: found.clone(),
        quarantined: pushes.clone(),
    });
    assert_eq!(erased.leads, found);
    assert_eq!((erased.quarantined, erased.in_flight), (pushes, Vec::new()));
    gone_from(&folder, PERSON);
    assert!(
        newest_segment(outbox) <= open_before + 1,
        "each segment was written anew once, not once for each lead"
    );
    assert_eq!(outbox.find(&find(PERSON), 9), Ok(Vec::new()));
    let left = outbox.find(&find(OTHER), 9).expect("reads");
    for other in &others {
        let lead = outbox.lead(*other, 0).expect("reads");
        let is_there = lead.is_some_and(|lead| lead.raw.starts_with("phone=13900000001 xxx"));
        assert_eq!(is_there, left.contains(other));
    }
    assert_eq!(left, others, "their dead letters are not over yet");
    let still = outbox.quarantined_push(stays).expect("reads");
    assert_eq!(
        still.expect("is there").body,
        format!("4 {OTHER}").as_bytes()
    );
    outbox.close();
    drop(store);
    gone_from(&folder, PERSON);
    // Nor does an index made anew bring anything back.
    std::fs::remove_dir_all(folder.path().join("store/index")).expect("removes");
    let store = Store::open(&folder);
    until("there is an index", || {
        store.outbox.reads.current.get().is_some()
    });
    assert_eq!(store.outbox.find(&find(PERSON), 9), Ok(Vec::new()));
    assert_eq!(store.outbox.find(&find(OTHER), 9), Ok(left));
    store.outbox.close();
}

#[test]
fn an_erasure_that_a_crash_cut_short_is_finished_by_the_next_one_and_by_itself() {
    for by_itself in [false, true] {
        let folder = folder();
        let store = Store::open(&folder);
        let lead = store.accept(of(PERSON, 1, 1));
        let other = store.accept(of(OTHER, 2, 1));
        roll(&store.outbox);
        assert_eq!(segments_of(&store.outbox, lead), [1]);
        // What an erasure does first, and no more.
        let erased = store.outbox.change(Change::Erase(lead.into()));
        let erased = store.runtime.block_on(erased).expect("taken").erased();
        assert_eq!(erased.leads, [lead]);
        // Its frame is in the newest segment, or what it says in the opening of that.
        if by_itself {
            roll(&store.outbox);
        }
        store.outbox.close();
        drop(store);
        let store = Store::open(&folder);
        assert!(store.outbox.lead(lead, 0).expect("reads").is_none());
        if by_itself {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !holding(folder.path(), PERSON).is_empty() {
                assert!(Instant::now() < deadline, "nobody finished it");
                std::thread::sleep(Duration::from_millis(20));
            }
        } else {
            assert_eq!(store.erase(lead.into()), Erased::default());
            gone_from(&folder, PERSON);
        }
        let left = store.outbox.lead(other, 0).expect("reads");
        assert!(left.is_some_and(|lead| lead.raw.contains(OTHER)));
        store.outbox.close();
    }
}

#[test]
fn what_a_job_released_is_nowhere_once_a_job_has_erased_it() {
    let folder = folder();
    let store = Store::open(&folder);
    let outbox = &store.outbox;
    let push = store.quarantine(push_of(PERSON, 1));
    let other = store.accept(of(OTHER, 2, 1));
    // What is pushed lies in another segment than what became of it.
    roll(outbox);
    let release = BulkAction::Release { force: false };
    let read = Target::Read(push, of(PERSON, 1, 1));
    let Stepped::Made { released, .. } = store.job(release, read) else {
        panic!("it runs");
    };
    roll(outbox);
    assert!(holding(folder.path(), PERSON).len() > 1);
    let erased = store.job(BulkAction::Erase, Target::Lead(released[0].1));
    let released = Vec::new();
    assert_eq!(erased, Stepped::Made { done: 1, released });
    assert_eq!(store.erase(Erasure::default()), Erased::default());
    gone_from(&folder, PERSON);
    assert!(outbox.lead(other, 0).expect("reads").is_some());
    outbox.close();
}
