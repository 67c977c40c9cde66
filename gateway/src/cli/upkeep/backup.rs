//! `leadgate outbox backup` and `restore`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::{FAILED, Global, client, fail, runtime};
use super::place::{self, Daemon, Place};
use super::print_counts;
use crate::outbox::{Outbox, sled};

pub(super) fn backup(
    global: &Global,
    to: &Path,
    target: &client::Target,
) -> Result<ExitCode, ExitCode> {
    let failed = |error: &dyn std::fmt::Display| fail(error, FAILED);
    if to.exists() {
        let message = format!("{} is there already; name a new file", to.display());
        return Err(fail(message, FAILED));
    }
    let place = place::find(global, target)?;
    let part = Part::make(to).map_err(|error| failed(&error))?;
    match place {
        Place::Daemon(daemon) => {
            let runtime = runtime().map_err(|error| failed(&error))?;
            runtime.block_on(fetch(global, &daemon, &part.file))?;
        }
        Place::Folder(config) => {
            let outbox = place::open(&config, &[])?;
            let made = outbox.backup(&mut &part.file);
            outbox.close();
            made.map_err(|error| failed(&error))?;
        }
    }
    // Whole on disk and readable, or not there at all.
    part.file.sync_all().map_err(|error| failed(&error))?;
    sled::check(&part.path).map_err(|error| failed(&error))?;
    part.keep(to).map_err(|error| failed(&error))?;
    if !global.json {
        let what = global.lang().pick("the backup is whole", "备份完整");
        outln!("{what}: {}", to.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn fetch(global: &Global, daemon: &Daemon, mut to: &File) -> Result<(), ExitCode> {
    let path = "/api/v1/outbox/backup";
    let mut response = daemon.post(global, path, &serde_json::json!({})).await?;
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| fail(client::innermost(&error), FAILED))?
    {
        to.write_all(&piece).map_err(|error| fail(error, FAILED))?;
    }
    Ok(())
}

pub(super) fn restore(global: &Global, from: &Path, to: &Path) -> Result<ExitCode, ExitCode> {
    let done = sled::restore(from, to).map_err(|error| fail(error, FAILED))?;
    print_counts(global, &done);
    Ok(ExitCode::SUCCESS)
}

/// A file that takes its name only when it is whole.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn make(to: &Path) -> io::Result<Self> {
        let mut path = to.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }

    fn keep(self, to: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, to)?;
        let folder = std::path::absolute(to)?;
        folder
            .parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _ = std::fs::remove_file(&self.path);
    }
}
