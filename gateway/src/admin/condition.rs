//! Conditions that are kept: they say nothing of who anybody is.
//!
//! The condition of a bulk job is kept with it, whoever is erased later. So it may ask what a field
//! of a person is like, such as whether it is there or how long it is, and not whether it is, or
//! holds, a certain text. Reads words and texts, not grammar: whoever wants to can get around it.

use super::privacy;
use super::problem::Problem;
use super::wish::bad;
use crate::lead::Phone;

/// Digits that a number needs to be somebody's.
const DIGITS: usize = 5;

/// A piece of a condition that matters here.
enum Piece<'a> {
    /// `and` or `or`.
    Joint,
    /// A name, with what follows behind dots.
    Name(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// A number.
    Number(&'a str),
}

/// Refuses a condition that compares a field of a person with a text or a long number.
pub(super) fn names_nobody(when: &str) -> Result<(), Problem> {
    let Some(field) = named(when) else {
        return Ok(());
    };
    Err(bad((
        format!(
            "`when` compares `{field}` with a value: a job and its condition are kept, so they must name nobody; use `leadgate leads find` or `leads erase` for one person; a replay goes by the sink's own `when` anyway"
        ),
        format!(
            "`when` 将 `{field}` 与具体值比较：任务及其条件会被保留，不得写入个人信息；针对某个人请用 `leadgate leads find` 或 `leads erase`；补发本来就按目的地自己的 `when` 判断"
        ),
    )))
}

/// Whether a group of digits in it surely is a mobile.
pub(super) fn holds_a_mobile(text: &str) -> bool {
    let mut groups = text.split(|letter: char| !letter.is_ascii_digit());
    groups.any(|digits| Phone::parse(digits).is_some())
}

/// The field of a person that is compared with something in a part of `when`, if one is.
fn named(when: &str) -> Option<&str> {
    let (mut field, mut value) = (None, false);
    for piece in pieces(when) {
        match piece {
            Piece::Joint => (field, value) = (None, false),
            Piece::Name(name) => field = field.or_else(|| personal(name)),
            Piece::Text(text) => match personal(text) {
                // `lead['phone']`
                Some(name) => field = field.or(Some(name)),
                None => value |= !text.is_empty(),
            },
            Piece::Number(number) => value |= number.len() >= DIGITS,
        }
        if value && field.is_some() {
            return field;
        }
    }
    None
}

/// The field that a name is of, if it is one of a person.
fn personal(name: &str) -> Option<&str> {
    let path = name.strip_prefix("lead.").unwrap_or(name);
    let field = path.split('.').next().unwrap_or_default();
    privacy::is_personal(field).then_some(field)
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_name = |letter: char| letter.is_alphanumeric() || "_.".contains(letter);
        let end = match first {
            '\'' | '"' => {
                let inside = &rest[1..];
                let end = end_of_text(inside, first);
                pieces.push(Piece::Text(&inside[..end]));
                (end + 2).min(rest.len())
            }
            letter if letter.is_ascii_digit() => {
                let end = rest.find(|letter: char| !letter.is_ascii_digit());
                let end = end.unwrap_or(rest.len());
                pieces.push(Piece::Number(&rest[..end]));
                end
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
                pieces.push(match &rest[..end] {
                    "and" | "or" => Piece::Joint,
                    name => Piece::Name(name),
                });
                end
            }
            letter => letter.len_utf8(),
        };
        rest = &rest[end..];
    }
    pieces
}

/// Where a text ends, by the quote that is not behind a backslash.
fn end_of_text(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = inside.char_indices().find(|(_, letter)| {
        let is_end = *letter == quote && !escaped;
        escaped = *letter == '\\' && !escaped;
        is_end
    });
    end.map_or(inside.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_may_say_what_a_field_is_like_and_not_whose_it_is() {
        for (when, field) in [
            ("taobao_nick == 'tb_zhang'", Some("taobao_nick")),
            ("store_id == 7 and phone[-4:] == '8911'", Some("phone")),
            ("'张三' in name", Some("name")),
            ("(name | default('')) in ['张三']", Some("name")),
            ("lead.openid == \"a\\\"b\"", Some("openid")),
            ("lead['address'] == 'x'", Some("address")),
            ("other.wechat == 'zhang'", Some("other")),
            ("phone | int == 8911000", Some("phone")),
            ("phone", None),
            ("phone | length == 11 and channel == 'app'", None),
            ("(remark | default('')) == '' or source == 'shop'", None),
            ("record_id == 371009", None),
            ("(store_id | lookup('stores')) == 'north'", None),
            ("other.vip > 3", None),
            ("", None),
            ("'open", None),
        ] {
            assert_eq!(named(when), field, "{when}");
        }
    }
}
