//! The log: an append-only file of lines, synced, healed after a crash, begun anew by its
//! rotation and when it has another head.
//!
//! Lines count only in the file that the path leads to when they are on disk: one that was
//! moved, removed or emptied meanwhile is opened anew, and what it held of ours written again.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::head::{self, Head};
use crate::heal;
use crate::opened::{Found, Opened};
use crate::rotation::{Rotation, sync_folder};
use crate::settings::Format;

/// How often a group is written again because its file went away under it.
const TRIES: u32 = 3;

/// A file of lines. Opened at the first append, and again after any error.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    format: Format,
    head: Head,
    rotation: Rotation,
    open: Option<Opened>,
}

/// What became of a group.
enum Written {
    /// It is on disk, where the path leads.
    There,
    /// Its file is not where the path leads any more.
    Gone,
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

    /// Appends `lines` and returns when they are on disk, in the file that the path leads to.
    /// After an error some of them may be there; the file is opened again and healed at the
    /// next append.
    pub(crate) fn append(&mut self, lines: &[Vec<u8>], now: Timestamp) -> io::Result<()> {
        for _ in 0..TRIES {
            match self.write(lines, now).and_then(|written| match written {
                Written::There => self.settle(),
                Written::Gone => Ok(written),
            }) {
                Ok(Written::There) => return Ok(()),
                Ok(Written::Gone) => self.open = None,
                Err(error) => {
                    self.open = None;
                    return Err(error);
                }
            }
        }
        Err(io::Error::other(
            "the file was moved, removed or emptied again and again while lines were written",
        ))
    }

