//! Remedies: what a verdict on a push means, and what a person does about it, in both languages.

use crate::lang::{Both, Text};
use crate::telemetry::pushes::{PushVerdict, RecentPush};

/// What happened, and what to do about it, if anything is to be done.
pub(super) struct Remedy {
    pub(super) says: Text,
    pub(super) todo: Option<Text>,
}

/// What is said where there is nothing to do.
pub(super) const NOTHING: Both = ("", "");

pub(super) fn remedy(says: impl Into<Text>, todo: Both) -> Remedy {
    Remedy {
        says: says.into(),
        todo: (todo != NOTHING).then(|| todo.into()),
    }
}

/// Of a push.
pub(super) fn of(push: &RecentPush) -> Remedy {
    let reason = push.reason.unwrap_or_default();
    match push.verdict {
        PushVerdict::Accepted => {
            remedy(("It was stored as a new lead.", "已存为新客资。"), NOTHING)
        }
        PushVerdict::Revised => remedy(
            (
                "It was stored as a new revision of its lead.",
                "已存为该客资的新版本。",
            ),
            NOTHING,
        ),
        PushVerdict::Older => remedy(
            (
                "It is older than what is stored of its lead: it was kept, and is not delivered.",
                "比已有的版本旧：已保存，不投递。",
            ),
            NOTHING,
        ),
        PushVerdict::Routed => remedy(
            (
                "The same was stored before, when no sink wanted it; one does now, and it is being delivered.",
                "同样的内容以前存过，当时没有目的地需要；现在有了，正在投递。",
            ),
            NOTHING,
        ),
        PushVerdict::Deferred => remedy(
            (
                "It was kept as it came; whether it is new is seen when the outbox has its index again.",
                "已原样保存；等发件箱的索引重建后，再看它是不是新客资。",
            ),
            NOTHING,
        ),
        PushVerdict::Duplicate => remedy(
            (
                "The same was stored before: the answer was success, and it is not delivered again.",
                "同样的内容以前存过：已应答成功，不会重复投递。",
            ),
            NOTHING,
        ),
        PushVerdict::Quarantined => aside(
            reason,
            ("it was put in quarantine", "已放入隔离区"),
            aside_todo(reason),
        ),
        PushVerdict::Rejected => aside(
            reason,
            (
                "it was not kept, because the configuration says `reject`",
                "按配置（reject）拒收，没有保存",
            ),
            (
                "To have such pushes kept aside instead, set `on_invalid` or `on_stale` of the source to \"quarantine\".",
                "如果想先留下再看，请把来源的 `on_invalid` 或 `on_stale` 设为 \"quarantine\"。",
            ),
        ),
        PushVerdict::QuarantineFull => aside(
            reason,
            (
                "it was not kept, because the quarantine of its source is full; the answer was failure",
                "该来源的隔离区已满，没有保存，已应答失败",
            ),
            (
                "Release or discard what is in quarantine, or raise `quarantine` of the source; then have it pushed again.",
                "请放行或丢弃隔离区中的推送，或调大来源的 `quarantine`；之后让发送方重推。",
            ),
        ),
        PushVerdict::Refused => refused(reason),
        PushVerdict::UnknownPath => stray(reason),
        PushVerdict::Unread => unread(reason),
        PushVerdict::Overloaded | PushVerdict::Failed => not_stored(reason),
    }
}

/// Authentic, and not a lead as it is; `then` says what became of it.
fn aside(reason: &str, then: Both, todo: Both) -> Remedy {
    let (en, zh) = match reason {
        "stale" => (
            "its time and the clock of this machine are further apart than `timestamp_tolerance`",
            "它的时间戳与本机时钟相差超过 `timestamp_tolerance`",
        ),
        "no_timestamp" => ("it has no timestamp that can be read", "没有可读的时间戳"),
        "unparsable" => ("its body cannot be read", "请求体无法解析"),
        "not_an_object" => ("its body is no JSON object", "请求体不是 JSON 对象"),
        "no_known_field" => (
            "it has none of the fields of a lead",
            "没有任何已知的客资字段",
        ),
        "unknown_method" => (
            "its `method` is none of those in `methods`",
            "它的 `method` 不在 `methods` 之列",
        ),
        "open_key" => (
            "its `open_key` is not the configured one",
            "它的 `open_key` 与配置不符",
        ),
        _ => ("it is not as it should be", "内容不符合约定"),
    };
    let says = (
        format!("The signature is right, but {en}: {}.", then.0),
        format!("签名正确，但{zh}：{}。", then.1),
    );
    remedy(says, todo)
}

