//! Recent pushes: what became of the last ones, for a person who looks why one did not come or was
//! refused. In memory only, bounded, and without anything of whom a push is about.
//!
//! Each class of verdicts has a ring of its own, so that many bad pushes leave the good ones where
//! they are; and no sender who is refused has more than its share of a ring.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::signed::Signed;
use crate::clock::Millis;

/// Pushes of one class that are kept.
pub const KEPT: usize = 200;
/// Of those, how many may be of one sender that is refused for one reason.
const SHARE: usize = 50;
/// Signatures that are looked into in a second, of everybody and of one sender: it costs as much
/// as several pushes, and strangers choose how often.
const EXPLAINED: u32 = 16;
const EXPLAINED_OF_ONE: u32 = 4;

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushVerdict {
    /// Stored as a new lead.
    Accepted,
    /// Stored as a newer revision of a lead.
    Revised,
    /// Stored as an older revision than what was known; not delivered.
    Older,
    /// Stored before, and wanted by a sink only now.
    Routed,
    /// Kept as it came until the outbox has its index again.
    Deferred,
    /// Stored before: acknowledged, and not delivered again.
    Duplicate,
    /// Authentic, and kept aside for a person.
    Quarantined,
    /// Authentic, and not wanted by the merchant's settings.
    Rejected,
    /// Not authentic.
    Refused,
    /// Signed, at a path that no source has.
    UnknownPath,
    /// The body did not come whole, or is too large.
    Unread,
    /// Authentic, and not kept aside, because there are too many already.
    QuarantineFull,
    /// More comes than can be stored.
    Overloaded,
    /// Not stored, or not in time.
    Failed,
}

/// Verdicts that leave a person with the same to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushClass {
    /// Stored; nothing to do.
    Taken,
    /// Known already; nothing to do.
    Duplicate,
    /// A person decides.
    Aside,
    /// The sender and the configuration do not fit.
    Refused,
    /// The sender must push again.
    NotTaken,
}

impl PushClass {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Taken,
        Self::Duplicate,
        Self::Aside,
        Self::Refused,
        Self::NotTaken,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Duplicate => "duplicates",
            Self::Aside => "set_aside",
            Self::Refused => "not_authentic",
            Self::NotTaken => "not_taken",
        }
    }
}

impl PushVerdict {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::Revised,
        Self::Older,
        Self::Routed,
        Self::Deferred,
        Self::Duplicate,
        Self::Quarantined,
        Self::Rejected,
        Self::Refused,
        Self::UnknownPath,
        Self::Unread,
        Self::QuarantineFull,
        Self::Overloaded,
        Self::Failed,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Revised => "revised",
            Self::Older => "older",
            Self::Routed => "routed",
            Self::Deferred => "deferred",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::UnknownPath => "unknown_path",
            Self::Unread => "unread",
            Self::QuarantineFull => "quarantine_full",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
        }
    }

    /// The class that it is of.
    pub const fn class(self) -> PushClass {
        match self {
            Self::Accepted | Self::Revised | Self::Older | Self::Routed | Self::Deferred => {
                PushClass::Taken
            }
            Self::Duplicate => PushClass::Duplicate,
            Self::Quarantined | Self::Rejected => PushClass::Aside,
            Self::Refused | Self::UnknownPath => PushClass::Refused,
            Self::Unread | Self::QuarantineFull | Self::Overloaded | Self::Failed => {
                PushClass::NotTaken
            }
        }
    }
}

/// A push, and what became of it.
#[derive(Clone, Debug)]
pub struct RecentPush {
    /// When its last byte was read.
    pub at: Millis,
    /// The source that read it; empty where none did.
    pub source: Box<str>,
    /// What became of it.
    pub verdict: PushVerdict,
    /// A stable name of why, where the verdict does not say it all.
    pub reason: Option<&'static str>,
    /// Of the answer.
    pub status: u16,
    /// Who sent it, or the proxy that did.
    pub peer: Option<IpAddr>,
    /// Of its body.
    pub bytes: usize,
    /// From its last byte to its answer.
    pub took: Duration,
    /// When it was sent, by the sender's clock.
    pub pushed_at: Option<Millis>,
    /// Id of its lead.
    pub lead: Option<String>,
    /// Its id in quarantine.
    pub quarantined: Option<String>,
    /// What was signed of it, if its signature was looked into.
    pub signed: Option<Box<Signed>>,
}

