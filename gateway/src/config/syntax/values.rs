//! Keys and values: what the parser says of them, in the words of whoever wrote them.

use std::ops::Range;

use super::super::diagnostic::Text;
use super::{Line, Mistake, outside};

impl Line<'_> {
    pub(super) fn by_message(
        &self,
        message: &str,
        at: usize,
        range: Range<usize>,
    ) -> Option<Mistake> {
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
    pub(super) fn bare(&self, range: Range<usize>) -> Mistake {
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
    pub(super) fn behind(&self, at: usize) -> Mistake {
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
    pub(super) fn no_value(&self) -> Mistake {
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

    pub(super) fn bare_key(&self, range: Range<usize>) -> Mistake {
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
}
