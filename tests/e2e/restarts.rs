//! Restarts: what a shop sees of them, with the socket kept by a service manager and without.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use leadgate_tests::{Bare, Crm, Ends, Pushing, Setup, get, until};

const RESTARTS: usize = 30;

/// Restarts under load, until the CRM has each that was acknowledged; `start` starts one that is
/// not ready yet.
fn restart(bare: &Bare, crm: &Crm, name: &str, start: impl Fn() -> Child) -> Ends {
    let mut child = start();
    bare.wait_ready(&mut child);
    let pushing = Pushing::start(&bare.shop(), 1);
    for _ in 0..RESTARTS {
        pushing.more(30);
        assert_eq!(bare.terminate(child), Some(0));
        child = start();
        bare.wait_ready(&mut child);
    }
    pushing.more(30);
    let mut ends = pushing.stop();
    ends.took.sort();
    let p99 = ends.took[ends.took.len() * 99 / 100];
    println!(
        "{name}: {RESTARTS} restarts, {} pushes acknowledged, {} refused, p99 {p99:?}, longest {:?}",
        ends.acknowledged.len(),
        ends.refused.len(),
        ends.took.last()
    );
    let token = [("authorization", "Bearer e2e-admin-token")];
    let stats = get(bare.admin(), "/api/v1/stats", &token).expect("answered");
    let stored = stats.json()["leads"]["stored"].as_u64().expect("a count");
    assert!(stored >= ends.acknowledged.len() as u64, "none is lost");
    until("the CRM has all", || {
        let deliveries = crm.deliveries();
        let mut acknowledged = ends.acknowledged.iter();
        acknowledged.all(|record| deliveries.contains_key(record))
    });
    assert_eq!(bare.terminate(child), Some(0));
    ends
}

/// Each that was acknowledged came to the CRM, and once.
fn once_each(crm: &Crm, ends: &Ends) {
    let deliveries = crm.deliveries();
    for record in &ends.acknowledged {
        let count = deliveries
            .get(record)
            .map_or(0, std::collections::BTreeSet::len);
        assert_eq!(count, 1, "record {record}");
    }
}

#[test]
fn restarts_refuse_no_push_when_the_socket_is_kept() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup::with_crm(&crm.url()));
    let kept = TcpListener::bind(bare.public()).expect("the port is free");
    let ends = restart(&bare, &crm, "with a socket unit", || {
        let socket = kept.try_clone().expect("another handle");
        bare.run_on(OwnedFd::from(socket), "public", Stdio::null())
    });
    assert_eq!(ends.refused, Vec::<String>::new());
    once_each(&crm, &ends);
}

#[test]
fn restarts_without_a_kept_socket_refuse_only_who_cannot_connect() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup::with_crm(&crm.url()));
    let ends = restart(&bare, &crm, "without one", || bare.run(Stdio::null()));
    let told: Vec<_> = ends
        .refused
        .iter()
        .filter(|why| why.contains('{'))
        .collect();
    assert!(told.is_empty(), "no answer says failure: {told:?}");
    once_each(&crm, &ends);
}

#[test]
fn an_address_of_the_socket_that_is_not_the_configured_one_is_used_and_said() {
    let bare = Bare::new(&Setup::default());
    let kept = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = kept.local_addr().expect("an address");
    let file = std::fs::File::create(bare.folder().join("log")).expect("a log");
    let mut child = bare.run_on(OwnedFd::from(kept), "leadgate.socket", Stdio::from(file));
    bare.wait_ready(&mut child);
    assert_eq!(get(address, "/healthz", &[]).expect("answers").status, 200);
    let log = std::fs::read_to_string(bare.folder().join("log")).expect("the log");
    assert!(
        log.contains("socket was passed by the service manager"),
        "{log}"
    );
    assert_eq!(bare.terminate(child), Some(0));
}
