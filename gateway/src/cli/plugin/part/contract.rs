//! The contract of deliveries: each ends once, readably, from many threads, for any event, and
//! for an older host.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leadgate_plugin::abi;

use super::person::{self, Told as Event};
use super::{Subject, Told};
use crate::plugin::examiner::{self, Age, Became, Ended, Given, Instance};

/// Attempts that are made at the same moment.
const MANY: usize = 64;
/// A `deliver` that takes longer blocks.
const BLOCKS: Duration = Duration::from_millis(500);
/// How long a plugin is listened to after its last attempt.
const AFTERWARDS: Duration = Duration::from_millis(700);
/// How much longer than its time an attempt may take before it counts as lost.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Rules by which the `exec` plugin says what its program did wrong.
const MISBEHAVIOUR: [&str; 11] = [
    "program-ended",
    "garbage",
    "endless-line",
    "wrong-id",
    "too-much-output",
    "closed-stdout",
    "silence",
    "not-read",
    "not-started",
    "timeout",
    "unknown-outcome",
];

/// The name of an outcome's kind.
pub(super) fn name(kind: u32) -> &'static str {
    match kind {
        abi::OUTCOME_DELIVERED => "delivered",
        abi::OUTCOME_DUPLICATE => "duplicate",
        abi::OUTCOME_RETRY => "retry",
        abi::OUTCOME_THROTTLED => "throttled",
        abi::OUTCOME_REAUTH => "reauth",
        abi::OUTCOME_REJECTED => "rejected",
        abi::OUTCOME_AMBIGUOUS => "ambiguous",
        _ => "unknown",
    }
}

pub(super) fn given(subject: &Subject<'_>, event: Vec<u8>) -> Given {
    Given {
        id: uuid::Uuid::now_v7().to_string(),
        event,
        attempt: 1,
        step_record: String::new(),
        timeout: subject.timeout(),
    }
}

/// Starts attempts, each on a thread of its own, as a gateway may. Gives their numbers, and how
/// long the longest `deliver` took; threads that do not come back are left alone.
fn start(instances: &[Instance], all: Vec<Given>, patience: Duration) -> (Vec<usize>, Duration) {
    let (told, heard) = std::sync::mpsc::channel();
    let count = all.len();
    for (at, given) in all.into_iter().enumerate() {
        let instance = instances[at % instances.len()];
        let told = told.clone();
        std::thread::spawn(move || {
            let began = Instant::now();
            let number = instance.deliver(given);
            let _ = told.send((number, began.elapsed()));
        });
    }
    let deadline = Instant::now() + patience;
    let (mut numbers, mut longest) = (Vec::new(), Duration::ZERO);
    while numbers.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((number, took)) = heard.recv_timeout(left) else {
            break;
        };
        numbers.push(number);
        longest = longest.max(took);
    }
    (numbers, longest)
}

/// Delivers an event and gives how it ended, having told if it did not.
fn deliver(subject: &mut Subject<'_>, instance: Instance, event: &Event) -> Result<Became, Told> {
    subject.teller.step(
        &format!("delivering {}", event.en),
        &format!("投递：{}", event.zh),
    );
    let patience = subject.timeout() + GRACE;
    let given = given(subject, event.event.clone());
    let (numbers, _) = start(&[instance], vec![given], patience);
    let ended = numbers.len() == 1 && examiner::wait(&numbers, patience);
    if !ended {
        let seconds = patience.as_secs();
        subject.teller.fault(
            format!("{}: not completed within {seconds} s", event.en),
            format!("{}：{seconds} 秒内没有完成", event.zh),
        );
        return Err(Told);
    }
    let became = examiner::became(numbers[0]);
    for ended in &became.ended {
        judge(subject, event, ended);
    }
    subject.tell_faults();
    Ok(became)
}

/// The same for many alike, each fault once.
fn judge_all(subject: &mut Subject<'_>, numbers: &[usize]) {
    let event = Event {
        en: "one of many",
        zh: "多条中的一条",
        event: Vec::new(),
    };
    let mut rules = Vec::new();
    for number in numbers {
        for ended in examiner::became(*number).ended {
            if !rules.contains(&ended.rule) {
                judge(subject, &event, &ended);
                rules.push(ended.rule);
            }
        }
    }
}

/// What an outcome must not be, whatever the destination is.
fn judge(subject: &mut Subject<'_>, event: &Event, ended: &Ended) {
    let told = format!(
        "{} {} {} {}",
        ended.reason, ended.rule, ended.request, ended.response
    );
    for found in person::found(&subject.request.hidden, told.as_bytes()) {
        subject
            .teller
            .fact(person::LEAK, format!("outcome: {found}"));
    }
    if ended.rule == "panic" {
        subject.teller.fault(
            format!("{}: it panicked", event.en),
            format!("{}：发生 panic", event.zh),
        );
    }
    if subject.request.file.is_none() && MISBEHAVIOUR.contains(&ended.rule.as_str()) {
        subject.teller.fault(
            format!("{}: {}: {}", event.en, ended.rule, ended.reason),
            format!("{}：{}：{}", event.zh, ended.rule, ended.reason),
        );
    }
    let has_failed = !matches!(ended.kind, abi::OUTCOME_DELIVERED | abi::OUTCOME_DUPLICATE);
    if has_failed && ended.reason.trim().is_empty() {
        subject.teller.note(
            format!("{}: {} without a reason", event.en, name(ended.kind)),
            format!("{}：结果为 {} 而没有原因", event.zh, name(ended.kind)),
        );
    }
}

