//! The file `key-id`: the public id of the key that a store is sealed with.
//!
//! Whether a configuration has the right key can be told from it while a daemon holds the
//! store. It says nothing of the key; without it only opening the store tells.

use std::io::{self, Write};
use std::path::Path;

use crate::seal::OutboxKey;

const NAME: &str = "key-id";
/// What stands for no key.
const PLAIN: &str = "none";

/// Notes with which key the store in `folder` is sealed from now on.
pub(super) fn note(folder: &Path, keys: &[OutboxKey]) -> io::Result<()> {
    let id = keys.first().map(|key| key.id().to_string());
    note_id(folder, id.as_deref())
}

/// Notes with the key of which id the store in `folder` is sealed.
pub(super) fn note_id(folder: &Path, id: Option<&str>) -> io::Result<()> {
    let id = id.unwrap_or(PLAIN);
    if read(folder).as_deref() == Some(id) {
        return Ok(());
    }
    let mut file = std::fs::File::create(folder.join(NAME))?;
    writeln!(file, "{id}")?;
    file.sync_all()
}

fn read(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(NAME)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The id of the key that the store in `folder` is sealed with, if it is none of `keys`.
/// Cheap, and possible while a daemon holds the store.
pub fn missing_key(folder: &Path, keys: &[OutboxKey]) -> Option<String> {
    let id = read(folder).filter(|id| id != PLAIN)?;
    keys.iter()
        .all(|key| key.id().to_string() != id)
        .then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_s_key_is_known_without_opening_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
        let missing = |keys: &[OutboxKey]| missing_key(folder.path(), keys);
        assert_eq!(missing(&[]), None, "nothing is known");
        note(folder.path(), &[]).expect("notes");
        assert_eq!(missing(&[]), None, "it is plain");
        note(folder.path(), std::slice::from_ref(&old)).expect("notes");
        assert_eq!(missing(&[]), Some(old.id().to_string()));
        assert_eq!(
            missing(std::slice::from_ref(&new)),
            Some(old.id().to_string())
        );
        let both = [new.clone(), old.clone()];
        assert_eq!(missing(&both), None);
        note(folder.path(), &both).expect("notes");
        assert_eq!(
            missing(std::slice::from_ref(&old)),
            Some(new.id().to_string())
        );
    }
}
