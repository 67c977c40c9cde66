//! One delivery, with all that is known of it.

use serde_json::json;

use super::{Subject, Told, contract};
use crate::plugin::examiner::{self, Age, Given};

pub(super) fn one(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let settings = subject.request.settings.to_string();
    subject.teller.step("checking the settings", "检查设置");
    if let Some(answer) = examined.check(&settings, Age::Current)
        && answer.code != leadgate_plugin::abi::OK
    {
        let why = super::settings::reasons(&answer);
        subject.teller.fault(
            format!("the settings are refused: {why}"),
            format!("设置被拒绝：{why}"),
        );
        return Err(Told);
    }
    let instance = subject.make(&examined, Age::Current)?;
    subject.teller.step("delivering", "投递");
    let timeout = subject.timeout();
    let number = instance.deliver(Given {
        id: uuid::Uuid::now_v7().to_string(),
        event: subject.request.event.clone().into_bytes(),
        attempt: 1,
        step_record: String::new(),
        timeout,
    });
    if !examiner::wait(&[number], timeout) {
        subject.tell_faults();
        subject.teller.fault(
            format!("not completed within {timeout:?}; a gateway counts that as ambiguous"),
            format!("{timeout:?} 内没有完成；网关会记为 ambiguous"),
        );
        return Err(Told);
    }
    let became = examiner::became(number);
    for kept in became.kept {
        subject.teller.tell(&super::Line::Kept(kept));
    }
    if let Some(ended) = became.ended.into_iter().next() {
        let after = u64::try_from(ended.retry_after_ms).ok();
        subject.teller.tell(&super::Line::Outcome(json!({
            "outcome": contract::name(ended.kind),
            "retry_after_ms": after,
            "receipt": ended.receipt,
            "reason": ended.reason,
            "rule": ended.rule,
            "request": ended.request,
            "response": ended.response,
        })));
    }
    subject.teller.step("destroying the sink", "销毁目的地");
    instance.destroy(&[number]);
    Ok(())
}
