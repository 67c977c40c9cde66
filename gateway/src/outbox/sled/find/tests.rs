//! Find files against a plain map, and against whatever may happen to a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::entry::Entry;
use super::file::FindFile;
use super::*;

type Segments = BTreeMap<u32, Vec<(Tag, Uuid)>>;

/// A store's folder, and what its segments have.
struct Desk {
    folder: TempDir,
    segments: Arc<Mutex<Segments>>,
    /// How often a segment's records were read.
    read: Arc<AtomicUsize>,
    open: u32,
    finds: Option<Finds>,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self {
            folder: tempfile::tempdir().expect("a folder"),
            segments: Arc::default(),
            read: Arc::default(),
            open: 1,
            finds: None,
        };
        desk.reopen();
        desk
    }

    fn finds(&self) -> &Finds {
        self.finds.as_ref().expect("open")
    }

    fn segments(&self) -> std::sync::MutexGuard<'_, Segments> {
        self.segments.lock().expect("a lock")
    }

    fn close(&mut self) {
        self.finds = None;
    }

    /// As the engine opens: the newest segment is still open, and what it has is added.
    fn reopen(&mut self) {
        self.finds = None;
        let closed: Vec<u32> = self.segments().range(..self.open).map(|of| *of.0).collect();
        let (segments, read) = (Arc::clone(&self.segments), Arc::clone(&self.read));
        let tags = move |number| {
            read.fetch_add(1, Ordering::Relaxed);
            let segments = segments.lock().expect("a lock");
            segments
                .get(&number)
                .cloned()
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let finds = Finds::open(self.folder.path(), &closed, tags).expect("opens");
        finds.add(self.open, self.segments().entry(self.open).or_default());
        self.finds = Some(finds);
    }

    fn add(&self, tag: Tag, id: Uuid) {
        self.segments()
            .entry(self.open)
            .or_default()
            .push((tag, id));
        self.finds().add(self.open, &[(tag, id)]);
    }

    fn roll(&mut self) {
        self.segments().entry(self.open).or_default();
        self.finds().close(self.open);
        self.open += 1;
    }

    fn remove(&self, number: u32) {
        self.finds().remove(number).expect("removes");
        self.segments().remove(&number);
    }

    fn path(&self, number: u32) -> PathBuf {
        self.folder.path().join(format!("{number:08}.find"))
    }

    /// Waits until a segment has a whole find file of now.
    fn wait_for_file(&self, number: u32) {
        let until = Instant::now() + Duration::from_secs(60);
        while FindFile::open(&self.path(number), number, Some(self.binding(number))).is_err() {
            assert!(Instant::now() < until, "no find file of {number}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn binding(&self, number: u32) -> u64 {
        binding::of(&self.path(number).with_extension("seg")).expect("reads")
    }

    fn reads(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    /// What a plain map would have for a tag.
    fn model(&self, tag: &Tag) -> BTreeSet<Uuid> {
        let segments = self.segments();
        let all = segments.values().flatten();
        all.filter(|(one, _)| one == tag)
            .map(|(_, id)| *id)
            .collect()
    }

    fn found(&self, tag: &Tag) -> BTreeSet<Uuid> {
        let found = self.finds().find(tag, usize::MAX).expect("finds");
        let set: BTreeSet<Uuid> = found.iter().copied().collect();
        assert_eq!(set.len(), found.len(), "each once");
        set
    }

    /// Compares everything, and some tags that nobody has.
    fn check(&self) {
        let all: BTreeSet<Tag> = self
            .segments()
            .values()
            .flatten()
            .map(|(tag, _)| *tag)
            .collect();
        for tag in all {
            assert_eq!(self.found(&tag), self.model(&tag));
        }
        for kind in KINDS {
            for absent in 1_000_000..1_000_010 {
                assert!(self.found(&tag(kind, absent)).is_empty());
            }
        }
    }
}

const KINDS: [u8; 6] = [0, 1, 5, IDENTITY, FINGERPRINT, DELIVERY];

/// A hash as tags have them, or a delivery's id, which begins with a time.
fn tag(kind: u8, number: u64) -> Tag {
    let mut tag = [kind; 17];
    let hash = blake3::hash(&number.to_be_bytes());
    tag[1..].copy_from_slice(&hash.as_bytes()[..16]);
    if kind == DELIVERY {
        tag[1..9].copy_from_slice(&(0x0190_0000_0000_7000 + number).to_be_bytes());
    }
    tag
}

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0190_0000_0000_7000, (1 << 63) | number)
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        kind: usize,
        value: u64,
        id: u64,
    },
    Roll,
    Remove(usize),
    Reopen,
    Lose(usize),
    Find {
        kind: usize,
        value: u64,
        limit: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = 0..KINDS.len();
    let step = prop_oneof![
        40 => (kind.clone(), 0..30_u64, 0..60_u64)
            .prop_map(|(kind, value, id)| Step::Add { kind, value, id }),
        4 => Just(Step::Roll),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => Just(Step::Reopen),
        1 => any::<usize>().prop_map(Step::Lose),
        6 => (kind, 0..30_u64, 0..5_usize)
            .prop_map(|(kind, value, limit)| Step::Find { kind, value, limit }),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn over_any_segments_it_finds_what_a_map_would(steps in steps()) {
        let mut desk = Desk::new();
        for step in steps {
            let closed: Vec<u32> = desk.segments().range(..desk.open).map(|of| *of.0).collect();
            let any = |at: usize| closed.get(at % closed.len().max(1)).copied();
            match step {
                Step::Add { kind, value, id: number } => {
                    desk.add(tag(KINDS[kind], value), id(number));
                }
                Step::Roll => desk.roll(),
                Step::Remove(at) => {
                    if let Some(number) = any(at) {
                        desk.remove(number);
                        prop_assert!(!desk.path(number).exists());
                    }
                }
                Step::Reopen => desk.reopen(),
                Step::Lose(at) => {
                    if let Some(number) = any(at) {
                        _ = std::fs::remove_file(desk.path(number));
                    }
                }
                Step::Find { kind, value, limit } => {
                    let tag = tag(KINDS[kind], value);
                    let found = desk.finds().find(&tag, limit).expect("finds");
                    let all = desk.model(&tag);
                    prop_assert_eq!(found.len(), limit.min(all.len()));
                    // Those of the newest segments, and in their order.
                    let newest = |id: &Uuid| {
                        let segments = desk.segments();
                        let has = |all: &Vec<(Tag, Uuid)>| all.contains(&(tag, *id));
                        segments.iter().rev().find(|(_, all)| has(all)).map(|(number, _)| *number)
                    };
                    let order: Vec<_> = found.iter().map(newest).collect();
                    prop_assert!(order.is_sorted());
                    let oldest = order.first().copied().flatten();
                    let left = all.iter().filter(|id| !found.contains(id));
                    prop_assert!(limit == 0 || left.map(newest).all(|one| one <= oldest));
                }
            }
        }
        desk.check();
        desk.reopen();
        desk.check();
    }
}

/// Some of everything: two blocks, a tag that many have.
fn filled() -> Desk {
    let desk = Desk::new();
    for number in 0..24 {
        for kind in KINDS {
            desk.add(tag(kind, number), id(number));
        }
        desk.add(tag(5, 3), id(number));
    }
    desk
}

#[test]
fn a_flipped_byte_anywhere_in_a_file_is_seen_before_it_misleads() {
    let mut desk = filled();
    desk.roll();
    desk.wait_for_file(1);
    let binding = desk.binding(1);
    desk.close();
    let path = desk.path(1);
    let whole = std::fs::read(&path).expect("reads");
    assert!(whole.len() > 4096, "two blocks");
    let tags: BTreeSet<Tag> = desk.segments().values().flatten().map(|of| of.0).collect();
    let (mut unopened, mut unread) = (0, 0);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).expect("writes");
        let Ok((file, _)) = FindFile::open(&path, 1, Some(binding)) else {
            unopened += 1;
            continue;
        };
        let mut seen = false;
        for tag in &tags {
            match file.find(tag) {
                Ok(found) => assert_eq!(BTreeSet::from_iter(found), desk.model(tag), "at {at}"),
                Err(_) => seen = true,
            }
        }
        assert!(seen, "at {at}");
        unread += 1;
    }
    // What stands before the blocks is read at once, and those when they are needed.
    assert_eq!(unopened + unread, whole.len());
    assert_eq!(unread, 167 * 33 + 2 * 4);
}

