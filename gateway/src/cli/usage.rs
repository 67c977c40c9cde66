//! Usage: what clap says, in the reader's language and without raw characters.
//!
//! clap knows only English. Its help has a few words of its own, which are replaced; its
//! errors are made anew from what it tells about them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{USAGE, out};
use crate::lang::Lang;
use crate::terminal;

/// The language that the arguments ask for, before they are parsed: help and errors of
/// parsing itself are in it, too.
pub(super) fn lang(args: impl Iterator<Item = OsString>) -> Lang {
    let mut asked = None;
    let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        if arg == "--" {
            break;
        }
        let value = if arg == "--lang" {
            args.next()
        } else {
            arg.strip_prefix("--lang=").map(str::to_owned)
        };
        // That of `plugin new` is what a plugin is written in.
        asked = value
            .filter(|value| !matches!(value.as_str(), "rust" | "c" | "python"))
            .or(asked);
    }
    Lang::from_env(asked.as_deref())
}

/// Prints help, the version, or what is wrong with the command line.
pub(super) fn print(error: &clap::Error, lang: Lang) -> ExitCode {
    let plain = error.render().to_string();
    let coloured = || error.render().ansi().to_string();
    if !error.use_stderr() {
        let text = if terminal::colours_on_stdout() {
            coloured()
        } else {
            plain
        };
        out::raw(translated(text, lang).as_bytes());
        return ExitCode::SUCCESS;
    }
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let text = match (lang, is_help) {
        (Lang::ZhCn, false) => chinese(error),
        // Only clap's own colours, and nothing that was typed, may act on the terminal.
        _ if terminal::colours_on_stderr() && terminal::visible(&plain) == plain => {
            translated(coloured(), lang)
        }
        _ => translated(plain, lang),
    };
    if terminal::colours_on_stderr() && lang == Lang::En || is_help {
        out::message(&text);
    } else {
        out::message(&terminal::visible(&text));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}

/// clap's own words in help.
const WORDS: [(&str, &str); 17] = [
    ("Usage:", "用法："),
    ("Commands:", "命令："),
    ("Options:", "选项："),
    ("Arguments:", "参数："),
    ("[OPTIONS]", "[选项]"),
    ("<COMMAND>", "<命令>"),
    ("[COMMAND]", "[命令]"),
    (
        "Print this message or the help of the given subcommand(s)",
        "显示总览，或某个命令的帮助",
    ),
    (
        "Print help (see more with '--help')",
        "显示帮助（--help 更详细）",
    ),
    (
        "Print help (see a summary with '-h')",
        "显示帮助（-h 为概要）",
    ),
    ("Print help", "显示帮助"),
    ("Print version", "显示版本"),
    ("[possible values: ", "[可选值："),
    ("Possible values:", "可选值："),
    ("[default: ", "[默认："),
    ("[env: ", "[环境变量："),
    ("[aliases: ", "[别名："),
];

fn translated(text: String, lang: Lang) -> String {
    match lang {
        Lang::En => text,
        Lang::ZhCn => WORDS
            .iter()
            .fold(text, |text, (en, zh)| text.replace(en, zh)),
    }
}

/// What is wrong with the command line, in Chinese.
fn chinese(error: &clap::Error) -> String {
    let said = |kind| error.get(kind).map(listed).unwrap_or_default();
    let argument = said(ContextKind::InvalidArg);
    let value = said(ContextKind::InvalidValue);
    let what = match error.kind() {
        ErrorKind::UnknownArgument => format!("没有参数“{argument}”"),
        ErrorKind::InvalidSubcommand => {
            format!("没有命令“{}”", said(ContextKind::InvalidSubcommand))
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("“{argument}”缺少值"),
        ErrorKind::InvalidValue => format!("“{argument}”不能取值“{value}”"),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error);
            let why = why.map(|why| format!("：{why}")).unwrap_or_default();
            format!("“{argument}”的值“{value}”无法理解{why}")
        }
        ErrorKind::MissingRequiredArgument => format!("缺少必需的参数：{argument}"),
        ErrorKind::ArgumentConflict => {
            let other = said(ContextKind::PriorArg);
            if other == argument || other.is_empty() {
                format!("“{argument}”只能出现一次，或不能与其他参数同时使用")
            } else {
                format!("“{argument}”不能与“{other}”同时使用")
            }
        }
        ErrorKind::MissingSubcommand => "缺少命令".to_owned(),
        ErrorKind::TooManyValues => format!("“{argument}”的值太多：“{value}”"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("“{argument}”的值的个数不对")
        }
        ErrorKind::NoEquals => format!("“{argument}”与其值之间要写等号"),
        ErrorKind::InvalidUtf8 => "参数不是有效的 UTF-8 文本".to_owned(),
        _ => return translated(error.render().to_string(), Lang::ZhCn),
    };
    let mut text = format!("错误：{what}\n");
    for (kind, start) in [
        (ContextKind::ValidValue, "可选值"),
        (ContextKind::ValidSubcommand, "可用的命令"),
        (ContextKind::SuggestedArg, "是否想写"),
        (ContextKind::SuggestedSubcommand, "是否想写"),
        (ContextKind::SuggestedValue, "是否想写"),
    ] {
        let list = said(kind);
        if !list.is_empty() {
            let _ = write!(text, "\n  {start}：{list}\n");
        }
    }
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        let usage = translated(usage.to_string(), Lang::ZhCn);
        let _ = write!(text, "\n{}\n", usage.trim());
    }
    text.push_str("\n用 --help 查看说明。\n");
    text
}

