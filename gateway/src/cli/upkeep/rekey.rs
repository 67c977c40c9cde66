//! `leadgate outbox rekey`: every record sealed with the current key.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::{FAILED, Global, audited, client, fail, runtime};
use super::print_counts;
use super::progress::Progress;
use super::target::{self, Store};
use crate::lang::counted;
use crate::outbox::{AuditAction, Maintenance};

/// Records looked at in one step.
const STEP: usize = 1_000;

pub(super) fn run(global: &Global, target: &client::Target) -> Result<ExitCode, ExitCode> {
    let mut total = 0;
    let mut progress = Progress::new(global);
    match target::find(global, target)? {
        Store::Daemon(daemon) => {
            let runtime = runtime().map_err(|error| fail(error, FAILED))?;
            let mut from = Value::Null;
            loop {
                let step = json!({ "from": from, "limit": STEP });
                let done: Value = runtime.block_on(async {
                    let answer = daemon.post(global, "/api/v1/outbox/rekey", &step).await?;
                    let read = answer.json().await;
                    read.map_err(|error| fail(client::innermost(&error), FAILED))
                })?;
                total += done["resealed"].as_u64().unwrap_or(0);
                tell(global, &mut progress, total);
                from = done["next"].clone();
                if from.is_null() {
                    break;
                }
            }
        }
        Store::Folder(config) => {
            let outbox = target::open(&config, &[])?;
            let mut from = None;
            loop {
                let step = outbox.rekey(from.as_deref(), STEP);
                let step = step.map_err(|error| fail(error, FAILED))?;
                total += step.resealed;
                tell(global, &mut progress, total);
                from = step.next;
                if from.is_none() {
                    break;
                }
            }
            let noted = audited::record(&outbox, AuditAction::OutboxRekey, |event| {
                event.count = Some(total);
            });
            outbox.close();
            noted?;
        }
    }
    print_counts(global, &json!({ "resealed": total }));
    Ok(ExitCode::SUCCESS)
}

fn tell(global: &Global, progress: &mut Progress, total: u64) {
    progress.at(|| {
        global.lang().pick(
            format!(
                "{} encrypted with the current key so far",
                counted(total, "record", "records")
            ),
            format!("已用当前密钥重新加密 {total} 条记录"),
        )
    });
}
