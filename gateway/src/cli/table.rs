//! Tables for people: columns that line up also in Chinese, and never wider than the
//! terminal, or than 80 columns where there is none.
//!
//! Ids are never shortened, because people copy them: what does not fit beside them goes
//! below, with its title. Times are UTC in English and Beijing time in Chinese, as the fields
//! of a lead are, and say which: `Z` or `+08:00`, in a table in the title. Scripts use `--json`.

use serde_json::Value;

use super::{Global, out};
use crate::lang::Lang;
use crate::terminal;
use crate::words::Words;

/// What stands behind a time in Chinese.
const BEIJING: &str = "+08:00";
/// Columns between two columns.
const GAP: usize = 2;
/// Before what stands below.
const INDENT: usize = 4;

/// A column: the field of the API's answer, and its title in both languages.
#[derive(Clone, Copy)]
pub(super) struct Column {
    field: &'static str,
    en: &'static str,
    zh: &'static str,
    /// Whose codes its texts are.
    words: Option<Words>,
}

impl Column {
    #[cfg(test)]
    pub(super) const fn field(&self) -> &'static str {
        self.field
    }
}

/// Shorthand for [`Column`].
pub(super) const fn column(field: &'static str, en: &'static str, zh: &'static str) -> Column {
    Column {
        field,
        en,
        zh,
        words: None,
    }
}

/// A column of codes, which are shown in the reader's language.
pub(super) const fn coded(
    field: &'static str,
    en: &'static str,
    zh: &'static str,
    words: Words,
) -> Column {
    Column {
        field,
        en,
        zh,
        words: Some(words),
    }
}

/// Prints a list of the API's as a table.
pub(super) fn print(global: &Global, columns: &[Column], items: &[Value]) {
    let lang = global.lang();
    for line in lines(lang, columns, items, terminal::columns()) {
        outln!("{line}");
    }
}

/// Prints a list of the API's as it was asked for, and says on stderr if it goes on.
pub(super) fn print_list(global: &Global, columns: &[Column], list: &Value) {
    if global.json {
        out::json(list);
        return;
    }
    print(global, columns, items(list));
    if !list["next"].is_null() {
        let more = global
            .lang()
            .pick("there are more; see --all", "还有更多；用 --all 查看全部");
        errln!("leadgate: {more}");
    }
}

/// Prints one object of the API's, a line or more for each field it has.
pub(super) fn print_one(global: &Global, columns: &[Column], item: &Value) {
    for line in fields(global.lang(), columns, item, terminal::columns()) {
        outln!("{line}");
    }
}

fn title(lang: Lang, column: &Column) -> &'static str {
    lang.pick(column.en, column.zh)
}

/// A table of `width` columns at most.
pub(super) fn lines(lang: Lang, columns: &[Column], items: &[Value], width: usize) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let cells = columns.iter().map(|one| cell(lang, one, &item[one.field]));
            cells.collect()
        })
        .collect();
    let titles: Vec<String> = (0..columns.len())
        .map(|at| titled(lang, &columns[at], at, items, &mut rows))
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            let cells = rows.iter().map(|row| terminal::width(&row[at]));
            cells.max().unwrap_or(0).max(terminal::width(&titles[at]))
        })
        .collect();
    let beside = beside(&widths, width);
    let line = |texts: &mut dyn Iterator<Item = (usize, &str)>| {
        let mut line = String::new();
        let mut pad = 0;
        for (at, text) in texts {
            line.extend(std::iter::repeat_n(' ', pad));
            line.push_str(text);
            pad = GAP + widths[at].saturating_sub(terminal::width(text));
        }
        line.trim_end().to_owned()
    };
    let all = || (0..columns.len()).filter(|at| beside[*at]);
    let mut lines = Vec::new();
    let head = line(&mut all().map(|at| (at, titles[at].as_str())));
    lines.extend(wrapped(&head, width));
    for row in &rows {
        let head = line(&mut all().map(|at| (at, row[at].as_str())));
        // Only a first column that alone is too wide does not fit.
        lines.extend(wrapped(&head, width));
        let below = (0..columns.len()).filter(|at| !beside[*at] && row[*at] != "-");
        let below = below.map(|at| format!("{}{}{}", titles[at], lang.colon(), row[at]));
        lines.extend(gathered(below, width));
    }
    lines
}

