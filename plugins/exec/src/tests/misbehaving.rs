//! Programs that do what they should not: each costs its attempts, says so, and the next lead is
//! delivered.

use super::*;

/// One attempt at a program that misbehaves until the file `well` is there, then another.
async fn then_well(script: &str, timeout_ms: u64) -> Outcome {
    let script =
        format!("if [ -e well ]; then while take; do answer delivered; done; exit; fi\n{script}");
    let (place, sink) = sink_of(&script);
    let outcome = sink.deliver(&timed("bad", timeout_ms)).await;
    place.write("well", "");
    let next = sink.deliver(&delivery("next")).await;
    assert_eq!(
        next.kind,
        OutcomeKind::Delivered,
        "{script}: {outcome:?}, then {next:?}"
    );
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_program_does_costs_the_attempt_names_itself_and_the_next_is_delivered() {
    use OutcomeKind::{Ambiguous, Retry};
    let long = 20_000;
    for (script, timeout_ms, kind, rule, reason) in [
        (
            "take; echo hello 张三; sleep 60",
            long,
            Ambiguous,
            "garbage",
            "not a JSON object",
        ),
        (
            "take; printf '\\325\\305\\n'; sleep 60",
            long,
            Ambiguous,
            "garbage",
            "not UTF-8",
        ),
        (
            "take; say '{\"id\":\"bad\"}'; sleep 60",
            long,
            Ambiguous,
            "garbage",
            "neither",
        ),
        (
            "take; head -c 3000000 /dev/zero; sleep 60",
            long,
            Ambiguous,
            "endless-line",
            "without a line break",
        ),
        (
            "take; id=other; answer delivered; sleep 60",
            long,
            Ambiguous,
            "wrong-id",
            "did not get",
        ),
        (
            "take; id=; answer delivered; sleep 60",
            long,
            Ambiguous,
            "wrong-id",
            "without the `id`",
        ),
        (
            "take; echo 'no module for 张三, 13567658911' >&2; exit 3",
            long,
            Ambiguous,
            "program-ended",
            "it exited with code 3: no module for ***, ***",
        ),
        (
            "exit 3",
            long,
            Retry,
            "program-ended",
            "exited with code 3, before it read this lead",
        ),
        (
            "take; kill -9 $$",
            long,
            Ambiguous,
            "program-ended",
            "SIGKILL",
        ),
        (
            "take; exit 0",
            long,
            Ambiguous,
            "program-ended",
            "exited with code 0",
        ),
        (
            "take; sleep 60",
            1000,
            Ambiguous,
            "silence",
            "wrote nothing for a whole attempt",
        ),
        (
            "sleep 60",
            1000,
            Retry,
            "silence",
            "before it read this lead",
        ),
        (
            "exec <&-; sleep 60",
            1000,
            Retry,
            "silence",
            "before it read this lead",
        ),
        (
            "take; exec >&-; sleep 60",
            long,
            Ambiguous,
            "closed-stdout",
            "closed its stdout",
        ),
        (
            "take; yes '{\"log\":{\"level\":\"debug\",\"message\":\"x\"}}'",
            long,
            Ambiguous,
            "too-much-output",
            "16 MiB without an answer",
        ),
        ("take; yes ''", long, Ambiguous, "too-much-output", "16 MiB"),
        // What it started holds its pipes.
        (
            "take; sleep 60 & exit 5",
            long,
            Ambiguous,
            "program-ended",
            "exited with code 5",
        ),
    ] {
        let began = std::time::Instant::now();
        let outcome = then_well(script, timeout_ms).await;
        is(&outcome, kind, rule);
        assert!(outcome.reason.contains(reason), "{script}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("张三"), "{outcome:?}");
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{script}: nothing waits for `sleep 60`"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_on_stderr_harms_nobody() {
    let (_place, sink) = sink_of("take; head -c 1000000000 /dev/zero >&2; answer delivered; take");
    is(
        &sink.deliver(&delivery("a")).await,
        OutcomeKind::Delivered,
        "program",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_one_attempt_costs_only_that_one() {
    // The same process goes on, as the receipts say.
    let (_place, sink) = sink_of(
        "take; answer splendid; take; receipt $$; receipt twice; take; receipt $$; while take; do :; done",
    );
    let unknown = sink.deliver(&delivery("a")).await;
    is(&unknown, OutcomeKind::Ambiguous, "unknown-outcome");
    assert!(unknown.reason.contains("`splendid`"), "{unknown:?}");
    let first = sink.deliver(&delivery("b")).await;
    let second = sink.deliver(&delivery("c")).await;
    is(&first, OutcomeKind::Delivered, "program");
    assert_eq!(first.receipt, second.receipt, "one process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_program_that_speaks_is_left_alone_and_its_late_answer_is_dropped() {
    let (_place, sink) = sink_of(
        "take; say '{\"log\":\"at work\"}'; late=$id; take; receipt $$; id=$late; receipt late; \
         take; receipt $$; take",
    );
    let late = sink.deliver(&timed("late", 5000)).await;
    is(&late, OutcomeKind::Ambiguous, "timeout");
    let first = sink.deliver(&delivery("b")).await;
    let second = sink.deliver(&delivery("c")).await;
    assert_eq!(
        first.receipt, second.receipt,
        "it was not started again: {second:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_full_does_not_read_and_says_so() {
    // It takes one lead and speaks, but reads no other; a line that is larger than the pipe
    // waits in front of it.
    let (_place, sink) = sink_of("take; while sleep 0.1; do say '{\"log\":\"busy\"}'; done");
    let large = format!(r#"{{"lead":{{"name":"{}"}}}}"#, "x".repeat(200_000));
    let slow = Delivery::new("slow", 1, Duration::from_secs(30), EVENT);
    let first = Delivery::new("first", 1, Duration::from_secs(2), large.clone());
    let second = Delivery::new("second", 1, Duration::from_secs(2), large);
    let (slow, first, second) = tokio::join!(
        sink.deliver(&slow),
        sink.deliver(&first),
        sink.deliver(&second)
    );
    // Of the first it may have read a part; the second was never begun.
    assert!(slow.kind == OutcomeKind::Ambiguous && first.kind != OutcomeKind::Delivered);
    assert_eq!(second.kind, OutcomeKind::Retry, "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_never_starts_well_is_left_alone_for_longer_and_longer() {
    let (_place, sink) = sink_of("exit 7");
    let ends = std::time::Instant::now() + Duration::from_secs(60);
    let mut number = 0;
    let last = loop {
        assert!(
            std::time::Instant::now() < ends,
            "it is started for each lead"
        );
        let outcome = sink.deliver(&timed(&number.to_string(), 5000)).await;
        assert_eq!(outcome.kind, OutcomeKind::Retry, "{outcome:?}");
        if outcome.retry_after.is_some() {
            break outcome.reason;
        }
        number += 1;
    };
    assert!(
        last.contains("started again in") && last.contains("exited with code 7"),
        "{last}"
    );
    let health = sink.health();
    assert!(
        health.as_str() == "failed" && health.why().contains("exited with code 7"),
        "{health:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_started_is_tried_again() {
    let place = Place::new("");
    let sink = place.sink(Value::Null);
    std::fs::remove_file(place.path().join("program")).expect("removes");
    let outcome = sink.deliver(&delivery("a")).await;
    is(&outcome, OutcomeKind::Retry, "not-started");
    assert!(outcome.reason.contains("No such file"), "{outcome:?}");
    place.write(
        "program",
        &format!("{HEAD}while take; do answer delivered; done"),
    );
    is(
        &sink.deliver(&delivery("a")).await,
        OutcomeKind::Delivered,
        "program",
    );
}