#[test]
fn damage_is_healed_when_a_store_opens_and_when_a_look_up_meets_it() {
    let mut desk = filled();
    desk.roll();
    desk.wait_for_file(1);
    desk.close();
    let whole = std::fs::read(desk.path(1)).expect("reads");
    let damage = |at: usize| {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        flipped
    };
    let harms: Vec<Vec<u8>> = [0, 9, 25, 39, 40, 300, 350, 380, 4000, whole.len() - 1]
        .into_iter()
        .map(damage)
        .chain([
            Vec::new(),
            whole[..3000].to_vec(),
            [&whole[..], b"x"].concat(),
        ])
        .collect();
    for (number, harm) in harms.iter().enumerate() {
        // Before it opens.
        std::fs::write(desk.path(1), harm).expect("writes");
        desk.reopen();
        desk.check();
        assert_eq!(
            std::fs::read(desk.path(1)).expect("reads"),
            whole,
            "{number}"
        );
        // While it is open.
        let reads = desk.reads();
        std::fs::write(desk.path(1), harm).expect("writes");
        desk.check();
        if desk.reads() > reads {
            assert_eq!(
                std::fs::read(desk.path(1)).expect("reads"),
                whole,
                "{number}"
            );
        }
    }
    std::fs::remove_file(desk.path(1)).expect("removes");
    desk.check();
    assert_eq!(std::fs::read(desk.path(1)).expect("reads"), whole);
}

