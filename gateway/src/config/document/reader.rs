//! The reader: TOML as JSON, with the place of each key and value.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{Diagnostic, Place, Places, Text};
use super::super::literal_secret;
use super::pointer;

/// Turns a table into JSON and notes places.
pub(super) struct Reader<'a> {
    pub(super) file: usize,
    pub(super) places: &'a mut Places,
    /// Literal secrets in the text.
    pub(super) masks: &'a mut Vec<Range<usize>>,
    pub(super) problems: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn place(&self, range: Range<usize>, at: &str) -> Place {
        Place {
            file: self.file,
            range,
            pointer: at.to_owned(),
        }
    }

    pub(super) fn table(&mut self, table: &DeTable<'_>, above: &str) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let at = pointer(above, key.get_ref());
            let places = (self.place(key.span(), &at), self.place(value.span(), &at));
            self.places.insert(at.clone(), places);
            let json = self.value(value, &at);
            map.insert(key.get_ref().to_string(), json);
        }
        Value::Object(map)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: &str) -> Value {
        match value.get_ref() {
            DeValue::String(text) => {
                if literal_secret::is_hidden(at, text) {
                    self.masks.push(inside(value.span()));
                }
                Value::String(text.to_string())
            }
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(number) => {
                if literal_secret::is_named(at) {
                    self.masks.push(value.span());
                }
                let digits = number.as_str().replace('_', "");
                match i64::from_str_radix(&digits, number.radix()) {
                    Ok(number) => Value::from(number),
                    Err(_) => self.too_large(value.span(), at),
                }
            }
            DeValue::Float(number) => {
                if literal_secret::is_named(at) {
                    self.masks.push(value.span());
                }
                let number: f64 = number.as_str().replace('_', "").parse().unwrap_or(f64::NAN);
                match serde_json::Number::from_f64(number) {
                    Some(number) => Value::Number(number),
                    None => self.too_large(value.span(), at),
                }
            }
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().enumerate().map(|(number, item)| {
                    let at = pointer(at, &number.to_string());
                    let place = self.place(item.span(), &at);
                    self.places.insert(at.clone(), (place.clone(), place));
                    self.value(item, &at)
                });
                Value::Array(items.collect())
            }
            DeValue::Table(table) => self.table(table, at),
        }
    }

    /// A number that no plugin could get as it was written.
    fn too_large(&mut self, range: Range<usize>, at: &str) -> Value {
        let message = Text::new(
            "this is no number that can be kept exactly",
            "这个数字无法精确保存",
        );
        let help = Text::new(
            "digits that are no quantity are a text: put them in quotes",
            "不是数量的数字请写成文本：加上引号",
        );
        let place = self.place(range, at);
        self.problems.push(
            Diagnostic::error("config::invalid_value", message)
                .help(help)
                .at(Some(place)),
        );
        Value::from(0)
    }
}

/// The bytes between the quotes.
fn inside(range: Range<usize>) -> Range<usize> {
    let end = range.end.saturating_sub(1);
    (range.start + 1).min(end)..end
}
