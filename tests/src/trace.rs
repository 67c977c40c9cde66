//! The trace: what the shim recorded, and the store as a power cut would have left it.
//!
//! Two extremes. *Strict*: of each file only what its last completed sync covered, and only
//! names that a sync of their folder covered; where a folder is never synced, names go with the
//! first sync of the file. *Torn*: of each 4 KiB page written since then some state between the
//! synced one and the last, and of each folder's names those of some moment since its last sync,
//! chosen at random.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

/// How the store is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Only what is surely on disk.
    Strict,
    /// Also random pages of what is not; the number is the seed. Files that no sync ever
    /// covered are left whole.
    Torn(u64),
    /// The same, also of files that no sync ever covered.
    TornEverywhere(u64),
    /// No cut: the store as the daemon left it.
    Without,
    /// As if the last sync had done nothing: what a missing barrier would leave.
    LastSyncForgotten,
}

/// A page, the unit that survives or does not.
const PAGE: u64 = 4096;
/// Bytes of a record's header.
const HEADER: usize = 32;
/// What each record begins with.
const MAGIC: u32 = 0x4c47_5348;

#[derive(Debug)]
enum What {
    Name(String),
    /// A folder has this name.
    Folder(String),
    /// A folder, and all that is in it, has another name.
    Move(String, String),
    Write(u64, Vec<u8>),
    Truncate(u64),
    Sync {
        covers: usize,
    },
    Unlink,
    Start,
}

#[derive(Debug)]
struct Record {
    file: u32,
    what: What,
    /// Length of the trace with this record.
    end: u64,
}

/// Which file is which: each process counts its own from 1 on.
#[derive(Default)]
struct Files {
    /// Records before the present process began.
    before: usize,
    /// Files by the present process's numbers.
    numbers: HashMap<u32, u32>,
    /// Files by name.
    names: HashMap<String, u32>,
    /// How many there were.
    count: u32,
}

impl Files {
    fn next_process(&mut self, before: usize) {
        self.before = before;
        self.numbers.clear();
    }

    /// The file that the process calls `number`, which now has this name if there is one.
    fn id(&mut self, number: u32, name: Option<&str>) -> u32 {
        let known = self.numbers.get(&number).copied();
        let Some(name) = name else {
            return known.expect("a file is named before it is used");
        };
        let file = known
            .or_else(|| self.names.get(name).copied())
            .unwrap_or_else(|| {
                self.count += 1;
                self.count
            });
        self.numbers.insert(number, file);
        self.names.retain(|_, other| *other != file);
        self.names.insert(name.to_owned(), file);
        file
    }

    fn renamed(&mut self, old: &str, new: &str) {
        let names = std::mem::take(&mut self.names).into_iter();
        self.names = names
            .map(|(name, file)| (moved(&name, old, new).unwrap_or(name), file))
            .collect();
    }
}

/// What a name becomes when a folder is renamed, if it is the folder's or in it.
fn moved(name: &str, old: &str, new: &str) -> Option<String> {
    let rest = name.strip_prefix(old)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{new}{rest}"))
}

/// A trace that was read.
#[derive(Debug)]
pub struct Trace(Vec<Record>);

