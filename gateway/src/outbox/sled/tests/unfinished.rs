//! Erasures that cannot be finished: what is gone is told, and why the rest is not.

use futures_util::FutureExt;

use super::cleaning::runtime;
use super::*;

fn accept(outbox: &SledOutbox, record: u64) -> LeadId {
    let accepted = runtime().block_on(outbox.accept(arrival(record, 1)));
    accepted.expect("accepted").lead().expect("a lead")
}

#[test]
fn what_is_gone_is_told_also_where_it_cannot_be_wiped_off_the_disk() {
    let folder = folder();
    let outbox = open(&folder);
    let lead = accept(&outbox, 1);
    outbox.close();
    drop(outbox);
    let outbox = open_with(&folder, 64, &[], u64::MAX / 2).expect("opens");
    let erased = runtime().block_on(outbox.erase(lead.into()));
    let erased = erased.expect("it went");
    assert_eq!(erased.leads, [lead]);
    let why = erased.not_wiped.expect("no disk is that large");
    assert!(why.contains("make room"), "{why}");
    outbox.close();
    drop(outbox);
    let outbox = open(&folder);
    let erased = runtime().block_on(outbox.erase(Erasure::default()));
    assert_eq!(erased, Ok(Erased::default()), "there is room now");
    outbox.close();
}

#[test]
fn what_went_before_a_later_part_failed_is_told_with_the_reason() {
    let folder = folder();
    let outbox = open(&folder);
    let lead = accept(&outbox, 1);
    let unknown = (1..=ERASED_AT_ONCE as u128).map(|id| LeadId(uuid::Uuid::from_u128(id)));
    let mut erasing = outbox.erase(Erasure {
        leads: std::iter::once(lead).chain(unknown).collect(),
        quarantined: Vec::new(),
    });
    runtime().block_on(async {
        // The first part is queued now, and durable when what is behind it is: the second one is
        // queued no sooner than somebody waits for it.
        assert!((&mut erasing).now_or_never().is_none());
        outbox.accept(arrival(2, 1)).await.expect("accepted");
        inside::panic(&outbox, true);
        let erased = erasing.await.expect("a part went");
        assert_eq!(erased.leads, [lead]);
        assert!(erased.broken_off.is_some());
        assert!(erased.not_wiped.is_some());
    });
    outbox.close();
}
