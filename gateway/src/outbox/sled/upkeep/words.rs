//! What upkeep says: places and keys in words, and what to do. Ids and names of sinks only,
//! nothing personal.

use super::super::journal;
use super::super::keys;
use super::super::names::Names;
use super::super::place::Place;
use super::read::Gap;
use crate::lang::{Both, Text};
use crate::outbox::{DeliveryId, LeadId};

pub(super) const RESTORE: Both = (
    "restore a backup, or save the rest with `leadgate outbox salvage`",
    "请恢复备份，或用 `leadgate outbox salvage` 抢救其余部分",
);
pub(super) const REMAKE: Both = (
    "remove the folder `index` of the outbox: leadgate makes it anew from the journal when it \
     starts",
    "请删除发件箱中的 `index` 目录：leadgate 启动时会从日志重建",
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

/// Where a record lies.
pub(super) fn place(place: Place) -> Text {
    let name = journal::name(place.segment);
    let at = place.offset;
    Text::new(format!("{name}, byte {at}"), format!("{name} 第 {at} 字节"))
}

/// Where a gap is.
pub(super) fn gap(gap: &Gap) -> Text {
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
pub(super) fn missing(gap: &Gap) -> Text {
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
    let id = keys::id_at_end(key).map_or_else(|| "?".to_owned(), |id| id.to_string());
    let sink = |number: u32| {
        let name = names.sinks.name(number);
        name.map_or_else(|| format!("#{number}"), |name| name.to_string())
    };
    let sink_at = |at: usize| {
        let bytes = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        sink(bytes.map_or(0, u32::from_be_bytes))
    };
    let rest = || String::from_utf8_lossy(&key[1..]);
    let (en, zh) = match key.first() {
        Some(&keys::SINK) => (format!("sink {}", rest()), format!("目的地 {}", rest())),
        Some(&keys::SOURCE) => (format!("source {}", rest()), format!("来源 {}", rest())),
        Some(&keys::LEAD) => (format!("lead {id}"), format!("客资 {id}")),
        Some(&keys::DUE) => (
            format!("due entry of delivery {id} for sink {}", sink_at(1)),
            format!("投递 {id} 在目的地 {} 的到期项", sink_at(1)),
        ),
        Some(&keys::DELIVERY) => (
            format!("list entry of delivery {id} for sink {}", sink_at(2)),
            format!("投递 {id} 在目的地 {} 的列表项", sink_at(2)),
        ),
        Some(&keys::UNROUTED) => (
            format!("mark of lead {id}, which no sink wanted"),
            format!("客资 {id} 的标记（没有目的地要）"),
        ),
        Some(&keys::QUARANTINED) => (format!("quarantined push {id}"), format!("隔离推送 {id}")),
        Some(&keys::GROUP) => (
            format!("count of a failure group of sink {}", sink_at(1)),
            format!("目的地 {} 某失败组的计数", sink_at(1)),
        ),
        Some(&keys::COUNT) => (
            format!("count of deliveries of sink {}", sink_at(1)),
            format!("目的地 {} 的投递计数", sink_at(1)),
        ),
        Some(&keys::SEGMENT) => {
            let number = keys::read_segment(key).unwrap_or_default();
            let name = journal::name(number);
            (
                format!("count of what lives in {name}"),
                format!("{name} 中有效内容的计数"),
            )
        }
        _ => ("the index".to_owned(), "索引".to_owned()),
    };
    Text::new(en, zh)
}