impl Trace {
    /// How long it is now, while it is recorded.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn length(path: &Path) -> u64 {
        std::fs::metadata(path).expect("the trace is there").len()
    }

    /// Reads all complete records.
    ///
    /// # Panics
    ///
    /// If it cannot be read or is no trace.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the trace is there");
        let mut records: Vec<Record> = Vec::new();
        let mut files = Files::default();
        let mut at = 0;
        while let Some(header) = bytes.get(at..at + HEADER) {
            let small = |from: usize| {
                u32::from_le_bytes(header[from..from + 4].try_into().expect("four bytes"))
            };
            let large = |from: usize| {
                u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"))
            };
            assert_eq!(small(0), MAGIC, "not a trace");
            let Some(payload) = bytes.get(at + HEADER..at + HEADER + small(12) as usize) else {
                break;
            };
            at += HEADER + payload.len();
            // Somebody may open a folder by a name that ends like one.
            let name = String::from_utf8_lossy(payload);
            let name = name.trim_end_matches('/').to_owned();
            let (kind, mut file) = (small(4), small(8));
            let both = name.split_once('\0');
            match (kind, both) {
                (7, _) => files.next_process(records.len()),
                (9, Some((old, new))) => files.renamed(old, new),
                _ => file = files.id(file, [1, 5, 8].contains(&kind).then_some(&*name)),
            }
            let what = match (kind, both) {
                (9, Some((old, new))) => What::Move(old.to_owned(), new.to_owned()),
                _ => match kind {
                    1 | 5 => What::Name(name),
                    8 => What::Folder(name),
                    2 => What::Write(large(16), payload.to_vec()),
                    3 => What::Truncate(large(16)),
                    4 => What::Sync {
                        covers: files.before + size(large(24)),
                    },
                    6 => What::Unlink,
                    7 => What::Start,
                    other => panic!("a record of kind {other}"),
                },
            };
            if kind == 6 {
                files.names.retain(|_, known| *known != file);
            }
            records.push(Record {
                file,
                what,
                end: at as u64,
            });
        }
        Self(records)
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a start of the daemon begins, but for the first.
    pub fn restarts(&self) -> Vec<usize> {
        let starts = self.0.iter().enumerate();
        starts
            .filter(|(_, record)| matches!(record.what, What::Start))
            .map(|(number, _)| number)
            .skip(1)
            .collect()
    }

    /// How many syncs, writes and bytes written it has.
    pub fn totals(&self) -> (usize, usize, usize) {
        let mut totals = (0, 0, 0);
        for record in &self.0 {
            match &record.what {
                What::Sync { .. } => totals.0 += 1,
                What::Write(_, bytes) => {
                    totals.1 += 1;
                    totals.2 += bytes.len();
                }
                _ => {}
            }
        }
        totals
    }

    /// Where a file below the store gets a name with this in it.
    pub fn named(&self, part: &str) -> Vec<usize> {
        let records = self.0.iter().enumerate();
        records
            .filter(|(_, one)| matches!(&one.what, What::Name(name) if name.contains(part)))
            .map(|(number, _)| number)
            .collect()
    }

    /// Moments at which more than the bytes of a file changes: files and folders come, go and
    /// get names, and something becomes durable. Of those between two records, that many at
    /// most, spread evenly; right before and right after in turn.
    pub fn steps(&self, within: Range<usize>, most: usize) -> Vec<usize> {
        let steps = within.filter(|at| !matches!(self.0[*at].what, What::Write(..)));
        let steps: Vec<usize> = steps.collect();
        let most = most.min(steps.len());
        (0..most)
            .map(|number| steps[number * steps.len() / most] + number % 2)
            .collect()
    }

    /// Where something below a folder of the store becomes durable.
    pub fn synced_below(&self, folder: &str) -> Vec<usize> {
        let mut files: HashMap<u32, bool> = HashMap::new();
        let mut found = Vec::new();
        for (number, record) in self.0.iter().enumerate() {
            match &record.what {
                What::Name(name) => {
                    files.insert(record.file, name.starts_with(folder));
                }
                What::Sync { .. } if files.get(&record.file) == Some(&true) => found.push(number),
                _ => {}
            }
        }
        found
    }

    /// Where the file of this name below the store is removed.
    pub fn unlinked(&self, part: &str) -> Vec<usize> {
        let mut names: HashMap<u32, &str> = HashMap::new();
        let mut found = Vec::new();
        for (number, record) in self.0.iter().enumerate() {
            match &record.what {
                What::Name(name) => {
                    names.insert(record.file, name);
                }
                What::Unlink
                    if names
                        .get(&record.file)
                        .is_some_and(|name| name.contains(part)) =>
                {
                    found.push(number);
                }
                _ => {}
            }
        }
        found
    }

    /// How many complete records a trace of this length has.
    pub fn records_within(&self, length: u64) -> usize {
        self.0.partition_point(|record| record.end <= length)
    }

    /// Writes the store's folder as it would be after a power cut right after record `at`.
    ///
    /// # Panics
    ///
    /// If the folder cannot be written.
    pub fn rebuild(&self, at: usize, cut: Cut, folder: &Path) {
        let records = &self.0[..at];
        let synced = synced(records, cut);
        std::fs::create_dir_all(folder).expect("makes the store");
        for (file, name) in on_disk(records, &synced, cut) {
            let durable = match (synced.get(&file), cut) {
                (_, Cut::Without) | (None, Cut::Torn(_)) => at,
                (Some(durable), _) => *durable,
                (None, _) => 0,
            };
            let content = content(records, file, durable, cut);
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("is below the store"))
                .expect("makes a folder of the store");
            std::fs::write(path, content).expect("writes a file of the store");
        }
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The files that have a name on disk.
fn on_disk(records: &[Record], synced: &HashMap<u32, usize>, cut: Cut) -> HashMap<u32, String> {
    let at = records.len();
    if cut == Cut::Without {
        return names(records);
    }
    // Up to which record the names in a folder are on disk, and which of those since then.
    let mut folders: HashMap<&str, usize> = HashMap::new();
    for record in records {
        let name = match &record.what {
            What::Folder(name) => name,
            What::Move(_, new) => new,
            _ => continue,
        };
        folders.entry(name).or_default();
    }
    for record in records {
        if let What::Folder(name) = &record.what
            && let Some(covered) = synced.get(&record.file)
        {
            let known = folders.entry(name).or_default();
            *known = (*covered).max(*known);
        }
    }
    let mut found = HashMap::new();
    let every: HashSet<String> = records
        .iter()
        .filter_map(|record| match &record.what {
            What::Name(name) => Some(folder_of(name).to_owned()),
            What::Move(_, new) => Some(new.clone()),
            _ => None,
        })
        .collect();
    for folder in every {
        let durable = folders.get(folder.as_str()).copied().unwrap_or(0);
        let named = match cut {
            Cut::Torn(seed) | Cut::TornEverywhere(seed) => {
                let seed = folder.bytes().fold(seed, |seed, byte| {
                    seed.wrapping_mul(31).wrapping_add(u64::from(byte))
                });
                fastrand::Rng::with_seed(seed).usize(durable..=at)
            }
            _ if durable > 0 => durable,
            // Nobody relies on the names in there.
            _ => at,
        };
        let loose = durable == 0;
        for (file, name) in names(&records[..named]) {
            if folder_of(&name) == folder && (!loose || synced.contains_key(&file)) {
                found.insert(file, name);
            }
        }
    }
    found
}