fn listed(value: &ContextValue) -> String {
    match value {
        ContextValue::String(one) => one.clone(),
        ContextValue::Strings(all) => all.join("、"),
        ContextValue::StyledStr(text) => text.to_string(),
        ContextValue::StyledStrs(all) => {
            let all = all.iter().map(ToString::to_string);
            all.collect::<Vec<_>>().join("、")
        }
        ContextValue::Number(number) => number.to_string(),
        ContextValue::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_known_before_the_arguments_are_parsed() {
        let asked = |args: &[&str]| lang(args.iter().map(OsString::from));
        assert_eq!(
            asked(&["leadgate", "--lang", "zh-CN", "--help"]),
            Lang::ZhCn
        );
        assert_eq!(
            asked(&["leadgate", "sink", "list", "--lang=zh"]),
            Lang::ZhCn
        );
        assert_eq!(asked(&["leadgate", "--lang", "en", "--help"]), Lang::En);
    }

    #[test]
    fn help_and_errors_of_usage_are_chinese() {
        let parse = |args: &[&str]| {
            let tree = super::super::localized(Lang::ZhCn);
            let args = ["leadgate"].iter().chain(args);
            tree.try_get_matches_from(args).expect_err("no command")
        };
        let help = translated(parse(&["--help"]).render().to_string(), Lang::ZhCn);
        for english in [
            "Usage",
            "Options",
            "Commands",
            "Print",
            "Configuration file",
        ] {
            assert!(!help.contains(english), "{english}: {help}");
        }
        for (args, part) in [
            (&["outbox", "stats", "--jsno"][..], "没有参数“--jsno”"),
            (&["outbx"], "没有命令“outbx”"),
            (&["outbox", "retry"], "缺少必需的参数"),
            (&["leads", "list", "--limit", "many"], "无法理解"),
            (&["--lang", "fr", "run"], "可选值：en、zh-CN、zh"),
            (&["leads", "list", "--all", "--limit", "3"], "不能与"),
            (&["leads", "list", "--limit"], "缺少值"),
        ] {
            let text = chinese(&parse(args));
            assert!(text.contains(part), "{args:?}: {text}");
            assert!(!text.contains("error"), "{args:?}: {text}");
        }
    }
}
