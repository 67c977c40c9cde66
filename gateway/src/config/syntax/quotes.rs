//! Quotes: those that are missing, doubled or of another keyboard, and what they hide.

use super::super::diagnostic::Text;
use super::super::lookalike::{self, LookAlike};
use super::{Line, Mistake, outside};

impl Line<'_> {
    /// A quote that ends a text in the middle of a template.
    pub(super) fn inner_quote(&self) -> Option<Mistake> {
        let mut rest = 0;
        while let Some(open) = self.text[rest..].find(['"', '\'']).map(|at| rest + at) {
            let quote = &self.text[open..=open];
            // A long text has its end somewhere else.
            if self.text[open..].starts_with(&quote.repeat(3)) {
                return None;
            }
            let close = open + 1 + self.text[open + 1..].find(quote)?;
            let inside = &self.text[open + 1..close];
            let more = |opening: &str, closing: &str| {
                inside.matches(opening).count() > inside.matches(closing).count()
            };
            if (more("{{", "}}") || more("{%", "%}")) && !inside.ends_with('\\') {
                return Some(self.ended_early(close, quote));
            }
            rest = close + 1;
        }
        None
    }

    /// A text in `quote`s that ended at `close`, before its end.
    pub(super) fn ended_early(&self, close: usize, quote: &str) -> Mistake {
        let other = if quote == "\"" { '\'' } else { '"' };
        let example = format!("{quote}{{{{ phone | default({other}-{other}) }}}}{quote}");
        self.mistake(
            close..close + 1,
            Text::new(
                format!("this `{quote}` ends the text: inside a text in `{quote}` there can be no `{quote}`"),
                format!("文本在这个 `{quote}` 处就结束了：用 `{quote}` 括起来的文本里不能再有 `{quote}`"),
            ),
            Text::new(
                format!("use `{other}` for the quotes inside, as in {example}"),
                format!("里面的引号请用 `{other}`，例如 {example}"),
            ),
        )
    }

    /// A character that only looks like one of TOML's.
    pub(super) fn look_alike(&self) -> Option<Mistake> {
        let mut found: Vec<(usize, &'static LookAlike)> = Vec::new();
        for (at, letter) in outside(self.text) {
            if let Some(known) = lookalike::known(letter)
                && !found.iter().any(|(_, other)| other.found == known.found)
            {
                found.push((at, known));
            }
        }
        let (at, first) = *found.first()?;
        let range = at..at + first.found.len_utf8();
        let more: Vec<_> = found[1..]
            .iter()
            .filter(|(_, one)| !one.is_invisible() && one.meant != first.meant)
            .map(|(_, one)| (one.found, one.meant))
            .collect();
        let message = if first.is_invisible() {
            let (en, zh) = first.name().both();
            Text::new(format!("here is {en}"), format!("此处有{zh}"))
        } else {
            first.name()
        };
        let last = self.text[range.end..].trim_start();
        let closes =
            matches!(first.meant, "," | ";" | ".") && (last.is_empty() || last.starts_with('#'));
        // Inside a list that goes on in the next line it is a comma all the same.
        let listed = !self.text[..at].contains('=');
        let mut help = if closes && !listed {
            Text::new("delete it", "请删除它")
        } else {
            first.remedy()
        };
        for (found, meant) in more {
            let (en, zh) = help.both();
            help = Text::new(
                format!("{en}; also `{meant}` for `{found}`"),
                format!("{zh}；`{found}` 也要改为 `{meant}`"),
            );
        }
        Some(self.mistake(range, message, help))
    }

    /// A comment of another language.
    pub(super) fn comment(&self) -> Option<Mistake> {
        let start = self.whole().start;
        let trimmed = &self.text[start..];
        let sign = ["//", "/*", ";", "--", "<!--", "REM "]
            .into_iter()
            .find(|sign| trimmed.starts_with(sign))
            .map(|sign| start..start + sign.len())
            .or_else(|| {
                // Behind a value.
                let value = outside(self.text).find(|(_, letter)| *letter == '=')?.0;
                let (at, _) = outside(self.text).find(|(at, letter)| {
                    *at > value && *letter == '/' && self.text[*at..].starts_with("//")
                })?;
                self.text[..at].ends_with(' ').then_some(at..at + 2)
            })?;
        Some(self.mistake(
            sign,
            Text::new(
                "a comment begins with `#` in TOML",
                "TOML 的注释以 `#` 开头",
            ),
            Text::new("type `#`", "请改为 `#`"),
        ))
    }

    pub(super) fn no_quote(&self, opening: bool, long: bool) -> Mistake {
        let value = outside(self.text)
            .find(|(_, letter)| *letter == '=')
            .map_or(self.whole(), |(at, _)| {
                let rest = self.text[at + 1..].trim();
                let start = self.text[at + 1..].find(rest).unwrap_or(0) + at + 1;
                start..start + rest.len()
            });
        let quote = if self.text[value.clone()].starts_with('\'') {
            "'"
        } else {
            "\""
        };
        let quote = if long {
            quote.repeat(3)
        } else {
            quote.to_owned()
        };
        let (en, zh, side) = if opening {
            (
                "this text has no opening quote",
                "此文本缺少开头的引号",
                ("in front of it", "开头"),
            )
        } else {
            (
                "this text has no closing quote",
                "此文本缺少结尾的引号",
                ("at its end", "结尾"),
            )
        };
        self.mistake(
            value,
            Text::new(en, zh),
            Text::new(
                format!("type `{quote}` {}", side.0),
                format!("请在{}加上半角 `{quote}`", side.1),
            ),
        )
    }

    pub(super) fn backslash(&self, at: usize) -> Mistake {
        let place = self.text[..at].rfind('\\').or_else(|| self.text.find('\\'));
        self.mistake(
            place.map_or(self.whole(), |place| place..place + 1),
            Text::new(
                "between two `\"` a backslash begins a special character",
                "双引号里的反斜杠 `\\` 是转义符",
            ),
            Text::new(
                r"put the text in single quotes: 'C:\leads', or write `/` for folders, or `\\` for one backslash",
                r"请改用单引号：'C:\leads'；文件夹之间也可以写 `/`；单个反斜杠写作 `\\`",
            ),
        )
    }
}
