//! Sessions: who came in, in memory: a restart ends them all.
//!
//! A session is known by a random secret of which only a digest is kept; it ends an hour after
//! it was last used, twelve hours after it began, or when its token lets nobody in any more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::frame::Flash;
use crate::admin::Pass;
use crate::clock::Millis;
use crate::outbox::Actor;

/// Sessions at once; one more ends the one that was not used for the longest time.
const MOST: usize = 256;
/// How long one lasts at most.
const WHOLE: Duration = Duration::from_secs(12 * 3600);
/// How long one lasts unused.
const IDLE: Duration = Duration::from_secs(3600);

/// Digest of a session's secret.
type Key = [u8; 32];

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, Session>>);

/// One of them.
struct Session {
    /// What it is called where sessions are listed; opens nothing.
    name: String,
    csrf: String,
    pass: Pass,
    /// Whose token it was.
    who: String,
    peer: Option<IpAddr>,
    began_at: Millis,
    began: Duration,
    used: Duration,
    flash: Option<Flash>,
}

/// A session, as a request has it.
#[derive(Clone)]
pub(super) struct Visit {
    key: Key,
    /// What it is called where sessions are listed.
    pub(super) name: String,
    /// What every form of it carries.
    csrf: String,
    /// What it came in with.
    pub(super) pass: Pass,
}

/// A session in a list.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) who: String,
    pub(super) peer: Option<IpAddr>,
    pub(super) began_at: Millis,
    pub(super) idle: Duration,
}

impl Visit {
    /// The secret of its forms.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a form carries it.
    pub(super) fn is_from(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

impl Sessions {
    /// Begins one, and gives the secret it is known by.
    pub(super) fn begin(&self, pass: Pass, actor: &Actor, at: Millis, now: Duration) -> String {
        let secret = random();
        let session = Session {
            name: random()[..12].to_owned(),
            csrf: random(),
            pass,
            who: actor.name.clone(),
            peer: actor.peer,
            began_at: at,
            began: now,
            used: now,
            flash: None,
        };
        let mut all = self.all();
        all.retain(|_, session| session.lasts(now));
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                all.remove(&oldest);
            }
        }
        all.insert(key(&secret), session);
        secret
    }

    /// The session of that secret, used now.
    pub(super) fn of(&self, secret: &str, now: Duration) -> Option<Visit> {
        let key = key(secret);
        let mut all = self.all();
        let session = all.get_mut(&key).filter(|session| session.lasts(now))?;
        session.used = now;
        Some(Visit {
            key,
            name: session.name.clone(),
            csrf: session.csrf.clone(),
            pass: session.pass.clone(),
        })
    }

    /// Ends one.
    pub(super) fn end(&self, visit: &Visit) {
        self.all().remove(&visit.key);
    }

    /// Ends the one of that name; `false` if there is none.
    pub(super) fn end_named(&self, name: &str) -> bool {
        let mut all = self.all();
        let before = all.len();
        all.retain(|_, session| session.name != name);
        all.len() < before
    }

    /// Those that last, the newest first.
    pub(super) fn list(&self, now: Duration) -> Vec<Listed> {
        let all = self.all();
        let lasting = all.values().filter(|session| session.lasts(now));
        let mut listed: Vec<Listed> = lasting
            .map(|session| Listed {
                name: session.name.clone(),
                who: session.who.clone(),
                peer: session.peer,
                began_at: session.began_at,
                idle: now.saturating_sub(session.used),
            })
            .collect();
        listed.sort_by_key(|one| std::cmp::Reverse(one.began_at));
        listed
    }

    /// Keeps what the next page says.
    pub(super) fn say(&self, visit: &Visit, flash: Flash) {
        if let Some(session) = self.all().get_mut(&visit.key) {
            session.flash = Some(flash);
        }
    }

    /// What is to be said, once.
    pub(super) fn said(&self, visit: &Visit) -> Option<Flash> {
        self.all().get_mut(&visit.key)?.flash.take()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn lasts(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) < WHOLE && now.saturating_sub(self.used) < IDLE
    }
}

fn key(secret: &str) -> Key {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// 256 random bits in hex.
fn random() -> String {
    use std::fmt::Write;
    let mut bytes = [0; 32];
    crate::seal::random(&mut bytes);
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Role, Via};

    const HOUR: Duration = Duration::from_secs(3600);
    const ALMOST: Duration = Duration::from_secs(3599);

    fn begin(sessions: &Sessions, now: Duration) -> String {
        let actor = Actor {
            name: "wang".to_owned(),
            role: Role::Viewer,
            via: Via::Console,
            peer: None,
        };
        sessions.begin(Pass::Open, &actor, 0, now)
    }

    #[test]
    fn a_session_ends_unused_after_an_hour_and_used_after_twelve() {
        let sessions = Sessions::default();
        let secret = begin(&sessions, Duration::ZERO);
        assert!(sessions.of(&secret, ALMOST).is_some());
        assert!(sessions.of(&secret, ALMOST + HOUR).is_none(), "unused");

        let secret = begin(&sessions, Duration::ZERO);
        for half in 1..24 {
            assert!(sessions.of(&secret, HOUR / 2 * half).is_some(), "{half}");
        }
        assert!(sessions.of(&secret, 12 * HOUR).is_none(), "over");
    }

    #[test]
    fn sessions_are_bounded_and_the_one_unused_for_longest_goes() {
        let sessions = Sessions::default();
        let at = |number: u64| Duration::from_secs(number);
        let secrets: Vec<_> = (0..MOST as u64).map(|n| begin(&sessions, at(n))).collect();
        assert!(sessions.of(&secrets[0], at(300)).is_some());
        let one_more = begin(&sessions, at(301));
        assert!(sessions.of(&secrets[0], at(302)).is_some());
        assert!(sessions.of(&secrets[1], at(302)).is_none());
        assert!(sessions.of(&one_more, at(302)).is_some());
        assert_eq!(sessions.list(at(302)).len(), MOST);
    }

    #[test]
    fn one_is_ended_by_its_visitor_or_by_its_name_and_its_name_opens_nothing() {
        let sessions = Sessions::default();
        let (one, other) = (begin(&sessions, HOUR), begin(&sessions, HOUR));
        let visit = sessions.of(&one, HOUR).expect("it lasts");
        assert!(sessions.of(&visit.name, HOUR).is_none());
        assert!(sessions.of("", HOUR).is_none());
        sessions.end(&visit);
        assert!(sessions.of(&one, HOUR).is_none());
        let name = sessions.of(&other, HOUR).expect("it lasts").name;
        assert!(sessions.end_named(&name) && !sessions.end_named(&name));
        assert!(sessions.of(&other, HOUR).is_none());
    }

    #[test]
    fn a_form_of_another_session_is_not_from_this_one() {
        let sessions = Sessions::default();
        let (one, other) = (begin(&sessions, HOUR), begin(&sessions, HOUR));
        let visit = |secret: &str| sessions.of(secret, HOUR).expect("it lasts");
        let (one, other) = (visit(&one), visit(&other));
        assert!(one.is_from(one.csrf()));
        assert!(!one.is_from(other.csrf()));
        assert!(!one.is_from(""));
    }
}