#[test]
fn a_file_of_another_segment_with_the_same_number_is_not_believed() {
    let mut desk = Desk::new();
    let segment = desk.path(1).with_extension("seg");
    std::fs::write(&segment, [7; 10_000]).expect("writes");
    desk.add(tag(IDENTITY, 1), id(1));
    desk.roll();
    desk.wait_for_file(1);
    desk.close();
    // A copy is put back that went on differently: only its end is another.
    let mut other = [7; 10_000];
    other[9_999] = 8;
    std::fs::write(&segment, other).expect("writes");
    desk.segments().insert(1, vec![(tag(IDENTITY, 2), id(2))]);
    desk.reopen();
    desk.check();
    assert_eq!(desk.found(&tag(IDENTITY, 2)).len(), 1);
    assert_eq!(desk.found(&tag(IDENTITY, 1)).len(), 0);
}

#[test]
fn an_absent_identity_is_known_to_be_absent_without_reading_anything() {
    let mut desk = filled();
    for _ in 0..5 {
        desk.roll();
        desk.wait_for_file(desk.open - 1);
        desk.add(tag(IDENTITY, 100 + u64::from(desk.open)), id(1));
    }
    desk.reopen();
    for number in 1..desk.open {
        std::fs::remove_file(desk.path(number)).expect("removes");
    }
    for absent in 5_000..6_000 {
        assert!(desk.found(&tag(IDENTITY, absent)).is_empty());
    }
    assert_eq!(desk.reads(), 0, "neither files nor segments were needed");
    assert_eq!(desk.found(&tag(IDENTITY, 103)), BTreeSet::from([id(1)]));
    assert_eq!(desk.reads(), 1, "only the segment that has it");
}

