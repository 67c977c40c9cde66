//! The marks of leads that no sink wants.

use super::*;

fn unwanted(record: u64, content: u8) -> Arrival {
    Arrival {
        routes: Vec::new(),
        ..arrival(record, content)
    }
}

async fn accept(outbox: &SledOutbox, arrival: Arrival) -> Accepted {
    outbox.accept(arrival).await.expect("accepted")
}

#[tokio::test]
async fn the_mark_is_verified_and_salvaged() {
    let folder = folder();
    let outbox = open(&folder);
    accept(&outbox, unwanted(1, 1)).await;
    let Accepted::New { lead, .. } = accept(&outbox, arrival(2, 1)).await else {
        panic!("a new lead");
    };
    close(outbox);
    let path = folder.path().join("store");
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    let to = folder.path().join("saved");
    salvage(&path, &to, &[]).expect("salvages");
    let verdict = verify(&to, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    {
        let db = engine::open(&path, 16 << 20).expect("opens");
        db.insert(key::unrouted(lead), b"").expect("writes");
        db.flush().expect("flushes");
    }
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 2, "mark and count: {:?}", verdict.problems);
}
