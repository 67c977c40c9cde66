//! Promise 7: a store that is closed, or that another has, takes nothing and says so.

use super::engine::Engine;
use super::pushes::arrival;
use super::subject::{Subject, blocking};
use crate::outbox::{Intake, Maintenance, Operations};

pub(super) async fn a_store_that_is_closed_has_no_fault_and_takes_nothing<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    blocking(|| outbox.share().close());
    assert_eq!(outbox.fault(), None);
    let refused = outbox.accept(arrival(2, 1)).await.expect_err("closed");
    assert!(refused.to_string().contains("stopping"), "{refused}");
    blocking(|| outbox.share().close());
}

pub(super) async fn a_store_that_is_open_is_not_opened_again<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let second = blocking(|| outbox.engine.open(&outbox.setup).err());
    let second = second.expect("refused");
    assert!(second.contains("in use"), "{second}");
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.reopen();
    assert_eq!(outbox.totals().leads, 1);
}
