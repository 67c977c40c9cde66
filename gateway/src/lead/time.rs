//! The platform's times: `yyyy-MM-dd HH:mm:ss` without a zone, which is GMT+8.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::clock::Millis;

const GMT8: Offset = Offset::constant(8);

/// The instant that `text` names; `None` unless it is exactly `yyyy-MM-dd HH:mm:ss` and
/// on the calendar.
pub fn parse_gmt8(text: &str) -> Option<Millis> {
    let bytes: &[u8; 19] = text.as_bytes().try_into().ok()?;
    let separated = bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[10] == b' '
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !separated {
        return None;
    }
    let year = digits(&bytes[0..2])? * 100 + digits(&bytes[2..4])?;
    let part = |from: usize| digits(&bytes[from..from + 2]).and_then(|n| i8::try_from(n).ok());
    let civil = DateTime::new(year, part(5)?, part(8)?, part(11)?, part(14)?, part(17)?, 0).ok()?;
    Some(GMT8.to_timestamp(civil).ok()?.as_millisecond())
}

/// `at` as the platform writes it.
pub fn format_gmt8(at: Millis) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    GMT8.to_datetime(timestamp)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// A time of the platform's as RFC 3339, if [`parse_gmt8`] reads it.
pub(super) fn rfc3339(text: &str) -> Option<String> {
    parse_gmt8(text)?;
    Some([&text[..10], "T", &text[11..], "+08:00"].concat())
}

fn digits(pair: &[u8]) -> Option<i16> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i16::from(byte - b'0'));
    Some(digit(pair[0])? * 10 + digit(pair[1])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gmt8() {
        assert_eq!(parse_gmt8("1970-01-01 08:00:00"), Some(0));
        assert_eq!(parse_gmt8("2021-07-17 23:59:59"), Some(1_626_537_599_000));
        assert_eq!(format_gmt8(1_626_537_599_000), "2021-07-17 23:59:59");
        assert_eq!(
            rfc3339("2021-07-17 23:59:59").as_deref(),
            Some("2021-07-17T23:59:59+08:00")
        );
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "2021-07-17",
            "2021-07-17T23:59:59",
            "2021-07-17 23:59:59.1",
            "2021-02-30 00:00:00",
            "2021-07-17 24:00:00",
            "2021-07-17 23:59:60",
            "0000-00-00 00:00:00",
            "+021-07-17 23:59:59",
            "2021-07-17 23:59:5九",
            "二2021-07-17 23:5",
        ] {
            assert_eq!(parse_gmt8(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn formatted_times_parse_back(seconds in -62_000_000_000_i64..253_000_000_000) {
            let at = seconds * 1000;
            proptest::prop_assert_eq!(parse_gmt8(&format_gmt8(at)), Some(at));
        }
    }
}
