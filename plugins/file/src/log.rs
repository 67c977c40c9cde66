//! The log: an append-only file of lines, synced, healed after a crash, begun anew by its
//! rotation and when it has another head.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::head::{Found, Head};
use crate::heal;
use crate::rotation::{Rotation, sync_folder};
use crate::settings::Format;

/// A file of lines. Opened at the first append, and again after any error.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    format: Format,
    head: Head,
    rotation: Rotation,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// Bytes of the head, or nothing in a file from before.
    begun: u64,
    /// The day of its leads, if days matter.
    day: Option<Date>,
}

impl Log {
    pub(crate) fn new(path: PathBuf, format: Format, head: Head, rotation: Rotation) -> Self {
        Self {
            path,
            format,
            head,
            rotation,
            open: None,
        }
    }

    /// Appends `lines` and returns when they are on disk. After an error some of them may be
    /// there; the file is opened again and healed at the next append.
    pub(crate) fn append(&mut self, lines: &[Vec<u8>], now: Timestamp) -> io::Result<()> {
        let result = self.try_append(lines, now);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_append(&mut self, lines: &[Vec<u8>], now: Timestamp) -> io::Result<()> {
        for line in lines {
            let more = line.len() as u64;
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin(now)?,
            };
            // A clock that was set back ends no day.
            if open.day < self.rotation.day(now)
                || self.rotation.is_full(open.begun, open.size, more)
            {
                open = self.begin_anew(&open, now)?;
            }
            open.file.write_all(line)?;
            open.size += more;
            self.open = Some(open);
        }
        match &self.open {
            Some(open) => open.file.sync_data(),
            None => Ok(()),
        }
    }

    /// Opens the file for appending, as the crash or the settings from before left it.
    fn begin(&self, now: Timestamp) -> io::Result<Open> {
        let is_new = !self.path.exists();
        // Leads are personal data: readable by their owner only.
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        if is_new {
            sync_folder(&self.path)?;
        }
        let facts = file.metadata()?;
        let mut size = facts.len();
        let mut found = Found::Same;
        if size > 0 {
            found = self.head.find(&mut file)?;
            if found == Found::Torn {
                file.set_len(0)?;
                size = 0;
            }
        }
        if size == 0 {
            file.write_all(self.head.bytes())?;
            let begun = self.head.bytes().len() as u64;
            return Ok(Open {
                file,
                size: begun,
                begun,
                day: self.rotation.day(now),
            });
        }
        // Its last lead was written then.
        let written = Timestamp::try_from(facts.modified()?).unwrap_or(now);
        size = match self.format {
            Format::Jsonl => heal::line(&mut file, size)?,
            Format::Csv => heal::row(&mut file, size)?,
        };
        let open = Open {
            file,
            size,
            begun: 0,
            day: self.rotation.day(written),
        };
        if found == Found::Other {
            return self.begin_anew(&open, now);
        }
        Ok(open)
    }

