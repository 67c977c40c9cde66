//! The life of programs: several leads at once, step records, cancelling, environments, ends.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn several_leads_are_in_flight_and_answered_in_any_order() {
    let (_place, sink) = sink_of(
        "take; a=$id; take; b=$id; take; receipt third; id=$b; receipt second; id=$a; receipt first; take",
    );
    let deliveries = ["a", "b", "c"].map(delivery);
    let (a, b, c) = tokio::join!(
        sink.deliver(&deliveries[0]),
        sink.deliver(&deliveries[1]),
        sink.deliver(&deliveries[2])
    );
    let mut receipts = [a, b, c].map(|outcome| outcome.receipt);
    receipts.sort();
    assert_eq!(receipts, ["first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_kept_for_the_next_attempt() {
    let (_place, sink) = sink_of(
        "take; say \"{\\\"id\\\":\\\"$id\\\",\\\"keep\\\":\\\"step 1\\\"}\"; answer retry\n\
         take; case $line in *'\"attempt\":2,'*'\"journal\":\"step 1\"'*) receipt went-on;; esac; take",
    );
    let first = delivery("a");
    assert_eq!(sink.deliver(&first).await.kind, OutcomeKind::Retry);
    assert_eq!(first.step_record(), "step 1");
    let second = Delivery::new("a", 2, Duration::from_secs(30), EVENT);
    second.keep(&first.step_record()).expect("short");
    assert_eq!(sink.deliver(&second).await.receipt, "went-on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_wants_it_is_told_what_nobody_waits_for() {
    let place = Place::new(
        "take; say '{\"log\":\"got it\"}'; take; say \"$line\" >cancelled; take; answer delivered; take",
    );
    let sink = place.sink(json!({"cancel": true}));
    let given_up = delivery("given-up");
    let attempt = tokio::time::timeout(Duration::from_secs(1), sink.deliver(&given_up)).await;
    assert!(attempt.is_err(), "it never answers");
    until("it was told", || place.path().join("cancelled").exists()).await;
    is(
        &sink.deliver(&delivery("b")).await,
        OutcomeKind::Delivered,
        "program",
    );
    let told = std::fs::read_to_string(place.path().join("cancelled")).expect("reads");
    assert_eq!(told, "{\"cancel\":\"given-up\"}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_its_own_environment_and_no_other() {
    let place = Place::new("env >environment; pwd >folder\nwhile take; do answer delivered; done");
    let sink = place.sink(json!({"env": {"ERP_TOKEN": "t0k3n"}}));
    sink.deliver(&delivery("a")).await;
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).expect("reads");
    let environment = read("environment");
    let mut names: Vec<_> = environment
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        // A shell adds these by itself.
        .filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "ERP_TOKEN",
            "LANG",
            "LEADGATE_PROTOCOL",
            "LEADGATE_SINK",
            "PATH",
            "PYTHONUNBUFFERED"
        ]
    );
    assert!(
        environment.contains("LEADGATE_SINK=erp\n") && environment.contains("ERP_TOKEN=t0k3n\n")
    );
    let folder = place.path().canonicalize().expect("is there");
    assert_eq!(read("folder").trim(), folder.to_str().expect("text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_ends_with_its_sink_and_takes_what_it_started_along() {
    let place = Place::new(
        "sleep 60 & echo $$ $! >pids\nwhile take; do answer delivered; done; echo bye >ended",
    );
    let sink = place.sink(Value::Null);
    sink.deliver(&delivery("a")).await;
    let pids = std::fs::read_to_string(place.path().join("pids")).expect("reads");
    assert!(pids.split_whitespace().all(is_running), "{pids}");
    drop(sink);
    until("all are gone", || !pids.split_whitespace().any(is_running)).await;
    assert!(
        place.path().join("ended").exists(),
        "it saw the end of its stdin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_end_by_itself_is_ended() {
    let place = Place::new("echo $$ >pid; take; answer delivered; sleep 60");
    let sink = place.sink(json!({"stop_timeout": "50ms"}));
    sink.deliver(&delivery("a")).await;
    let pid = std::fs::read_to_string(place.path().join("pid")).expect("reads");
    drop(sink);
    until("it is gone", || !is_running(pid.trim())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mode_each_every_lead_has_a_process_of_its_own() {
    let place = Place::new("take; receipt $$; take && echo more >more; echo end >>ends");
    let sink = place.sink(json!({"mode": "each"}));
    let deliveries = ["a", "b", "c"].map(delivery);
    let (a, b) = tokio::join!(sink.deliver(&deliveries[0]), sink.deliver(&deliveries[1]));
    let c = sink.deliver(&deliveries[2]).await;
    let mut pids = [a, b, c].map(|outcome| {
        is(&outcome, OutcomeKind::Delivered, "program");
        outcome.receipt
    });
    pids.sort();
    assert!(pids[0] != pids[1] && pids[1] != pids[2], "{pids:?}");
    assert!(!place.path().join("more").exists(), "one line each");
    // An attempt is over when its process is.
    let ends = std::fs::read_to_string(place.path().join("ends")).expect("reads");
    assert_eq!(ends.lines().count(), 3);
    assert!(!pids.iter().any(|pid| is_running(pid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mode_each_a_process_ends_with_its_attempt() {
    for (script, timeout_ms, kind, rule) in [
        ("take; sleep 60", 5000, OutcomeKind::Ambiguous, "timeout"),
        (
            "take; answer delivered; sleep 60",
            20_000,
            OutcomeKind::Delivered,
            "program",
        ),
        (
            "take; exit 0",
            20_000,
            OutcomeKind::Ambiguous,
            "program-ended",
        ),
        ("exit 0", 20_000, OutcomeKind::Retry, "program-ended"),
        ("take; echo done", 20_000, OutcomeKind::Ambiguous, "garbage"),
    ] {
        let place = Place::new(&format!("echo $$ >pid; {script}"));
        let sink = place.sink(json!({"mode": "each", "stop_timeout": "100ms"}));
        is(&sink.deliver(&timed("a", timeout_ms)).await, kind, rule);
        let pid = std::fs::read_to_string(place.path().join("pid")).expect("reads");
        until("it is gone", || !is_running(pid.trim())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_starts_nothing_and_shows_the_line() {
    let (place, sink) = sink_of("echo started >started");
    let shown = sink.render(&delivery("a")).expect("can").expect("shows");
    assert!(
        shown.starts_with("write to the stdin of `./program`:\n{\"id\":\"a\","),
        "{shown}"
    );
    assert!(!place.path().join("started").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_check_starts_the_program_without_a_lead() {
    for (script, more, step, ok, note) in [
        (
            "while take; do :; done",
            json!({}),
            "start",
            true,
            "it waits for leads",
        ),
        (
            "echo 'no such module' >&2; exit 1",
            json!({}),
            "start",
            false,
            "it exited with code 1: no such module, without waiting for leads",
        ),
        (
            "echo \"fine, $1\"",
            json!({"check": ["--check"]}),
            "check",
            true,
            "fine, --check",
        ),
        (
            "echo 'token refused'; exit 2",
            json!({"check": []}),
            "check",
            false,
            "it exited with code 2: token refused",
        ),
        (
            "sleep 60",
            json!({"check": []}),
            "check",
            false,
            "no answer in time",
        ),
    ] {
        let place = Place::new(&format!("echo $$ >pid; {script}"));
        let sink = place.sink(more);
        let probe = Probe::detached(Duration::from_secs(5));
        assert_eq!(sink.connect(&probe).await.is_ok(), ok, "{script}");
        let steps = probe.steps();
        let last = steps.last().expect("a step");
        assert_eq!(
            (last.name.as_str(), last.ok, last.note.as_str()),
            (step, ok, note)
        );
        let pid = std::fs::read_to_string(place.path().join("pid")).expect("reads");
        until("it is gone", || !is_running(pid.trim())).await;
    }
    let each = Place::new("echo started >started");
    let probe = Probe::detached(Duration::from_secs(5));
    let sink = each.sink(json!({"mode": "each"}));
    assert!(sink.connect(&probe).await.is_ok());
    assert!(
        !each.path().join("started").exists(),
        "it might take a look for a lead"
    );
}
