//! `leadgate outbox backup`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::{FAILED, Global, client, fail, runtime};
use super::progress::{Progress, size};
use super::target::{self, Daemon, Store};
use crate::lang::Lang;
use crate::outbox::{Maintenance, sled};

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
    let place = target::find(global, target)?;
    let part = Part::make(to).map_err(|error| failed(&error))?;
    match place {
        Store::Daemon(daemon) => {
            let runtime = runtime().map_err(|error| failed(&error))?;
            runtime.block_on(fetch(global, &daemon, &part.file))?;
        }
        Store::Folder(config) => {
            let outbox = target::open(&config, &[])?;
            let made = outbox.backup(&mut Told::new(global, &part.file));
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
        outln!("{what}{}{}", global.lang().colon(), to.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn fetch(global: &Global, daemon: &Daemon, to: &File) -> Result<(), ExitCode> {
    let mut to = Told::new(global, to);
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

/// A file that says how much of it is written, if that takes long.
struct Told<'a> {
    file: &'a File,
    written: u64,
    lang: Lang,
    progress: Progress,
}

impl<'a> Told<'a> {
    fn new(global: &Global, file: &'a File) -> Self {
        Self {
            file,
            written: 0,
            lang: global.lang(),
            progress: Progress::new(global),
        }
    }
}

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        let (lang, written) = (self.lang, self.written);
        self.progress.at(|| {
            let written = size(written);
            lang.pick(
                format!("backup: {written} written so far"),
                format!("备份：已写入 {written}"),
            )
        });
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
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
