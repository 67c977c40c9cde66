//! By hand: the index of a stopped store is taken away, and waited for when the store opens.

use std::path::Path;
use std::time::Duration;

use super::lock::Lock;
use super::shared::Progress;
use super::{OpenError, SledOutbox, index};
use crate::outbox::Unavailable;

/// Between two looks at how far an index is.
const LOOK: Duration = Duration::from_millis(20);

impl SledOutbox {
    /// Waits until the store has its index, for commands that read it; `each` is told how many
    /// bytes of the journal were read, of how many. For a thread that may block.
    pub fn wait_until_whole(&self, mut each: impl FnMut(u64, u64)) -> Result<(), Unavailable> {
        while self.reads.current.get().is_none() {
            if let Some(why) = self.shared.fault().or_else(|| self.shared.making_failed()) {
                return Err(Unavailable(why));
            }
            if let Some(Progress { read, of }) = self.shared.progress() {
                each(read, of);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Takes the index of the store in `folder` away, so that the next start makes it anew.
pub fn forget_index(folder: &Path) -> Result<(), OpenError> {
    let broken = |error: std::io::Error| OpenError::Broken {
        path: folder.to_owned(),
        why: error.to_string(),
    };
    let lock = Lock::take(folder).map_err(broken)?;
    let _lock = lock.ok_or_else(|| OpenError::InUse(folder.to_owned()))?;
    index::delete(&folder.join("index")).map_err(broken)
}
