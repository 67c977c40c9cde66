//! `leadgate outbox verify`, `salvage`, `rebuild`, `backup`, `restore`, `export`, `import`, `rekey`.
//!
//! One rule says what they work on: with `--url`, that daemon. Otherwise the store's own lock
//! decides: if a leadgate holds the outbox of the configuration, it is asked through its API;
//! if nobody does, the folder is opened.

mod backup;
pub(super) mod export;
mod inspect;
mod progress;
mod rebuild;
mod rekey;
mod restore;
pub(super) mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::table::{self, Column, column};
use super::{Global, client, out};
use crate::lang::Lang;

const RULE: &str = "Works through the daemon if --url is given or if the daemon holds the outbox of the \
configuration (the store's lock decides); otherwise opens the folder outbox.path itself.";
const STOPPED: &str =
    "Needs the daemon stopped: works on the folder outbox.path of the configuration.";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Read every record and check that all of it fits together
    #[command(after_help = STOPPED)]
    Verify,
    /// Put what is whole in a damaged outbox into a new one
    #[command(after_help = STOPPED)]
    Salvage {
        /// Folder of the new outbox: empty or not there
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Make the index anew from the journal; a daemon does so by itself when it has to
    #[command(after_help = STOPPED)]
    Rebuild,
    /// Write a consistent backup, while the daemon runs or not
    #[command(after_help = RULE)]
    Backup {
        /// File to write, which must not be there; or a folder (ending in / if it is new), to
        /// which only what is new since its last backup is copied
        #[arg(long, value_name = "PATH")]
        to: PathBuf,
        #[command(flatten)]
        target: client::Target,
    },
    /// Make an outbox of a backup
    Restore {
        /// The backup: a file or a folder
        #[arg(long, value_name = "PATH")]
        from: PathBuf,
        /// Folder of the new outbox: empty or not there
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        /// Let all of its sinks start paused, so that nothing goes out before a person says so
        #[arg(long)]
        paused: bool,
    },
    /// Print leads, deliveries and quarantine as JSON lines, unencrypted
    #[command(after_help = RULE)]
    Export(client::Target),
    /// Store what was exported, but for what is there already
    #[command(after_help = STOPPED)]
    Import {
        /// The export, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Encrypt what is stored with the current key
    #[command(after_help = RULE)]
    Rekey(client::Target),
}

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    let done = match command {
        Command::Verify => inspect::verify(global),
        Command::Salvage { to } => inspect::salvage(global, to),
        Command::Rebuild => rebuild::run(global),
        Command::Backup { to, target } => backup::backup(global, to, target),
        Command::Restore { from, to, paused } => restore::run(global, from, to, *paused),
        Command::Export(target) => export::export(global, target),
        Command::Import { file } => export::import(global, file),
        Command::Rekey(target) => rekey::run(global, target),
    };
    done.unwrap_or_else(|code| code)
}

/// Their help in Chinese.
pub(super) fn localized(outbox: clap::Command) -> clap::Command {
    let rule = "指定 --url 时使用该守护进程；否则由存储锁决定：配置中的发件箱若被守护进程占用，则通过其 API 操作，否则直接打开 outbox.path 目录。";
    let stopped = "需先停止守护进程：直接操作配置中的 outbox.path 目录。";
    let abouts = [
        ("verify", "读取每条记录并校验其一致性", Some(stopped)),
        (
            "salvage",
            "将受损发件箱中完好的记录抢救到新目录",
            Some(stopped),
        ),
        (
            "rebuild",
            "由日志重建索引；守护进程需要时会自行重建",
            Some(stopped),
        ),
        ("backup", "生成一致的备份，守护进程运行与否均可", Some(rule)),
        ("restore", "由备份恢复出发件箱", None),
        (
            "export",
            "以 JSON Lines 明文输出客资、投递与隔离区",
            Some(rule),
        ),
        ("import", "导入导出的数据，跳过已有的", Some(stopped)),
        ("rekey", "用当前密钥重新加密已存数据", Some(rule)),
    ];
    abouts
        .into_iter()
        .fold(outbox, |outbox, (name, about, after)| {
            outbox.mut_subcommand(name, |sub| {
                let sub = sub.about(about);
                match after {
                    Some(after) => sub.after_help(after),
                    None => sub,
                }
            })
        })
}

/// What the numbers of the reports are called, in English and Chinese, in the order in which
/// they are told.
const COUNTS: [Column; 16] = [
    column("leads", "leads", "客资"),
    column("leads_known", "leads that were there", "已有的客资"),
    column("revisions", "revisions of leads", "客资版本"),
    column("deliveries", "deliveries", "投递"),
    column("waiting", "deliveries that wait", "等待中的投递"),
    column("done", "deliveries that are over", "已结束的投递"),
    column("dead", "dead letters", "死信"),
    column("again", "deliveries that wait again", "重新等待的投递"),
    column("quarantined", "pushes in quarantine", "隔离中的推送"),
    column(
        "quarantined_known",
        "pushes in quarantine that were there",
        "已有的隔离推送",
    ),
    column("audit", "entries of the audit log", "审计日志条目"),
    column(
        "audit_known",
        "entries of the audit log that were there",
        "已有的审计日志条目",
    ),
    column("missing_leads", "leads that are missing", "缺失的客资"),
    column(
        "resealed",
        "records encrypted with the current key",
        "已用当前密钥加密的记录",
    ),
    column("found", "problems", "问题"),
    column("lost", "losses", "损失"),
];

/// Prints a report of `Serialize` fields: as JSON, or a line for each number.
fn print_counts(global: &Global, report: &impl serde::Serialize) {
    let Ok(report) = serde_json::to_value(report) else {
        return;
    };
    if global.json {
        out::json(&report);
    } else {
        table::print_one(global, &COUNTS, &report);
    }
}

/// What to say when leads leave the store's encryption.
fn plain_text(lang: Lang) -> &'static str {
    lang.pick(
        "leadgate: the output is personal data in plain text; keep it as safe as the outbox",
        "leadgate：输出为明文个人信息，请像保护发件箱一样保护它",
    )
}

/// What to say when the store is sealed with a key that is not configured.
pub(super) fn wrong_key(lang: Lang, id: &str) -> String {
    lang.pick(
        format!(
            "outbox.key: the outbox is encrypted with the key {id}, which is not among those configured; add it, or leadgate cannot open the outbox"
        ),
        format!("outbox.key：发件箱用密钥 {id} 加密，配置中没有该密钥；请加入，否则无法打开发件箱"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Imported, Salvaged, Verdict};

    #[test]
    fn every_number_of_a_report_has_a_title() {
        let missing = Salvaged {
            missing_leads: Some(1),
            ..Salvaged::default()
        };
        let reports = [
            serde_json::to_value(Verdict::default()),
            serde_json::to_value(missing),
            serde_json::to_value(Imported::default()),
        ];
        for report in reports {
            let report = report.expect("a report");
            let numbers = report.as_object().into_iter().flatten();
            let numbers: Vec<_> = numbers.filter(|(_, value)| value.is_u64()).collect();
            let named = COUNTS.iter().filter(|one| report[one.field()].is_u64());
            assert_eq!(named.count(), numbers.len(), "{numbers:?}");
            let zh = table::fields(Lang::ZhCn, &COUNTS, &report, 80);
            assert_eq!(zh.len(), numbers.len(), "{zh:?}");
            let is_chinese = |line: &String| line.starts_with(|first: char| first >= '\u{4e00}');
            assert!(zh.iter().all(is_chinese), "{zh:?}");
        }
    }
}
