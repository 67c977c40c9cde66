//! `leadgate outbox restore`: a backup becomes an outbox, and what that means is said before
//! anything starts with it.

use std::path::Path;
use std::process::ExitCode;

use super::super::{FAILED, Global, check, fail, out, table};
use crate::config::{Outbox, Purpose};
use crate::lang::Lang;
use crate::outbox::{Restored, sled};
use crate::seal::OutboxKey;

pub(super) fn run(
    global: &Global,
    from: &Path,
    to: &Path,
    paused: bool,
) -> Result<ExitCode, ExitCode> {
    let done = sled::restore(from, to, paused).map_err(|error| fail(error, FAILED))?;
    let configured = configured(global);
    let key = key(configured.as_ref(), &done);
    if global.json {
        let mut value = serde_json::to_value(&done).unwrap_or_default();
        value["newest_at"] = done.newest_at.map(rfc3339).into();
        value["key"] = key.as_str().into();
        out::json(&value);
    } else {
        let mut lines = lines(global.lang(), &done, &key);
        let place = configured.as_ref().map(|outbox| outbox.path.as_path());
        lines.push(next(global.lang(), to, place));
        let columns = crate::terminal::columns();
        let lines = lines.iter().flat_map(|line| table::wrapped(line, columns));
        lines.into_iter().for_each(|line| outln!("{line}"));
    }
    if matches!(key, Key::Missing(_)) {
        // The outbox is there and whole; that it cannot be opened yet is said loudly.
        return Ok(ExitCode::from(FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the restored records can be read.
enum Key {
    /// They are not encrypted.
    Plain,
    /// The configuration has the key.
    Configured,
    /// It has not; which one.
    Missing(String),
    /// There is no configuration to look into.
    Unknown(String),
}

impl Key {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Configured => "configured",
            Self::Missing(_) => "missing",
            Self::Unknown(_) => "unknown",
        }
    }
}

fn key(configured: Option<&Outbox>, done: &Restored) -> Key {
    let Some(id) = &done.sealed_with else {
        return Key::Plain;
    };
    let is_it = |key: &OutboxKey| key.id().to_string() == *id;
    match configured {
        None => Key::Unknown(id.clone()),
        Some(outbox) if outbox.keys.iter().any(is_it) => Key::Configured,
        Some(_) => Key::Missing(id.clone()),
    }
}

/// The outbox of the configuration, if there is one that can be read.
fn configured(global: &Global) -> Option<Outbox> {
    let mut plugins = crate::plugin::Plugins::builtin().ok()?;
    Some(check::quietly(Purpose::Outbox, global, &mut plugins)?.outbox)
}

/// What to do before the daemon uses the new outbox in `to`; `place` is what the configuration
/// says of where the outbox is.
fn next(lang: Lang, to: &Path, place: Option<&Path>) -> String {
    let is_there = place.is_some_and(|place| {
        let same = |path: &Path| path.canonicalize().ok();
        place == to || same(place).is_some_and(|place| Some(place) == same(to))
    });
    let to = to.display();
    if is_there {
        return lang.pick(
            format!("outbox.path names {to} already: `leadgate run` starts with it"),
            format!("outbox.path 已指向 {to}：`leadgate run` 将使用它"),
        );
    }
    let (en, zh) = place.map_or_else(Default::default, |place| {
        let place = place.display();
        (format!(" ({place})"), format!("（{place}）"))
    });
    lang.pick(
        format!("next, with the daemon stopped: set outbox.path to {to}, or move that folder to where outbox.path points{en}; then `leadgate run`"),
        format!("接下来（先停止守护进程）：将 outbox.path 改为 {to}，或将该目录移到 outbox.path 所指的位置{zh}；再执行 `leadgate run`"),
    )
}

fn rfc3339(at: crate::clock::Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.3}")
}

fn lines(lang: Lang, done: &Restored, key: &Key) -> Vec<String> {
    let mut lines = Vec::new();
    let newest = done.newest_at.map(rfc3339);
    let newest = newest.map(|at| table::time(lang, &at).unwrap_or(at));
    let newest = newest.as_deref().unwrap_or("-");
    lines.push(lang.pick(
        format!("restored; the newest record is of {newest}"),
        format!("已恢复；最新记录的时间为 {newest}"),
    ));
    let (leads, quarantined, waiting, dead) =
        (done.leads, done.quarantined, done.waiting, done.dead);
    lines.push(lang.pick(
        format!("leads: {leads} · in quarantine: {quarantined} · deliveries that wait: {waiting} · dead letters: {dead}"),
        format!("客资：{leads} · 隔离中：{quarantined} · 待投递：{waiting} · 死信：{dead}"),
    ));
    let sinks: Vec<String> = done
        .goes_out
        .iter()
        .map(|(sink, count)| format!("{sink} {count}"))
        .collect();
    let sinks = sinks.join(", ");
    lines.push(match (done.paused, sinks.is_empty()) {
        (true, _) => lang.pick(
            "all sinks start paused; nothing goes out until `leadgate sink resume NAME`".to_owned(),
            "所有目的地启动后均为暂停；执行 leadgate sink resume 名字 之前不会投递".to_owned(),
        ),
        (false, true) => lang.pick(
            "nothing goes out at the next start".to_owned(),
            "下次启动时不会投递任何内容".to_owned(),
        ),
        (false, false) => lang.pick(
            format!("at the next start these go out, also what was delivered since the backup was made: {sinks}; restore with --paused to hold them"),
            format!("下次启动时将投递（包括备份之后已送达的）：{sinks}；用 --paused 恢复可先暂停"),
        ),
    });
    lines.push(match key {
        Key::Plain => lang.pick(
            "the records are not encrypted".to_owned(),
            "记录未加密".to_owned(),
        ),
        Key::Configured => lang.pick(
            "the configuration has the key they are encrypted with".to_owned(),
            "配置中有加密所用的密钥".to_owned(),
        ),
        Key::Missing(id) => lang.pick(
            format!("the configuration does not have the key {id} they are encrypted with; add it to outbox.key, or this outbox cannot be opened"),
            format!("配置中没有加密所用的密钥 {id}；请加入 outbox.key，否则无法打开此发件箱"),
        ),
        Key::Unknown(id) => lang.pick(
            format!("they are encrypted with the key {id}; no configuration was found to look for it, and it must be in outbox.key"),
            format!("记录用密钥 {id} 加密；未找到可供核对的配置，该密钥须在 outbox.key 中"),
        ),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_next_names_the_new_folder_unless_it_is_in_place() {
        let new = Path::new("/srv/new");
        let said = next(Lang::En, new, Some(Path::new("/srv/old")));
        for part in ["set outbox.path to /srv/new", "(/srv/old)"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(next(Lang::ZhCn, new, None).contains("改为 /srv/new"));
        assert!(next(Lang::En, new, Some(new)).contains("already"));
    }
}
