//! Refusing: that pushes are answered with failure, and why, said when it begins and when it
//! ends, and not for each push.
//!
//! Each reason is an episode of its own. It begins with the first push refused for it, or as
//! soon as the store says that it would refuse; it ends when the store says that it no longer
//! would, or where the store cannot say, after a quiet while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::outbox::Refusal;

/// Between two lines about the same episode.
const AGAIN: Duration = Duration::from_secs(60);
/// Without a refusal for so long, what only pushes tell of is over.
const QUIET: Duration = Duration::from_secs(10);

/// Why a push is answered with failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Less is free than must be.
    NoSpace,
    /// The store has failed, or a write hangs.
    Unavailable,
    /// More comes than is written.
    QueueFull,
    /// Not durable within the deadline.
    TooLate,
}

impl Reason {
    const ALL: [Self; 4] = [
        Self::NoSpace,
        Self::Unavailable,
        Self::QueueFull,
        Self::TooLate,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoSpace => "no_space",
            Self::Unavailable => "store_unavailable",
            Self::QueueFull => "queue_full",
            Self::TooLate => "too_late",
        }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::QueueFull,
            Refusal::NoSpace => Self::NoSpace,
            Refusal::Unavailable(_) => Self::Unavailable,
        }
    }
}

/// How the store does, as far as it decides what is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why nothing can be accepted, if so.
    pub fault: Option<String>,
    /// Whether less is free than must be.
    pub short: bool,
    /// Bytes free on the disk.
    pub free: u64,
    /// Bytes that must stay free.
    pub wanted: u64,
}

impl Health {
    /// Whether pushes are refused for this reason now; nothing if only pushes tell.
    fn refuses(&self, reason: Reason) -> Option<bool> {
        match reason {
            Reason::NoSpace => Some(self.short),
            Reason::Unavailable => Some(self.fault.is_some()),
            Reason::QueueFull | Reason::TooLate => None,
        }
    }
}

/// An episode under way.
#[derive(Clone, Copy, Debug)]
struct Episode {
    began: Duration,
    /// The last refusal.
    last: Duration,
    /// Pushes refused.
    refused: u64,
    said: Duration,
    said_refused: u64,
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Began,
    GoesOn { refused: u64, seconds: u64 },
    Ended { refused: u64, seconds: u64 },
}

/// All episodes.
#[derive(Debug, Default)]
pub struct Refusing(Mutex<[Option<Episode>; Reason::ALL.len()]>);

impl Refusing {
    /// A push was refused.
    pub(super) fn refused(&self, reason: Reason, now: Duration, health: impl FnOnce() -> Health) {
        if let Some(said) = self.count(reason, now) {
            say(reason, &said, &health());
        }
    }

    /// Looks whether anything has begun or ended without a push; to be called about once a
    /// second.
    pub fn look(&self, now: Duration, health: &Health) {
        for reason in Reason::ALL {
            if let Some(said) = self.see(reason, now, health.refuses(reason)) {
                say(reason, &said, health);
            }
        }
    }

    fn count(&self, reason: Reason, now: Duration) -> Option<Said> {
        let mut episodes = self.episodes();
        let place = &mut episodes[reason as usize];
        let began = place.is_none();
        let episode = place.get_or_insert(Episode::beginning(now));
        episode.refused += 1;
        episode.last = now;
        if began {
            return Some(Said::Began);
        }
        episode.again(now)
    }

    fn see(&self, reason: Reason, now: Duration, refuses: Option<bool>) -> Option<Said> {
        let mut episodes = self.episodes();
        let place = &mut episodes[reason as usize];
        let Some(episode) = place else {
            if refuses != Some(true) {
                return None;
            }
            *place = Some(Episode::beginning(now));
            return Some(Said::Began);
        };
        let quiet = now.saturating_sub(episode.last) >= QUIET;
        if !refuses.unwrap_or(!quiet) {
            let said = Said::Ended {
                refused: episode.refused,
                seconds: now.saturating_sub(episode.began).as_secs(),
            };
            *place = None;
            return Some(said);
        }
        episode.again(now)
    }

    fn episodes(&self) -> std::sync::MutexGuard<'_, [Option<Episode>; Reason::ALL.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Episode {
    fn beginning(now: Duration) -> Self {
        Self {
            began: now,
            last: now,
            refused: 0,
            said: now,
            said_refused: 0,
        }
    }