fn aside_todo(reason: &str) -> Both {
    match reason {
        "stale" => (
            "If every push is off by the same step, set the clock of this machine right; then release them.",
            "如果每次都差同样多，请先把本机时钟校准，再放行。",
        ),
        "unknown_method" => (
            "If it is the API that you subscribed to, add it to `methods` of the source; then release it.",
            "如果它就是您开通的 API，请加入来源的 `methods`，再放行。",
        ),
        "open_key" => (
            "Compare `open_key` of the source with the one of the platform; then release it or discard it.",
            "请核对来源的 `open_key` 与平台上的是否一致，再放行或丢弃。",
        ),
        _ => (
            "Look at it in the quarantine, and release it or discard it.",
            "请到隔离区查看，再放行或丢弃。",
        ),
    }
}

fn refused(reason: &str) -> Remedy {
    let (says, todo) = match reason {
        "wrong_sign" => (
            (
                "The signature is wrong. It got the answer that the platform's document wants.",
                "签名不对。已按平台文档的要求应答。",
            ),
            NOTHING,
        ),
        "unsupported_content_encoding" => (
            (
                "The signature is wrong, and the body came compressed: what is signed is the plain one.",
                "签名不对，而且请求体被压缩过：签名针对的是压缩前的内容。",
            ),
            (
                "A proxy before leadgate compresses bodies: switch that off.",
                "前面的代理压缩了请求体：请关闭压缩。",
            ),
        ),
        "no_sign" => (
            ("It has no `sign`.", "没有 `sign` 参数。"),
            (
                "If the platform sent it, a proxy before leadgate loses the query; else it is a stranger's, and there is nothing to do.",
                "如果是平台的推送，说明前面的代理丢了查询串；否则是陌生人的请求，不必理会。",
            ),
        ),
        "app_key" => (
            (
                "It is for another application than `app_key` of the source says.",
                "它是推给另一个应用的，与来源的 `app_key` 不符。",
            ),
            (
                "If that application is yours as well, configure a source for it, or correct `app_key`.",
                "如果那个应用也是您的，请为它另配一个来源，或更正 `app_key`。",
            ),
        ),
        "content_type" => (
            (
                "Its Content-Type is none that the platform uses.",
                "它的 Content-Type 不是平台会用的类型。",
            ),
            PROXY,
        ),
        "charset" => (
            (
                "Its Content-Type names a charset that is not known.",
                "它的 Content-Type 写了未知的字符集。",
            ),
            PROXY,
        ),
        "broken_escape" => (
            (
                "A `%` in its parameters is not followed by two hex digits.",
                "参数中的 `%` 后面不是两位十六进制数字。",
            ),
            PROXY,
        ),
        "unsigned_parameter" => (
            (
                "A parameter of it has a second `=`; the platform does not sign such.",
                "有参数带了第二个 `=`，平台不会为它签名。",
            ),
            PROXY,
        ),
        "repeated_parameter" => (
            (
                "A parameter of it comes twice, and only one of them is signed.",
                "有参数出现了两次，只有其中一个被签名。",
            ),
            PROXY,
        ),
        "too_many_parameters" => (
            (
                "It has more parameters than any push.",
                "参数比任何推送都多。",
            ),
            NOTHING,
        ),
        "unsigned_body" => (
            (
                "It is a GET with a body, and the body is not signed.",
                "它是带请求体的 GET，而请求体没有签名。",
            ),
            PROXY,
        ),
        _ => (
            (
                "It cannot be a push of the platform.",
                "它不可能是平台的推送。",
            ),
            NOTHING,
        ),
    };
    remedy(says, todo)
}

/// What is to be done about what only a proxy or a stranger does.
const PROXY: Both = (
    "If the platform sent it, a proxy before leadgate changes requests: have it pass them on as they are.",
    "如果是平台的推送，说明前面的代理改动了请求：请让它原样转发。",
);

fn stray(reason: &str) -> Remedy {
    if reason == "authentic_elsewhere" {
        return remedy(
            (
                "The signature is right, but it came to a path that is not configured: it got 404, and was not kept.",
                "签名正确，但推到了没有配置的路径：已应答 404，没有保存。",
            ),
            (
                "Give the platform the URL with the `path` of the source, or set `path` to where it pushes; then have it pushed again.",
                "请把平台上的推送地址改成带来源 `path` 的地址，或把 `path` 改成它推送的路径；之后让发送方重推。",
            ),
        );
    }
    remedy(
        (
            "It came to a path that is not configured, and its signature is of no source: it got 404.",
            "推到了没有配置的路径，签名也不属于任何来源：已应答 404。",
        ),
        (
            "If the platform sent it, correct the URL and the secret; else it is a stranger's, and there is nothing to do.",
            "如果是平台的推送，请更正推送地址和密钥；否则是陌生人的请求，不必理会。",
        ),
    )
}

