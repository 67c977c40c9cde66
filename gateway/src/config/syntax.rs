//! Syntax: what is wrong with text that is not TOML, one mistake said once, with what to type.
//!
//! The parser recovers and then says several things about one slip; here each line gets one
//! answer, the first that a person can act on. Values are never quoted: they may be secrets.

use std::ops::Range;

use super::diagnostic::Text;
use super::lookalike::{self, LookAlike};

/// What the parser said.
pub(super) struct Complaint<'a> {
    pub(super) message: &'a str,
    pub(super) range: Range<usize>,
}

/// One mistake in a file.
pub(super) struct Mistake {
    pub(super) code: &'static str,
    pub(super) range: Range<usize>,
    pub(super) message: Text,
    pub(super) help: Text,
    /// Where the same was written first.
    pub(super) first: Option<Range<usize>>,
}

impl Mistake {
    fn new(range: Range<usize>, message: Text, help: Text) -> Self {
        Self {
            code: "config::syntax",
            range,
            message,
            help,
            first: None,
        }
    }
}

/// The mistakes behind `complaints` about `text`, in the order of their places.
pub(super) fn mistakes(text: &str, mut complaints: Vec<Complaint<'_>>) -> Vec<Mistake> {
    complaints.sort_by_key(|one| one.range.start);
    let unclosed = complaints
        .iter()
        .find(|one| {
            one.message.starts_with("unclosed array,") || one.message.starts_with("unclosed inline")
        })
        .and_then(|_| open_bracket(text));
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut said: Vec<usize> = Vec::new();
    let mut repeated: Option<String> = None;
    for one in &complaints {
        let line = Line::around(text, one.range.start);
        if said.contains(&line.start) || unclosed.is_some_and(|open| one.range.start > open) {
            continue;
        }
        if one.message.starts_with("duplicate key") {
            let table = line.table_before(text);
            if let Some(repeated) = &repeated
                && (table == *repeated || table.starts_with(&format!("{repeated}.")))
            {
                continue;
            }
            if line.header().is_some() {
                repeated = Some(table);
            }
            mistakes.push(duplicate(text, &line, &one.range));
        } else {
            mistakes.push(line.explain(one));
        }
        said.push(line.start);
    }
    if let Some(at) = unclosed {
        let line = Line::around(text, at);
        if !said.contains(&line.start) {
            let (close, en, zh) = if text[at..].starts_with('[') {
                (']', "this list is not closed", "这个列表没有结束")
            } else {
                ('}', "this table is not closed", "这个内联表没有结束")
            };
            mistakes.push(Mistake::new(
                at..at + 1,
                Text::new(en, zh),
                Text::new(
                    format!("type `{close}` behind its last entry, and commas between the entries"),
                    format!("请在最后一项之后加上 `{close}`，各项之间用半角逗号分隔"),
                ),
            ));
        }
    }
    mistakes
}

/// The innermost bracket that is still open at the end of `text`.
fn open_bracket(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        // A header closes nothing and opens nothing.
        let is_header = open.is_empty() && line.trim_start().starts_with('[');
        for (at, letter) in outside(line) {
            match letter {
                _ if is_header => {}
                '[' | '{' => open.push(start + at),
                ']' | '}' => {
                    open.pop();
                }
                _ => {}
            }
        }
        start += line.len();
    }
    open.first().copied()
}

/// The characters of a line that are in no string and no comment.
fn outside(line: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut quote = None;
    let mut escaped = false;
    let mut comment = false;
    line.char_indices().filter(move |(_, letter)| {
        if comment {
            return false;
        }
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if *letter == '\\' => escaped = true,
            Some(open) if *letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '\'') => quote = Some(*letter),
            None if *letter == '#' => comment = true,
            None => return true,
        }
        false
    })
}