impl RecentPush {
    /// Whether both are of one sender that is refused for one reason.
    fn is_like(&self, other: &Self) -> bool {
        (self.peer, self.verdict, self.reason) == (other.peer, other.verdict, other.reason)
            && self.source == other.source
    }
}

/// How many pushes of a class there have been since the start, and when the last was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushCount {
    /// Of that class.
    pub class: PushClass,
    /// Since the start, with those that are not kept any more.
    pub count: u64,
    /// Of the newest.
    pub last_at: Option<Millis>,
}

/// The recent pushes. What notes one holds a lock of its class for a moment, and never across a
/// wait.
#[derive(Default)]
pub struct Pushes {
    rings: [Mutex<Ring>; PushClass::ALL.len()],
    next: AtomicU64,
    explained: Mutex<Explained>,
}

#[derive(Default)]
struct Ring {
    /// The oldest first, each with its number.
    kept: VecDeque<(u64, Arc<RecentPush>)>,
    count: u64,
}

/// Signatures that were looked into in the second that runs.
#[derive(Default)]
struct Explained {
    second: u64,
    all: u32,
    /// By sender; as long as [`EXPLAINED`] at most.
    by_peer: Vec<(Option<IpAddr>, u32)>,
}

impl Pushes {
    /// Keeps it; the oldest of its class leaves where there are [`KEPT`].
    pub fn note(&self, push: RecentPush) {
        let class = push.verdict.class();
        let push = Arc::new(push);
        let mut ring = self.ring(class);
        // Under the lock: numbers in a ring go up.
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        ring.count += 1;
        if ring.kept.len() >= KEPT {
            let leaves = ring.leaving(class, &push);
            ring.kept.remove(leaves);
        }
        ring.kept.push_back((number, push));
    }

    /// The newest that pass, each with its number, the newest first. Numbers go up from 1 since
    /// the start.
    pub fn newest(
        &self,
        classes: &[PushClass],
        passes: impl Fn(&RecentPush) -> bool,
        limit: usize,
    ) -> Vec<(u64, Arc<RecentPush>)> {
        let mut all = Vec::new();
        for class in classes {
            // Copied out: whoever sends does not wait for who looks.
            let kept: Vec<_> = self.ring(*class).kept.iter().cloned().collect();
            all.extend(kept.into_iter().filter(|(_, push)| passes(push)));
        }
        all.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        all.truncate(limit);
        all
    }

    /// How many there have been of each class.
    pub fn counts(&self) -> [PushCount; PushClass::ALL.len()] {
        PushClass::ALL.map(|class| {
            let ring = self.ring(class);
            PushCount {
                class,
                count: ring.count,
                last_at: ring.kept.back().map(|(_, push)| push.at),
            }
        })
    }

    /// Whether the signature of a push from `peer` may be looked into now; `now` is of the
    /// monotonic clock.
    pub fn may_explain(&self, peer: Option<IpAddr>, now: Duration) -> bool {
        let explained = self.explained.lock();
        let mut explained = explained.unwrap_or_else(PoisonError::into_inner);
        explained.takes(peer, now.as_secs())
    }

    fn ring(&self, class: PushClass) -> MutexGuard<'_, Ring> {
        // Invariant: the rings are in the order of `PushClass`. A push is put in and taken out
        // in steps that cannot panic half-way.
        let ring = &self.rings[class as usize];
        ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// Which leaves for `push`: of a sender that is refused and has its share, its own oldest.
    fn leaving(&self, class: PushClass, push: &RecentPush) -> usize {
        if matches!(class, PushClass::Refused | PushClass::NotTaken) {
            let mut alike = self.kept.iter().enumerate();
            let first = alike.find(|(_, (_, one))| one.is_like(push));
            let others = alike.filter(|(_, (_, one))| one.is_like(push)).count();
            if let Some((at, _)) = first
                && others + 1 >= SHARE
            {
                return at;
            }
        }
        0
    }
}