/// Which columns stand beside each other: the first, and each that still fits.
fn beside(widths: &[usize], width: usize) -> Vec<bool> {
    let whole = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    if whole <= width {
        return vec![true; widths.len()];
    }
    let mut taken = 0;
    let mut beside = Vec::with_capacity(widths.len());
    for (at, one) in widths.iter().enumerate() {
        let with = if at == 0 { *one } else { taken + GAP + one };
        let fits = at == 0 || with <= width;
        if fits {
            taken = with;
        }
        beside.push(fits);
    }
    beside
}

/// The title of a column of a table; where there are times in it and their zone is many letters
/// long, that stands here once and not in each row.
fn titled(
    lang: Lang,
    column: &Column,
    at: usize,
    items: &[Value],
    rows: &mut [Vec<String>],
) -> String {
    let title = title(lang, column);
    let is_time = |item: &Value| {
        let text = item[column.field].as_str();
        text.is_some_and(|text| time(lang, text).is_some())
    };
    if lang == Lang::En || !items.iter().any(is_time) {
        return title.to_owned();
    }
    for row in rows {
        if let Some(short) = row[at].strip_suffix(BEIJING) {
            row[at] = short.to_owned();
        }
    }
    format!("{title}（{BEIJING}）")
}

/// Texts below an item, as many on a line as fit.
fn gathered(texts: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let room = width - INDENT;
    let mut lines: Vec<String> = Vec::new();
    let mut last = String::new();
    for text in texts {
        let joined = format!("{last} · {text}");
        if !last.is_empty() && terminal::width(&joined) <= room {
            last = joined;
            continue;
        }
        lines.extend(wrapped(&last, room));
        last = text;
    }
    lines.extend(wrapped(&last, room));
    let indent = " ".repeat(INDENT);
    lines.iter().map(|line| format!("{indent}{line}")).collect()
}

/// One object as titles and values, `width` columns at most.
pub(super) fn fields(lang: Lang, columns: &[Column], item: &Value, width: usize) -> Vec<String> {
    let shown: Vec<(&str, String)> = columns
        .iter()
        .filter(|column| !item[column.field].is_null())
        .map(|column| (title(lang, column), cell(lang, column, &item[column.field])))
        .collect();
    let titles = shown.iter().map(|(title, _)| terminal::width(title));
    let left = titles.max().unwrap_or(0) + GAP;
    let mut lines = Vec::new();
    for (title, value) in &shown {
        let pad = left - terminal::width(title);
        let mut start = format!("{title}{}", " ".repeat(pad));
        for part in wrapped(value, width.saturating_sub(left).max(INDENT)) {
            lines.push(format!("{start}{part}"));
            start = " ".repeat(left);
        }
    }
    lines
}

/// A text in lines of `width` columns at most, broken at spaces where there are any; nothing
/// for no text.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if terminal::width(rest) <= width {
            lines.push(rest.to_owned());
            break;
        }
        let mut taken = 0;
        let mut end = 0;
        let mut space = None;
        for (at, letter) in rest.char_indices() {
            taken += terminal::width_of(letter);
            if taken > width && at > 0 {
                break;
            }
            if letter == ' ' && at > 0 {
                space = Some(at);
            }
            end = at + letter.len_utf8();
        }
        // A space that comes early would leave most of the line empty.
        let end = space.filter(|at| *at > end / 3).unwrap_or(end);
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines
}

/// A value in a cell, on one line.
fn cell(lang: Lang, column: &Column, value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => match column.words {
            Some(words) => words.of(lang, text).into_owned(),
            None => time(lang, text).unwrap_or_else(|| text.clone()),
        },
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key} {}", cell(lang, column, value)));
            pairs.collect::<Vec<_>>().join(lang.comma())
        }
        other => other.to_string(),
    };
    let text = text.replace(['\n', '\r', '\t'], " ");
    let text = terminal::visible(&text);
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.into_owned()
    }
}

/// A time of the API's, which is UTC, to the second: as it is in English, in Beijing time in
/// Chinese. Either says its zone, so that it can be given back to a command.
pub(super) fn time(lang: Lang, text: &str) -> Option<String> {
    if !(20..=30).contains(&text.len()) || !text.ends_with('Z') || text.as_bytes()[10] != b'T' {
        return None;
    }
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(match lang {
        Lang::En => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Lang::ZhCn => {
            let at = crate::lead::time::format_gmt8(at.as_millisecond());
            format!("{at}{BEIJING}")
        }
    })
}

