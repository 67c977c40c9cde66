//! Syntax: what is wrong with text that is not TOML, one mistake said once, with what to type.
//!
//! The parser recovers and then says several things about one slip; here each line gets one
//! answer, the first that a person can act on. Values are never quoted: they may be secrets.

mod quotes;
mod values;

use std::ops::Range;

use super::diagnostic::Text;

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
