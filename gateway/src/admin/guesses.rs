//! Guesses: wrong tokens are counted, said once a minute, and cost their address a pause.
//!
//! The table of addresses is bounded: who comes from many pushes the oldest out, and is then
//! one of many in the log's count. Behind a pause also the right token waits, or guessing
//! would go on as before.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

/// Wrong tokens in a row before an address pauses.
const FREE: u32 = 10;
/// How long it pauses, and how long its wrong tokens are remembered.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses remembered.
const ADDRESSES: usize = 1_024;
/// Between two lines in the log.
const AGAIN: Duration = Duration::from_secs(60);

/// Wrong tokens of late.
#[derive(Debug)]
pub struct Guesses {
    counter: IntCounter,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<IpAddr, Guesser>,
    /// Guesses that no line has told of.
    untold: u64,
    told: Option<Duration>,
    latest: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Guesser {
    wrong: u32,
    last: Duration,
    /// Until when nothing is taken from it.
    pause: Option<Duration>,
}

impl Guesses {
    /// None yet; each is counted in `counter`.
    pub fn new(counter: IntCounter) -> Self {
        Self {
            counter,
            table: Mutex::default(),
        }
    }

    /// How long an address must still wait, if it pauses.
    pub(super) fn pause(&self, from: IpAddr, now: Duration) -> Option<Duration> {
        let table = self.table();
        let pause = table.addresses.get(&network(from))?.pause?;
        pause.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// A wrong token.
    pub(super) fn wrong(&self, from: IpAddr, now: Duration) {
        self.counter.inc();
        let mut table = self.table();
        table.wrong(network(from), now);
        table.untold += 1;
        table.latest = Some(from);
        table.tell(now);
    }

    /// The right token: what was mistyped before is forgotten.
    pub(super) fn right(&self, from: IpAddr) {
        let mut table = self.table();
        if !table.addresses.is_empty() {
            table.addresses.remove(&network(from));
        }
    }

    /// Says what is still to be said; to be called now and then.
    pub fn look(&self, now: Duration) {
        self.table().tell(now);
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn wrong(&mut self, from: IpAddr, now: Duration) {
        if !self.addresses.contains_key(&from) && self.addresses.len() >= ADDRESSES {
            let oldest = self.addresses.iter().min_by_key(|(_, one)| one.last);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.addresses.remove(&oldest);
            }
        }
        let one = self.addresses.entry(from).or_insert(Guesser {
            wrong: 0,
            last: now,
            pause: None,
        });
        if now.saturating_sub(one.last) >= PAUSE {
            one.wrong = 0;
        }
        one.last = now;
        one.wrong += 1;
        if one.wrong >= FREE {
            one.wrong = 0;
            one.pause = Some(now + PAUSE);
        }
    }

    fn tell(&mut self, now: Duration) {
        let soon = self
            .told
            .is_some_and(|told| now.saturating_sub(told) < AGAIN);
        if self.untold == 0 || soon {
            return;
        }
        let paused = self.addresses.values();
        let paused = paused.filter(|one| one.pause.is_some_and(|until| until > now));
        let latest = self.latest.map(|one| one.to_string());
        tracing::warn!(
            count = self.untold,
            addresses_paused = paused.count(),
            latest_peer = latest.unwrap_or_default(),
            "wrong admin tokens were refused"
        );
        self.untold = 0;
        self.told = Some(now);
    }
}

/// What one person can have at once: an address, of IPv6 the first half.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn guesses() -> Guesses {
        Guesses::new(IntCounter::new("wrong_total", "Wrong.").expect("a counter"))
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_wrong_tokens_pause_their_address_and_no_other() {
        let guesses = guesses();
        for count in 0..10 {
            assert_eq!(guesses.pause(HERE, at(1)), None, "after {count}");
            guesses.wrong(HERE, at(1));
        }
        assert_eq!(guesses.pause(HERE, at(1)), Some(PAUSE));
        assert_eq!(guesses.pause(HERE, at(31)), Some(at(30)));
        assert_eq!(guesses.pause(OTHER, at(1)), None);
        assert_eq!(guesses.pause(HERE, at(61)), None, "it is over");
        assert_eq!(guesses.counter.get(), 10);
    }

    #[test]
    fn who_mistypes_and_then_has_it_right_is_forgiven() {
        let guesses = guesses();
        for _ in 0..5 {
            for _ in 0..9 {
                guesses.wrong(HERE, at(1));
            }
            assert_eq!(guesses.pause(HERE, at(1)), None);
            guesses.right(HERE);
        }
    }

    #[test]
    fn the_table_is_bounded_and_an_ipv6_network_is_one() {
        let guesses = guesses();
        for number in 0..10_000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            guesses.wrong(address, at(u64::from(number)));
        }
        assert!(guesses.table().addresses.len() <= ADDRESSES);
        for host in 0..10_u16 {
            let six = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
            guesses.wrong(IpAddr::V6(six), at(20_000));
        }
        let seventh = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 7, 7, 7, 7));
        assert!(guesses.pause(seventh, at(20_000)).is_some());
    }

    #[test]
    fn the_log_has_one_line_a_minute_with_the_count() {
        let guesses = guesses();
        for _ in 0..4_000 {
            guesses.wrong(HERE, at(1));
        }
        assert_eq!(guesses.table().untold, 3_999, "the first was said at once");
        guesses.look(at(30));
        assert_eq!(guesses.table().untold, 3_999);
        guesses.look(at(61));
        assert_eq!(guesses.table().untold, 0);
    }
}
