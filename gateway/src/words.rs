//! Words: what the API's codes are called in the reader's language.
//!
//! Codes are English and stable: filters, metrics and `--json` say them, and so does what is
//! shown in English. In Chinese each has its word here. The matches are over the types that
//! the codes come from, so that a new state, outcome or reason cannot be without one.

use std::borrow::Cow;

use crate::admin::{Given, Why};
use crate::delivery::{BreakerState, HoldReason};
use crate::lang::Lang;
use crate::outbox::{AuditAction, BY_HAND, DeathReason, Role, Skip, StateName, Stop, Via};
use crate::plugin::{OutcomeKind, Own};
use crate::telemetry::pushes::{PushClass, PushVerdict};
use crate::telemetry::signed::Oddity;

/// A list of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// States of deliveries.
    State,
    /// How attempts end.
    Outcome,
    /// States of breakers.
    Breaker,
    /// Why a delivery is a dead letter.
    Death,
    /// What holds a sink or a delivery back.
    Hold,
    /// Why a push is in quarantine.
    Quarantine,
    /// What a sink was given of a lead.
    Given,
    /// Which rule ended an attempt; those of plugins stay as they are.
    Rule,
    /// What an attempt that leadgate itself ended says; what others say stays as it is.
    Reason,
    /// What a bulk job does.
    Action,
    /// States of bulk jobs.
    Job,
    /// Why a bulk job left something as it is.
    Skip,
    /// Why a bulk job was stopped.
    Stop,
    /// Why a lead did not go to a sink.
    Never,
    /// Actions in the audit log; those of a newer leadgate stay as they are.
    Audit,
    /// What became of them.
    AuditResult,
    /// What became of a push.
    Push,
    /// Classes of what becomes of pushes.
    Pushes,
    /// Why that became of a push.
    PushReason,
}

impl Words {
    /// A code as the reader's language has it; what is no code of the list stays as it is.
    pub(crate) fn of(self, lang: Lang, code: &str) -> Cow<'_, str> {
        let chinese = match lang {
            Lang::En => None,
            Lang::ZhCn => self.chinese(code),
        };
        chinese.unwrap_or_else(|| Cow::Owned(code.to_owned()))
    }

    fn chinese(self, code: &str) -> Option<Cow<'static, str>> {
        let word = match self {
            Self::State => state(named(StateName::ALL, StateName::as_str, code)?),
            Self::Outcome => outcome(named(OutcomeKind::ALL, OutcomeKind::as_str, code)?),
            Self::Breaker => breaker(named(BreakerState::ALL, BreakerState::as_str, code)?),
            Self::Death => death(named(DeathReason::ALL, DeathReason::as_str, code)?),
            Self::Hold => hold(named(HoldReason::ALL, HoldReason::as_str, code)?),
            Self::Quarantine => quarantine(code)?,
            Self::Given => given(named(Given::ALL, Given::as_str, code)?),
            Self::Rule if code == BY_HAND => return Some(format!("人工处理（{code}）").into()),
            Self::Rule => {
                let word = own(named(Own::ALL, Own::rule, code)?).0;
                return Some(format!("{word}（{code}）").into());
            }
            Self::Reason => return reason(code),
            Self::Action => action(code)?,
            Self::Job => job(code)?,
            Self::Skip => skip(named(Skip::ALL, Skip::as_str, code)?),
            Self::Stop => stop(named(Stop::ALL, Stop::as_str, code)?),
            Self::Audit => audit(named(AuditAction::ALL, AuditAction::as_str, code)?),
            Self::AuditResult => audit_result(code)?,
            Self::Never => never(named(Why::ALL, Why::as_str, code)?),
            Self::Push => push(named(PushVerdict::ALL, PushVerdict::as_str, code)?),
            Self::Pushes => pushes(named(PushClass::ALL, PushClass::as_str, code)?),
            Self::PushReason => quarantine(code).or_else(|| push_reason(code))?,
        };
        Some(word.into())
    }

    /// All codes with their words, as Chinese help lists them.
    pub(crate) fn listed(self, codes: &[&str]) -> String {
        let all = codes
            .iter()
            .map(|code| format!("{code}（{}）", self.of(Lang::ZhCn, code)));
        all.collect::<Vec<_>>().join("、")
    }
}

fn named<T: Copy, const N: usize>(
    all: [T; N],
    name: impl Fn(T) -> &'static str,
    code: &str,
) -> Option<T> {
    all.into_iter().find(|one| name(*one) == code)
}

const fn state(state: StateName) -> &'static str {
    match state {
        StateName::Pending => "待投递",
        StateName::InFlight => "投递中",
        StateName::Retrying => "重试中",
        StateName::Behind => "等待前版",
        StateName::Delivered => "已送达",
        StateName::Superseded => "已被取代",
        StateName::Cancelled => "已取消",
        StateName::Dead => "死信",
    }
}