/// The items of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALL: [Column; 5] = [
        column("id", "delivery", "投递"),
        column("sink", "sink", "目的地"),
        column("created_at", "created", "创建时间"),
        column("lead", "lead", "客资"),
        column("last_reason", "last reason", "最近原因"),
    ];

    fn delivery(reason: &str) -> Value {
        json!({
            "id": "01937f4e-8a6b-7c3d-9e2f-0123456789ab",
            "sink": "旗舰店的客户关系系统",
            "created_at": "2026-11-28T11:59:10.123Z",
            "lead": "01937f4e-8a6b-7c3d-9e2f-0123456789ac",
            "last_reason": reason,
        })
    }

    #[test]
    fn tables_fit_their_width_in_both_languages_and_keep_ids_whole() {
        let long = "对方拒绝：手机号字段缺失，".repeat(12) + &"x".repeat(200);
        for lang in [Lang::En, Lang::ZhCn] {
            for width in [48, 60, 80, 120, 500] {
                let items = [delivery(&long), delivery("short"), delivery("")];
                let table = lines(lang, &ALL, &items, width);
                let one = fields(lang, &ALL, &items[0], width);
                for line in table.iter().chain(&one) {
                    assert!(terminal::width(line) <= width, "{width}: {line}");
                }
                let text = table.join("\n");
                for id in ["-0123456789ab", "-0123456789ac"] {
                    let whole = format!("01937f4e-8a6b-7c3d-9e2f{id}");
                    assert_eq!(text.matches(&whole).count(), 3, "{width}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_fits_is_one_line_an_item() {
        let columns = [column("a", "name", "名称"), column("b", "count", "数量")];
        let items = [json!({"a": "张三", "b": 1}), json!({"a": "x", "b": null})];
        assert_eq!(
            lines(Lang::En, &columns, &items, 80),
            ["name  count", "张三  1", "x     -"]
        );
    }

    #[test]
    fn times_are_those_of_beijing_in_chinese_and_always_say_their_zone() {
        let at = "2026-11-28T16:30:00.250Z";
        assert_eq!(time(Lang::En, at).as_deref(), Some("2026-11-28 16:30:00Z"));
        let zh = time(Lang::ZhCn, at);
        assert_eq!(zh.as_deref(), Some("2026-11-29 00:30:00+08:00"));
        assert_eq!(time(Lang::ZhCn, "2026-11-28"), None);
        let columns = [column("at", "at", "时间"), column("n", "n", "数")];
        let items = [json!({"at": at, "n": 1}), json!({"at": null, "n": 2})];
        assert_eq!(
            lines(Lang::ZhCn, &columns, &items, 80),
            [
                "时间（+08:00）       数",
                "2026-11-29 00:30:00  1",
                "-                    2"
            ]
        );
        assert_eq!(
            lines(Lang::En, &columns, &items[..1], 80)[1],
            "2026-11-28 16:30:00Z  1"
        );
        assert_eq!(
            fields(Lang::ZhCn, &columns[..1], &items[0], 80),
            ["时间  2026-11-29 00:30:00+08:00"]
        );
    }

    #[test]
    fn codes_are_words_in_chinese_also_in_a_list() {
        let columns = [
            coded("state", "state", "状态", Words::State),
            coded("sinks", "sinks", "目的地", Words::State),
        ];
        let items = [json!({"state": "dead", "sinks": {"crm": "pending", "im": "dead"}})];
        assert_eq!(
            lines(Lang::ZhCn, &columns, &items, 80)[1],
            "死信  crm 待投递，im 死信"
        );
        assert_eq!(
            lines(Lang::En, &columns, &items, 80)[1],
            "dead   crm pending, im dead"
        );
    }

    #[test]
    fn cells_cannot_break_out_of_their_line() {
        let cell = |value| cell(Lang::En, &column("", "", ""), &value);
        assert_eq!(cell(json!("a\nb\u{1b}[2J")), "a b\u{fffd}[2J");
        assert_eq!(cell(json!("a\u{202e}b")), "a\u{fffd}b");
        assert_eq!(cell(json!(null)), "-");
        assert_eq!(
            cell(json!({"crm": "dead", "mail": "pending"})),
            "crm dead, mail pending"
        );
    }
}