pub(super) fn outcomes(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let instance = subject.make(&examined, Age::Current)?;
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for event in person::events() {
        let became = deliver(subject, instance, &event)?;
        for ended in &became.ended {
            *kinds.entry(name(ended.kind)).or_default() += 1;
        }
        if let (_, true) = examined.can() {
            subject.teller.step(
                &format!("rendering {}", event.en),
                &format!("预览：{}", event.zh),
            );
            let shown = instance.render(given(subject, event.event.clone()));
            let (code, texts) = shown.unwrap_or_default();
            if !matches!(code, abi::OK | abi::FAILED) {
                subject.teller.fault(
                    format!("{}: render gave {code}", event.en),
                    format!("{}：render 返回 {code}", event.zh),
                );
            } else if texts.len() != 1 {
                let count = texts.len();
                subject.teller.fault(
                    format!("{}: render gave {count} texts instead of one", event.en),
                    format!("{}：render 给出 {count} 段文字，应为一段", event.zh),
                );
            }
        }
    }
    // A later attempt of what an earlier one has kept something of.
    subject
        .teller
        .step("delivering a second attempt", "投递第二次尝试");
    let mut again = given(subject, person::event());
    again.attempt = 2;
    "what an older version of this plugin kept".clone_into(&mut again.step_record);
    let patience = subject.timeout() + GRACE;
    let (numbers, _) = start(&[instance], vec![again], patience);
    if !examiner::wait(&numbers, patience) || numbers.is_empty() {
        subject.teller.fault(
            "a second attempt with a step record was not completed",
            "带有断点记录的第二次尝试没有完成",
        );
        return Err(Told);
    }
    instance.destroy(&numbers);
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{kind} ×{count}"))
        .collect();
    let kinds = kinds.join(", ");
    subject.teller.note(
        format!("outcomes: {kinds}; what they say of the destination is not judged"),
        format!("结果：{kinds}；不评判其内容"),
    );
    Ok(())
}

pub(super) fn panics(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let instance = subject.make(&examined, Age::Current)?;
    for event in person::unreadable() {
        deliver(subject, instance, &event)?;
    }
    instance.destroy(&[]);
    Ok(())
}

pub(super) fn concurrency(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let one = subject.make(&examined, Age::Current)?;
    let other = subject.make(&examined, Age::Current)?;
    subject.teller.step(
        "delivering many at once to two sinks",
        "向两个目的地同时投递多条",
    );
    let all = (0..MANY).map(|_| given(subject, person::event())).collect();
    let patience = subject.timeout() + GRACE;
    let (numbers, longest) = start(&[one, other], all, patience);
    if numbers.len() < MANY || !examiner::wait(&numbers, patience) {
        let ended = numbers
            .iter()
            .filter(|number| !examiner::became(**number).ended.is_empty())
            .count();
        subject.teller.fault(
            format!("of {MANY} attempts at once {ended} were completed"),
            format!("同时进行的 {MANY} 次尝试只完成了 {ended} 次"),
        );
        return Err(Told);
    }
    judge_all(subject, &numbers);
    one.destroy(&numbers);
    other.destroy(&numbers);
    let millis = longest.as_millis();
    let is_said = examined.flags() & abi::FLAG_BLOCKING != 0;
    if longest > BLOCKS && !is_said {
        subject.teller.note(
            format!("`deliver` took {millis} ms: a sink that blocks says so (BLOCKING, LG_FLAG_BLOCKING)"),
            format!("`deliver` 用了 {millis} 毫秒：会阻塞的目的地应当声明（BLOCKING、LG_FLAG_BLOCKING）"),
        );
    }
    subject.teller.note(
        format!("{MANY} at once, on two sinks"),
        format!("两个目的地同时 {MANY} 次"),
    );
    Ok(())
}

pub(super) fn once(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    for round in 0..2 {
        let instance = subject.make(&examined, Age::Current)?;
        subject.teller.step("delivering", "投递");
        let all = (0..8).map(|_| given(subject, person::event())).collect();
        let patience = subject.timeout() + GRACE;
        let (numbers, _) = start(&[instance], all, patience);
        if numbers.len() < 8 || !examiner::wait(&numbers, patience) {
            subject
                .teller
                .fault("an attempt was not completed", "有尝试没有完成");
            return Err(Told);
        }
        judge_all(subject, &numbers);
        subject.teller.step("destroying the sink", "销毁目的地");
        instance.destroy(&numbers);
        if round == 0 {
            subject.teller.step(
                "listening after the sink was destroyed",
                "销毁目的地之后继续观察",
            );
            std::thread::sleep(AFTERWARDS);
        }
        subject.tell_faults();
    }
    Ok(())
}

pub(super) fn older_host(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let settings = subject.request.settings.to_string();
    subject.teller.step(
        "checking settings as a host of ABI 1.0",
        "以 ABI 1.0 的宿主检查设置",
    );
    let _ = examined.check(&settings, Age::First);
    let instance = subject.make(&examined, Age::First)?;
    let event = Event {
        en: "a lead, as a host of ABI 1.0",
        zh: "ABI 1.0 宿主的一条客资",
        event: person::event(),
    };
    deliver(subject, instance, &event)?;
    instance.destroy(&[]);
    Ok(())
}
