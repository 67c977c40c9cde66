//! Asking: a question on the terminal before something is done.
//!
//! Only yes is yes. Where there is no terminal nobody can be asked, and `--yes` says it.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use super::{FAILED, USAGE, fail, out};
use crate::lang::Lang;

/// Asks; an error, said already, if the answer is not yes or there is no terminal.
pub(super) fn confirm(lang: Lang, question: &str) -> Result<(), ExitCode> {
    if !std::io::stdin().is_terminal() {
        let why = lang.pick(
            "this is no terminal to ask on; say --yes",
            "当前不是终端，无法询问；确认请加 --yes",
        );
        return Err(fail(format!("{question} {why}"), USAGE));
    }
    asked(lang, question)
}

/// Asks on a terminal alone: for what can be taken back, which scripts may do unasked.
pub(super) fn confirm_on_terminal(lang: Lang, question: &str) -> Result<(), ExitCode> {
    if std::io::stdin().is_terminal() {
        asked(lang, question)
    } else {
        Ok(())
    }
}

fn asked(lang: Lang, question: &str) -> Result<(), ExitCode> {
    out::message(&crate::terminal::visible(&format!("{question} [y/N] ")));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| fail(error, FAILED))?;
    if is_yes(&answer) {
        Ok(())
    } else {
        Err(fail(lang.pick("nothing was done", "未做任何更改"), FAILED))
    }
}

fn is_yes(answer: &str) -> bool {
    let answer = answer.trim().to_ascii_lowercase();
    matches!(answer.as_str(), "y" | "yes" | "是")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", " YES ", "是\n"] {
            assert!(is_yes(yes), "{yes}");
        }
        for no in ["", "\n", "n", "yess", "否"] {
            assert!(!is_yes(no), "{no}");
        }
    }
}