    /// Moves the file out of the way and begins a new one.
    fn begin_anew(&self, old: &Open, now: Timestamp) -> io::Result<Open> {
        old.file.sync_data()?;
        self.rotation.rotate(&self.path, old.day)?;
        self.begin(now)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::tz::TimeZone;

    use super::*;

    const HEADER: &[u8] = "姓名,手机\r\n".as_bytes();

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).expect("readable")
    }

    fn by_size(size: Option<u64>, keep: u32) -> Rotation {
        Rotation {
            size,
            daily: None,
            keep,
        }
    }

    fn daily(size: Option<u64>) -> Rotation {
        Rotation {
            size,
            daily: Some(TimeZone::get("Asia/Shanghai").expect("a zone")),
            keep: 10,
        }
    }

    fn lines(path: &Path, rotation: Rotation) -> Log {
        Log::new(path.to_owned(), Format::Jsonl, Head::default(), rotation)
    }

    fn rows(path: &Path, header: &[u8], bom: bool) -> Log {
        let head = Head::new(header, bom);
        Log::new(path.to_owned(), Format::Csv, head, by_size(None, 10))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn now() -> Timestamp {
        at("2026-11-24T08:00:00Z")
    }

    fn add(log: &mut Log, line: &str, now: Timestamp) {
        log.append(&[line.as_bytes().to_vec()], now)
            .expect("appends");
    }

    #[test]
    fn a_torn_line_is_closed_off_and_not_joined() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "{\"whole\":1}\n{\"torn").expect("writes");
        add(&mut lines(&path, by_size(None, 1)), "{}\n", now());
        assert_eq!(read(&path), "{\"whole\":1}\n{\"torn\n{}\n");
    }

    #[test]
    fn rotation_keeps_so_many_and_loses_no_line_in_between() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = lines(&path, by_size(Some(10), 2));
        for line in [
            "aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "eeee\n", "ffff\n", "gggg\n",
        ] {
            add(&mut log, line, now());
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
        add(
            &mut lines(&path, by_size(Some(4), 1)),
            "0123456789\n",
            now(),
        );
        assert_eq!(read(&path), "0123456789\n");
        let path = folder.path().join("rows");
        let head = Head::new(HEADER, true);
        let mut log = Log::new(path.clone(), Format::Csv, head, by_size(Some(4), 1));
        add(&mut log, "0123456789\r\n", now());
        assert_eq!(read(&path), "\u{feff}姓名,手机\r\n0123456789\r\n");
    }

    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        add(&mut lines(&path, by_size(None, 1)), "{}\n", now());
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_day_ends_at_midnight_of_the_zone_and_names_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.jsonl");
        let mut log = lines(&path, daily(None));
        add(&mut log, "a\n", at("2026-11-24T15:59:59Z"));
        add(&mut log, "b\n", at("2026-11-24T16:00:00Z"));
        add(&mut log, "c\n", at("2026-11-24T15:00:00Z"));
        assert_eq!(read(&path), "b\nc\n", "a clock set back ends no day");
        assert_eq!(read(&folder.path().join("leads-2026-11-24.jsonl")), "a\n");
    }

    #[test]
    fn a_day_that_ended_while_nothing_ran_ends_the_file_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.jsonl");
        std::fs::write(&path, "a\n{\"torn").expect("writes");
        let file = File::options().append(true).open(&path).expect("opens");
        let written = at("2026-11-20T16:30:00Z");
        file.set_modified(written.try_into().expect("a time"))
            .expect("sets");
        add(&mut lines(&path, daily(None)), "b\n", now());
        assert_eq!(read(&path), "b\n");
        let old = folder.path().join("leads-2026-11-21.jsonl");
        assert_eq!(read(&old), "a\n{\"torn\n");
    }

    #[test]
    fn day_and_size_together_number_the_files_of_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.jsonl");
        let mut log = lines(&path, daily(Some(4)));
        for line in ["aaa\n", "bbb\n", "ccc\n"] {
            add(&mut log, line, now());
        }
        add(&mut log, "d\n", at("2026-11-25T08:00:00Z"));
        let old = |name: &str| read(&folder.path().join(name));
        assert_eq!(old("leads-2026-11-24.jsonl"), "aaa\n");
        assert_eq!(old("leads-2026-11-24.1.jsonl"), "bbb\n");
        assert_eq!(old("leads-2026-11-24.2.jsonl"), "ccc\n");
        assert_eq!(read(&path), "d\n");
    }

    #[test]
    fn each_file_has_the_header_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.csv");
        let head = || Head::new(HEADER, true);
        let size = by_size(Some(30), 3);
        let mut log = Log::new(path.clone(), Format::Csv, head(), size);
        add(&mut log, "a,1\r\n", now());
        drop(log);
        let mut log = Log::new(path.clone(), Format::Csv, head(), by_size(Some(30), 3));
        add(&mut log, "b,2\r\n", now());
        add(&mut log, "c,3\r\n", now());
        assert_eq!(read(&path), "\u{feff}姓名,手机\r\nc,3\r\n");
        let old = folder.path().join("leads.csv.1");
        assert_eq!(read(&old), "\u{feff}姓名,手机\r\na,1\r\nb,2\r\n");
    }

    #[test]
    fn other_columns_begin_a_new_file_and_a_mark_alone_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.csv");
        add(&mut rows(&path, HEADER, false), "a,1\r\n", now());
        add(&mut rows(&path, HEADER, true), "b,2\r\n", now());
        assert_eq!(read(&path), "姓名,手机\r\na,1\r\nb,2\r\n");
        add(
            &mut rows(&path, "姓名\r\n".as_bytes(), true),
            "c\r\n",
            now(),
        );
        assert_eq!(read(&path), "\u{feff}姓名\r\nc\r\n");
        let old = folder.path().join("leads.csv.1");
        assert_eq!(read(&old), "姓名,手机\r\na,1\r\nb,2\r\n");
    }

    #[test]
    fn a_torn_row_is_closed_off_and_a_torn_header_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.csv");
        std::fs::write(&path, "姓名,手机\r\n\"张,135").expect("writes");
        add(&mut rows(&path, HEADER, false), "b,2\r\n", now());
        assert_eq!(read(&path), "姓名,手机\r\n\"张,135\"\r\nb,2\r\n");
        let whole = Head::new(HEADER, true);
        for torn in 1..whole.bytes().len() {
            std::fs::write(&path, &whole.bytes()[..torn]).expect("writes");
            add(&mut rows(&path, HEADER, true), "b,2\r\n", now());
            assert_eq!(read(&path), "\u{feff}姓名,手机\r\nb,2\r\n", "{torn}");
        }
    }
}
