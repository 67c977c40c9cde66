//! The log: an append-only file of lines, synced, healed after a crash, rotated by size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file of lines. Opened at the first append, and again after any error.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    rotate: Option<u64>,
    keep: u32,
    open: Option<(File, u64)>,
}

impl Log {
    pub(crate) fn new(path: PathBuf, rotate: Option<u64>, keep: u32) -> Self {
        Self {
            path,
            rotate,
            keep,
            open: None,
        }
    }

    /// Appends `lines` and returns when they are on disk. After an error some of them may be
    /// there; the file is opened again and healed at the next append.
    pub(crate) fn append(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        let result = self.try_append(lines);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_append(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        for line in lines {
            if self.is_full(line.len() as u64)? {
                self.rotate()?;
            }
            let (file, size) = self.file()?;
            file.write_all(line)?;
            *size += line.len() as u64;
        }
        self.file()?.0.sync_data()
    }

    fn is_full(&mut self, more: u64) -> io::Result<bool> {
        let Some(limit) = self.rotate else {
            return Ok(false);
        };
        let size = self.file()?.1;
        Ok(size > 0 && size + more > limit)
    }

    fn file(&mut self) -> io::Result<&mut (File, u64)> {
        if self.open.is_none() {
            self.open = Some(open(&self.path)?);
        }
        self.open
            .as_mut()
            .ok_or_else(|| io::Error::other("the file is not open"))
    }

    /// `PATH` → `PATH.1` → … → `PATH.keep`, which is removed.
    fn rotate(&mut self) -> io::Result<()> {
        if let Some((file, _)) = self.open.take() {
            file.sync_data()?;
        }
        for number in (1..self.keep).rev() {
            rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        rename(&self.path, &self.numbered(1))?;
        sync_folder(&self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens for appending; ends a line that a crash left unfinished.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let is_new = !path.exists();
    // Leads are personal data: readable by their owner only.
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    if is_new {
        sync_folder(path)?;
    }
    let mut size = file.metadata()?.len();
    if size > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

/// Makes names in the file's folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).expect("readable")
    }

    #[test]
    fn a_torn_line_is_closed_off_and_not_joined() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "{\"whole\":1}\n{\"torn").expect("writes");
        Log::new(path.clone(), None, 1)
            .append(&[b"{}\n".to_vec()])
            .expect("appends");
        assert_eq!(read(&path), "{\"whole\":1}\n{\"torn\n{}\n");
    }

    #[test]
    fn rotation_keeps_so_many_and_loses_no_line_in_between() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = Log::new(path.clone(), Some(10), 2);
        for line in [
            "aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "eeee\n", "ffff\n", "gggg\n",
        ] {
            log.append(&[line.as_bytes().to_vec()]).expect("appends");
        }
        assert_eq!(read(&path), "gggg\n");
        assert_eq!(read(&folder.path().join("log.1")), "eeee\nffff\n");
        assert_eq!(read(&folder.path().join("log.2")), "cccc\ndddd\n");
        assert!(!folder.path().join("log.3").exists());
    }

    #[test]
    fn a_line_larger_than_the_limit_is_written_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = Log::new(path.clone(), Some(4), 1);
        log.append(&[b"0123456789\n".to_vec()]).expect("appends");
        assert_eq!(read(&path), "0123456789\n");
    }

    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        Log::new(path.clone(), None, 1)
            .append(&[b"{}\n".to_vec()])
            .expect("appends");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
