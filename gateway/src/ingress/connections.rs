//! Connections: how many there may be, from whom, and which one has to go for another.
//!
//! Holding a connection costs a stranger nothing, so what is held must not keep honest
//! senders out: when it gets tight, the oldest connection that has not sent a whole head
//! goes, then one whose body does not end, then the one that has been idle for longest. One
//! with a whole request is never closed for another.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use prometheus::{IntCounterVec, IntGauge};

/// A head that an honest sender has begun is there by then.
const HEAD: Duration = Duration::from_millis(250);
/// And so is a body.
const BODY: Duration = Duration::from_secs(1);

/// All connections of the public listener.
pub(super) struct Connections {
    limit: usize,
    /// From one address at most; loopback is a proxy and has no bound.
    /// 0 for no bound.
    per_address: AtomicUsize,
    /// Whether each answer is the last of its connection.
    leaving: AtomicBool,
    open: Mutex<Open>,
    count: IntGauge,
    closed: IntCounterVec,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// Oldest first.
    all: BTreeMap<u64, Arc<Connection>>,
    by_address: HashMap<IpAddr, usize>,
}

/// How far the request of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There was no whole head yet.
    New,
    /// There is a head; its body is being read.
    Body,
    /// There is a whole request.
    Busy,
    /// It was answered.
    Idle,
}

/// One of them.
pub(super) struct Connection {
    number: u64,
    address: Option<IpAddr>,
    phase: Mutex<(Phase, Instant)>,
    evicted: AtomicBool,
    /// Whether it ends as soon as nothing more has come.
    let_go: AtomicBool,
    last: AtomicBool,
    reader: AtomicWaker,
}

/// The right to be connected; given back when it is dropped.
pub(super) struct Ticket {
    all: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new(
        limit: usize,
        per_address: Option<usize>,
        count: IntGauge,
        closed: IntCounterVec,
    ) -> Arc<Self> {
        Arc::new(Self {
            limit,
            per_address: AtomicUsize::new(per_address.unwrap_or(0)),
            leaving: AtomicBool::new(false),
            open: Mutex::default(),
            count,
            closed,
        })
    }

    /// From now on one address may have so many; those that are there stay.
    pub(super) fn bound_each_address(&self, per_address: Option<usize>) {
        let most = per_address.unwrap_or(0);
        self.per_address.store(most, Ordering::Relaxed);
    }

