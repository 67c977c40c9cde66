//! Pressure: who waits, and who is let go when the index breaks.

use super::*;

/// An index whose applier cannot go on until the guard is dropped, with more on its way than may
/// be.
fn overfull(index: &Index) -> (parking_lot::MutexGuard<'_, Ledger>, u64) {
    let held = index.0.ledger.lock();
    let mut model = Model::new();
    let mut sequence = 0;
    while index.0.queue.bytes() <= queue::BOUND {
        sequence += 1;
        let fill: Vec<_> = (0..1_000)
            .map(|at| (key(sequence * 1_000 + at), Some(vec![7; 1_000])))
            .collect();
        index.put(sequence, changes(&mut model, &fill));
    }
    (held, sequence)
}

#[test]
fn the_writer_waits_while_too_much_is_on_its_way_and_goes_on_when_it_is_applied() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, _) = open(&folder.path().join("index"));
    index.wait_for_room();
    let (held, last) = overfull(&index);
    let through = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            index.wait_for_room();
            assert!(index.0.queue.bytes() <= queue::BOUND);
            through.store(true, Ordering::Release);
        });
        // All is readable though nothing can be applied.
        assert_eq!(index.get(&key(1_000)), Ok(Some(vec![7; 1_000])));
        assert!(!through.load(Ordering::Acquire));
        drop(held);
        wait_until(|| through.load(Ordering::Acquire));
    });
    assert_eq!(index.checkpoint(), Ok(last));
}

#[test]
fn everybody_who_waits_is_let_go_when_the_index_breaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, _) = open(&folder.path().join("index"));
    let (held, _) = overfull(&index);
    let fault = IndexFault::Damaged("so it was told".to_owned());
    std::thread::scope(|scope| {
        scope.spawn(|| index.wait_for_room());
        let checkpoint = scope.spawn(|| index.checkpoint());
        index.0.health.fail(fault.clone());
        let told = checkpoint.join().expect("ends");
        assert_eq!(told, Err(fault.clone()));
    });
    drop(held);
    assert_eq!(index.fault(), Some(fault.clone()));
    index.put(1_000_000, Vec::new());
    index.close();
    assert_eq!(index.get(b"x"), Err(fault));
}

#[test]
fn a_panic_inside_sled_is_a_fault_and_the_process_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let (index, _) = open(&path);
    let mut model = Model::new();
    let fill: Vec<_> = (0..50_000)
        .map(|at| (key(at), Some(vec![b'v'; 100])))
        .collect();
    index.put(1, changes(&mut model, &fill));
    index.close();
    // A cache that holds nothing, and a file that is emptied while it is open: what is read of
    // it is nothing that sled expects.
    let (index, _) = Index::open(&path, 256).expect("opens");
    let file = std::fs::File::options()
        .write(true)
        .open(path.join("db"))
        .expect("opens");
    let length = file.metadata().expect("reads").len();
    file.set_len(0).expect("empties");
    file.set_len(length).expect("is as long as before");
    assert!(content(&index).is_err());
    let fault = index.fault().expect("it broke");
    assert!(matches!(fault, IndexFault::Damaged(_)), "{fault}");
    index.put(2, vec![]);
    index.wait_for_room();
    assert!(index.checkpoint().is_err());
    index.close();
    drop(index);
    // It is made anew in the same place, though sled may still hold the old one.
    delete(&path).expect("deletes");
    let (index, applied) = open(&path);
    assert_eq!(applied, 0);
    index.put(1, changes(&mut Model::new(), &fill));
    index.close();
    let (index, applied) = open(&path);
    assert_eq!(applied, 1);
    assert_eq!(content(&index), Ok(model));
}
