//! Rotation: when a new file is begun, and what becomes of the old one.
//!
//! By size alone `PATH` becomes `PATH.1`, which becomes `PATH.2`, and so on. By day `leads.csv`
//! becomes `leads-2026-11-24.csv`, and `leads-2026-11-24.1.csv` if there is one of that day
//! already. Of either kind only so many are kept. Knows nothing of what is in the files.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// When and how.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// Largest file, in bytes.
    pub(crate) size: Option<u64>,
    /// Where the day ends that ends a file.
    pub(crate) daily: Option<TimeZone>,
    /// Old files to keep, at least one.
    pub(crate) keep: u32,
}

impl Rotation {
    /// The day that `at` belongs to, if days matter.
    pub(crate) fn day(&self, at: Timestamp) -> Option<Date> {
        let zone = self.daily.clone()?;
        Some(at.to_zoned_datetime(zone).date())
    }

    /// Whether a file of `begun` bytes before its first line, now of `size`, has no room for
    /// `more`.
    pub(crate) fn is_full(&self, begun: u64, size: u64, more: u64) -> bool {
        self.size
            .is_some_and(|limit| size > begun && size + more > limit)
    }

    /// Moves `path`, whose leads are of `day`, out of the way, and removes what is too old.
    pub(crate) fn rotate(&self, path: &Path, day: Option<Date>) -> io::Result<()> {
        match day {
            Some(day) => self.by_day(path, day)?,
            None => self.by_number(path)?,
        }
        sync_folder(path)
    }

    /// `PATH` → `PATH.1` → … → `PATH.keep`, which is removed.
    fn by_number(&self, path: &Path) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = path.to_owned().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            rename(&numbered(number), &numbered(number + 1))?;
        }
        rename(path, &numbered(1))
    }

    fn by_day(&self, path: &Path, day: Date) -> io::Result<()> {
        let names = Names::of(path);
        let mut old = names.all()?;
        let last = old.iter().filter(|one| one.0 == day).map(|one| one.1).max();
        let next = (day, last.map_or(0, |last| last.saturating_add(1)));
        rename(path, &names.path(next))?;
        old.push(next);
        old.sort_unstable();
        let most = usize::try_from(self.keep).unwrap_or(usize::MAX);
        for one in &old[..old.len().saturating_sub(most)] {
            std::fs::remove_file(names.path(*one)).or_else(unless_there)?;
        }
        Ok(())
    }
}

/// How files with a day in their name are called: `STEM-DAY[.NUMBER][.EXTENSION]`.
struct Names {
    folder: PathBuf,
    stem: String,
    extension: String,
}

impl Names {
    fn of(path: &Path) -> Self {
        let text =
            |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        Self {
            folder: folder(path).to_owned(),
            stem: text(path.file_stem()).unwrap_or_default(),
            extension: text(path.extension())
                .map(|extension| format!(".{extension}"))
                .unwrap_or_default(),
        }
    }

    fn path(&self, (day, number): (Date, u32)) -> PathBuf {
        let number = match number {
            0 => String::new(),
            number => format!(".{number}"),
        };
        self.folder
            .join(format!("{}-{day}{number}{}", self.stem, self.extension))
    }

    /// Day and number of each that is there.
    fn all(&self) -> io::Result<Vec<(Date, u32)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| self.read(name)));
        }
        Ok(found)
    }

    fn read(&self, name: &str) -> Option<(Date, u32)> {
        let middle = name
            .strip_prefix(&self.stem)?
            .strip_prefix('-')?
            .strip_suffix(&self.extension)?;
        let (day, number) = match middle.split_once('.') {
            Some((day, number)) => (day, number.parse().ok()?),
            None => (middle, 0),
        };
        let found = (day.parse().ok()?, number);
        // Only what is written as this writes it: everything else is somebody's own.
        (self.path(found).file_name()?.to_str()? == name).then_some(found)
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to).or_else(unless_there)
}

fn unless_there(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

/// The folder that `path` is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes names in the file's folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    std::fs::File::open(folder(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_rotation_gives_are_taken_for_its_own() {
        let names = Names::of(Path::new("/data/leads.csv"));
        let day = jiff::civil::date(2026, 11, 24);
        assert_eq!(names.read("leads-2026-11-24.csv"), Some((day, 0)));
        assert_eq!(names.read("leads-2026-11-24.12.csv"), Some((day, 12)));
        for other in [
            "leads.csv",
            "leads-2026-11-24.0.csv",
            "leads-2026-11-24.01.csv",
            "leads-20261124.csv",
            "leads-2026-11-24.csv.bak",
            "leads-2026-11-24",
            "leads-copy.csv",
            "mine-2026-11-24.csv",
        ] {
            assert_eq!(names.read(other), None, "{other}");
        }
        let bare = Names::of(Path::new("leads"));
        assert_eq!(bare.path((day, 1)), Path::new("./leads-2026-11-24.1"));
    }

    #[test]
    fn a_day_is_never_written_over_and_the_oldest_leave_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.csv");
        let rotation = Rotation {
            size: None,
            daily: Some(TimeZone::UTC),
            keep: 3,
        };
        let days = [(23, "a"), (24, "b"), (24, "c"), (25, "d"), (22, "e")];
        for (day, text) in days {
            std::fs::write(&path, text).expect("writes");
            let day = jiff::civil::date(2026, 11, day);
            rotation.rotate(&path, Some(day)).expect("rotates");
        }
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("lists")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let text = std::fs::read_to_string(&path).expect("reads");
                let name = path.file_name().expect("a name").to_string_lossy();
                format!("{name} {text}")
            })
            .collect();
        left.sort();
        let expected = [
            "leads-2026-11-24.1.csv c",
            "leads-2026-11-24.csv b",
            "leads-2026-11-25.csv d",
        ];
        assert_eq!(left, expected);
    }
}
