//! Verifying the audit log: whether every entry is there and as it was written, from what left on
//! purpose to the newest of which anybody was told.

use std::io;
use std::path::Path;

use super::file::{self, Scan};
use super::format::Linking;
use super::{FOLDER, Log};
use crate::lang::{Both, Text};
use crate::outbox::sled::codec::{AuditMark, Link};
use crate::outbox::sled::journal::Files;
use crate::outbox::{AuditBreak, AuditState};

const REMOVED: Both = ("entries were removed", "有条目被移除");
const CUT_OFF: Both = ("the end was cut off", "末尾被截去");
const DAMAGED: Both = (
    "its bytes are not as they were written",
    "其内容与写入时不符",
);
const CHANGED: Both = (
    "the entry, or the one before it, is not as it was written",
    "该条目或其前一条与写入时不符",
);

/// Reads the log of the store in `path`, of which the journal knows `mark`.
pub(in crate::outbox::sled) fn verify(
    files: &dyn Files,
    path: &Path,
    linking: &Linking,
    mark: AuditMark,
) -> io::Result<AuditState> {
    look(files, &path.join(FOLDER), linking, mark)
}

impl Log {
    /// Reads all of it.
    pub(in crate::outbox::sled) fn verify(&self) -> io::Result<AuditState> {
        let _all = self.all();
        look(&*self.files, &self.folder, &self.linking, self.mark())
    }

    /// Says in the log of events whether it is as it must be.
    pub(super) fn look(&self) {
        match self.verify() {
            Ok(state) => {
                if let Some(AuditBreak { at, why }) = state.broken {
                    tracing::error!(
                        entry = at,
                        %why,
                        "audit log is not as it was written; see `leadgate audit verify`"
                    );
                }
            }
            Err(error) => tracing::error!(%error, "audit log cannot be read"),
        }
    }
}

/// What was found so far.
struct Found {
    state: AuditState,
    /// Where the chain is.
    link: Link,
    /// Whether bytes behind that could not be read.
    left: bool,
}

impl Found {
    fn breaks(&mut self, at: u64, why: impl Into<Text>) {
        let why = why.into();
        self.state.broken.get_or_insert(AuditBreak { at, why });
    }

    /// What should follow is not there.
    fn lacks(&mut self, why: Both) {
        let why = if self.left { DAMAGED } else { why };
        self.breaks(self.link.number + 1, why);
    }
}

fn look(
    files: &dyn Files,
    folder: &Path,
    linking: &Linking,
    mark: AuditMark,
) -> io::Result<AuditState> {
    let mut found = Found {
        state: AuditState {
            first: mark.retired.number + 1,
            last: mark.last.number,
            chain: mark.last.chain,
            ..AuditState::default()
        },
        link: mark.retired,
        left: false,
    };
    for (first, path) in file::list(files, folder)? {
        // Written while this reads, or never told of.
        if first > mark.last.number {
            break;
        }
        let bytes = file::read(files, &path)?;
        of_file(&mut found, linking, mark, (first, &bytes));
    }
    if found.link.number < mark.last.number {
        found.lacks(CUT_OFF);
    }
    Ok(found.state)
}

fn of_file(found: &mut Found, linking: &Linking, mark: AuditMark, (first, bytes): (u64, &[u8])) {
    let follows = found.link.number + 1;
    if first > follows {
        found.lacks(REMOVED);
    }
    let Some(mut scan) = Scan::new(linking, bytes) else {
        found.breaks(first, CHANGED);
        return;
    };
    if first == follows && scan.link != found.link || scan.link.number + 1 != first {
        found.breaks(first, CHANGED);
    }
    found.link = scan.link;
    for seen in scan.by_ref() {
        let Link { number, chain } = seen.frame.link;
        if number > mark.last.number {
            break;
        }
        if number > found.link.number + 1 {
            found.lacks(REMOVED);
        }
        match &seen.entry {
            Ok(_) => found.state.entries += 1,
            Err(why) => found.breaks(number, why.text()),
        }
        let is_forked = number == mark.last.number && chain != mark.last.chain;
        if !seen.fits || is_forked {
            found.breaks(number, CHANGED);
        }
        found.link = seen.frame.link;
    }
    found.left = scan.left() > 0;
}
