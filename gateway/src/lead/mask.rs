//! Masks: a name and a phone as they are shown wherever nobody asked to see them, so that
//! every command and the API show the same.

use leadgate_plugin::phone;

/// What stands for a text of which nothing may be shown.
pub(crate) const HIDDEN: &str = "***";

/// `张三` → `张**`, `Anna` → `A**`: how it begins, if that is a letter, and not how long it is.
pub(crate) fn name(name: &str) -> String {
    match name.trim_start().chars().next() {
        None => String::new(),
        Some(first) if first.is_alphabetic() => format!("{first}**"),
        Some(_) => HIDDEN.to_owned(),
    }
}

/// `13567658911` → `135****8911`, `+8613567658911` → `+86135****8911`; of any other number only
/// its end, and of what is not one number nothing.
pub(crate) fn phone(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    if let Some(shown) = phone::masked(text) {
        return shown;
    }
    let digits: String = text.chars().filter_map(digit).collect();
    let number = text
        .chars()
        .all(|letter| digit(letter).is_some() || groups(letter) || letter == '+');
    if number && (7..=12).contains(&digits.len()) {
        format!("{HIDDEN}{}", &digits[digits.len() - 2..])
    } else {
        HIDDEN.to_owned()
    }
}

/// A digit, also a full-width one, as a narrow one.
pub(crate) fn digit(letter: char) -> Option<char> {
    match letter {
        '0'..='9' => Some(letter),
        '０'..='９' => char::from_digit(u32::from(letter) - u32::from('０'), 10),
        _ => None,
    }
}

/// What people put between the groups of a number.
pub(crate) fn groups(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(
            letter,
            '-' | '－' | '(' | ')' | '（' | '）' | '.' | '·' | '_' | '*'
        )
        || matches!(letter, '\u{2010}'..='\u{2015}' | '\u{2212}')
        || crate::terminal::acts(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_its_first_letter_and_not_its_length() {
        for (text, shown) in [
            ("张三", "张**"),
            ("欧阳娜娜", "欧**"),
            (" Anna", "A**"),
            ("", ""),
            ("13567658911", "***"),
            ("\u{202e}x", "***"),
        ] {
            assert_eq!(name(text), shown, "{text}");
        }
    }

    #[test]
    fn a_phone_shows_its_ends_only_if_the_text_is_one_phone() {
        for (text, shown) in [
            ("13567658911", "135****8911"),
            ("+8613567658911", "+86135****8911"),
            ("135-6765-8911", "135****8911"),
            ("0571-8888", "***88"),
            ("12345", "***"),
            ("", ""),
            ("13567658911/13900000001", "***"),
            ("张三13567658911", "***"),
            ("13567658911-1234", "***"),
        ] {
            assert_eq!(phone(text), shown, "{text}");
        }
    }
}
