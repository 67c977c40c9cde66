//! Setting an index aside: what was found broken is kept once, for those who want to know why.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".aside-";

/// Renames the index in `folder` so that a new one can be made there; what was set aside before
/// is deleted. Nothing being there is fine.
pub fn aside(folder: &Path) -> io::Result<()> {
    if !folder.try_exists()? {
        return Ok(());
    }
    for older in set_aside(folder)? {
        std::fs::remove_dir_all(older)?;
    }
    let mut to = folder.as_os_str().to_owned();
    to.push(SUFFIX);
    to.push("1");
    std::fs::rename(folder, PathBuf::from(to))?;
    sync_parent(folder)
}

/// Deletes the index in `folder`, and what was set aside.
pub fn delete(folder: &Path) -> io::Result<()> {
    for older in set_aside(folder)? {
        std::fs::remove_dir_all(older)?;
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    sync_parent(folder)
}

fn parent(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn set_aside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut start: OsString = folder.file_name().unwrap_or_default().to_owned();
    start.push(SUFFIX);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(start.as_encoded_bytes())
        {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn sync_parent(folder: &Path) -> io::Result<()> {
    File::open(parent(folder))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_index_is_kept_aside_and_delete_takes_all() {
        let store = tempfile::tempdir().expect("a folder");
        let index = store.path().join("index");
        aside(&index).expect("nothing is there");
        for content in ["first", "second"] {
            std::fs::create_dir(&index).expect("makes");
            std::fs::write(index.join("db"), content).expect("writes");
            aside(&index).expect("sets aside");
            assert!(!index.exists());
            let kept = store.path().join("index.aside-1").join("db");
            assert_eq!(std::fs::read_to_string(kept).expect("reads"), content);
        }
        std::fs::create_dir(&index).expect("makes");
        std::fs::write(store.path().join("format"), "5").expect("writes");
        delete(&index).expect("deletes");
        delete(&index).expect("nothing is there any more");
        let left: Vec<_> = std::fs::read_dir(store.path()).expect("reads").collect();
        assert_eq!(left.len(), 1, "only what is not the index's: {left:?}");
    }
}