const fn audit(action: AuditAction) -> &'static str {
    match action {
        AuditAction::DeliveryRetry => "重新投递",
        AuditAction::DeliveryCancel => "取消投递",
        AuditAction::DeliveryDone => "人工完成投递",
        AuditAction::DeliveryReveal => "查看投递内容",
        AuditAction::LeadsSearch => "查找客资",
        AuditAction::LeadsReveal => "查看客资",
        AuditAction::LeadsExport => "导出个人数据",
        AuditAction::LeadsErasePreview => "预览擦除",
        AuditAction::LeadsErase => "擦除客资",
        AuditAction::BulkPlan => "计划批量任务",
        AuditAction::BulkStart => "启动批量任务",
        AuditAction::BulkCancel => "停止批量任务",
        AuditAction::BulkEnd => "批量任务结束",
        AuditAction::SinkPause => "暂停目的地",
        AuditAction::SinkResume => "恢复目的地",
        AuditAction::SinkTest => "测试目的地",
        AuditAction::QuarantineReveal => "查看隔离推送",
        AuditAction::QuarantineRelease => "放行隔离推送",
        AuditAction::QuarantineDiscard => "丢弃隔离推送",
        AuditAction::Reload => "重新加载配置",
        AuditAction::OutboxBackup => "备份发件箱",
        AuditAction::OutboxExport => "导出发件箱",
        AuditAction::OutboxImport => "导入发件箱",
        AuditAction::OutboxRekey => "重新加密",
        AuditAction::AuditExport => "输出审计日志",
        AuditAction::TokenAdd => "新建令牌",
        AuditAction::TokenRevoke => "撤销令牌",
        AuditAction::SessionBegin => "登录控制台",
        AuditAction::SessionEnd => "结束会话",
    }
}

fn audit_result(code: &str) -> Option<&'static str> {
    Some(match code {
        "begun" => "已开始",
        "done" => "完成",
        "refused" => "被拒绝",
        "failed" => "失败",
        _ => return None,
    })
}

fn action(code: &str) -> Option<&'static str> {
    Some(match code {
        "retry" => "重新投递",
        "cancel" => "取消",
        "done" => "人工完成",
        "replay" => "补发",
        "move" => "转移",
        "erase" => "擦除",
        "release" => "放行",
        "discard" => "丢弃",
        _ => return None,
    })
}

fn job(code: &str) -> Option<&'static str> {
    Some(match code {
        "planned" => "仅计划",
        "running" => "执行中",
        "cancelled" => "已取消",
        "done" => "已完成",
        _ => return None,
    })
}

const fn stop(why: Stop) -> &'static str {
    match why {
        Stop::Person => "人工停止",
        Stop::NoSink => "其目的地已不在配置中",
        Stop::Condition => "其条件已无法使用",
    }
}

const fn skip(why: Skip) -> &'static str {
    match why {
        Skip::Gone => "已不存在",
        Skip::InFlight => "正在投递",
        Skip::Over => "已结束，或目的地已有",
        Skip::Waiting => "已在等待投递",
        Skip::Newer => "目的地已收到或正等待新版本",
        Skip::NoSink => "目的地未配置",
        Skip::NotOrphaned => "其目的地仍在配置中",
        Skip::DiedAgain => "计划之后又成为死信",
        Skip::Condition => "无法判断条件",
        Skip::Unread => "无法读作客资",
        Skip::Unreachable => "无法联系到任何人",
        Skip::Damaged => "存储的内容已损坏",
        Skip::Unfit => "此操作不适用",
    }
}

const fn never(why: Why) -> &'static str {
    match why {
        Why::Condition => "不符合 when 条件",
        Why::Failed => "无法判断 when 条件",
        Why::ConfiguredSince => "接收之后才如此配置",
        Why::Newer => "已由更新的版本代替",
        Why::Ignored => "已投递过较早的版本（on_update）",
        Why::Unknown => "接收时的配置不同，原因已无从得知",
    }
}

const fn push(verdict: PushVerdict) -> &'static str {
    match verdict {
        PushVerdict::Accepted => "新客资",
        PushVerdict::Revised => "新版本",
        PushVerdict::Older => "旧版本",
        PushVerdict::Routed => "补投递",
        PushVerdict::Deferred => "暂存",
        PushVerdict::Duplicate => "重复",
        PushVerdict::Quarantined => "已隔离",
        PushVerdict::Rejected => "按配置拒收",
        PushVerdict::Refused => "验证未通过",
        PushVerdict::UnknownPath => "路径未配置",
        PushVerdict::Unread => "未收完整",
        PushVerdict::QuarantineFull => "隔离区已满",
        PushVerdict::Overloaded => "过载",
        PushVerdict::Failed => "未存成",
    }
}

