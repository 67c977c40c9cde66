//! Arithmetic: what is reckoned with, and is no number or may be none.

use std::ops::Range;

use super::super::expression::Expression;
use super::super::kind::{Kind, Type};
use super::super::mistake::TemplateError;
use super::{Checked, Types};

impl Types<'_> {
    pub(super) fn math(
        &mut self,
        sign: &str,
        at: &Range<usize>,
        left: &Expression<'_>,
        right: &Expression<'_>,
    ) -> Checked<Type> {
        let (first, second) = (self.of(left)?, self.of(right)?);
        if sign == "~" {
            return Ok(Kind::Text.there());
        }
        let (kinds, texts) = (
            [first.kind, second.kind],
            [left, right].map(|side| self.shown(side)),
        );
        if sign == "+" {
            match kinds {
                [Kind::Text, Kind::Text] | [Kind::List, Kind::List] => {
                    return Ok(kinds[0].there());
                }
                [Kind::Text, _] | [_, Kind::Text] if kinds.iter().all(|kind| kind.is_known()) => {
                    let write = format!("{} ~ {}", texts[0], texts[1]);
                    let other = usize::from(kinds[0] == Kind::Text);
                    let (en, zh) = kinds[other].words();
                    let shown = &texts[other];
                    return Err(TemplateError::at(
                        at,
                        format!("`+` cannot join text with {en}: `{shown}` is {en}"),
                        format!("`+` 不能连接文本与{zh}：`{shown}` 是{zh}"),
                    )
                    .help(
                        format!("`~` joins: write `{write}`"),
                        format!("请用 `~` 连接：`{write}`"),
                    ));
                }
                _ => {}
            }
        }
        for (side, found) in [(left, first), (right, second)] {
            self.number(side, found, sign, at)?;
        }
        let kind = if kinds == [Kind::Number; 2] {
            Kind::Number
        } else {
            Kind::Any
        };
        Ok(kind.there())
    }

    /// Refuses what is no number, or may be none, where a number is reckoned with.
    pub(super) fn number(
        &self,
        value: &Expression<'_>,
        found: Type,
        sign: &str,
        at: &Range<usize>,
    ) -> Checked<()> {
        let shown = self.shown(value);
        match found.kind {
            Kind::Any => Ok(()),
            Kind::List if sign == "*" => Ok(()),
            Kind::Number if !found.absent => Ok(()),
            Kind::Number => Err(TemplateError::at(
                &value.range,
                format!("`{sign}` fails for a lead that does not say `{shown}`"),
                format!("没有 `{shown}` 的客资会使 `{sign}` 出错"),
            )
            .help(
                format!("write `({shown} or 0)`, or ask `{shown} is not none` before"),
                format!("请写 `({shown} or 0)`，或先判断 `{shown} is not none`"),
            )),
            Kind::None | Kind::Bool | Kind::Text | Kind::Time | Kind::Table | Kind::List => {
                let (en, zh) = found.kind.words();
                let error = TemplateError::at(
                    at,
                    format!("`{sign}` reckons with numbers: `{shown}` is {en}"),
                    format!("`{sign}` 只能计算数字：`{shown}` 是{zh}"),
                );
                Err(match (found.kind, value.literal()) {
                    (Kind::Text, Some(text)) if is_number(text) => error.help(
                        format!("write {text} without quotes"),
                        format!("数字不加引号，请写 {text}"),
                    ),
                    (Kind::Text, None) => error.help(
                        format!("`({shown} | int(0))` makes a number of it; `~` joins texts"),
                        format!("`({shown} | int(0))` 可把它变成数字；连接文本用 `~`"),
                    ),
                    (Kind::Text, Some(_)) => error.help("`~` joins texts", "连接文本用 `~`"),
                    (Kind::Time, _) => error.help(
                        format!("`({shown} | epoch_ms)` makes a number of it"),
                        format!("`({shown} | epoch_ms)` 可把它变成数字"),
                    ),
                    _ => error,
                })
            }
        }
    }
}

pub(super) fn is_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches('-');
    !digits.is_empty()
        && digits.len() <= 18
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        // A phone with a leading zero, or a code such as 007, is text.
        && (digits == "0" || !digits.starts_with('0'))
}
