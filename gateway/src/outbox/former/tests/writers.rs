//! Threads that write and end by themselves: whatever the reason, it is a fault that a person
//! understands, and nothing succeeds any more.

use super::*;
use crate::outbox::PauseCause;
use crate::outbox::former::fault::Fault;
use crate::outbox::former::group::Group;
use crate::outbox::former::job::Step;

/// A job that panics where it is told to.
struct Bad {
    in_write: bool,
}

impl Step for Bad {
    fn write(&mut self, _: &mut Group<'_>) -> Result<(), Fault> {
        assert!(!self.in_write, "injected: the committer's");
        Ok(())
    }

    fn tell(self: Box<Self>, _: Result<(), &Unavailable>) {
        panic!("injected: the syncer's");
    }
}

async fn after(in_write: bool) {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let job = Job::Write(Box::new(Bad { in_write }));
    assert!(outbox.jobs.send(job).await.is_ok(), "queued");
    let mut record = 1;
    // The thread that is left may still be on its way to notice.
    let refused = loop {
        record += 1;
        match outbox.accept(arrival(record, 1)).await {
            Ok(_) => assert!(record < 10_000, "success for ever after a writer's end"),
            Err(refusal) => break refusal,
        }
    };
    let said = refused.to_string();
    assert!(said.contains("restart leadgate"), "{said}");
    assert!(!said.contains("is stopping"), "{said}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while outbox.fault().is_none() {
        assert!(std::time::Instant::now() < deadline, "no fault");
        tokio::task::yield_now().await;
    }
    let fault = outbox.fault().expect("a fault");
    assert!(fault.contains("error inside leadgate"), "{fault}");
    assert!(!fault.contains("injected"), "{fault}");
    for record in 20_000..20_010 {
        assert!(outbox.accept(arrival(record, 1)).await.is_err());
    }
    assert!(
        outbox
            .pause("crm", Some(PauseCause::Crashes(2)))
            .await
            .is_err()
    );
    close(outbox);
    let again = open(&folder);
    assert!(
        again.totals().accepted >= 1,
        "what was acknowledged is there"
    );
    assert_eq!(again.fault(), None);
    close(again);
}

#[tokio::test]
async fn a_panic_of_the_committer_is_a_fault_in_words() {
    after(true).await;
}

#[tokio::test]
async fn a_panic_of_the_syncer_is_a_fault_in_words() {
    after(false).await;
}

#[tokio::test]
async fn a_store_that_is_closed_has_no_fault() {
    let folder = folder();
    let outbox = Arc::new(open(&folder));
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let closing = Arc::clone(&outbox);
    std::thread::spawn(move || closing.close())
        .join()
        .expect("closes");
    assert_eq!(outbox.fault(), None);
    let refused = outbox.accept(arrival(2, 1)).await.expect_err("closed");
    assert!(refused.to_string().contains("stopping"), "{refused}");
}