const fn pushes(class: PushClass) -> &'static str {
    match class {
        PushClass::Taken => "已收下",
        PushClass::Duplicate => "重复的",
        PushClass::Aside => "需人工处理",
        PushClass::Refused => "未通过验证",
        PushClass::NotTaken => "未收下",
    }
}

/// What is unusual about a push whose signature is wrong, as a sentence.
pub(crate) fn oddity(lang: Lang, code: &str) -> &str {
    let said = Oddity::ALL.into_iter().find(|one| one.as_str() == code);
    let Some(oddity) = said else {
        return code;
    };
    match oddity {
        Oddity::Compressed => lang.pick("The body came compressed.", "请求体是压缩过的。"),
        Oddity::NotInCharset => lang.pick(
            "The body has bytes that are none of its charset.",
            "请求体中有不属于其字符集的字节。",
        ),
        Oddity::Mark => lang.pick(
            "The body begins with a byte order mark.",
            "请求体以 BOM 开头。",
        ),
        Oddity::SpaceAtEnd => lang.pick(
            "The body ends with white space.",
            "请求体末尾有空白或换行。",
        ),
        Oddity::SecretSpace => lang.pick(
            "The configured secret has white space around it.",
            "所配的密钥首尾有空白。",
        ),
    }
}

/// What a role is called.
pub(crate) fn role(lang: Lang, code: &str) -> &str {
    match Role::named(code) {
        Some(Role::Viewer) => lang.pick("viewer", "查看者"),
        Some(Role::Operator) => lang.pick("operator", "操作员"),
        Some(Role::Admin) => lang.pick("admin", "管理员"),
        None => code,
    }
}

/// By which way somebody acts.
pub(crate) fn via(lang: Lang, code: &str) -> &str {
    let Some(via) = Via::ALL.into_iter().find(|one| one.as_str() == code) else {
        return code;
    };
    match via {
        Via::Api => lang.pick("API", "接口"),
        Via::Console => lang.pick("console", "控制台"),
        Via::Socket => lang.pick("socket of the machine", "本机套接字"),
        Via::Offline => lang.pick("command without a daemon", "离线命令"),
        Via::Signal => lang.pick("signal", "信号"),
        Via::Job => lang.pick("bulk job", "批量任务"),
    }
}

fn push_reason(code: &str) -> Option<&'static str> {
    Some(match code {
        "http_method" => "请求方法不对",
        "content_type" => "Content-Type 不对",
        "charset" => "字符集未知",
        "broken_escape" => "转义残缺",
        "unsigned_parameter" => "参数未签名",
        "repeated_parameter" => "参数重复",
        "too_many_parameters" => "参数过多",
        "unsigned_body" => "请求体未签名",
        "app_key" => "另一个应用的",
        "no_sign" => "没有签名",
        "wrong_sign" => "签名不对",
        "unsupported_content_encoding" => "请求体被压缩",
        "authentic_elsewhere" => "签名正确",
        "of_no_source" => "不属于任何来源",
        "body_too_large" => "请求体过大",
        "body_timeout" => "请求体超时",
        "bad_body" => "请求体中断",
        "queue_full" => "队列已满",
        "no_space" => "磁盘空间不足",
        "no_memory" => "内存用尽",
        "store_unavailable" => "发件箱不可用",
        "too_late" => "超过应答时限",
        "internal" => "内部错误",
        _ => return None,
    })
}

const fn outcome(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Delivered => "已送达",
        OutcomeKind::Duplicate => "对方已有",
        OutcomeKind::Retry => "未送达，可重试",
        OutcomeKind::Throttled => "限流",
        OutcomeKind::Reauth => "凭证被拒",
        OutcomeKind::Rejected => "对方拒绝",
        OutcomeKind::Ambiguous => "结果不明",
    }
}

const fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "否",
        BreakerState::Open => "熔断",
        BreakerState::HalfOpen => "试探中",
    }
}

const fn death(reason: DeathReason) -> &'static str {
    match reason {
        DeathReason::Rejected => "对方拒绝",
        DeathReason::MaxAttempts => "次数用尽（max_attempts）",
        DeathReason::MaxAge => "超过时限（max_age）",
        DeathReason::Held => "结果不明，留待人工（on_ambiguous）",
        DeathReason::Route => "无法判断 when 条件",
    }
}

const fn hold(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Paused => "暂停",
        HoldReason::Breaker => "熔断",
        HoldReason::Destination => "对方要求等待",
        HoldReason::Rate => "限流",
        HoldReason::Slots => "并发已满",
        HoldReason::Order => "等待前版",
        HoldReason::Backoff => "等待重试",
        HoldReason::Orphaned => "目的地未配置",
    }
}

