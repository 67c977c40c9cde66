//! Promise 4: a format is versioned; an unknown newer one is refused with a clear error and
//! stays as it is.

use super::engine::Engine;
use super::pushes::{arrival, claims};
use super::subject::{Subject, blocking};
use crate::outbox::Intake;

pub(super) async fn a_newer_format_is_refused_and_not_touched<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.close();
    outbox.engine.pretend_newer(true);
    for _ in 0..2 {
        let refused = blocking(|| outbox.engine.open(&outbox.setup).err());
        let refused = refused.expect("refused");
        assert!(refused.contains("format"), "{refused}");
        assert!(refused.contains("newer"), "what to do: {refused}");
    }
    outbox.engine.pretend_newer(false);
    outbox.open();
    assert_eq!(claims(&*outbox, 1_000).len(), 1);
}
