//! The revision of a configuration: whether the files on disk are those that run.
//!
//! Covers the files, not the secrets and libraries that they name.

use std::path::{Path, PathBuf};

/// What the files of a configuration were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The main file.
    pub file: PathBuf,
    /// Hash of all files, in hex.
    pub hash: String,
}

impl Revision {
    /// Of `file` and the folders beside it, as they are now.
    pub fn of(file: &Path) -> std::io::Result<Self> {
        let file = std::path::absolute(file)?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        let mut files = vec![file.clone()];
        for beside in ["sinks.d", "tables.d"] {
            let Ok(entries) = std::fs::read_dir(folder.join(beside)) else {
                continue;
            };
            let mut toml: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
                .collect();
            toml.sort();
            files.extend(toml);
        }
        let mut hasher = blake3::Hasher::new();
        for path in &files {
            // The main file says the same under every name.
            let name = if *path == file {
                Path::new("")
            } else {
                path.strip_prefix(folder).unwrap_or(path)
            };
            let name = name.as_os_str().as_encoded_bytes();
            let bytes = std::fs::read(path)?;
            for part in [name, &bytes] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        let mut hash = hasher.finalize().to_hex().to_string();
        hash.truncate(16);
        Ok(Self { file, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_with_each_file_and_only_with_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("leadgate.toml");
        std::fs::write(&file, "a").expect("writes");
        let hash = || Revision::of(&file).expect("reads").hash;
        let first = hash();
        std::fs::write(folder.path().join("notes.txt"), "b").expect("writes");
        assert_eq!(hash(), first);
        std::fs::create_dir(folder.path().join("sinks.d")).expect("made");
        std::fs::write(folder.path().join("sinks.d/crm.toml"), "c").expect("writes");
        let second = hash();
        assert_ne!(second, first);
        std::fs::write(&file, "d").expect("writes");
        assert_ne!(hash(), second);
        let renamed = folder.path().join("gate.toml");
        let before = hash();
        std::fs::rename(&file, &renamed).expect("renamed");
        assert_eq!(Revision::of(&renamed).expect("reads").hash, before);
    }
}
