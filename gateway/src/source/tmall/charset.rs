//! The charsets a push may come in, with Java's habits: what cannot be decoded becomes
//! U+FFFD, what cannot be encoded becomes `?`.
//!
//! The charset decodes query, listed headers and body, and encodes what is signed
//! (ARCHITECTURE.md, The push). Strangers choose the bytes: each costs the same, whatever it
//! is and whatever is around it.

use std::borrow::Cow;

use super::chinese::{self, Chinese};

/// A charset of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// GBK, and GB2312 as its subset.
    Gbk,
    Gb18030,
    /// ISO-8859-1 proper: 0x80 to 0x9F are control characters, not Windows-1252.
    Latin1,
    Ascii,
}

impl Charset {
    /// By a name or a common alias, without regard to case; `None` if unknown.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Self::Utf8,
            "gbk" | "cp936" | "gb2312" | "euc-cn" => Self::Gbk,
            "gb18030" => Self::Gb18030,
            "iso-8859-1" | "iso8859-1" | "iso8859_1" | "latin1" => Self::Latin1,
            "us-ascii" | "ascii" => Self::Ascii,
            _ => return None,
        })
    }

    /// Its usual name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gbk => "gbk",
            Self::Gb18030 => "gb18030",
            Self::Latin1 => "iso-8859-1",
            Self::Ascii => "us-ascii",
        }
    }

    /// The text of `bytes`, and whether all of them could be decoded.
    pub(super) fn decode(self, bytes: &[u8]) -> (Cow<'_, str>, bool) {
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => (text.into(), true),
                Err(_) => (damaged_utf8(bytes).into(), false),
            },
            // All of these agree on ASCII.
            _ if bytes.is_ascii() => (String::from_utf8_lossy(bytes), true),
            Self::Gbk | Self::Gb18030 => {
                let (text, complete) = chinese::decode(bytes);
                (text.into(), complete)
            }
            Self::Latin1 => (mapped(bytes, char::from).into(), true),
            Self::Ascii => {
                let character = |byte: u8| {
                    if byte.is_ascii() {
                        byte.into()
                    } else {
                        char::REPLACEMENT_CHARACTER
                    }
                };
                (mapped(bytes, character).into(), false)
            }
        }
    }

    /// `text` in this charset.
    pub(super) fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            // All of these agree on ASCII.
            _ if self == Self::Utf8 || text.is_ascii() => text.as_bytes().into(),
            Self::Gbk => chinese::encode(Chinese::Gbk, text).into(),
            Self::Gb18030 => chinese::encode(Chinese::Gb18030, text).into(),
            Self::Latin1 => {
                let byte = |character| u8::try_from(character).unwrap_or(b'?');
                text.chars().map(byte).collect()
            }
            Self::Ascii | Self::Utf8 => {
                let byte = |c: char| if c.is_ascii() { c as u8 } else { b'?' };
                text.chars().map(byte).collect()
            }
        }
    }
}

fn mapped(bytes: &[u8], character: impl Fn(u8) -> char) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().map(|&byte| character(byte)));
    text
}

/// What [`String::from_utf8_lossy`] gives, at the same price for every byte.
fn damaged_utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        if first.is_ascii() {
            text.push(char::from(first));
            at += 1;
            continue;
        }
        // Of a sequence that breaks off, what could still have become a character is one gap.
        let (seconds, length, bits) = match first {
            0xC2..=0xDF => (0x80..=0xBF, 2, first & 0x1F),
            0xE0 => (0xA0..=0xBF, 3, 0),
            0xED => (0x80..=0x9F, 3, 0x0D),
            0xE1..=0xEF => (0x80..=0xBF, 3, first & 0x0F),
            0xF0 => (0x90..=0xBF, 4, 0),
            0xF1..=0xF3 => (0x80..=0xBF, 4, first & 0x07),
            0xF4 => (0x80..=0x8F, 4, 4),
            _ => (0x80..=0xBF, 1, 0),
        };
        let mut scalar = u32::from(bits);
        let mut read = 1;
        while read < length
            && let Some(&next) = bytes.get(at + read)
            && (if read == 1 {
                seconds.contains(&next)
            } else {
                next & 0xC0 == 0x80
            })
        {
            scalar = scalar << 6 | u32::from(next & 0x3F);
            read += 1;
        }
        let whole = (length > 1 && read == length).then(|| char::from_u32(scalar));
        text.push(whole.flatten().unwrap_or(char::REPLACEMENT_CHARACTER));
        at += read;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Charset; 5] = [
        Charset::Utf8,
        Charset::Gbk,
        Charset::Gb18030,
        Charset::Latin1,
        Charset::Ascii,
    ];

    #[test]
    fn unknown_and_quoted_names_are_no_charset() {
        for name in [
            "",
            "\"utf-8\"",
            "utf-16",
            "big5",
            "utf-8;",
            "x",
            "windows-1252",
        ] {
            assert_eq!(Charset::named(name), None, "{name}");
        }
        assert_eq!(Charset::named("Gb2312"), Some(Charset::Gbk));
    }

    #[test]
    fn unmappable_characters_become_a_question_mark() {
        assert_eq!(&*Charset::Gbk.encode("杭\u{1F3E0}州"), b"\xBA\xBC?\xD6\xDD");
        assert_eq!(&*Charset::Gb18030.encode("\u{1F3E0}"), b"\x94\x39\xC6\x32");
        assert_eq!(&*Charset::Latin1.encode("é\u{80}杭"), b"\xE9\x80?");
        assert_eq!(&*Charset::Ascii.encode("aé"), b"a?");
    }

    #[test]
    fn undecodable_bytes_become_u_fffd() {
        assert_eq!(
            Charset::Utf8.decode(b"a\xFFb"),
            ("a\u{FFFD}b".into(), false)
        );
        assert_eq!(
            Charset::Ascii.decode(b"a\xFFb"),
            ("a\u{FFFD}b".into(), false)
        );
        assert_eq!(
            Charset::Latin1.decode(b"\x80\xFF"),
            ("\u{80}ÿ".into(), true)
        );
        assert!(!Charset::Gbk.decode(b"\xFF").1);
    }

    proptest::proptest! {
        #[test]
        fn damaged_utf8_reads_as_the_standard_library_reads_it(
            bytes in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::num::u8::ANY,
                    0x80_u8..0xC0,
                    0xC0_u8..=0xFF,
                    proptest::strategy::Just(b'a'),
                ],
                0..16,
            ),
        ) {
            proptest::prop_assert_eq!(damaged_utf8(&bytes), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_bytes_decode_and_any_text_encodes(bytes: Vec<u8>, text: String) {
            for charset in ALL {
                charset.decode(&bytes);
                charset.encode(&text);
            }
        }

        #[test]
        fn chinese_comes_back_as_it_went(text in "[ -~一-龥，。]{0,20}") {
            for charset in [Charset::Utf8, Charset::Gbk, Charset::Gb18030] {
                let encoded = charset.encode(&text);
                proptest::prop_assert_eq!(charset.decode(&encoded), (text.as_str().into(), true));
            }
        }
    }
}
