//! Compares: what is never equal to the other, and what no list or text contains.

use super::super::expression::{Expression, Node};
use super::super::kind::Kind;
use super::super::mistake::TemplateError;
use super::arithmetic::is_number;
use super::{Checked, Types};

impl Types<'_> {
    pub(super) fn compare(
        &mut self,
        left: &Expression<'_>,
        sign: &str,
        right: &Expression<'_>,
    ) -> Checked<()> {
        let first = self.of(left)?;
        let second = self.of(right)?;
        if matches!(sign, "in" | "not in") {
            return self.contains(left, first.kind, sign, right, second.kind);
        }
        self.same(left, first.kind, right, second.kind)
    }

    /// Refuses a compare of what is never equal.
    pub(super) fn same(
        &self,
        left: &Expression<'_>,
        first: Kind,
        right: &Expression<'_>,
        second: Kind,
    ) -> Checked<()> {
        if first == second || !first.is_known() || !second.is_known() {
            return Ok(());
        }
        // What is written out is what was mistaken; else the right side is.
        let (field, holds, value, is) = if left.is_literal() && !right.is_literal() {
            (right, second, left, first)
        } else {
            (left, first, right, second)
        };
        let ((holds_en, holds_zh), (is_en, is_zh)) = (holds.words(), is.words());
        let (field_shown, value_shown) = (self.shown(field), self.shown(value));
        let error = TemplateError::at(
            &value.range,
            format!(
                "{holds_en} is compared with {is_en}: `{field_shown}` is {holds_en}, `{value_shown}` is {is_en}"
            ),
            format!(
                "{holds_zh}与{is_zh}不能比较：`{field_shown}` 是{holds_zh}，`{value_shown}` 是{is_zh}"
            ),
        );
        let write = |write: String| (format!("write {write}"), format!("请写 {write}"));
        let (en, zh) = match (holds, is) {
            (Kind::Number, Kind::Text) => match value
                .literal()
                .map(str::trim)
                .filter(|text| is_number(text))
            {
                Some(number) => (
                    format!("write {number} without quotes"),
                    format!("数字不加引号，请写 {number}"),
                ),
                None if value.is_literal() => (
                    format!(
                        "`{field_shown}` holds a number; compare it with one, such as 437763404"
                    ),
                    format!("`{field_shown}` 的值是数字，请与数字比较，例如 437763404"),
                ),
                None => write(format!("`{value_shown} | int(0)`")),
            },
            (Kind::Text, Kind::Number) if value.is_literal() => write(format!("'{value_shown}'")),
            (Kind::Text, Kind::Number) => write(format!("`{value_shown} | string`")),
            (_, Kind::List) => write(format!("`{field_shown} in {value_shown}`")),
            (Kind::List, _) => write(format!("`{value_shown} in {field_shown}`")),
            (Kind::Time, _) => write(format!("`{field_shown} | format(\"%F %T\")`")),
            (_, Kind::Time) => write(format!("`{value_shown} | format(\"%F %T\")`")),
            (_, Kind::Bool) => write(format!("`{field_shown} is not none`")),
            _ => (String::new(), String::new()),
        };
        Err(error.help(en, zh))
    }

    /// `in` and `not in`.
    pub(super) fn contains(
        &mut self,
        left: &Expression<'_>,
        first: Kind,
        sign: &str,
        right: &Expression<'_>,
        second: Kind,
    ) -> Checked<()> {
        if let Node::List(items) = &right.node {
            for item in items {
                let kind = self.of(item)?.kind;
                self.same(left, first, item, kind)?;
            }
            return Ok(());
        }
        let (left_shown, right_shown) = (self.shown(left), self.shown(right));
        let (first_words, second_words) = (first.words(), second.words());
        match second {
            Kind::Any | Kind::List | Kind::Table => Ok(()),
            Kind::Text if matches!(first, Kind::Text | Kind::Any | Kind::None) => Ok(()),
            Kind::Text => {
                let error = TemplateError::at(
                    &left.range,
                    format!(
                        "text is looked for in text: `{left_shown}` is {}",
                        first_words.0
                    ),
                    format!("只能在文本中查找文本：`{left_shown}` 是{}", first_words.1),
                );
                let write = match right.literal() {
                    _ if left.is_literal() => format!("'{left_shown}'"),
                    Some(list) => {
                        let inside: Vec<_> = list.split([',', '，', ' ']).collect();
                        format!("`{left_shown} {sign} [{}]`", inside.join(", "))
                    }
                    None => format!("`{left_shown} | string`"),
                };
                Err(error.help(format!("write {write}"), format!("请写 {write}")))
            }
            Kind::None | Kind::Bool | Kind::Number | Kind::Time => {
                let error = TemplateError::at(
                    &right.range,
                    format!(
                        "`{sign}` looks into a list or a text: `{right_shown}` is {}",
                        second_words.0
                    ),
                    format!(
                        "`{sign}` 只能用于列表或文本：`{right_shown}` 是{}",
                        second_words.1
                    ),
                );
                let write = if right.is_literal() {
                    format!("`{left_shown} {sign} [{right_shown}]`")
                } else if first == Kind::Text {
                    format!("`{left_shown} {sign} ({right_shown} | string)`")
                } else {
                    let equal = if sign == "in" { "==" } else { "!=" };
                    format!("`{left_shown} {equal} {right_shown}`")
                };
                Err(error.help(format!("write {write}"), format!("请写 {write}")))
            }
        }
    }
}