#[test]
fn a_value_that_thousands_have_is_found_with_all_of_them() {
    let mut desk = Desk::new();
    for number in 0..5_000 {
        desk.add(tag(5, 8_911), id(number));
        desk.add(tag(DELIVERY, number * number), id(number));
        desk.add(tag(IDENTITY, number), id(number));
    }
    let all: Vec<Uuid> = (0..5_000).map(id).collect();
    let newest = all[4_990..].to_vec();
    for _ in 0..2 {
        let found = desk.finds().find(&tag(5, 8_911), usize::MAX);
        assert_eq!(found.expect("finds"), all);
        let found = desk.finds().find(&tag(5, 8_911), 10);
        assert_eq!(found.expect("finds"), newest);
        for number in 0..5_000 {
            let tag = tag(DELIVERY, number * number);
            assert_eq!(desk.found(&tag), BTreeSet::from([id(number)]));
        }
        assert!(desk.found(&tag(DELIVERY, 3)).is_empty());
        desk.roll();
        desk.wait_for_file(1);
    }
}

#[test]
fn without_room_on_the_disk_leads_are_found_and_memory_stays_bounded() {
    let mut desk = Desk::new();
    let blocked = |desk: &Desk| desk.path(desk.open).with_extension("find.new");
    for number in 0..12 {
        // No file can be created where a folder is.
        std::fs::create_dir(blocked(&desk)).expect("creates");
        for kind in KINDS {
            desk.add(tag(kind, number), id(number));
            desk.add(tag(kind, 77), id(number));
        }
        desk.roll();
        assert!(desk.finds().shared.directory.waiting() <= TABLES);
    }
    desk.check();
    assert!(desk.finds().shared.directory.waiting() <= TABLES);
    // What is absent needs no segment all the same, once the writer has seen each.
    let until = Instant::now() + Duration::from_secs(60);
    let absent = tag(IDENTITY, 999);
    while !desk.finds().shared.directory.candidates(&absent).is_empty() {
        assert!(
            Instant::now() < until,
            "fingerprints are known without a file"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    for number in 1..desk.open {
        std::fs::remove_dir(desk.path(number).with_extension("find.new")).expect("removes");
    }
    desk.reopen();
    desk.check();
    (1..desk.open).for_each(|number| desk.wait_for_file(number));
}

#[test]
fn what_left_is_not_found_and_its_number_in_memory_serves_others() {
    let mut desk = Desk::new();
    for round in 0..30 {
        desk.add(tag(IDENTITY, 1), id(round));
        desk.add(tag(IDENTITY, 100 + round), id(round));
        desk.roll();
        if desk.open > 4 {
            let gone = desk.open - 4;
            desk.wait_for_file(gone);
            desk.remove(gone);
            assert!(!desk.path(gone).exists());
        }
    }
    desk.check();
    assert_eq!(desk.found(&tag(IDENTITY, 1)).len(), 3);
    // What a crash left behind of segments that are gone, or half made.
    let gone = [desk.path(900), desk.path(2).with_extension("find.new")];
    gone.iter()
        .for_each(|path| std::fs::write(path, "x").expect("writes"));
    desk.reopen();
    assert!(gone.iter().all(|path| !path.exists()));
    desk.check();
}

#[test]
fn checking_a_file_reads_all_of_it() {
    let mut desk = filled();
    desk.roll();
    desk.wait_for_file(1);
    let tags = desk.segments()[&1].clone();
    let checked = |tags: &[(Tag, Uuid)]| check(desk.folder.path(), 1, tags);
    checked(&tags).expect("sound");
    let error = checked(&tags[1..]).expect_err("one more than there should be");
    assert!(error.to_string().contains("segment"), "{error}");
    let whole = std::fs::read(desk.path(1)).expect("reads");
    for at in (0..whole.len()).step_by(61) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        std::fs::write(desk.path(1), flipped).expect("writes");
        assert!(checked(&tags).is_err(), "at {at}");
    }
}

#[test]
fn a_segment_that_cannot_be_read_is_said_and_not_taken_for_empty() {
    let mut desk = filled();
    desk.roll();
    desk.wait_for_file(1);
    desk.close();
    std::fs::remove_file(desk.path(1)).expect("removes");
    let refuse = |_| Err(io::Error::other("the disk refused"));
    let finds = Finds::open(desk.folder.path(), &[1], refuse).expect("opens");
    for kind in KINDS {
        let error = finds.find(&tag(kind, 1), 10).expect_err("cannot be known");
        assert_eq!(error.segment, 1);
        assert!(error.to_string().contains("the disk refused"), "{error}");
    }
}

/// Entries of `leads` leads as they come: eight of each.
fn entries_of(leads: std::ops::Range<u64>) -> Vec<Entry> {
    let kinds = [0, 1, 2, 3, 5, IDENTITY, DELIVERY, FINGERPRINT];
    let of = |number: u64| kinds.map(|kind| Entry::new(&tag(kind, number), id(number)));
    leads.flat_map(of).collect()
}

#[test]
#[ignore = "measures; run with --release --nocapture"]
fn measured() {
    const SEGMENTS: u32 = 500;
    const LEADS: u64 = 2_000;
    let folder = tempfile::tempdir().expect("a folder");
    for number in 1..=SEGMENTS {
        let first = u64::from(number - 1) * LEADS;
        let mut entries = entries_of(first..first + LEADS);
        entries.sort_unstable();
        let path = folder.path().join(format!("{number:08}.find"));
        FindFile::write(&path, number, 0, &entries).expect("writes");
    }
    let closed: Vec<u32> = (1..=SEGMENTS).collect();
    let none = |_| Err(io::ErrorKind::NotFound.into());
    let start = Instant::now();
    let finds = Finds::open(folder.path(), &closed, none).expect("opens");
    let leads = u64::from(SEGMENTS) * LEADS;
    let took = start.elapsed();
    println!("open: {leads} leads in {SEGMENTS} segments: {took:?}");
    let all = |name: &str, kind: u8, from: u64, many: u64| {
        let start = Instant::now();
        let found = (from..from + many).filter(|number| {
            let found = finds.find(&tag(kind, *number), 100);
            !found.expect("finds").is_empty()
        });
        let found = found.count();
        println!(
            "{name}: {:?} each, {found} of {many}",
            start.elapsed() / u32::try_from(many).expect("few")
        );
    };
    all("identity, absent", IDENTITY, leads, 100_000);
    all("identity, there", IDENTITY, leads / 2, 20_000);
    all("delivery, there", DELIVERY, leads / 2, 20_000);
    all("phone, absent", 0, leads, 200);
    all("phone, there", 0, leads / 2, 200);
    let entries = entries_of(leads..leads + 35_000);
    let start = Instant::now();
    for lead in entries.chunks(8) {
        let lead: Vec<_> = lead.iter().map(|one| (*one.tag(), one.id())).collect();
        finds.add(SEGMENTS + 1, &lead);
    }
    let many = u32::try_from(entries.len()).expect("few");
    println!("add: {:?} each", start.elapsed() / many);
    finds.close(SEGMENTS + 1);
    let start = Instant::now();
    while finds.shared.directory.waiting() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("file of {many} entries: {:?}", start.elapsed());
    let start = Instant::now();
    finds.remove(1).expect("removes");
    println!("remove: {:?}", start.elapsed());
}

#[test]
fn a_segment_that_cannot_be_read_is_searched_by_the_file_that_it_had() {
    let mut desk = filled();
    desk.roll();
    desk.wait_for_file(1);
    desk.close();
    let path = desk.path(1);
    std::fs::write(path.with_extension("seg"), b"not what was there").expect("writes");
    let (segment, opened) = Segment::closed(1, path.clone());
    assert!(opened.is_err(), "the file is of another segment");
    let unreadable: &Tags = &|_| Err(io::Error::other("damaged"));
    let made = segment.make(unreadable);
    assert!(matches!(made, Ok(segment::Made::Filed(_))));
    let all = desk.segments().get(&1).cloned().unwrap_or_default();
    for (tag, id) in &all {
        let found = segment.find(tag).expect("it has a file");
        assert!(found.contains(id));
    }
    assert!(!all.is_empty());

    std::fs::write(&path, b"no find file").expect("writes");
    let (segment, _) = Segment::closed(1, path);
    assert!(segment.make(unreadable).is_err(), "nothing is left");
}
