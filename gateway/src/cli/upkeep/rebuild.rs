//! `leadgate outbox rebuild`: the index of a stopped outbox, made anew from its journal.
//!
//! A daemon does it by itself whenever its index cannot be used, so that one is only told so.

use std::process::ExitCode;

use serde_json::json;

use super::super::{FAILED, Global, fail};
use super::print_counts;
use super::progress::{Progress, size};
use super::target::{self, configuration};
use crate::outbox::sled::{self, in_use};
use crate::outbox::{Maintenance, Operations, StateName};

pub(super) fn run(global: &Global) -> Result<ExitCode, ExitCode> {
    let config = configuration(global)?;
    let outbox = &config.outbox;
    let lang = global.lang();
    if in_use(&outbox.path) {
        let folder = outbox.path.display();
        let why = lang.pick(
            format!(
                "the outbox {folder} is in use by a leadgate, which makes its index anew by itself whenever it cannot be used; to do it all the same, stop that leadgate first"
            ),
            format!(
                "发件箱 {folder} 正被 leadgate 使用；索引不可用时它会自行重建。若仍要重建，请先停止它"
            ),
        );
        return Err(fail(why, FAILED));
    }
    target::must_exist(&config)?;
    if let Some(id) = sled::missing_key(&outbox.path, &outbox.keys) {
        return Err(fail(super::wrong_key(lang, &id), FAILED));
    }
    sled::forget_index(&outbox.path).map_err(|error| fail(error, FAILED))?;
    let mut progress = Progress::new(global);
    let store = target::open_with(&config, &[], |read, of| {
        progress.at(|| {
            let (read, of) = (size(read), size(of));
            lang.pick(
                format!("{read} of {of} of the journal read"),
                format!("已读取日志 {read}，共 {of}"),
            )
        });
    })?;
    let counts = store.counts().map_err(|error| fail(error, FAILED))?;
    let leads = store.totals().leads;
    store.close();
    let count = |of: &dyn Fn(StateName) -> bool| -> u64 {
        let some = counts.iter().filter(|one| of(one.state));
        some.map(|one| one.count).sum()
    };
    let report = json!({
        "leads": leads,
        "deliveries": count(&|_| true),
        "dead": count(&|state| state == StateName::Dead),
    });
    print_counts(global, &report);
    if !global.json {
        outln!("{}", lang.pick("the index was made anew", "索引已重建"));
    }
    Ok(ExitCode::SUCCESS)
}
