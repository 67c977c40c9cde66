//! The charsets a push may come in, with Java's habits: what cannot be decoded becomes
//! U+FFFD, what cannot be encoded becomes `?`.
//!
//! The charset decodes query, listed headers and body, and encodes what is signed
//! (ARCHITECTURE.md, The push).

use std::borrow::Cow;

use encoding_rs::{EncoderResult, Encoding, GB18030, GBK};

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

    /// The text of `bytes`, and whether all of them could be decoded.
    pub(super) fn decode(self, bytes: &[u8]) -> (Cow<'_, str>, bool) {
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => (text.into(), true),
                Err(_) => (String::from_utf8_lossy(bytes), false),
            },
            Self::Gbk => chinese(GBK, bytes),
            Self::Gb18030 => chinese(GB18030, bytes),
            Self::Latin1 if !bytes.is_ascii() => {
                (bytes.iter().copied().map(char::from).collect(), true)
            }
            Self::Ascii if !bytes.is_ascii() => {
                let character = |&byte: &u8| {
                    if byte.is_ascii() {
                        byte.into()
                    } else {
                        '\u{FFFD}'
                    }
                };
                (bytes.iter().map(character).collect(), false)
            }
            Self::Latin1 | Self::Ascii => (String::from_utf8_lossy(bytes), true),
        }
    }

    /// `text` in this charset.
    pub(super) fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            // All of these agree on ASCII.
            _ if self == Self::Utf8 || text.is_ascii() => text.as_bytes().into(),
            Self::Gbk => encode_chinese(GBK, text).into(),
            Self::Gb18030 => encode_chinese(GB18030, text).into(),
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

fn chinese<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> (Cow<'a, str>, bool) {
    let (text, malformed) = encoding.decode_without_bom_handling(bytes);
    (text, !malformed)
}

fn encode_chinese(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let mut encoder = encoding.new_encoder();
    let longest = encoder.max_buffer_length_from_utf8_without_replacement(text.len());
    let mut out = Vec::with_capacity(longest.unwrap_or(0));
    let mut rest = text;
    loop {
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return out,
            EncoderResult::OutputFull => out.reserve(rest.len() * 4 + 16),
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
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
