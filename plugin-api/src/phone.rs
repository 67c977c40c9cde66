//! Phone numbers in E.164, for numbers that surely are Chinese mobiles.
//!
//! Anything else has no E.164 form here: a guess would put a wrong number into a CRM.

/// `+86` and eleven digits, from a number with or without `+86`, `0086` or `86`; spaces,
/// hyphens, brackets, full-width digits and the invisible marks that copied numbers carry are
/// no obstacle.
///
/// ```
/// use leadgate_plugin::phone::e164;
/// assert_eq!(e164("（+86）135 6765 8911").as_deref(), Some("+8613567658911"));
/// assert_eq!(e164("0571-88888888"), None);
/// ```
pub fn e164(text: &str) -> Option<String> {
    let mut number = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '0'..='9' | '+' => number.push(character),
            '０'..='９' => number.push(narrow(character)),
            '＋' => number.push('+'),
            _ if is_filler(character) => {}
            _ => return None,
        }
    }
    let mobile = ["+86", "0086", "86"]
        .iter()
        .find_map(|prefix| number.strip_prefix(prefix))
        .unwrap_or(&number);
    is_mobile(mobile).then(|| format!("+86{mobile}"))
}

/// A text that is one Chinese mobile and nothing else, with its middle hidden; of any other
/// text nothing can be shown safely. Two numbers, or a number with a name, are another text.
///
/// ```
/// use leadgate_plugin::phone::masked;
/// assert_eq!(masked("+86 135-6765-8911").as_deref(), Some("+86135****8911"));
/// assert_eq!(masked("张三13567658911"), None);
/// ```
pub fn masked(text: &str) -> Option<String> {
    let number = e164(text)?;
    let mobile = number.strip_prefix("+86")?;
    let (first, last) = (mobile.get(..3)?, mobile.get(7..)?);
    let narrow = text.trim_start_matches(|letter: char| is_filler(letter));
    let prefix = if narrow.starts_with(['+', '＋']) {
        "+86"
    } else {
        ""
    };
    Some(format!("{prefix}{first}****{last}"))
}

fn is_mobile(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    bytes.len() == 11
        && bytes[0] == b'1'
        && matches!(bytes[1], b'3'..=b'9')
        && bytes.iter().all(u8::is_ascii_digit)
}

fn narrow(full_width: char) -> char {
    char::from_u32(full_width as u32 - '０' as u32 + '0' as u32)
        .expect("a full-width digit has a narrow one")
}

fn is_filler(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '-' | '－' | '(' | ')' | '（' | '）')
        || matches!(character, '\u{2010}'..='\u{2015}' | '\u{2212}')
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_phone_is_shown_in_part() {
        for (text, shown) in [
            ("13567658911", "135****8911"),
            ("135 6765 8911", "135****8911"),
            ("8613567658911", "135****8911"),
            ("+8613567658911", "+86135****8911"),
            ("１３５６７６５８９１１", "135****8911"),
        ] {
            assert_eq!(masked(text).as_deref(), Some(shown), "{text}");
        }
        for text in [
            "13567658911/13900000001",
            "13567658911 13900000001",
            "张三13567658911 晚上打",
            "13567658911 张三",
            "13567658911-123",
            "135****8911",
            "0571-88888888",
            "",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }
}