fn unread(reason: &str) -> Remedy {
    let (says, todo) = match reason {
        "body_too_large" => (
            (
                "Its body is larger than `server.max_body`: it was not read.",
                "请求体超过 `server.max_body`：没有读取。",
            ),
            (
                "If the platform really pushes that much, raise `server.max_body`; then have it pushed again.",
                "如果平台确实会推这么大的内容，请调大 `server.max_body`；之后让发送方重推。",
            ),
        ),
        "body_timeout" => (
            (
                "Its body did not come within `server.body_timeout`.",
                "请求体没有在 `server.body_timeout` 之内传完。",
            ),
            (
                "Look at the network and the proxy before leadgate; have it pushed again.",
                "请检查网络和前面的代理；让发送方重推。",
            ),
        ),
        _ => (
            ("Its body broke off.", "请求体中途断开。"),
            (
                "Look at the network and the proxy before leadgate; have it pushed again.",
                "请检查网络和前面的代理；让发送方重推。",
            ),
        ),
    };
    remedy(says, todo)
}

fn not_stored(reason: &str) -> Remedy {
    let (says, todo) = match reason {
        "queue_full" => (
            (
                "More came than could be written: it was not kept, and the answer was failure.",
                "来得比写得快：没有保存，已应答失败。",
            ),
            (
                "Look whether the disk is slow; have it pushed again.",
                "请检查磁盘是否变慢；让发送方重推。",
            ),
        ),
        "no_space" => (
            (
                "The disk has less room left than `outbox.min_free`: it was not kept, and the answer was failure.",
                "磁盘剩余空间低于 `outbox.min_free`：没有保存，已应答失败。",
            ),
            (
                "Make room on the disk; then have it pushed again.",
                "请腾出磁盘空间；之后让发送方重推。",
            ),
        ),
        "no_memory" => (
            (
                "Bodies took all of `server.max_body_memory`: it was not read, and the answer was failure.",
                "请求体占满了 `server.max_body_memory`：没有读取，已应答失败。",
            ),
            (
                "If so many large pushes come at once often, raise it; have it pushed again.",
                "如果经常同时来很多大的推送，请调大它；让发送方重推。",
            ),
        ),
        "too_late" => (
            (
                "It was not on disk within `server.ack_deadline`: the answer was failure. It may be there all the same; pushed again it is a duplicate then.",
                "没有在 `server.ack_deadline` 之内写入磁盘：已应答失败。它也可能已经存下，那么重推时会算作重复。",
            ),
            (
                "Look whether the disk is slow; have it pushed again.",
                "请检查磁盘是否变慢；让发送方重推。",
            ),
        ),
        "internal" => (
            (
                "leadgate made a mistake on it: the answer was failure.",
                "leadgate 处理它时出错：已应答失败。",
            ),
            (
                "Look at the log, and tell the makers of leadgate; have it pushed again.",
                "请查看日志，并告知 leadgate 的开发者；让发送方重推。",
            ),
        ),
        _ => (
            (
                "The outbox was not available: it was not kept, and the answer was failure.",
                "发件箱不可用：没有保存，已应答失败。",
            ),
            (
                "Look at the system page or `leadgate outbox stats`; then have it pushed again.",
                "请看“系统”页或 `leadgate outbox stats`；之后让发送方重推。",
            ),
        ),
    };
    remedy(says, todo)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::source::QUARANTINE_REASONS;
    use crate::source::tmall::REFUSALS;

    fn push(verdict: PushVerdict, reason: &'static str) -> RecentPush {
        RecentPush {
            at: 0,
            source: "shop".into(),
            verdict,
            reason: Some(reason),
            status: 200,
            peer: None,
            bytes: 0,
            took: std::time::Duration::ZERO,
            pushed_at: None,
            lead: None,
            quarantined: None,
            signed: None,
        }
    }

    /// A sentence in each language, and none of one in the other.
    pub(in crate::admin) fn is_told(text: &Text) {
        let (en, zh) = text.both();
        assert!(en.is_ascii() && en.ends_with('.'), "{en}");
        assert!(zh.ends_with('。') && !zh.contains(". "), "{zh}");
        assert!(zh.chars().any(|letter| letter >= '\u{4e00}'), "{zh}");
    }

    #[test]
    fn every_verdict_is_told_in_both_languages_and_what_went_wrong_has_a_remedy() {
        for verdict in PushVerdict::ALL {
            let remedy = of(&push(verdict, "x"));
            is_told(&remedy.says);
            remedy.todo.iter().for_each(is_told);
        }
        for reason in QUARANTINE_REASONS {
            for verdict in [PushVerdict::Quarantined, PushVerdict::Rejected] {
                let remedy = of(&push(verdict, reason));
                let (en, _) = remedy.says.both();
                assert!(!en.contains("not as it should be"), "{reason}");
                is_told(&remedy.todo.expect("something is to be done"));
            }
        }
        for reason in REFUSALS {
            let (en, _) = of(&push(PushVerdict::Refused, reason)).says.both();
            let is_known = !en.contains("cannot be a push") || reason == "http_method";
            assert!(is_known, "{reason}");
        }
    }
}
