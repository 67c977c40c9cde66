//! The engine's door: opening sled so that a damaged store is an error.
//!
//! sled 0.34 panics on damage, or opens and silently cuts off what lies behind it. So the log
//! is read before sled is ([`super::log`]), and sled's panics are caught. The exceptions are
//! what only sled can judge: the newest segment, which a crash may leave torn, and its
//! snapshot file, whose damage it reports itself.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use super::OpenError;
use super::log::{Log, Tear};
use super::{mark, recover};

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
    let stopped_cleanly = is_clean(path);
    if path.join("db").exists()
        && let Some(why) =
            damage(path, stopped_cleanly).map_err(|error| broken(error.to_string()))?
    {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            why,
        });
    }
    forget_clean(path).map_err(|error| broken(error.to_string()))?;
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

/// The file that says that the store was closed whole.
const CLEAN: &str = "clean";

/// Notes that the store was closed and all of it is on disk.
pub(super) fn leave_clean(path: &Path) -> std::io::Result<()> {
    File::create(path.join(CLEAN))?.sync_all()?;
    File::open(path)?.sync_all()
}

/// Whether the store was closed whole.
pub(super) fn is_clean(path: &Path) -> bool {
    path.join(CLEAN).exists()
}

/// From now on the store is not closed whole.
fn forget_clean(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path.join(CLEAN)) {
        Ok(()) => File::open(path)?.sync_all(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Why sled must not open the store, if so. After a crash, above all a power cut, commits
/// that nobody was told of may be torn in any place that was written last: sled takes the log
/// up to there, and the mark says whether that is far enough. After a clean stop no
/// full segment may be damaged.
fn damage(path: &Path, stopped_cleanly: bool) -> std::io::Result<Option<String>> {
    let log = Log::open(path)?;
    let contents = log.read(Tear::Stop)?;
    if stopped_cleanly && let Some(first) = contents.damage.first() {
        return Ok(Some(format!(
            "{} places in its file `db` cannot be read, the first at byte {}",
            contents.damage.len(),
            first.from
        )));
    }
    if contents.torn.is_none() && contents.damage.is_empty() {
        return Ok(None);
    }
    // A crash tears off what was never acknowledged; anything more is damage.
    let kept = recover::totals(&log, &contents)?.unwrap_or_default();
    Ok(mark::missing(path, &kept)
        .map(|missing| format!("{missing} pushes that were acknowledged are not in it any more")))
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
