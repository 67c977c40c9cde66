//! What the conformance suite does to a store of this engine's that the traits do not offer.

use std::path::Path;

use crate::outbox::Unavailable;
use crate::outbox::former::fault::Fault;
use crate::outbox::former::group::Group;
use crate::outbox::former::job::{Job, Step};
use crate::outbox::former::open::FORMAT;
use crate::outbox::former::{SledOutbox, key};

/// A job that panics where it is told to.
struct Bad {
    in_write: bool,
}

impl Step for Bad {
    fn write(&mut self, _: &mut Group<'_>) -> Result<(), Fault> {
        assert!(!self.in_write, "injected: the committer's");
        Ok(())
    }

    fn tell(self: Box<Self>, _: Result<(), &Unavailable>) {
        panic!("injected: the syncer's");
    }
}

/// Lets the committer panic, or else the syncer.
pub(in crate::outbox) fn panic(outbox: &SledOutbox, committer: bool) {
    let job = Job::Write(Box::new(Bad {
        in_write: committer,
    }));
    assert!(outbox.jobs.try_send(job).is_ok(), "queued");
}

/// Writes the number of a later format to a closed store, or that of this one.
pub(in crate::outbox) fn pretend_newer(store: &Path, newer: bool) {
    let format = if newer { 7 } else { FORMAT };
    let db = ::sled::open(store).expect("opens");
    db.insert(key::FORMAT, &format.to_be_bytes())
        .expect("writes");
    db.flush().expect("flushes");
}
