//! CSV as in RFC 4180, for spreadsheets: a header line, then a row for each lead.
//!
//! Promises that whatever a lead says stays a text in a cell of its own. Rows end with CR LF
//! and cells never hold a CR, so that the end of a row is always known from the bytes alone.

use leadgate_plugin::template::{self, Engine, Scope, Template};
use leadgate_plugin::{Delivery, Host, Problem, Problems};

use crate::settings::{Column, Delimiter};

/// The byte order mark of UTF-8.
pub(crate) const BOM: &[u8] = b"\xEF\xBB\xBF";
/// What ends a row.
pub(crate) const END: &[u8] = b"\r\n";

/// The columns, compiled.
pub(crate) struct Table {
    engine: Engine,
    delimiter: Delimiter,
    header: Vec<u8>,
    cells: Vec<Template>,
}

impl Table {
    pub(crate) fn new(
        columns: &[Column],
        delimiter: Delimiter,
        host: &Host,
    ) -> Result<Self, Problems> {
        let engine = Engine::new(host.tables().clone());
        let mut problems = Problems::default();
        if columns.is_empty() {
            problems.push(
                Problem::at("/columns", "a csv file needs columns").help(
                    "columns = [{ name = \"姓名\", value = \"{{ name }}\" }, { name = \"手机\", value = \"{{ phone }}\" }]",
                ),
            );
        }
        let mut cells = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            if column.name.trim().is_empty() {
                let place = format!("/columns/{at}/name");
                problems.push(Problem::at(place, "a column needs a name"));
            } else if columns[..at].iter().any(|other| other.name == column.name) {
                let place = format!("/columns/{at}/name");
                let message = format!("there is a column `{}` already", column.name);
                problems.push(Problem::at(place, message).help("give each its own name"));
            }
            match engine.template(&column.value, &Scope::EVENT) {
                Ok(cell) => cells.push(cell),
                Err(mistakes) => {
                    let place = format!("/columns/{at}/value");
                    problems.extend(template::problems(mistakes, &place));
                }
            }
        }
        let names: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
        problems.into_result(Self {
            engine,
            delimiter,
            header: row(&names, delimiter),
            cells,
        })
    }

    /// The line of names.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// The row of a lead.
    pub(crate) fn row(&self, delivery: &Delivery) -> Result<Vec<u8>, Problem> {
        let event = delivery.json()?;
        let context = self.engine.event(&event, delivery.id());
        let texts = self.cells.iter().enumerate().map(|(at, cell)| {
            let text = cell.text(&context);
            let text = text.map_err(|error| error.into_problem(&format!("/columns/{at}/value")))?;
            Ok(text.unwrap_or_default())
        });
        let texts = texts.collect::<Result<Vec<_>, Problem>>()?;
        Ok(row(&texts, self.delimiter))
    }
}

fn row(texts: &[String], delimiter: Delimiter) -> Vec<u8> {
    let cells: Vec<_> = texts.iter().map(|text| cell(text)).collect();
    let mut row = cells.join(delimiter.as_str()).into_bytes();
    if row.is_empty() {
        // An empty line would be no row.
        row.extend_from_slice(b"\"\"");
    }
    row.extend_from_slice(END);
    row
}

/// What separates cells or rows for one spreadsheet or another, whatever this file does.
const SEPARATORS: [char; 4] = [',', ';', '\t', '\n'];

