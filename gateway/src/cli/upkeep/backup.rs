//! `leadgate outbox backup`: into a file, or what is new into a folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::{FAILED, Global, audited, client, fail, out, runtime};
use super::progress::{Progress, size};
use super::target::{self, Daemon, Store};
use crate::lang::{Lang, counted};
use crate::outbox::sled::{self, BackupFolder, SledOutbox, Taken};
use crate::outbox::{AuditAction, Maintenance, SegmentCopy, UpkeepError};

/// Where the daemon gives it.
const PATH: &str = "/api/v1/outbox/backup";

pub(super) fn backup(
    global: &Global,
    to: &Path,
    target: &client::Target,
) -> Result<ExitCode, ExitCode> {
    if BackupFolder::is_meant(to) {
        return into_folder(global, to, target);
    }
    let failed = |error: &dyn std::fmt::Display| fail(error, FAILED);
    if to.exists() {
        let message = format!("{} is there already; name a new file", to.display());
        return Err(fail(message, FAILED));
    }
    let place = target::find(global, target)?;
    let part = Part::make(to).map_err(|error| failed(&error))?;
    let mut file = Told::new(global, &part.file);
    match place {
        Store::Daemon(daemon) => {
            let mut from = Pulled::of(global, &daemon, &json!({}))?;
            io::copy(&mut from, &mut file).map_err(|error| failed(&error))?;
        }
        Store::Folder(config) => {
            let outbox = target::open(&config, &[])?;
            audited::record(&outbox, AuditAction::OutboxBackup, |_| {})?;
            let made = outbox.backup(&mut file);
            outbox.close();
            made.map_err(|error| failed(&error))?;
        }
    }
    let bytes = file.count;
    // Whole on disk and readable, or not there at all.
    part.file.sync_all().map_err(|error| failed(&error))?;
    sled::check(&part.path).map_err(|error| failed(&error))?;
    part.keep(to).map_err(|error| failed(&error))?;
    if global.json {
        out::json(&json!({ "bytes": bytes }));
    } else {
        is_whole(global.lang(), to);
    }
    Ok(ExitCode::SUCCESS)
}

fn is_whole(lang: Lang, to: &Path) {
    let what = lang.pick("the backup is whole", "备份完整");
    outln!("{what}{}{}", lang.colon(), to.display());
}

/// Brings what is new into a folder that has an earlier backup, or none yet.
fn into_folder(global: &Global, to: &Path, target: &client::Target) -> Result<ExitCode, ExitCode> {
    let place = target::find(global, target)?;
    let failed = |error: UpkeepError| fail(error, FAILED);
    let mut folder = BackupFolder::open(to).map_err(failed)?;
    let have = folder.have();
    let taken = match place {
        Store::Daemon(daemon) => {
            let from = Pulled::of(global, &daemon, &json!({ "have": have }))?;
            folder.take(Told::new(global, from)).map_err(failed)?
        }
        Store::Folder(config) => {
            let outbox = target::open(&config, &[])?;
            audited::record(&outbox, AuditAction::OutboxBackup, |_| {})?;
            let taken = take(global, &mut folder, &have, &outbox);
            outbox.close();
            taken.map_err(failed)?
        }
    };
    if global.json {
        out::json(&json!(taken));
        return Ok(ExitCode::SUCCESS);
    }
    let lang = global.lang();
    is_whole(lang, to);
    let (kept, removed) = (taken.kept, taken.removed);
    let bytes = size(taken.bytes);
    let new = counted(taken.copied, "segment", "segments");
    outln!(
        "{}",
        lang.pick(
            format!("copied: {new} ({bytes}) · there already: {kept} · removed: {removed}"),
            format!(
                "新复制：{} 个日志段（{bytes}） · 已有：{kept} · 已删除：{removed}",
                taken.copied
            ),
        )
    );
    Ok(ExitCode::SUCCESS)
}

/// Lets the store write and the folder read at the same time.
fn take(
    global: &Global,
    folder: &mut BackupFolder,
    have: &[SegmentCopy],
    outbox: &SledOutbox,
) -> Result<Taken, UpkeepError> {
    let (from, mut to) = io::pipe()?;
    let from = Told::new(global, from);
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| folder.take(from));
        let made = outbox.backup_beyond(have, &mut to);
        drop(to);
        let panicked = |_| Err(io::Error::other("a thread panicked").into());
        let taken = taking.join().unwrap_or_else(panicked);
        match made {
            // Why it reads no more, the folder says.
            Err(UpkeepError::File(error)) if error.kind() == io::ErrorKind::BrokenPipe => taken,
            Err(error) => Err(error),
            Ok(_) => taken,
        }
    })
}

/// What a daemon streams.
struct Pulled {
    runtime: tokio::runtime::Runtime,
    response: reqwest::Response,
    piece: bytes::Bytes,
}

impl Pulled {
    fn of(global: &Global, daemon: &Daemon, body: &Value) -> Result<Self, ExitCode> {
        let runtime = runtime().map_err(|error| fail(error, FAILED))?;
        let response = runtime.block_on(daemon.post(global, PATH, body))?;
        Ok(Self {
            runtime,
            response,
            piece: bytes::Bytes::new(),
        })
    }
}

impl Read for Pulled {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let piece = self.runtime.block_on(self.response.chunk());
            let piece = piece.map_err(|error| io::Error::other(client::innermost(&error)))?;
            match piece {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let some = self.piece.split_to(bytes.len().min(self.piece.len()));
        bytes[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

/// A file or a stream that says how much of it is done, if that takes long.
struct Told<T> {
    inner: T,
    count: u64,
    lang: Lang,
    progress: Progress,
}

impl<T> Told<T> {
    fn new(global: &Global, inner: T) -> Self {
        Self {
            inner,
            count: 0,
            lang: global.lang(),
            progress: Progress::new(global),
        }
    }

    fn add(&mut self, bytes: usize) {
        self.count += bytes as u64;
        let (lang, count) = (self.lang, self.count);
        self.progress.at(|| {
            let count = size(count);
            lang.pick(
                format!("backup: {count} written so far"),
                format!("备份：已写入 {count}"),
            )
        });
    }
}

impl<T: Write> Write for Told<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.add(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Told<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.add(count);
        Ok(count)
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
