//! Steps: what happens to a store, at random.

use proptest::prelude::*;

/// How much of a source may be in quarantine.
pub(super) const CEILING: u64 = 3;

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A lead is pushed, perhaps again or changed.
    Push(Push),
    /// A push that nobody can read.
    Quarantine { content: u8 },
    /// It is thrown away.
    Discard { nth: usize },
    /// It is the lead of that push.
    Release { nth: usize, push: Push },
    /// What is due is claimed.
    Claim { sink: usize },
    /// One that waits is claimed, due or not.
    ClaimOne { nth: usize },
    /// A claim is given back.
    Unclaim { nth: usize },
    /// A plugin keeps something for its next step.
    Keep { nth: usize, journal: u8 },
    /// An attempt ends.
    End { nth: usize, how: How, why: bool },
    /// A person wants it tried again.
    Retry { nth: usize, force: bool },
    /// A person gives it up.
    Cancel { nth: usize },
    /// A lead is erased.
    Erase { record: u8 },
    /// What is over leaves.
    Sweep,
    /// A sink is paused or resumed.
    Pause { sink: usize, on: bool },
    /// A plugin keeps a value, or forgets it.
    SinkState { sink: usize, value: Option<u8> },
    /// Time passes.
    Wait { ms: i64 },
    /// The store is closed and opened.
    Restart,
    /// The store is killed and opened.
    Crash,
}

/// A push of a lead.
#[derive(Clone, Debug)]
pub(super) struct Push {
    /// Which lead.
    pub(super) record: u8,
    /// Its content.
    pub(super) content: u8,
    /// The sender's modification time.
    pub(super) modified: Option<i64>,
    /// Which sinks want it.
    pub(super) sinks: Vec<Wish>,
}

/// Whether a sink wants a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It does not.
    No,
    /// It does.
    Yes,
    /// Its condition cannot be evaluated.
    Failed,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// It is there.
    Delivered,
    /// Again in so many milliseconds.
    Retry(i64),
    /// A dead letter.
    Dead,
}

/// Some steps, one after the other.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![
        3 => Just(How::Delivered),
        3 => (1_i64..3_000).prop_map(How::Retry),
        2 => Just(How::Dead),
    ];
    let wish = || prop_oneof![8 => Just(Wish::No), 8 => Just(Wish::Yes), 1 => Just(Wish::Failed)];
    let push = move || {
        let parts = (
            0_u8..3,
            0_u8..5,
            prop::option::of(0_i64..4),
            prop::collection::vec(wish(), 3),
        );
        parts.prop_map(|(record, content, modified, sinks)| Push {
            record,
            content,
            modified,
            sinks,
        })
    };
    let step = prop_oneof![
        16 => push().prop_map(Step::Push),
        12 => (0_usize..3).prop_map(|sink| Step::Claim { sink }),
        1 => (0_usize..40).prop_map(|nth| Step::ClaimOne { nth }),
        2 => (0_usize..8).prop_map(|nth| Step::Unclaim { nth }),
        1 => (0_usize..8, any::<u8>()).prop_map(|(nth, journal)| Step::Keep { nth, journal }),
        14 => (0_usize..8, how, any::<bool>()).prop_map(|(nth, how, why)| Step::End { nth, how, why }),
        4 => (0_usize..40, any::<bool>()).prop_map(|(nth, force)| Step::Retry { nth, force }),
        4 => (0_usize..40).prop_map(|nth| Step::Cancel { nth }),
        2 => (0_u8..3).prop_map(|record| Step::Erase { record }),
        1 => Just(Step::Sweep),
        3 => (0_u8..6).prop_map(|content| Step::Quarantine { content }),
        1 => (0_usize..4).prop_map(|nth| Step::Discard { nth }),
        1 => (0_usize..4, push()).prop_map(|(nth, push)| Step::Release { nth, push }),
        1 => (0_usize..3, any::<bool>()).prop_map(|(sink, on)| Step::Pause { sink, on }),
        1 => (0_usize..3, prop::option::of(any::<u8>()))
            .prop_map(|(sink, value)| Step::SinkState { sink, value }),
        6 => (1_i64..4_000).prop_map(|ms| Step::Wait { ms }),
        2 => (890_000_i64..910_000).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
        2 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}