/// A text as a cell: no formula, line breaks as LF, in quotes where it needs them.
fn cell(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut text = defused(&text);
    // A semicolon or a tab separates cells where a spreadsheet is set to that.
    if text.contains(['"', ',', ';', '\t', '\n']) {
        text = format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

/// The text with an apostrophe before whatever a spreadsheet would compute. Also inside: one that
/// is set to another separator than this file's takes the quotes in the middle of its own cells
/// for text, and begins a cell behind each separator.
fn defused(text: &str) -> String {
    let mut defused = String::with_capacity(text.len() + 1);
    if text.starts_with(['\t', '\n']) {
        defused.push('\'');
    }
    for part in text.split_inclusive(SEPARATORS) {
        let bare = part.trim_end_matches(SEPARATORS);
        if is_formula(bare) && !defused.ends_with('\'') {
            defused.push('\'');
        }
        defused.push_str(part);
    }
    defused
}

/// Whether a spreadsheet would compute the text instead of showing it. A signed number is none:
/// `-3.5` and a phone such as `+8613567658911` stay as they are.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches(|first: char| first.is_whitespace() || first == '"')
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
        && !is_number(text)
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_need_it() {
        for (text, shown) in [
            ("张三", "张三"),
            ("", ""),
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines\rthree\n", "\"two\nlines\nthree\n\""),
            ("440512\t", "\"440512\t\""),
        ] {
            assert_eq!(cell(text), shown, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_computed_either_where_another_separator_rules() {
        for (text, shown) in [
            ("a;=1+1", "\"a;'=1+1\""),
            ("a,@x", "\"a,'@x\""),
            ("a\n=1+1", "\"a\n'=1+1\""),
            ("a; \"=1+1\"", "\"a;' \"\"=1+1\"\"\""),
            ("\t=1", "\"'\t'=1\""),
            ("1;-2;+8613567658911", "\"1;-2;+8613567658911\""),
            ("a;b=c", "\"a;b=c\""),
        ] {
            assert_eq!(cell(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_a_spreadsheet_would_compute_is_shown_as_text() {
        for text in [
            "=1+1",
            "+1+1",
            "-1+1",
            "@SUM(A1)",
            "＝1",
            "＋1",
            "－1",
            "＠A1",
            " =1+1",
            "\u{3000}=1",
            "+",
            "-",
            "-.5",
            "+86 135",
            "+8613567658911x",
            "1-",
        ] {
            let expected = if text == "1-" {
                text.to_owned()
            } else {
                format!("'{text}")
            };
            assert_eq!(cell(text), expected, "{text:?}");
        }
        assert_eq!(cell("=A1,\"x\""), "\"'=A1,\"\"x\"\"\"");
        assert_eq!(cell("\t=1"), "\"'\t'=1\"");
        assert_eq!(cell("\r=1"), "\"'\n'=1\"");
        assert_eq!(cell("\n1"), "\"'\n1\"");
    }

    #[test]
    fn numbers_and_international_phones_stay_as_they_are() {
        for text in ["-3.5", "+7", "-0", "3.5", "+8613567658911", "13567658911"] {
            assert_eq!(cell(text), text);
        }
    }

    #[test]
    fn a_row_is_never_an_empty_line() {
        let row = |texts: &[&str], delimiter| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            String::from_utf8(row(&texts, delimiter)).expect("a text")
        };
        assert_eq!(row(&[""], Delimiter::Comma), "\"\"\r\n");
        assert_eq!(row(&["", ""], Delimiter::Comma), ",\r\n");
        assert_eq!(row(&["a", "b"], Delimiter::Semicolon), "a;b\r\n");
        assert_eq!(row(&["a", "b\tc"], Delimiter::Tab), "a\t\"b\tc\"\r\n");
    }

    #[test]
    fn every_mistake_in_the_columns_is_found_at_its_place() {
        let column = |name: &str, value: &str| Column {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let columns = [
            column("姓名", "{{ nmae }}"),
            column(" ", "fixed"),
            column("姓名", "{{ phone | nope }}"),
        ];
        let host = Host::detached("sheet", leadgate_plugin::Tables::new());
        let problems = Table::new(&columns, Delimiter::Comma, &host)
            .err()
            .expect("mistakes");
        let places: Vec<_> = problems
            .into_iter()
            .map(|one| (one.path, one.help))
            .collect();
        let named = |path: &str, help: &str| (path.to_owned(), help.to_owned());
        assert_eq!(places[0], named("/columns/0/value", "did you mean `name`?"));
        assert_eq!(places[1].0, "/columns/1/name");
        assert_eq!(places[2].0, "/columns/2/name");
        assert_eq!(places[3].0, "/columns/2/value");
        assert_eq!(places.len(), 4);
        let none = Table::new(&[], Delimiter::Comma, &host)
            .err()
            .expect("no columns");
        assert!(none.into_iter().all(|one| one.path == "/columns"));
    }
}