    /// Writes `lines`, without a sync of the last file that they are in.
    fn write(&mut self, lines: &[Vec<u8>], now: Timestamp) -> io::Result<Written> {
        // Whatever happened to the file since the last group, the next one begins in a sound one.
        if let Some(open) = &self.open
            && open.find(&self.path)? != Found::Same
        {
            self.open = None;
        }
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
                open.file.sync_data()?;
                if open.find(&self.path)? == Found::Gone {
                    return Ok(Written::Gone);
                }
                open = self.begin_anew(&open, now)?;
            }
            open.file.write_all(line)?;
            open.size += more;
            self.open = Some(open);
        }
        Ok(Written::There)
    }

    /// Syncs what was written, and says whether it is where the path leads.
    fn settle(&self) -> io::Result<Written> {
        let Some(open) = &self.open else {
            return Ok(Written::There);
        };
        open.file.sync_data()?;
        Ok(match open.find(&self.path)? {
            Found::Same | Found::Longer => Written::There,
            Found::Gone => Written::Gone,
        })
    }

    /// Opens the file for appending, as the crash or the settings from before left it.
    fn begin(&self, now: Timestamp) -> io::Result<Opened> {
        // Leads are personal data: readable by their owner only.
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        // Also one that was there: whoever made it may have crashed before this.
        sync_folder(&self.path)?;
        let facts = file.metadata()?;
        let mut size = facts.len();
        let mut found = head::Found::Same;
        if size > 0 {
            found = self.head.find(&mut file)?;
            if found == head::Found::Torn {
                file.set_len(0)?;
                size = 0;
            }
        }
        if size == 0 {
            file.write_all(self.head.bytes())?;
            let begun = self.head.bytes().len() as u64;
            return Ok(Opened::new(
                file,
                &facts,
                begun,
                begun,
                self.rotation.day(now),
            ));
        }
        // Its last lead was written then.
        let written = Timestamp::try_from(facts.modified()?).unwrap_or(now);
        size = match self.format {
            Format::Jsonl => heal::line(&mut file, size)?,
            Format::Csv => heal::row(&mut file, size)?,
        };
        let open = Opened::new(file, &facts, size, 0, self.rotation.day(written));
        if found == head::Found::Other {
            open.file.sync_data()?;
            return self.begin_anew(&open, now);
        }
        Ok(open)
    }

    /// Moves the file, which is synced, out of the way and begins a new one.
    fn begin_anew(&self, old: &Opened, now: Timestamp) -> io::Result<Opened> {
        self.rotation.rotate(&self.path, old.day)?;
        self.begin(now)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
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

    /// What others may do to a file while it is open, and where its old lines are then.
    #[test]
    fn lines_go_to_the_path_whatever_becomes_of_the_file_that_was_open() {
        type Meddle = fn(&Path);
        let away = |path: &Path| path.with_extension("away");
        let cases: [(&str, Meddle, &str); 6] = [
            (
                "removed",
                |path| std::fs::remove_file(path).expect("removes"),
                "",
            ),
            (
                "moved",
                |path| std::fs::rename(path, path.with_extension("away")).expect("moves"),
                "a\r\n",
            ),
            (
                "copied and emptied",
                |path| {
                    std::fs::copy(path, path.with_extension("away")).expect("copies");
                    File::options()
                        .write(true)
                        .open(path)
                        .and_then(|file| file.set_len(0))
                        .expect("empties");
                },
                "a\r\n",
            ),
            (
                "moved, and another one made",
                |path| {
                    std::fs::rename(path, path.with_extension("away")).expect("moves");
                    std::fs::write(path, "").expect("makes");
                },
                "a\r\n",
            ),
            (
                "replaced by a link to another file",
                |path| {
                    let away = path.with_extension("away");
                    std::fs::rename(path, &away).expect("moves");
                    let other = path.with_extension("other");
                    std::fs::write(&other, "").expect("makes");
                    std::os::unix::fs::symlink(other, path).expect("links");
                },
                "a\r\n",
            ),
            (
                "its folder moved, and another one made",
                |path| {
                    let folder = path.parent().expect("a folder");
                    std::fs::rename(folder, folder.with_extension("old")).expect("moves");
                    std::fs::create_dir(folder).expect("makes");
                    let old = folder.with_extension("old").join("leads.csv");
                    std::fs::copy(old, path.with_extension("away")).expect("copies");
                },
                "a\r\n",
            ),
        ];
        for (what, meddle, old) in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("leads/leads.csv");
            std::fs::create_dir(folder.path().join("leads")).expect("makes");
            let mut log = rows(&path, b"n\r\n", false);
            add(&mut log, "a\r\n", now());
            meddle(&path);
            add(&mut log, "b\r\n", now());
            add(&mut log, "c\r\n", now());
            assert_eq!(read(&path), "n\r\nb\r\nc\r\n", "{what}");
            if !old.is_empty() {
                assert_eq!(read(&away(&path)), format!("n\r\n{old}"), "{what}");
            }
        }
    }

    #[test]
    fn what_somebody_else_appends_stays_and_is_ended_before_the_next_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = lines(&path, by_size(None, 1));
        add(&mut log, "a\n", now());
        let mut file = File::options().append(true).open(&path).expect("opens");
        file.write_all(b"by hand").expect("writes");
        add(&mut log, "b\n", now());
        assert_eq!(read(&path), "a\nby hand\nb\n");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_until_it_is_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        let path = inner.join("log");
        std::fs::create_dir(&inner).expect("makes");
        let mut log = lines(&path, by_size(None, 1));
        add(&mut log, "a\n", now());
        std::fs::remove_dir_all(&inner).expect("removes");
        assert!(log.append(&[b"b\n".to_vec()], now()).is_err());
        std::fs::create_dir(&inner).expect("makes");
        add(&mut log, "b\n", now());
        assert_eq!(read(&path), "b\n");
    }

    #[test]
    fn what_is_taken_away_between_the_write_and_the_sync_is_not_called_there() {
        type Meddle = fn(&Path);
        let cases: [Meddle; 3] = [
            |path| std::fs::remove_file(path).expect("removes"),
            |path| std::fs::rename(path, path.with_extension("away")).expect("moves"),
            |path| {
                let file = File::options().write(true).open(path).expect("opens");
                file.set_len(0).expect("empties");
            },
        ];
        for meddle in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("log");
            let mut log = lines(&path, by_size(None, 1));
            let written = log.write(&[b"a\n".to_vec()], now()).expect("writes");
            assert!(matches!(written, Written::There));
            meddle(&path);
            assert!(matches!(log.settle(), Ok(Written::Gone)));
            add(&mut log, "b\n", now());
            assert_eq!(read(&path), "b\n");
        }
    }

    #[test]
    fn a_file_moved_away_before_its_rotation_is_not_counted_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = lines(&path, by_size(Some(4), 3));
        add(&mut log, "aaa\n", now());
        std::fs::remove_file(&path).expect("removes");
        log.append(&[b"bbb\n".to_vec(), b"ccc\n".to_vec()], now())
            .expect("appends");
        assert_eq!(read(&path), "ccc\n");
        assert_eq!(read(&folder.path().join("log.1")), "bbb\n");
    }
}
