//! The engine's door: opening sled so that a damaged store is an error.
//!
//! sled 0.34 panics on damage, or opens and silently cuts off what lies behind it. So the log
//! is read before sled is let near it ([`judge`]), and sled's panics are caught. What is left
//! to sled is its snapshot file, whose damage it reports itself.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use super::OpenError;
use super::{closed, judge};

/// Opens or makes the sled database in `path`.
pub(super) fn open(path: &Path, cache: usize) -> Result<::sled::Db, OpenError> {
    let broken = |why: String| OpenError::Broken {
        path: path.to_owned(),
        why,
    };
    // Whoever opens holds this until sled has its own lock, so that nobody tidies up under a
    // store that another process is opening.
    let _opening = opening(path).map_err(|error| broken(error.to_string()))?;
    if in_use(path) {
        return Err(OpenError::InUse(path.to_owned()));
    }
    drop_half_snapshots(path).map_err(|error| broken(error.to_string()))?;
    if path.join("db").exists() {
        let refusal = judge::refusal(path).map_err(|error| broken(error.to_string()))?;
        if let Some(why) = refusal {
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                why,
            });
        }
        // What sled takes for its log must not vanish afterwards: see [`judge`].
        let db = File::open(path.join("db")).and_then(|db| db.sync_data());
        db.map_err(|error| broken(error.to_string()))?;
    }
    closed::forget(path).map_err(|error| broken(error.to_string()))?;
    let open = || {
        ::sled::Config::new()
            .path(path)
            .cache_capacity(cache as u64)
            .flush_every_ms(None)
            .mode(::sled::Mode::HighThroughput)
            .open()
    };
    match guarded(open) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(::sled::Error::Io(io))) if io.to_string().contains("lock") => {
            Err(OpenError::InUse(path.to_owned()))
        }
        Ok(Err(::sled::Error::Corruption { .. })) => Err(OpenError::Damaged {
            path: path.to_owned(),
            why: "sled found damaged data".to_owned(),
        }),
        Ok(Err(other)) => Err(broken(other.to_string())),
        Err(panic) => Err(OpenError::Damaged {
            path: path.to_owned(),
            why: format!("sled gave up: {panic}"),
        }),
    }
}

/// The lock that one process at a time opens the store under; free again when dropped.
fn opening(path: &Path) -> std::io::Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("opening.lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Removes snapshots that a crash left half written: sled would take one for its newest and
/// refuse to open. They are only a shortcut; the log has everything.
fn drop_half_snapshots(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .ends_with(b".generating")
        {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How long a store that was closed may stay locked.
const LETS_GO: Duration = Duration::from_secs(2);

/// Whether a leadgate has the store: sled locks its file. May take [`LETS_GO`] to say so.
pub(crate) fn in_use(path: &Path) -> bool {
    use rustix::fs::{FlockOperation, flock};
    let Ok(file) = File::open(path.join("db")) else {
        return false;
    };
    // sled's own threads may hold on to a store for a moment after it was closed.
    let deadline = Instant::now() + LETS_GO;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= deadline {
            return true;
        }
        std::thread::sleep(LETS_GO / 100);
    }
    // Released as the file is closed.
    false
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does what may panic; a panic's message is the error, and nothing else is printed.
pub(super) fn guarded<T>(what: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(what));
    GUARDED.set(false);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("no reason given").to_owned()
    })
}
