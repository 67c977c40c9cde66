//! Panics of this library: the host is told where in the source, and nobody what they say.
//!
//! A panic's message may quote what was worked on, which may be a person, and the standard hook
//! writes it to stderr. A library has a standard library of its own, and so a hook of its own.
//! Where plugins are linked into a process that has a hook for all of it, that one stays.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::panic::PanicHookInfo;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::host::HostHandle;
use crate::Level;

/// Whether the process says itself where its panics were.
static LEFT: AtomicBool = AtomicBool::new(false);

/// The sinks that live, by their address, and whom each can tell.
static HOSTS: Mutex<BTreeMap<usize, HostHandle>> = Mutex::new(BTreeMap::new());

/// For whom a thread is at work.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// A sink that lives, by its address.
    Sink(usize),
    /// One that is being made.
    Host(HostHandle),
}

thread_local! {
    static AT_WORK: Cell<Option<For>> = const { Cell::new(None) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For a process that plugins are linked into and that has a panic hook for all of it: they
/// shall not set another. To be called before the first descriptor is asked for.
pub fn leave_panics_to_the_process() {
    LEFT.store(true, Ordering::Relaxed);
}

/// Sets the hook, once for this library.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    // Tests of this crate say themselves what failed.
    if !cfg!(test) && !LEFT.load(Ordering::Relaxed) {
        ONCE.call_once(|| std::panic::set_hook(Box::new(panicked)));
    }
}

/// Does `work`; a panic in it is told to that host.
pub(super) fn during<T>(whom: For, work: impl FnOnce() -> T) -> T {
    struct Before(Option<For>);
    impl Drop for Before {
        fn drop(&mut self) {
            AT_WORK.set(self.0);
        }
    }
    let _before = Before(AT_WORK.replace(Some(whom)));
    work()
}

/// The same for a future, on whatever threads it is polled.
pub(super) async fn while_polled<F: Future>(whom: For, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| during(whom, || future.as_mut().poll(context))).await
}

/// Where the panic was that this thread has just caught, if it is known; asked once.
pub(super) fn place() -> Option<String> {
    LAST.try_with(RefCell::take).ok().flatten()
}

/// What is said of it to people: where it was, if that is known.
pub(super) fn said() -> String {
    place().map_or_else(
        || "the plugin panicked".to_owned(),
        |place| format!("the plugin panicked at {place}"),
    )
}

/// A sink lives: its host can be told.
pub(super) fn lives(sink: usize, host: HostHandle) {
    hosts().insert(sink, host);
}

/// It does not any more. What is being told to its host is told when this returns.
pub(super) fn is_gone(sink: usize) {
    hosts().remove(&sink);
}

fn hosts() -> MutexGuard<'static, BTreeMap<usize, HostHandle>> {
    HOSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The hook. A panic in here would end the process, so nothing in it may.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    let fields = serde_json::json!({ "at": place }).to_string();
    let whom = AT_WORK.try_with(Cell::get).ok().flatten();
    // Held while the host is told: a sink cannot be destroyed meanwhile, and with it its host.
    let hosts = hosts();
    let host = match whom {
        Some(For::Host(host)) => Some(host),
        Some(For::Sink(sink)) => hosts.get(&sink).copied(),
        None => None,
    };
    if let Some(host) = host {
        host.log(Level::Error, "plugin panicked", &fields);
    } else if let Some(host) = hosts.values().next() {
        // In a thread or task that the plugin started itself: any of its sinks.
        host.log(Level::Error, "a thread of the plugin panicked", &fields);
    } else {
        let _ = writeln!(std::io::stderr(), "plugin panicked at {place}");
    }
    drop(hosts);
    let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(place)));
}
