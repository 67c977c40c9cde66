//! Measuring: what a batch of so many keys costs sled, and what the index as a whole takes.
//! `cargo test --release -p leadgate --lib index::tests::measure -- --ignored --nocapture`

use super::*;

const KEYS: u64 = 400_000;

/// A key as the index holds them: a kind, numbers of a sink and a source, and an id by time.
fn entry(number: u64, size: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut key = vec![b'a' + u8::try_from(number % 5).unwrap_or(0), 0, 1, 0, 1];
    key.extend_from_slice(&(number / 5).to_be_bytes());
    key.extend_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    (key, Some(vec![b'v'; size]))
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("reads");
    let pages = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4 / 1_024
}

fn disk(folder: &Path) -> u64 {
    let length = |name| std::fs::metadata(folder.join(name)).map_or(0, |facts| facts.len());
    length("db") >> 20
}

fn per_second(count: u64, since: Instant) -> u64 {
    count * 1_000 / u64::try_from(since.elapsed().as_millis().max(1)).unwrap_or(u64::MAX)
}

/// A number from the environment: one process for each case, as memory is not given back.
fn set(name: &str, usual: u64) -> u64 {
    let set = std::env::var(format!("MEASURE_{name}")).ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(usual)
}

/// `MEASURE_FLUSH` ms (0: never), `_VALUE` bytes, `_BATCH` keys, `_READS` after each batch in
/// percent of its keys, `_WINDOW`: of the keys how many stay, the older ones being removed.
#[test]
#[ignore = "measures"]
fn batches_of_sled() {
    let (size, batch) = (set("VALUE", 20), set("BATCH", 256));
    let (window, reads, flush) = (set("WINDOW", KEYS), set("READS", 0), set("FLUSH", 0));
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let config = ::sled::Config::new()
        .path(folder.path())
        .cache_capacity(set("CACHE", 64) << 20)
        .flush_every_ms((flush > 0).then_some(flush));
    let db = config.open().expect("opens");
    let began = Instant::now();
    let (mut longest, mut most, mut changes) = (Duration::ZERO, 0, 0);
    for start in (0..KEYS).step_by(usize::try_from(batch).expect("fits")) {
        let mut writes = ::sled::Batch::default();
        for number in start..start + batch {
            let (key, value) = entry(number, usize::try_from(size).expect("fits"));
            writes.insert(key, value.unwrap_or_default());
            changes += 1;
            if let Some(old) = number.checked_sub(window) {
                writes.remove(entry(old, 0).0);
                changes += 1;
            }
        }
        let one = Instant::now();
        db.apply_batch(writes).expect("applies");
        longest = longest.max(one.elapsed());
        for _ in 0..batch * reads / 100 {
            db.get("m").expect("reads");
        }
        most = most.max(resident());
    }
    let rate = per_second(changes, began);
    db.flush().expect("flushes");
    println!(
        "flush {flush} value {size} batch {batch} reads {reads} window {window}: {rate} \
         changes/s, longest {longest:?}, {} MiB of disk, {most} MiB resident",
        disk(folder.path()),
    );
}

/// Leads that come and are delivered: two keys stay, one changes, one comes and goes.
/// `MEASURE_CACHE` MiB, `_GROUP` leads a put.
#[test]
#[ignore = "measures"]
fn the_index_as_a_whole() {
    let (cache, group_size) = (set("CACHE", 16), set("GROUP", 100));
    let cache = usize::try_from(cache).expect("fits") << 20;
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let path = folder.path().join("index");
    let (index, _) = Index::open(&path, cache).expect("opens");
    let before = resident();
    let began = Instant::now();
    let (mut sequence, mut puts) = (0, Duration::ZERO);
    let (mut most, mut keys) = (0, 0);
    for group in 0..KEYS / 5 / group_size {
        let mut changes = Vec::new();
        for lead in group * group_size..(group + 1) * group_size {
            for kind in 0..4 {
                let (key, new) = entry(lead * 5 + kind, if kind == 0 { 200 } else { 20 });
                changes.push(Change {
                    key,
                    old: None,
                    new,
                });
            }
            // Delivered some groups later.
            if let Some(lead) = lead.checked_sub(1_000) {
                let (key, old) = entry(lead * 5 + 1, 20);
                changes.push(Change {
                    key,
                    old,
                    new: None,
                });
                let (key, old) = entry(lead * 5, 200);
                let new = Some(vec![b'w'; 200]);
                changes.push(Change { key, old, new });
            }
        }
        keys += changes.len() as u64;
        sequence += 1;
        let one = Instant::now();
        index.put(sequence, changes);
        puts += one.elapsed();
        index.wait_for_room();
        most = most.max(resident());
    }
    let put = per_second(keys, began);
    index.checkpoint().expect("applied");
    let all = per_second(keys, began);
    println!(
        "cache {} MiB: {put} keys/s put, {all} with the checkpoint, {puts:?} in put for \
         {sequence} puts, {} MiB of disk, {before} MiB resident before, {most} at most, {} \
         at the end",
        cache >> 20,
        disk(&path),
        resident(),
    );
    let began = Instant::now();
    index.scrub().expect("well");
    let entries = index.0.ledger.lock().stamp.digest.entries;
    println!("  scrub: {} entries/s", per_second(entries, began));
    let began = Instant::now();
    for number in 0..100_000 {
        let (key, _) = entry(number * 4, 20);
        index.get(&key).expect("reads");
    }
    println!("  get: {}/s", per_second(100_000, began));
    let began = Instant::now();
    for number in 0..20_000_u64 {
        let (key, _) = entry(number * 19 + number % 5, 20);
        let range = index.range(Bound::Included(&key), Bound::Unbounded, Order::Ascending);
        assert!(range.take(10).count() > 0);
    }
    println!("  ranges of 10: {}/s", per_second(20_000, began));
    index.close();
    let began = Instant::now();
    let (index, _) = Index::open(&path, cache).expect("opens");
    println!(
        "  opened in {:?}, {} MiB resident",
        began.elapsed(),
        resident()
    );
    drop(index);
}
