//! Durability: nothing acknowledged is lost, whatever kills the process.

use std::collections::BTreeSet;

use leadgate_tests::{Crm, Daemon, Load, SUCCESS, Setup, Shop, until};

#[test]
fn a_graceful_stop_under_load_forgets_nothing() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let load = Load::start(&daemon.shop());
    for _ in 0..3 {
        let before = load.count();
        until("the daemon acknowledges", || load.count() >= before + 50);
        assert_eq!(daemon.terminate(), Some(0));
        daemon.restart();
    }
    let acknowledged = load.stop();
    until("nothing waits any more", || {
        daemon.stat("/sinks/crm/pending") + daemon.stat("/sinks/crm/retrying") == 0
    });
    let delivered = crm.deliveries();
    assert!(
        acknowledged
            .keys()
            .all(|record| delivered.contains_key(record))
    );
    assert_eq!(
        crm.taken(),
        delivered.len(),
        "a graceful stop repeats nothing"
    );
}

fn strace(arguments: &[&str]) -> Vec<String> {
    let mut command = vec![
        "strace".to_owned(),
        "-D".to_owned(),
        "-f".to_owned(),
        "-s".to_owned(),
        "80".to_owned(),
    ];
    command.extend(["-o".to_owned(), "@FOLDER@/trace".to_owned()]);
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    command
}

#[test]
#[ignore = "needs strace; run tests/run"]
fn no_answer_is_written_before_the_barrier() {
    let calls = "trace=read,recvfrom,write,writev,sendto,pwrite64,pwritev,fdatasync";
    let mut daemon = Daemon::start(Setup {
        under: strace(&["-e", calls]),
        ..Setup::default()
    });
    daemon.shop().give(1..=5);
    daemon.terminate();
    let trace = std::fs::read_to_string(daemon.folder().join("trace")).expect("strace wrote");
    let lines: Vec<&str> = trace.lines().collect();
    let mut answers = 0;
    let mut from = 0;
    while let Some(push) = lines[from..]
        .iter()
        .position(|line| line.contains("POST /tmall/leads"))
    {
        let push = from + push;
        let answer = lines[push..]
            .iter()
            .position(|line| line.contains("HTTP/1.1 200 OK"));
        let answer = push + answer.expect("each push is answered");
        let between = &lines[push..answer];
        let written = between.iter().position(|line| line.contains("pwrite"));
        let synced = between
            .iter()
            .rposition(|line| line.contains("fdatasync") && line.ends_with("= 0"));
        assert!(
            matches!((written, synced), (Some(written), Some(synced)) if written < synced),
            "the answer came without a write and a completed fdatasync before it:\n{}",
            between.join("\n")
        );
        answers += 1;
        from = answer + 1;
    }
    assert_eq!(answers, 5);
}

#[test]
#[ignore = "needs strace; run tests/run"]
fn after_a_failed_sync_nothing_is_acknowledged_and_readiness_is_gone() {
    let inject = [
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=3+",
    ];
    let mut daemon = Daemon::start(Setup {
        under: strace(&inject),
        ..Setup::default()
    });
    let mut acknowledged = Vec::new();
    let mut failed = 0;
    for record in 1..=20 {
        let answer = daemon.shop().push(Shop::lead(record)).expect("answered");
        if answer.body == SUCCESS {
            assert_eq!(failed, 0, "success after a failed sync");
            acknowledged.push(record);
        } else {
            failed += 1;
            assert_eq!(
                (answer.status, &answer.json()["result"]["success"]),
                (500, &false.into())
            );
        }
    }
    assert!(
        failed >= 15,
        "the sync failed and so did the pushes: {failed}"
    );
    let ready = leadgate_tests::get(daemon.admin_address(), "/readyz", &[]).expect("answered");
    assert_eq!(ready.status, 503);
    assert!(
        daemon.log().contains("outbox write failed"),
        "{}",
        daemon.log()
    );
    daemon.kill();
    daemon.restart_plain();
    let count = acknowledged.len() as u64;
    assert!(count > 0, "the first sync is good");
    daemon.shop().give(acknowledged);
    assert_eq!(
        daemon.stat("/leads/duplicate"),
        count,
        "what was acknowledged is there"
    );
}

#[test]
#[ignore = "needs strace; run tests/run"]
fn a_slow_disk_is_the_failure_answer_in_time_and_a_full_queue_at_once() {
    let slow = [
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:delay_enter=1500000:when=2+",
    ];
    let mut daemon = Daemon::start(Setup {
        server: "ack_deadline = \"400ms\"\n".to_owned(),
        outbox: "queue = 1\n".to_owned(),
        under: strace(&slow),
        ..Setup::default()
    });
    let pushes: Vec<_> = (1..=12)
        .map(|record| {
            let shop = daemon.shop();
            std::thread::spawn(move || {
                // Two rounds: whatever was quick before the disk became slow is not counted.
                let _ = shop.push(Shop::lead(100 + record)).expect("answered");
                shop.push(Shop::lead(200 + record)).expect("answered").body
            })
        })
        .collect();
    let answers: Vec<String> = pushes
        .into_iter()
        .map(|push| push.join().expect("no panic"))
        .collect();
    let count = |code: &str| answers.iter().filter(|body| body.contains(code)).count();
    assert!(count("\"overloaded\"") > 0, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|body| body.contains("\"success\":false") || body == SUCCESS),
        "{answers:?}"
    );
    let began = std::time::Instant::now();
    let answer = daemon.shop().push(Shop::lead(300)).expect("answered");
    assert!(
        began.elapsed() < std::time::Duration::from_millis(1400),
        "answered before the disk was done"
    );
    assert_eq!(
        (answer.status, &answer.json()["result"]["success"]),
        (500, &false.into())
    );
    daemon.kill();
    daemon.restart_plain();
    assert_eq!(
        daemon.shop().push(Shop::lead(300)).expect("answered").body,
        SUCCESS
    );
}

#[test]
fn a_stop_records_attempts_without_an_answer_as_ambiguous() {
    let crm = Crm::start();
    crm.behave(leadgate_tests::Behaviour::Hang);
    let mut daemon = Daemon::start(Setup {
        server: "shutdown_timeout = \"200ms\"\n".to_owned(),
        level: "debug",
        ..Setup::with_crm(&crm.url())
    });
    assert_eq!(
        daemon.shop().push(Shop::lead(1)).expect("answered").body,
        SUCCESS
    );
    until("the attempt is in flight", || crm.received().len() == 1);
    assert_eq!(daemon.terminate(), Some(0));
    assert!(
        daemon.log().contains("\"rule\":\"shutdown\""),
        "{}",
        daemon.log()
    );
    crm.behave(leadgate_tests::Behaviour::Take);
    daemon.restart();
    until("it is delivered after the restart", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    let ids: BTreeSet<String> = crm
        .received()
        .iter()
        .map(leadgate_tests::Received::delivery)
        .collect();
    assert_eq!(ids.len(), 1, "under the same id");
}

#[test]
fn systemd_is_told_when_the_daemon_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("binds");
    socket
        .set_read_timeout(Some(leadgate_tests::PATIENCE))
        .expect("sets the timeout");
    let told = || {
        let mut buffer = [0; 256];
        let count = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let environment = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let mut daemon = Daemon::start(Setup {
        environment,
        ..Setup::default()
    });
    assert!(told().contains("READY=1"));
    assert_eq!(daemon.terminate(), Some(0));
    assert!(told().contains("STOPPING=1"));
}