const fn given(how: Given) -> &'static str {
    match how {
        Given::Delivered => "已送达",
        Given::InDoubt => "可能已收到",
        Given::Tried => "试过，对方未收",
    }
}

fn quarantine(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "stale" => "时间戳过期",
        "no_timestamp" => "没有时间戳",
        "unparsable" => "无法解析",
        "not_an_object" => "不是 JSON 对象",
        "no_known_field" => "没有已知字段",
        "unknown_method" => "未知的 method",
        "open_key" => "open_key 不符",
        _ => return None,
    })
}

/// The rule in a word, and the reason.
const fn own(own: Own) -> (&'static str, &'static str) {
    match own {
        Own::Shutdown => ("停机", "leadgate 在收到应答之前停止"),
        Own::Stuck => ("插件停滞", "插件没有完成之前的投递"),
        Own::Unstarted => ("未处理", "插件忙于其他客资，这一条没有发送"),
        Own::Lost => ("插件中断", "插件放弃了这次投递"),
        Own::Late => ("超时", "未在限定时间内得到结果"),
        Own::Unreadable => ("插件违约", "插件给出的结果无法读取"),
        Own::Panicked => ("插件崩溃", "插件崩溃"),
        Own::Crashed => ("插件进程中断", "插件进程在得到应答前结束："),
        Own::NotStarted => ("插件未运行", "插件进程未运行："),
    }
}

/// The Chinese of what [`Own`] says, with what stands behind it, such as how long was waited.
fn reason(text: &str) -> Option<Cow<'static, str>> {
    Own::ALL.into_iter().find_map(|one| {
        let rest = text.strip_prefix(one.reason())?;
        let chinese = own(one).1;
        Some(match rest.strip_prefix(' ') {
            Some(rest) => format!("{chinese}（{rest}）").into(),
            None if rest.is_empty() => chinese.into(),
            None => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{BulkAction, JobState};
    use crate::source::QUARANTINE_REASONS;
    use crate::source::tmall::REFUSALS;

    #[test]
    fn no_code_is_without_a_chinese_word_and_english_has_the_codes() {
        let all: [(Words, Vec<&str>); 16] = [
            (Words::Given, Given::ALL.map(Given::as_str).into()),
            (Words::State, StateName::ALL.map(StateName::as_str).into()),
            (
                Words::Outcome,
                OutcomeKind::ALL.map(OutcomeKind::as_str).into(),
            ),
            (
                Words::Breaker,
                BreakerState::ALL.map(BreakerState::as_str).into(),
            ),
            (
                Words::Death,
                DeathReason::ALL.map(DeathReason::as_str).into(),
            ),
            (Words::Hold, HoldReason::ALL.map(HoldReason::as_str).into()),
            (Words::Quarantine, QUARANTINE_REASONS.into()),
            (Words::Rule, Own::ALL.map(Own::rule).into()),
            (Words::Reason, Own::ALL.map(Own::reason).into()),
            (Words::Skip, Skip::ALL.map(Skip::as_str).into()),
            (Words::Never, Why::ALL.map(Why::as_str).into()),
            (Words::Action, BulkAction::NAMES.into()),
            (Words::Job, JobState::NAMES.into()),
            (
                Words::Push,
                PushVerdict::ALL.map(PushVerdict::as_str).into(),
            ),
            (Words::Pushes, PushClass::ALL.map(PushClass::as_str).into()),
            (Words::PushReason, REFUSALS.into()),
        ];
        for (words, codes) in all {
            for code in codes {
                let zh = words.of(Lang::ZhCn, code);
                let has = zh.chars().any(|letter| letter >= '\u{4e00}');
                assert!(has, "{words:?} {code}: {zh}");
                assert_eq!(words.of(Lang::En, code), code);
            }
        }
    }

    #[test]
    fn words_of_one_list_differ_from_each_other() {
        let words = StateName::ALL.map(state);
        for (at, word) in words.iter().enumerate() {
            assert!(!words[..at].contains(word), "{word}");
        }
    }

    #[test]
    fn what_a_plugin_says_stays_as_it_is() {
        let zh = |text| Words::Reason.of(Lang::ZhCn, text).into_owned();
        let late = format!("{} 10s", Own::Late.reason());
        assert_eq!(zh(&late), "未在限定时间内得到结果（10s）");
        assert_eq!(zh("status 503"), "status 503");
        let longer = format!("{}s", Own::Lost.reason());
        assert_eq!(zh(&longer), longer);
        assert_eq!(Words::Rule.of(Lang::ZhCn, "status-5xx"), "status-5xx");
        assert_eq!(Words::Rule.of(Lang::ZhCn, BY_HAND), "人工处理（by_hand）");
    }
}