    /// Takes a connection, if need be for another; `None` if its address has its share.
    /// `closed` is told why one was closed.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
        now: Instant,
        closed: impl Fn(&'static str),
    ) -> Option<Ticket> {
        let address = peer.map(net);
        let mut open = self.lock();
        let most = self.per_address.load(Ordering::Relaxed);
        if let Some(address) = address.filter(|_| most > 0)
            && !address.is_loopback()
            && open
                .by_address
                .get(&address)
                .is_some_and(|count| *count >= most)
            && !self.make_room(&mut open, Duration::ZERO, now, Some(address))
        {
            self.closed.with_label_values(&["per_address"]).inc();
            drop(open);
            closed("per_address");
            return None;
        }
        // Some room is always kept, so that who comes with a whole head need not wait.
        let made = if open.all.len() >= self.limit {
            self.make_room(&mut open, Duration::ZERO, now, None)
        } else if open.all.len() >= self.limit - self.limit / 8 {
            self.make_room(&mut open, HEAD, now, None)
        } else {
            false
        };
        let connection = Arc::new(Connection {
            number: open.next,
            address,
            phase: Mutex::new((Phase::New, now)),
            evicted: AtomicBool::new(false),
            let_go: AtomicBool::new(false),
            last: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        open.next += 1;
        open.all.insert(connection.number, Arc::clone(&connection));
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        self.show(&open);
        drop(open);
        if made {
            closed("evicted");
        }
        Some(Ticket {
            all: Arc::clone(self),
            connection,
        })
    }

    /// From now on each answer is the last of its connection.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub(super) fn are_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The number that the next one gets.
    pub(super) fn next(&self) -> u64 {
        self.lock().next
    }

    /// Lets go whoever no answer is owed: ends those that are idle, and those that have not
    /// sent a whole request for long, once nothing more has come from them. How many of those
    /// before `number` are left.
    pub(super) fn let_go(&self, number: u64, now: Instant) -> usize {
        let open = self.lock();
        let before = open.all.range(..number).map(|(_, one)| one);
        let mut left = 0;
        for one in before {
            left += 1;
            let (phase, since) = *one.phase();
            let old = now.saturating_duration_since(since);
            let waits = match phase {
                Phase::Idle => true,
                // Nothing presses: who is slow to begin is heard as well.
                Phase::New | Phase::Body => old >= BODY,
                Phase::Busy => false,
            };
            if waits {
                one.let_go.store(true, Ordering::Release);
                one.reader.wake();
            }
        }
        left
    }

    /// Closes one that may be closed for another, a headless one only when it is older than
    /// `age`; idle ones only where that is nothing. Whether there was one.
    fn make_room(&self, open: &mut Open, age: Duration, now: Instant, of: Option<IpAddr>) -> bool {
        let phases = || {
            let all = open.all.values();
            all.filter(|one| of.is_none() || one.address == of)
                .map(|one| {
                    let (phase, since) = *one.phase();
                    (one, phase, now.saturating_duration_since(since))
                })
        };
        let longest = |wanted: Phase, age: Duration| {
            phases()
                .filter(|(_, phase, old)| *phase == wanted && *old >= age)
                .max_by_key(|(_, _, old)| *old)
                .map(|(one, ..)| Arc::clone(one))
        };
        // In the order they came, so the first that is found is the oldest.
        let headless = phases()
            .find(|(_, phase, old)| *phase == Phase::New && *old >= age)
            .map(|(one, ..)| Arc::clone(one));
        let chosen = headless.or_else(|| longest(Phase::Body, BODY)).or_else(|| {
            age.is_zero()
                .then(|| longest(Phase::Idle, Duration::ZERO))
                .flatten()
        });
        let Some(chosen) = chosen else { return false };
        open.remove(&chosen);
        chosen.evict();
        self.closed.with_label_values(&["evicted"]).inc();
        true
    }

    fn show(&self, open: &Open) {
        self.count
            .set(i64::try_from(open.all.len()).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Its parts are changed in steps that cannot panic half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn remove(&mut self, connection: &Connection) {
        let known = self.all.remove(&connection.number).is_some();
        if let (true, Some(address)) = (known, connection.address)
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.all.lock();
        open.remove(&self.connection);
        self.all.show(&open);
    }
}

impl Connection {
    /// Notes how far it has come.
    pub(super) fn enter(&self, phase: Phase, now: Instant) {
        if matches!(phase, Phase::Body | Phase::Busy) {
            // It is owed an answer now.
            self.let_go.store(false, Ordering::Release);
        }
        *self.phase() = (phase, now);
    }

    /// Whether it must end; if not, `reader` is woken when it must.
    pub(super) fn must_end(&self, reader: &Waker) -> bool {
        self.reader.register(reader);
        self.evicted.load(Ordering::Acquire)
    }

    /// Whether it ends if nothing more has come. To be asked after [`Self::must_end`], which
    /// keeps who is to be woken.
    pub(super) fn is_let_go(&self) -> bool {
        self.let_go.load(Ordering::Acquire)
    }

    /// That something has come: after an answer, or from one that was let go, it begins a request,
    /// which may take its time.
    pub(super) fn came(&self) {
        // Almost never: only while it stops.
        let was_let_go =
            self.let_go.load(Ordering::Relaxed) && self.let_go.swap(false, Ordering::AcqRel);
        let mut phase = self.phase();
        if phase.0 == Phase::Idle || (was_let_go && phase.0 == Phase::New) {
            *phase = (Phase::New, Instant::now());
        }
    }

    /// That the request at hand is the last; whether one before was.
    pub(super) fn is_over(&self, last: bool) -> bool {
        self.last.fetch_or(last, Ordering::Relaxed)
    }

    fn evict(&self) {
        self.evicted.store(true, Ordering::Release);
        self.reader.wake();
    }

    fn phase(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose address it is: in IPv6 a network of 64 bits is one subscriber's.
fn net(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let network = v6.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn connections(limit: usize, per_address: Option<usize>) -> Arc<Connections> {
        let metrics = Metrics::new().ingest;
        Connections::new(
            limit,
            per_address,
            metrics.connections,
            metrics.connections_closed,
        )
    }

    fn admit(
        all: &Arc<Connections>,
        peer: impl Into<Option<IpAddr>>,
        now: Instant,
    ) -> Option<Ticket> {
        all.admit(peer.into(), now, |_| {})
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    fn ended(ticket: &Ticket) -> bool {
        ticket.connection.must_end(Waker::noop())
    }

    #[test]
    fn who_sends_nothing_goes_for_who_comes_and_a_whole_request_stays() {
        let all = connections(16, None);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let busy: Vec<_> = (0..10)
            .map(|_| admit(&all, address(1), at(0)).expect("taken"))
            .collect();
        busy.iter()
            .for_each(|one| one.connection.enter(Phase::Busy, at(0)));
        let silent: Vec<_> = (0..4)
            .map(|n| admit(&all, address(2), at(n)).expect("taken"))
            .collect();
        let young = admit(&all, address(3), at(100)).expect("taken");
        assert!(
            !silent.iter().any(ended),
            "a head may take a moment while there is room"
        );
        let next = admit(&all, address(3), at(1000)).expect("taken");
        assert!(ended(&silent[0]), "the oldest");
        assert!(!silent[1..].iter().any(ended) && !ended(&young) && !ended(&next));
        // Beyond that nobody is too young.
        let crowd: Vec<_> = (0..100)
            .map(|n| admit(&all, address(4), at(1000 + n)).expect("taken"))
            .collect();
        assert!(silent.iter().all(ended) && ended(&young));
        assert!(!busy.iter().any(ended), "they have whole requests");
        assert_eq!(crowd.iter().filter(|one| !ended(one)).count(), 6);
        drop((busy, silent, young, next, crowd));
        let open = all.lock();
        assert_eq!(open.all.len() + open.by_address.len(), 0);
    }

    #[test]
    fn a_body_that_does_not_end_goes_then_who_has_been_idle_longest() {
        let all = connections(3, None);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let three: Vec<_> = (0..3)
            .map(|_| admit(&all, address(1), at(0)).expect("taken"))
            .collect();
        three[0].connection.enter(Phase::Idle, at(10));
        three[1].connection.enter(Phase::Idle, at(5));
        three[2].connection.enter(Phase::Body, at(1));
        let fourth = admit(&all, address(1), at(2000)).expect("taken");
        fourth.connection.enter(Phase::Body, at(2000));
        assert!(ended(&three[2]));
        let fifth = admit(&all, address(1), at(2001)).expect("taken");
        assert!(ended(&three[1]) && !ended(&three[0]) && !ended(&fourth));
        drop(fifth);
    }

    #[test]
    fn one_address_has_its_share_and_a_proxy_on_this_machine_has_all() {
        let all = connections(1000, Some(2));
        let now = Instant::now();
        let held: Vec<_> = (0..2)
            .map(|_| admit(&all, address(1), now).expect("taken"))
            .collect();
        held.iter()
            .for_each(|one| one.connection.enter(Phase::Busy, now));
        assert!(admit(&all, address(1), now).is_none());
        assert!(admit(&all, address(2), now).is_some());
        let proxy = Some(IpAddr::from([127, 0, 0, 1]));
        let many: Vec<_> = (0..100).map(|_| admit(&all, proxy, now)).collect();
        assert!(many.iter().all(Option::is_some));
        held[0].connection.enter(Phase::Idle, now);
        assert!(admit(&all, address(1), now).is_some(), "for the idle one");
        assert!(ended(&held[0]) && !ended(&held[1]));
        let six = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        let first = admit(&all, six("2001:db8::1"), now).expect("taken");
        first.connection.enter(Phase::Busy, now);
        let second = admit(&all, six("2001:db8::2"), now).expect("taken");
        second.connection.enter(Phase::Busy, now);
        assert!(admit(&all, six("2001:db8::3"), now).is_none());
        assert!(admit(&all, six("2001:db8:0:1::3"), now).is_some());
    }

    #[test]
    fn who_is_owed_an_answer_is_not_let_go() {
        let all = connections(9, None);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let tickets: Vec<_> = (0..6)
            .map(|_| admit(&all, address(1), at(0)).expect("taken"))
            .collect();
        let phases = [
            (Phase::Busy, 0),
            (Phase::Idle, 1000),
            (Phase::New, 0),
            (Phase::New, 900),
            (Phase::Body, 0),
            (Phase::Body, 900),
        ];
        for (ticket, (phase, since)) in tickets.iter().zip(phases) {
            ticket.connection.enter(phase, at(since));
        }
        let number = all.next();
        let later = admit(&all, address(1), at(0)).expect("taken");
        later.connection.enter(Phase::Idle, at(0));
        let begun = admit(&all, address(1), at(0)).expect("taken");
        begun.connection.enter(Phase::Idle, start);
        begun.connection.came();
        all.let_go(u64::MAX, Instant::now());
        assert!(!begun.connection.is_let_go(), "half a head is there");
        drop(begun);
        later.connection.let_go.store(false, Ordering::Release);
        assert_eq!(all.let_go(number, at(1000)), 6);
        let let_go = |ticket: &Ticket| ticket.connection.is_let_go();
        let gone: Vec<_> = tickets.iter().map(let_go).collect();
        assert_eq!(gone, [false, true, true, false, true, false]);
        assert!(!let_go(&later), "it came later");
        tickets[1].connection.came();
        tickets[0].connection.came();
        assert!(!let_go(&tickets[1]), "its next request has begun");
        assert_eq!(tickets[1].connection.phase().0, Phase::New);
        assert_eq!(tickets[0].connection.phase().0, Phase::Busy);
        drop(tickets);
        assert_eq!(all.let_go(number, at(1000)), 0);
        assert_eq!(all.let_go(u64::MAX, at(1000)), 1);
        assert!(let_go(&later));
    }

    #[test]
    fn the_last_request_of_a_connection_is_known() {
        let all = connections(9, None);
        let ticket = admit(&all, None, Instant::now()).expect("taken");
        assert!(!ticket.connection.is_over(false));
        assert!(!ticket.connection.is_over(true), "this one is still served");
        assert!(ticket.connection.is_over(false));
    }
}
