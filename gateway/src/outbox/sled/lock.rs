//! The lock: one process at a time has a store.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

const NAME: &str = "lock";
/// How long a store that was closed may stay locked.
const LETS_GO: Duration = Duration::from_secs(2);

/// Held by the process that has the store; free again when dropped.
pub(super) struct Lock(#[expect(dead_code, reason = "the kernel unlocks it as it is closed")] File);

impl Lock {
    /// Takes the lock of the store in `folder`; `None` if another process has it.
    pub(super) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(NAME))?;
        let deadline = Instant::now() + LETS_GO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LETS_GO / 100),
            }
        }
    }
}

/// Whether a leadgate has the store. May take two seconds to say so.
pub(crate) fn in_use(folder: &Path) -> bool {
    folder.join(NAME).exists() && matches!(Lock::take(folder), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_in_use_as_long_as_it_is_locked() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!in_use(folder.path()), "there is no store");
        let lock = Lock::take(folder.path()).expect("locks");
        assert!(lock.is_some());
        assert!(in_use(folder.path()));
        drop(lock);
        assert!(!in_use(folder.path()));
    }
}
