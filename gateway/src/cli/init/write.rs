//! Writing: files for their owner's eyes only, in folders of the same kind.
//!
//! Keys, tokens and secrets are made here, from the kernel's randomness, and nothing
//! overwrites one: what is stored may need it.

use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::seal::{self, OutboxKey};

/// What makes a secret.
pub(super) type Make = fn() -> Zeroizing<String>;

/// The files with secrets that a configuration may name, and what makes each.
pub(super) const SECRETS: [(&str, Make); 3] = [
    ("outbox.key", || OutboxKey::generate().to_text()),
    ("secrets/admin-token", || {
        let text = STANDARD.encode(random());
        // Letters that need no quotes in a shell or a header.
        Zeroizing::new(text.replace(['+', '/', '='], "x"))
    }),
    ("secrets/webhook", || {
        Zeroizing::new(format!("whsec_{}", STANDARD.encode(random())))
    }),
];

fn random() -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    seal::random(&mut *bytes);
    bytes
}

/// Writes `text`; `false` if there is a file already, and no force.
pub(super) fn write_new(path: &Path, text: &str, force: bool) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        opened => {
            let mut file = opened?;
            file.write_all(text.as_bytes())?;
            Ok(true)
        }
    }
}

/// Writes a secret and sees that it is on the disk. `false` if there is one already.
pub(super) fn write_secret(path: &Path, text: &str) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        opened => opened?,
    };
    let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
    if written.is_err() {
        // A part of a key would be kept as one the next time.
        let _ = std::fs::remove_file(path);
    }
    written.map(|()| true)
}

/// A folder that is made now is its owner's; one that is there stays as it is.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        let facts = std::fs::metadata(path).expect("there");
        facts.permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_for_their_owner_only_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, make) in SECRETS {
            let path = folder.path().join(name);
            assert!(write_secret(&path, &make()).expect("writes"));
            let text = std::fs::read_to_string(&path).expect("reads");
            assert!(text.trim_end().len() >= 40, "{name}");
            assert_ne!(make(), make(), "{name}");
            assert_eq!(mode(&path), 0o600);
            assert!(!write_secret(&path, "other").expect("keeps"));
            assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
        }
        assert_eq!(mode(&folder.path().join("secrets")), 0o700);
        let key = std::fs::read_to_string(folder.path().join("outbox.key")).expect("reads");
        assert_eq!(
            *OutboxKey::parse(&key).expect("a key").to_text(),
            key.trim_end()
        );
    }

    #[test]
    fn files_are_their_owners_and_stay_without_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sinks.d/crm.toml");
        assert!(write_new(&path, "a", false).expect("writes"));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("sinks.d")), 0o700);
        assert!(!write_new(&path, "b", false).expect("keeps"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "a");
        assert!(write_new(&path, "c", true).expect("writes"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "c");
    }
}
