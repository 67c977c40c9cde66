//! Tables for people: columns that line up also in Chinese, where a letter is two wide.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::Global;

/// A column: the field of the API's answer, and its title in both languages.
pub(super) struct Column {
    pub(super) field: &'static str,
    pub(super) en: &'static str,
    pub(super) zh: &'static str,
}

/// Shorthand for [`Column`].
pub(super) const fn column(field: &'static str, en: &'static str, zh: &'static str) -> Column {
    Column { field, en, zh }
}

/// Prints a list of the API's as a table, one line an item.
pub(super) fn print(global: &Global, columns: &[Column], items: &[Value]) {
    let lang = global.lang();
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| lang.pick(column.en, column.zh)));
    for item in items {
        table.add_row(columns.iter().map(|column| cell(&item[column.field])));
    }
    for line in table.lines() {
        println!("{}", line.trim());
    }
}

/// Prints a list of the API's as it was asked for, and says on stderr if it goes on.
pub(super) fn print_list(global: &Global, columns: &[Column], list: &Value) {
    if global.json {
        println!("{list:#}");
        return;
    }
    print(global, columns, items(list));
    if !list["next"].is_null() {
        let more = global
            .lang()
            .pick("there are more; see --all", "还有更多；用 --all 查看全部");
        eprintln!("leadgate: {more}");
    }
}

/// Prints one object of the API's, a line for each field it has.
pub(super) fn print_one(global: &Global, columns: &[Column], item: &Value) {
    let lang = global.lang();
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    for column in columns {
        let value = &item[column.field];
        if !value.is_null() {
            table.add_row([lang.pick(column.en, column.zh).to_owned(), cell(value)]);
        }
    }
    for line in table.lines() {
        println!("{}", line.trim());
    }
}

/// A value in a cell. Control characters would move the cursor: they become spaces.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key} {}", cell(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let text = text.replace(|letter: char| letter.is_control(), " ");
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// The items of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_cannot_break_out_of_their_line() {
        assert_eq!(cell(&json!("a\nb\u{1b}[2J")), "a b [2J");
        assert_eq!(cell(&json!(null)), "-");
        assert_eq!(
            cell(&json!({"crm": "dead", "mail": "pending"})),
            "crm dead, mail pending"
        );
    }
}
