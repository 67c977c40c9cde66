//! `leadgate outbox verify` and `salvage`.

use std::path::Path;
use std::process::ExitCode;

use super::super::{FAILED, Global, fail};
use super::print_counts;
use super::target::configuration;
use crate::outbox::Problem;
use crate::outbox::sled;

pub(super) fn verify(global: &Global) -> Result<ExitCode, ExitCode> {
    let config = configuration(global)?;
    let outbox = &config.outbox;
    if let Some(id) = sled::missing_key(&outbox.path, &outbox.keys) {
        return Err(fail(super::wrong_key(global.lang(), &id), FAILED));
    }
    let verdict = sled::verify(&outbox.path, &outbox.keys, outbox.cache)
        .map_err(|error| fail(error, FAILED))?;
    print_counts(global, &verdict);
    print_problems(global, &verdict.problems, verdict.found);
    let lang = global.lang();
    if verdict.found > 0 {
        return Ok(ExitCode::from(FAILED));
    }
    if !global.json {
        outln!("{}", lang.pick("the outbox is sound", "发件箱完好"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn salvage(global: &Global, to: &Path) -> Result<ExitCode, ExitCode> {
    let config = configuration(global)?;
    let outbox = &config.outbox;
    let saved =
        sled::salvage(&outbox.path, to, &outbox.keys).map_err(|error| fail(error, FAILED))?;
    print_counts(global, &saved);
    print_problems(global, &saved.losses, saved.lost);
    if !global.json {
        let what = global.lang().pick(
            "the new outbox is there; set outbox.path to it, or put it in the old one's place",
            "新发件箱已就绪；请将 outbox.path 指向它，或用它替换旧目录",
        );
        outln!("{what}");
    }
    Ok(ExitCode::SUCCESS)
}

fn print_problems(global: &Global, problems: &[Problem], found: u64) {
    if global.json {
        return;
    }
    let lang = global.lang();
    for problem in problems {
        let [key, what, advice] =
            [&problem.key, &problem.what, &problem.advice].map(|text| text.pick(lang));
        outln!(
            "- {}",
            lang.pick(
                format!("{key}: {what}; {advice}"),
                format!("{key}：{what}；{advice}"),
            )
        );
    }
    let more = found.saturating_sub(problems.len() as u64);
    if more > 0 {
        outln!(
            "- {}",
            lang.pick(format!("and {more} more"), format!("其余 {more} 项"))
        );
    }
}
