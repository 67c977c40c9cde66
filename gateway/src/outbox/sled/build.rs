//! Building: a new store's folder comes under its name when it is whole and on disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::outbox::UpkeepError;

/// Fills a new folder that becomes `to`, which must be empty or not there.
pub(super) fn build<T>(
    to: &Path,
    fill: impl FnOnce(&Path) -> Result<T, UpkeepError>,
) -> Result<T, UpkeepError> {
    let empty = match std::fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !empty {
        return Err(UpkeepError::Invalid(format!(
            "{} is not empty; name a new folder",
            to.display()
        )));
    }
    let to = std::path::absolute(to)?;
    let parent = to.parent().unwrap_or(&to);
    std::fs::create_dir_all(parent)?;
    let place = tempfile::Builder::new()
        .prefix(".leadgate-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)?;
    let filled = fill(place.path())?;
    sync(place.path())?;
    let place = place.keep();
    std::fs::rename(&place, &to)?;
    File::open(parent)?.sync_all()?;
    Ok(filled)
}

/// Makes a folder's files, and what they are called, durable.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
