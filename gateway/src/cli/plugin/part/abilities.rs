//! Abilities: the extensions that a plugin offers do what their contracts say.
//!
//! What a plugin does not offer is no fault; that is noted.

use std::time::{Duration, Instant};

use leadgate_plugin::abi;

use super::contract::{GRACE, given};
use super::{Subject, Told, person};
use crate::plugin::examiner::{self, Age};

/// Attempts that are given up.
const GIVEN_UP: usize = 32;
/// An attempt that was given up ends within this.
const SOON: Duration = Duration::from_secs(5);
/// What must not block takes no longer, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Deliveries in one call that are tried, at most.
const BATCH: usize = 100;

fn not_offered(subject: &mut Subject<'_>, id: &str, en: &str, zh: &str) {
    subject.teller.note(
        format!("it does not offer {id}: {en}"),
        format!("没有提供 {id}：{zh}"),
    );
}

pub(super) fn cancel(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let Some(cancel) = examined.cancel() else {
        not_offered(
            subject,
            abi::CANCEL_ID,
            "an attempt that nobody waits for runs on to its end",
            "无人等待的尝试会继续到结束",
        );
        return Ok(());
    };
    let instance = subject.make(&examined, Age::Current)?;
    subject
        .teller
        .step("giving attempts up", "放弃进行中的尝试");
    let timeout = Duration::from_secs(30);
    let lend = || {
        let mut given = given(subject, person::event());
        given.timeout = timeout;
        instance.lend(given)
    };
    let numbers: Vec<usize> = (0..GIVEN_UP).map(|_| lend()).collect();
    for number in numbers.clone() {
        std::thread::spawn(move || instance.start(number));
    }
    let mut longest = Duration::ZERO;
    for number in &numbers {
        let began = Instant::now();
        instance.cancel(&cancel, *number);
        longest = longest.max(began.elapsed());
    }
    if longest > AT_ONCE {
        let millis = longest.as_millis();
        subject.teller.fault(
            format!("`cancel` took {millis} ms; it must not block"),
            format!("`cancel` 用了 {millis} 毫秒；它不能阻塞"),
        );
    }
    // One that was given up before it was started is started all the same, and may run to its
    // end; so each is waited for as long as it may take.
    let given_up = examiner::wait(&numbers, SOON);
    if !given_up && !examiner::wait(&numbers, timeout + GRACE) {
        subject.teller.fault(
            "an attempt that was given up was never completed",
            "被放弃的尝试始终没有完成",
        );
        return Err(Told);
    }
    if !given_up {
        let seconds = SOON.as_secs();
        subject.teller.note(
            format!("not all that were given up ended within {seconds} s"),
            format!("被放弃的尝试并非都在 {seconds} 秒内结束"),
        );
    }
    subject.teller.step(
        "giving up what is over, and what never was",
        "放弃已结束的和从未有过的尝试",
    );
    instance.cancel(&cancel, numbers[0]);
    instance.cancel(&cancel, usize::MAX);
    subject.tell_faults();
    instance.destroy(&numbers);
    Ok(())
}

pub(super) fn health(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let Some(health) = examined.health() else {
        not_offered(
            subject,
            abi::HEALTH_ID,
            "how a sink is, is known by its attempts only",
            "目的地的状况只能由投递得知",
        );
        return Ok(());
    };
    let instance = subject.make(&examined, Age::Current)?;
    subject
        .teller
        .step("asking how the sink is", "询问目的地的状况");
    let began = Instant::now();
    let said = instance.health(&health);
    let millis = began.elapsed().as_millis();
    if began.elapsed() > AT_ONCE {
        subject.teller.fault(
            format!("`health` took {millis} ms; it must not block"),
            format!("`health` 用了 {millis} 毫秒；它不能阻塞"),
        );
    }
    match said.as_slice() {
        [(health, why)] => {
            let known = (abi::HEALTH_OK..=abi::HEALTH_FAILED).contains(health);
            if !known {
                subject.teller.fault(
                    format!("there is no health {health}"),
                    format!("没有编号为 {health} 的状况"),
                );
            } else if *health != abi::HEALTH_OK && why.trim().is_empty() {
                subject.teller.fault(
                    "the sink is not well, without a reason",
                    "目的地状况不佳，却没有原因",
                );
            }
        }
        said => {
            let count = said.len();
            subject.teller.fault(
                format!("`health` said how the sink is {count} times instead of once"),
                format!("`health` 给出 {count} 次答复，应为一次"),
            );
        }
    }
    instance.destroy(&[]);
    Ok(())
}

pub(super) fn batch(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let Some(batch) = examined.batch() else {
        not_offered(
            subject,
            abi::BATCH_ID,
            "it gets one delivery in a call",
            "每次调用只收到一条投递",
        );
        return Ok(());
    };
    let most = batch.max as usize;
    if !(2..=abi::BATCH_MAX).contains(&most) {
        subject.teller.fault(
            format!("a batch of at most {most} is none"),
            format!("每批最多 {most} 条，不成其为批"),
        );
        return Err(Told);
    }
    let instance = subject.make(&examined, Age::Current)?;
    for count in [2, most.min(BATCH)] {
        let shown = count.to_string();
        subject.teller.step(
            &format!("delivering {shown} in one call"),
            &format!("一次调用投递 {shown} 条"),
        );
        let lend = || instance.lend(given(subject, person::event()));
        let numbers: Vec<usize> = (0..count).map(|_| lend()).collect();
        let started = numbers.clone();
        std::thread::spawn(move || instance.start_batch(&batch, &started));
        if !examiner::wait(&numbers, subject.timeout() + GRACE) {
            let is_done = |number: &&usize| !examiner::became(**number).ended.is_empty();
            let done = numbers.iter().filter(is_done).count();
            subject.teller.fault(
                format!("of a batch of {count} {done} were completed"),
                format!("一批 {count} 条只完成了 {done} 条"),
            );
            return Err(Told);
        }
        subject.tell_faults();
    }
    instance.destroy(&[]);
    subject.teller.note(
        format!("at most {most} in one call"),
        format!("每次调用最多 {most} 条"),
    );
    Ok(())
}