/// For each file how many records its last completed sync covered.
fn synced(records: &[Record], cut: Cut) -> HashMap<u32, usize> {
    let ignored = match cut {
        Cut::LastSyncForgotten => records
            .iter()
            .rposition(|record| matches!(record.what, What::Sync { .. })),
        _ => None,
    };
    let mut synced: HashMap<u32, usize> = HashMap::new();
    for (number, record) in records.iter().enumerate() {
        if let What::Sync { covers } = record.what
            && Some(number) != ignored
        {
            let known = synced.entry(record.file).or_default();
            *known = covers.max(*known);
        }
    }
    synced
}

fn names(records: &[Record]) -> HashMap<u32, String> {
    let mut names: HashMap<u32, String> = HashMap::new();
    for record in records {
        match &record.what {
            What::Name(name) => {
                names.retain(|_, other| other != name);
                names.insert(record.file, name.clone());
            }
            What::Move(old, new) => {
                for name in names.values_mut() {
                    if let Some(moved) = moved(name, old, new) {
                        *name = moved;
                    }
                }
            }
            What::Unlink => {
                names.remove(&record.file);
            }
            _ => {}
        }
    }
    names
}

fn content(records: &[Record], file: u32, durable: usize, cut: Cut) -> Vec<u8> {
    let mut content = Vec::new();
    for record in of(&records[..durable], file) {
        match &record.what {
            What::Write(offset, bytes) => put(&mut content, *offset, bytes),
            What::Truncate(length) => content.resize(size(*length), 0),
            _ => {}
        }
    }
    let (Cut::Torn(seed) | Cut::TornEverywhere(seed)) = cut else {
        return content;
    };
    // A page is written back as it is at that moment: with all writes before, none after.
    let mut random = fastrand::Rng::with_seed(seed ^ u64::from(file));
    let mut touched: HashMap<u64, u32> = HashMap::new();
    for record in of(&records[durable..], file) {
        if let What::Write(offset, bytes) = &record.what {
            for (page, _, _) in pages(*offset, bytes) {
                *touched.entry(page).or_default() += 1;
            }
        }
    }
    let mut order: Vec<_> = touched.into_iter().collect();
    order.sort_unstable();
    let mut survive: HashMap<u64, u32> = order
        .into_iter()
        .map(|(page, times)| (page, random.u32(0..=times)))
        .collect();
    for record in of(&records[durable..], file) {
        match &record.what {
            What::Write(offset, bytes) => {
                for (page, offset, piece) in pages(*offset, bytes) {
                    let left = survive.get_mut(&page).expect("was counted");
                    if *left > 0 {
                        *left -= 1;
                        put(&mut content, offset, piece);
                    }
                }
            }
            What::Truncate(length) if random.bool() => content.resize(size(*length), 0),
            _ => {}
        }
    }
    content
}

fn of(records: &[Record], file: u32) -> impl Iterator<Item = &Record> {
    records.iter().filter(move |record| record.file == file)
}

fn size(length: u64) -> usize {
    usize::try_from(length).expect("fits into memory")
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (size(offset), size(offset) + bytes.len());
    if content.len() < to {
        content.resize(to, 0);
    }
    content[from..to].copy_from_slice(bytes);
}

/// The pieces of a write by page: the page's number, where the piece goes, its bytes.
fn pages(offset: u64, bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let room = size(PAGE - at % PAGE).min(rest.len());
        let (piece, after) = rest.split_at(room);
        pieces.push((at / PAGE, at, piece));
        at += room as u64;
        rest = after;
    }
    pieces
}
