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

#[test]
#[ignore = "measures"]
fn batches_of_sled() {
    for flush_every in [None, Some(1_000)] {
        for size in [20, 200] {
            for batch in [64, 256, 1_024, 4_096] {
                let folder = tempfile::tempdir_in(".").expect("a folder");
                let config = ::sled::Config::new()
                    .path(folder.path())
                    .cache_capacity(64 << 20)
                    .flush_every_ms(flush_every);
                let db = config.open().expect("opens");
                let began = Instant::now();
                let mut longest = Duration::ZERO;
                for start in (0..KEYS).step_by(batch) {
                    let mut writes = ::sled::Batch::default();
                    for number in start..start + batch as u64 {
                        let (key, value) = entry(number, size);
                        writes.insert(key, value.unwrap_or_default());
                    }
                    let one = Instant::now();
                    db.apply_batch(writes).expect("applies");
                    longest = longest.max(one.elapsed());
                }
                let rate = per_second(KEYS, began);
                db.flush().expect("flushes");
                println!(
                    "flush {flush_every:?} value {size} batch {batch}: {rate} keys/s, longest \
                     {longest:?}, {} MiB of disk, {} MiB resident",
                    disk(folder.path()),
                    resident(),
                );
            }
        }
    }
}

/// Leads that come and are delivered: two keys stay, one changes, one comes and goes.
#[test]
#[ignore = "measures"]
fn the_index_as_a_whole() {
    for cache in [8 << 20, 32 << 20, 64 << 20] {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let path = folder.path().join("index");
        let (index, _) = Index::open(&path, cache).expect("opens");
        let before = resident();
        let began = Instant::now();
        let (mut sequence, mut puts) = (0, Duration::ZERO);
        let (mut most, mut keys) = (0, 0);
        for group in 0..KEYS / 5 / 100 {
            let mut changes = Vec::new();
            for lead in group * 100..group * 100 + 100 {
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
        let entries = index.0.ledger.held().stamp.digest.entries;
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
}