/// The line around a place.
struct Line<'a> {
    start: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn around(text: &'a str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
        Self {
            start,
            text: text[start..end].trim_end_matches('\r'),
        }
    }

    /// The name in a header, without blanks and quotes.
    fn header(&self) -> Option<String> {
        let inside = self
            .text
            .trim_start()
            .strip_prefix('[')?
            .trim_start_matches('[');
        let name = inside.split(']').next().unwrap_or_default();
        Some(name.replace([' ', '"', '\''], ""))
    }

    /// The header above the line, or of the line itself.
    fn table_before(&self, text: &str) -> String {
        let upto = &text[..self.start + self.text.len()];
        let lines = upto.lines().rev();
        lines
            .map(|line| Line {
                start: 0,
                text: line,
            })
            .find_map(|line| line.header())
            .unwrap_or_default()
    }

    fn mistake(&self, range: Range<usize>, message: Text, help: Text) -> Mistake {
        Mistake::new(
            self.start + range.start..self.start + range.end,
            message,
            help,
        )
    }

    /// All of the line but blanks around it.
    fn whole(&self) -> Range<usize> {
        let trimmed = self.text.trim();
        let start = self.text.find(trimmed).unwrap_or(0);
        start..start + trimmed.len()
    }

    fn explain(&self, one: &Complaint<'_>) -> Mistake {
        let at = one
            .range
            .start
            .saturating_sub(self.start)
            .min(self.text.len());
        let end = one
            .range
            .end
            .saturating_sub(self.start)
            .clamp(at, self.text.len());
        let range = if at < end { at..end } else { self.whole() };
        // What stands behind a text that ended too early is that text's, whatever it looks like.
        let ended = one.message.starts_with("unexpected key or value");
        self.inner_quote()
            .or_else(|| {
                self.look_alike()
                    .filter(|found| !ended || found.range.start <= self.start + at)
            })
            .or_else(|| self.comment())
            .or_else(|| self.by_message(one.message, at, range.clone()))
            .unwrap_or_else(|| {
                let message = one.message;
                self.mistake(
                    range,
                    Text::new(
                        format!("not TOML: {message}"),
                        format!("不符合 TOML 语法：{message}"),
                    ),
                    Text::new(
                        "a line is `key = value`, `[section]` or `# comment`",
                        "每行应为 `键 = 值`、`[小节]` 或 `# 注释`",
                    ),
                )
            })
    }

    /// A quote that ends a text in the middle of a template.
    fn inner_quote(&self) -> Option<Mistake> {
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
    fn ended_early(&self, close: usize, quote: &str) -> Mistake {
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
    fn look_alike(&self) -> Option<Mistake> {
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
    fn comment(&self) -> Option<Mistake> {
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

    fn by_message(&self, message: &str, at: usize, range: Range<usize>) -> Option<Mistake> {
        let is = |begin: &str| message.starts_with(begin);
        if is("string values must be quoted") || is("invalid boolean") || is("invalid float") {
            return Some(self.bare(range));
        }
        if is("unexpected key or value") {
            return Some(self.behind(at));
        }
        if is("key with no value") || is("missing value") || is("invalid key-value pair") {
            return Some(self.no_value());
        }
        if is("invalid unquoted key") {
            return Some(self.bare_key(range));
        }
        if is("extra `=`") {
            return Some(self.mistake(
                range,
                Text::new("one `=` too many", "多了一个 `=`"),
                Text::new("a key is set by a single `=`", "赋值只用一个 `=`"),
            ));
        }
        if is("missing opening quote")
            || is("invalid basic string")
            || is("invalid literal string")
            || is("invalid multi-line")
        {
            return Some(self.no_quote(is("missing opening"), is("invalid multi-line")));
        }
        if message.contains("escape") || message.contains("unicode") {
            return Some(self.backslash(at));
        }
        if is("unclosed table") || is("unclosed array table") {
            let close = if is("unclosed array") { "]]" } else { "]" };
            return Some(self.mistake(
                self.whole(),
                Text::new(
                    format!("this section's name is not closed by `{close}`"),
                    format!("小节名没有以 `{close}` 结束"),
                ),
                Text::new(
                    format!("type `{close}` at the end of the line"),
                    format!("请在行尾加上 `{close}`"),
                ),
            ));
        }
        if is("missing comma")
            || is("extra assignment")
            || is("missing assignment")
            || is("unexpected `=`")
        {
            return Some(self.mistake(
                range,
                Text::new("a comma is missing between two entries", "两项之间缺少逗号"),
                Text::new(
                    "type `,` between the entries, and close the list with `]` or the table with `}`",
                    "请在两项之间加上半角 `,`，列表以 `]` 结束，内联表以 `}` 结束",
                ),
            ));
        }
        if is("extra comma") {
            return Some(self.mistake(
                range,
                Text::new("one comma too many", "多了一个逗号"),
                Text::new("delete it", "请删除它"),
            ));
        }
        if is("unexpected leading zero") {
            return Some(self.mistake(
                range,
                Text::new("a number cannot begin with 0", "数字不能以 0 开头"),
                Text::new(
                    "put digits that are no quantity in quotes: \"007\"",
                    "不是数量的数字请加引号：\"007\"",
                ),
            ));
        }
        if is("unquoted keys cannot be empty") {
            return Some(self.mistake(
                self.whole(),
                Text::new("the name is missing", "缺少名称"),
                Text::new(
                    "write it, as in `key = \"…\"` or [sinks.NAME]",
                    "请写上名称，例如 `key = \"…\"` 或 [sinks.NAME]",
                ),
            ));
        }
        None
    }

    /// A value without quotes.
    fn bare(&self, range: Range<usize>) -> Mistake {
        let word = self.text.get(range.clone()).unwrap_or_default().trim();
        let lower = word.to_ascii_lowercase();
        let say = |message: Text, help: Text| self.mistake(range.clone(), message, help);
        let missing = self.text.trim_end().ends_with('=');
        match lower.as_str() {
            _ if missing || word.is_empty() => self.mistake(
                self.whole(),
                Text::new("there is no value behind `=`", "`=` 后面没有值"),
                Text::new(
                    "write one, as in `key = \"…\"`, or put `#` in front of the line",
                    "请写上值，例如 `key = \"…\"`；或在行首加 `#` 注释掉",
                ),
            ),
            "true" | "yes" | "on" | "是" | "开" => say(
                Text::new(
                    format!("`{word}` is not a value of TOML"),
                    format!("TOML 中没有 `{word}` 这个值"),
                ),
                Text::new(
                    "write `true`, in small letters and without quotes",
                    "请写 `true`（小写，不加引号）",
                ),
            ),
            "false" | "no" | "off" | "否" | "关" => say(
                Text::new(
                    format!("`{word}` is not a value of TOML"),
                    format!("TOML 中没有 `{word}` 这个值"),
                ),
                Text::new(
                    "write `false`, in small letters and without quotes",
                    "请写 `false`（小写，不加引号）",
                ),
            ),
            "null" | "none" | "nil" | "undefined" => say(
                Text::new("TOML has no empty value", "TOML 没有空值"),
                Text::new(
                    "leave the line out, or put `#` in front of it",
                    "请删除此行，或在行首加 `#`",
                ),
            ),
            _ if word.starts_with(|first: char| first.is_ascii_digit()) && word.contains(',') => {
                say(
                    Text::new("a number has no comma", "数字中不能有逗号"),
                    Text::new(
                        "write 4096, not 4,096; and 1.5, not 1,5",
                        "请写 4096，不要写 4,096；小数请写 1.5，不要写 1,5",
                    ),
                )
            }
            _ if word.starts_with(|first: char| first.is_ascii_digit()) => say(
                Text::new("this needs quotes", "此值需要加引号"),
                Text::new(
                    "a number with a unit is a text: \"10s\", \"64MiB\", \"20/s\"",
                    "带单位的数字是文本：\"10s\"、\"64MiB\"、\"20/s\"",
                ),
            ),
            _ => say(
                Text::new("a text needs quotes", "文本需要加引号"),
                Text::new("put it between two `\"`", "请用两个半角 `\"` 把它括起来"),
            ),
        }
    }

    /// Something behind a value that is complete.
    fn behind(&self, at: usize) -> Mistake {
        let before = self.text[..at].trim_end();
        let rest = self.text[at..].trim_start();
        let start = self.text.len() - rest.len();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let range = start..start + first;
        let closed = before.chars().next_back();
        let inner = closed.filter(|quote| matches!(quote, '"' | '\'') && rest.contains(*quote));
        if let Some(quote) = inner.filter(|_| !rest.starts_with([',', ';'])) {
            return self.ended_early(before.len() - 1, &quote.to_string());
        }
        let digits = |text: &str, last: bool| {
            let letter = if last {
                text.chars().next_back()
            } else {
                text.chars().next()
            };
            letter.is_some_and(|letter| letter.is_ascii_digit())
        };
        if rest.starts_with(',')
            && digits(before, true)
            && digits(rest.trim_start_matches(','), false)
        {
            return self.mistake(
                range,
                Text::new("a number has no comma", "数字中不能有逗号"),
                Text::new(
                    "write 4096, not 4,096; and 1.5, not 1,5",
                    "请写 4096，不要写 4,096；小数请写 1.5，不要写 1,5",
                ),
            );
        }
        if rest.starts_with([',', ';']) {
            return self.mistake(
                range,
                Text::new(
                    format!("no `{}` at the end of a line", &rest[..first]),
                    format!("行尾不要写 `{}`", &rest[..first]),
                ),
                Text::new(
                    "delete it; a list is written [\"a\", \"b\"]",
                    "请删除它；列表写作 [\"a\", \"b\"]",
                ),
            );
        }
        self.mistake(
            start..self.text.trim_end().len().max(start + first),
            Text::new("there is more behind the value", "值的后面还有多余内容"),
            Text::new(
                "a key has one value; several are written [\"a\", \"b\"], and a comment begins with `#`",
                "一个键只有一个值；多个值写作 [\"a\", \"b\"]，注释以 `#` 开头",
            ),
        )
    }

    /// A key without `=`.
    fn no_value(&self) -> Mistake {
        let whole = self.whole();
        let text = &self.text[whole.clone()];
        if text.starts_with('{') || text.starts_with('<') {
            return self.mistake(
                whole,
                Text::new(
                    "this is not TOML (JSON or XML?)",
                    "这不是 TOML（是 JSON 或 XML？）",
                ),
                Text::new(
                    "a line is `key = value` or `[section]`",
                    "每行应为 `键 = 值` 或 `[小节]`",
                ),
            );
        }
        let colon = outside(self.text).find(|(_, letter)| matches!(letter, ':' | '='));
        match colon {
            Some((at, ':')) => self.mistake(
                at..at + 1,
                Text::new("a key is set by `=`, not by `:`", "赋值用 `=`，不用 `:`"),
                Text::new("type `=`: key = \"value\"", "请改为 `=`：key = \"value\""),
            ),
            Some((at, _)) if text[..at.saturating_sub(whole.start)].trim().contains(' ') => self
                .mistake(
                    whole.start..whole.start + text[..at - whole.start].trim_end().len(),
                    Text::new("a name cannot have a blank in it", "键名中不能有空格"),
                    Text::new(
                        "write max_body, or put the name in quotes",
                        "请写成 max_body 的形式，或给键名加引号",
                    ),
                ),
            _ => self.mistake(
                whole,
                Text::new("there is no `=` and no value here", "此处缺少 `=` 和值"),
                Text::new(
                    "write `key = \"value\"`, or put `#` in front of a comment",
                    "请写 `key = \"value\"`；如果是注释，请在行首加 `#`",
                ),
            ),
        }
    }

    fn bare_key(&self, range: Range<usize>) -> Mistake {
        let key = self.text.get(range.clone()).unwrap_or_default();
        if key == ":" || self.text[range.end..].trim_start().starts_with(':') {
            return self.no_value();
        }
        if !key.is_ascii() {
            return self.mistake(
                range,
                Text::new(
                    format!("a name with other letters than English needs quotes: `{key}`"),
                    format!("非英文的键名需要加引号：`{key}`"),
                ),
                Text::new(
                    format!("write \"{key}\"; leadgate's own keys are English"),
                    format!("请写 \"{key}\"；leadgate 自己的键名都是英文"),
                ),
            );
        }
        self.mistake(
            range,
            Text::new(
                format!("`{key}` cannot stand in a name"),
                format!("键名中不能有 `{key}`"),
            ),
            Text::new(
                "a name has letters, digits, `-` and `_`; any other needs quotes",
                "键名只能用字母、数字、`-` 和 `_`，其他字符需要加引号",
            ),
        )
    }

    fn no_quote(&self, opening: bool, long: bool) -> Mistake {
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

    fn backslash(&self, at: usize) -> Mistake {
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

/// A section or key that is there twice.
fn duplicate(text: &str, line: &Line<'_>, range: &Range<usize>) -> Mistake {
    let key = text.get(range.clone()).unwrap_or_default();
    let header = line.header();
    let lines = text[..line.start].split_inclusive('\n');
    let mut start = 0;
    let mut first = None;
    let table = line.table_before(text);
    let mut here = String::new();
    for other in lines {
        let other_line = Line {
            start,
            text: other.trim_end(),
        };
        if let Some(found) = other_line.header() {
            if header.as_ref() == Some(&found) {
                first = Some(other_line.whole());
            }
            here = found;
        } else if header.is_none() && here == table {
            let written = other_line.text.split('=').next().unwrap_or_default();
            if written.trim().trim_matches(['"', '\'']) == key.trim_matches(['"', '\'']) {
                first = Some(other_line.whole());
            }
        }
        if let Some(found) = first.take() {
            first = Some(start + found.start..start + found.end);
            break;
        }
        start += other.len();
    }
    let shown = match &header {
        Some(name) => format!("[{name}]"),
        None => key.to_owned(),
    };
    let whole = line.whole();
    Mistake {
        code: "config::defined_twice",
        range: match header {
            Some(_) => line.start + whole.start..line.start + whole.end,
            None => range.clone(),
        },
        message: Text::new(
            format!("`{shown}` is there twice"),
            format!("`{shown}` 重复定义"),
        ),
        help: Text::new(
            "give one of them another name, or put all of it under the first",
            "请改名，或把内容合并到第一处",
        ),
        first,
    }
}
