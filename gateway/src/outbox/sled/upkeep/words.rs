//! What upkeep says: places and keys in words, and what to do. Ids and names of sinks only,
//! nothing personal.

use super::super::codec::Unreadable;
use super::super::journal;
use super::super::keys;
use super::super::names::Names;
use super::super::place::Place;
use super::read::{Gap, Read};
use crate::lang::{Both, Text};
use crate::outbox::{DeliveryId, LeadId};

pub(super) const RESTORE: Both = (
    "restore a backup, or save the rest with `leadgate outbox salvage`",
    "请恢复备份，或用 `leadgate outbox salvage` 抢救其余部分",
);
pub(super) const REMAKE: Both = (
    "stop leadgate and run `leadgate outbox rebuild`: the index is made anew from the journal when \
     it starts",
    "请停止 leadgate 并运行 `leadgate outbox rebuild`：启动时会从日志重建索引",
);
pub(super) const MADE_ANEW: Both = (
    "nothing: leadgate makes it anew from the journal when it starts",
    "无需处理：leadgate 启动时会从日志重建",
);
pub(super) const COUNTED: Both = (
    "`leadgate outbox salvage` counts anew",
    "`leadgate outbox salvage` 会重新计数",
);
pub(super) const KEY: Both = (
    "add the missing key to outbox.key",
    "请把缺少的密钥加入 outbox.key",
);
pub(super) const NEWER: Both = (
    "use the newer leadgate that wrote it",
    "请使用写入它的较新版本 leadgate",
);
pub(super) const TAMPERED: Both = (
    "somebody, or a damaged disk, changed it: compare with a backup, which has it as it was",
    "有人或受损的磁盘改动过它：请与备份对照，备份中有原来的内容",
);
pub(super) const UNLINKED: Both = (
    "it stands in the folder `audit-of-before` of the new outbox, whose own log begins anew",
    "它位于新发件箱的 `audit-of-before` 目录中，新发件箱的审计日志重新开始",
);
pub(super) const LOST: Both = (
    "what lay there is lost, or stands as it was before: look for ended deliveries that wait \
     again and for leads that were erased",
    "此处的内容已丢失或回到之前的状态：请检查是否有已结束的投递重新等待，以及本已抹除的客资",
);
pub(super) const GONE: Both = (
    "it is lost; if a backup or the sender has it, bring it in from there",
    "已丢失；若备份或发送方仍有，请从那里取回",
);
pub(super) const ORPHAN: Both = (
    "look at the lead and decide whether its sink still needs it",
    "请查看该客资，判断目的地是否仍需要它",
);
pub(super) const AGAIN: Both = (
    "its sink gets the lead under the same delivery id, perhaps not for the first time",
    "目的地会以同一投递编号收到该客资，可能不是第一次",
);

/// Names all that is missing, or cannot be read, with what it is of; gives the number of those
/// that are not named. `advice` is what to do about a record, or about a gap.
pub(super) fn name(
    read: &Read,
    advice: impl Fn(Option<&Unreadable>) -> Both,
    mut each: impl FnMut(Text, Text, Both),
) -> u64 {
    for one in &read.gaps {
        each(missing(one), gap(one), advice(None));
    }
    for (number, why) in &read.refused {
        let name = Text::plain(journal::name(*number));
        each(why.text(), name, advice(None));
    }
    let (all, first) = &read.unreadable;
    for (at, why) in first {
        each(why.text(), place(*at), advice(Some(why)));
    }
    all - first.len() as u64
}

/// Where a record lies.
fn place(place: Place) -> Text {
    let name = journal::name(place.segment);
    let at = place.offset;
    Text::new(format!("{name}, byte {at}"), format!("{name} 第 {at} 字节"))
}

/// Where a gap is.
fn gap(gap: &Gap) -> Text {
    let name = journal::name(gap.segment);
    match gap.bytes {
        Some((from, to)) => Text::new(
            format!("{name}, bytes {from} to {to}"),
            format!("{name} 第 {from} 至 {to} 字节"),
        ),
        None => Text::plain(name),
    }
}

/// What is missing in a gap.
fn missing(gap: &Gap) -> Text {
    let (en, zh) = match gap.bytes {
        Some(_) => ("it holds no whole write", "此处没有完整的写入"),
        None => ("it is missing", "缺失"),
    };
    match (gap.first, gap.last) {
        (Some(first), Some(last)) if first <= last => Text::new(
            format!("{en}: writes {first} to {last} are gone"),
            format!("{zh}：第 {first} 至 {last} 次写入已丢失"),
        ),
        (Some(first), None) => Text::new(
            format!("{en}: write {first} and what came after it are gone"),
            format!("{zh}：第 {first} 次写入及其后的内容已丢失"),
        ),
        _ => Text::new(en, zh),
    }
}

pub(super) fn lead(lead: LeadId, revision: Option<u32>) -> Text {
    match revision {
        Some(number) => Text::new(
            format!("lead {lead} revision {number}"),
            format!("客资 {lead} 版本 {number}"),
        ),
        None => Text::new(format!("lead {lead}"), format!("客资 {lead}")),
    }
}

pub(super) fn delivery(id: DeliveryId, sink: &str) -> Text {
    Text::new(
        format!("delivery {id} for sink {sink}"),
        format!("目的地 {sink} 的投递 {id}"),
    )
}

/// What a key of the index names.
pub(super) fn key(key: &[u8], names: &Names) -> Text {
    let id = || keys::id_at_end(key).map_or_else(|| "?".to_owned(), |id| id.to_string());
    let sink = || {
        let number = key.get(1..5).and_then(|bytes| bytes.try_into().ok());
        let number = number.map_or(0, u32::from_be_bytes);
        let name = names.sinks.name(number);
        name.map_or_else(|| format!("#{number}"), |name| name.to_string())
    };
    let rest = || String::from_utf8_lossy(&key[1..]).into_owned();
    let segment = || journal::name(keys::read_segment(key).unwrap_or_default());
    let (en, zh, of) = match key.first() {
        Some(&keys::SINK) => ("sink", "目的地", rest()),
        Some(&keys::SOURCE) => ("source", "来源", rest()),
        Some(&keys::LEAD) => ("lead", "客资", id()),
        Some(&keys::DUE) => ("due entry of delivery", "到期项：投递", id()),
        Some(&(keys::DELIVERY | keys::FAILING)) => ("list entry of delivery", "列表项：投递", id()),
        Some(&keys::UNROUTED) => ("mark that no sink wanted lead", "无目的地标记：客资", id()),
        Some(&keys::QUARANTINED) => ("quarantined push", "隔离推送", id()),
        Some(&keys::GROUP) => (
            "count of a failure group of sink",
            "失败组计数：目的地",
            sink(),
        ),
        Some(&keys::COUNT) => ("count of deliveries of sink", "投递计数：目的地", sink()),
        Some(&keys::SEGMENT) => ("count of what lives in", "有效内容计数：", segment()),
        _ => ("the index", "索引", String::new()),
    };
    let text = |what: &str| format!("{what} {of}").trim_end().to_owned();
    Text::new(text(en), text(zh))
}