    /// At most once in [`AGAIN`], and only if more were refused.
    fn again(&mut self, now: Duration) -> Option<Said> {
        if now.saturating_sub(self.said) < AGAIN || self.refused == self.said_refused {
            return None;
        }
        self.said = now;
        self.said_refused = self.refused;
        Some(Said::GoesOn {
            refused: self.refused,
            seconds: now.saturating_sub(self.began).as_secs(),
        })
    }
}

fn say(reason: Reason, said: &Said, health: &Health) {
    let (free, wanted) = (health.free, health.wanted);
    let name = reason.as_str();
    match (said, reason) {
        (Said::Began, Reason::NoSpace) => tracing::error!(
            reason = name,
            free,
            wanted,
            "pushes are refused: less is free on the outbox's disk than outbox.min_free; free some, or lower it"
        ),
        // The store has said it, with its cause.
        (Said::Began, Reason::Unavailable) => {}
        (Said::Began, Reason::QueueFull) => tracing::error!(
            reason = name,
            "pushes are refused: more come than the disk takes, and outbox.queue is full"
        ),
        (Said::Began, Reason::TooLate) => tracing::error!(
            reason = name,
            "pushes are refused: they were not durable within server.ack_deadline; the disk is slow"
        ),
        (Said::GoesOn { refused, seconds }, _) => tracing::error!(
            reason = name,
            refused,
            seconds,
            free,
            wanted,
            "pushes are still refused"
        ),
        (Said::Ended { refused, seconds }, _) => tracing::info!(
            reason = name,
            refused,
            seconds,
            free,
            wanted,
            "pushes are taken again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_full_disk_is_said_when_it_begins_each_minute_and_when_it_ends() {
        let refusing = Refusing::default();
        let mut said = Vec::new();
        // 559 pushes in 150 s, and a look each second.
        for second in 0..150 {
            for _ in 0..4 {
                said.extend(refusing.count(Reason::NoSpace, at(second)));
            }
            said.extend(refusing.see(Reason::NoSpace, at(second), Some(true)));
        }
        said.extend(refusing.see(Reason::NoSpace, at(150), Some(false)));
        said.extend(refusing.see(Reason::NoSpace, at(151), Some(false)));
        assert_eq!(said.len(), 4, "{said:?}");
        assert_eq!(said[0], Said::Began);
        assert!(matches!(
            said[1],
            Said::GoesOn {
                seconds: 60,
                refused: 241
            }
        ));
        assert!(matches!(said[2], Said::GoesOn { seconds: 120, .. }));
        assert_eq!(
            said[3],
            Said::Ended {
                refused: 600,
                seconds: 150
            }
        );
    }

    #[test]
    fn what_only_pushes_tell_of_ends_after_a_quiet_while() {
        let refusing = Refusing::default();
        assert_eq!(refusing.count(Reason::QueueFull, at(0)), Some(Said::Began));
        assert_eq!(refusing.count(Reason::QueueFull, at(5)), None);
        assert_eq!(refusing.see(Reason::QueueFull, at(14), None), None);
        let ended = Said::Ended {
            refused: 2,
            seconds: 15,
        };
        assert_eq!(refusing.see(Reason::QueueFull, at(15), None), Some(ended));
        assert_eq!(refusing.count(Reason::QueueFull, at(16)), Some(Said::Began));
    }

    #[test]
    fn a_store_that_fails_is_said_without_a_push() {
        let refusing = Refusing::default();
        let health = |fault: Option<&str>| Health {
            fault: fault.map(str::to_owned),
            ..Health::default()
        };
        let refuses = |fault| health(fault).refuses(Reason::Unavailable);
        assert_eq!(
            refusing.see(Reason::Unavailable, at(1), refuses(Some("it hangs"))),
            Some(Said::Began)
        );
        assert_eq!(
            refusing.see(Reason::Unavailable, at(90), refuses(Some("it hangs"))),
            None,
            "nobody was refused"
        );
        assert!(matches!(
            refusing.see(Reason::Unavailable, at(100), refuses(None)),
            Some(Said::Ended { refused: 0, .. })
        ));
    }
}