impl Explained {
    fn takes(&mut self, peer: Option<IpAddr>, second: u64) -> bool {
        if self.second != second {
            *self = Self {
                second,
                ..Self::default()
            };
        }
        if self.all >= EXPLAINED {
            return false;
        }
        let known = self.by_peer.iter_mut().find(|(one, _)| *one == peer);
        match known {
            Some((_, count)) if *count >= EXPLAINED_OF_ONE => return false,
            Some((_, count)) => *count += 1,
            None => self.by_peer.push((peer, 1)),
        }
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(verdict: PushVerdict, peer: u8, at: Millis) -> RecentPush {
        RecentPush {
            at,
            source: "shop".into(),
            verdict,
            reason: None,
            status: 200,
            peer: Some(IpAddr::from([10, 0, 0, peer])),
            bytes: 1,
            took: Duration::ZERO,
            pushed_at: None,
            lead: None,
            quarantined: None,
            signed: None,
        }
    }

    fn times(pushes: &Pushes, class: PushClass) -> Vec<Millis> {
        let all = pushes.newest(&[class], |_| true, usize::MAX);
        all.iter().map(|(_, push)| push.at).collect()
    }

    #[test]
    fn every_verdict_has_a_name_of_its_own_and_every_class_its_ring() {
        let names: std::collections::BTreeSet<_> =
            PushVerdict::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(names.len(), PushVerdict::ALL.len());
        for (at, class) in PushClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            assert!(PushVerdict::ALL.iter().any(|one| one.class() == class));
        }
    }

    #[test]
    fn bad_pushes_however_many_leave_the_good_ones_where_they_are() {
        let pushes = Pushes::default();
        pushes.note(push(PushVerdict::Accepted, 1, 1));
        for at in 0..10_000 {
            let peer = u8::try_from(at % 256).expect("a byte");
            pushes.note(push(PushVerdict::Refused, peer, 2));
            pushes.note(push(PushVerdict::Duplicate, peer, 2));
        }
        assert_eq!(times(&pushes, PushClass::Taken), [1]);
        for class in [PushClass::Refused, PushClass::Duplicate] {
            assert_eq!(times(&pushes, class).len(), KEPT);
        }
        let counts = pushes.counts();
        let refused = counts.iter().find(|one| one.class == PushClass::Refused);
        assert_eq!(refused.map(|one| one.count), Some(10_000));
        // All of them together, the newest first.
        let all = pushes.newest(&PushClass::ALL, |_| true, 3);
        let numbers: Vec<_> = all.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [20_001, 20_000, 19_999]);
    }

    #[test]
    fn one_sender_that_is_refused_does_not_push_another_out() {
        let pushes = Pushes::default();
        pushes.note(push(PushVerdict::Refused, 1, 1));
        for at in 0..1_000 {
            pushes.note(push(PushVerdict::Refused, 2, at + 10));
        }
        let kept = times(&pushes, PushClass::Refused);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.contains(&1), "the other sender's one is there");
        assert_eq!(kept[0], 1_009, "the newest is there");
    }

    #[test]
    fn signatures_are_looked_into_so_often_and_no_oftener() {
        let pushes = Pushes::default();
        let peer = |at: u8| Some(IpAddr::from([10, 0, 0, at]));
        let asked = |peer, second| {
            (0..100)
                .filter(|_| pushes.may_explain(peer, Duration::from_secs(second)))
                .count()
        };
        assert_eq!(asked(peer(1), 1), 4);
        assert_eq!(asked(peer(2), 1), 4, "one does not starve another");
        assert_eq!(asked(None, 1), 4);
        assert_eq!(asked(peer(3), 1), 4);
        assert_eq!(asked(peer(4), 1), 0, "all together have their limit");
        assert_eq!(asked(peer(4), 2), 4, "in the next second it goes on");
    }
}
