//! A folder as an engine's place, and what a crash leaves of it.
//!
//! The files of a process that is killed are as the kernel has them. A store that was only
//! dropped would still write; so a crash copies its files first, and the store is opened on the
//! copy. Files that change while they are copied would be copied as they never were: then it is
//! done again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

/// How long files may go on changing after a crash was asked for.
const QUIET_WITHIN: Duration = Duration::from_secs(60);

/// A folder of an engine.
pub(super) struct Folder {
    all: TempDir,
    /// Crashes so far: each has its folder.
    crashes: Mutex<u32>,
}

impl Folder {
    /// An empty place; the folder of the store is not made yet.
    pub(super) fn new() -> Self {
        Self {
            all: tempfile::tempdir().expect("a temporary folder"),
            crashes: Mutex::new(0),
        }
    }

    /// The folder of the store.
    pub(super) fn store(&self) -> PathBuf {
        let crashes = *self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
        self.all.path().join(format!("store{crashes}"))
    }

    /// Keeps the store as it is on disk now, then lets `store` go.
    pub(super) fn crash<T>(&self, store: T) {
        let from = self.store();
        *self.crashes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let to = self.store();
        let deadline = Instant::now() + QUIET_WITHIN;
        loop {
            let before = facts(&from);
            copy(&from, &to);
            if facts(&from) == before {
                break;
            }
            assert!(Instant::now() < deadline, "the store goes on writing");
            std::fs::remove_dir_all(&to).expect("removes");
        }
        drop(store);
        std::fs::remove_dir_all(&from).expect("removes");
    }

    /// The contents of all files.
    pub(super) fn bytes(&self) -> Vec<Vec<u8>> {
        let files = files(&self.store()).into_iter();
        files
            .map(|file| std::fs::read(file).expect("reads"))
            .collect()
    }
}

/// All files in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // One that goes away meanwhile is a change like any other.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn facts(folder: &Path) -> Vec<(PathBuf, Option<(u64, SystemTime)>)> {
    let facts = |path: PathBuf| {
        let known = std::fs::metadata(&path).ok();
        let known = known.and_then(|facts| Some((facts.len(), facts.modified().ok()?)));
        (path, known)
    };
    files(folder).into_iter().map(facts).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes the folder");
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("below it"));
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).expect("makes the folder");
        }
        // If it is gone by now, it is copied again without it.
        let _ = std::fs::copy(&file, &target);
    }
}
