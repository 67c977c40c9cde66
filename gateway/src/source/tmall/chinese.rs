//! GBK and GB18030 by table, one character after the other.
//!
//! A decoder or encoder that is called again for each character it does not know costs what
//! the rest of the text is long, or at least a call; strangers choose the text. Here each
//! byte and each character costs the same, whatever it is. The tables are made once, from
//! what `encoding_rs` says, so both agree on every character.

use std::sync::LazyLock;

use encoding_rs::{GB18030, GBK};

/// Bytes that begin a sequence of two or four.
const LEADS: std::ops::RangeInclusive<u8> = 0x81..=0xFE;
/// Second and fourth bytes of a sequence of four.
const DIGITS: std::ops::RangeInclusive<u8> = 0x30..=0x39;
/// Sequences of four that stand for the basic plane.
const BASIC: usize = 39_420;
/// The sequence of four that stands for U+10000; those behind it count on.
const BEYOND: usize = 189_000;
/// Places of two-byte sequences for each lead byte.
const TRAILS: usize = 190;

/// What stands where no character is: no table holds a NUL of its own.
const NONE: u16 = 0;

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

struct Tables {
    /// Characters by two-byte sequence.
    two: Vec<u16>,
    /// Characters of the basic plane by four-byte sequence.
    four: Vec<u16>,
    /// Bytes by character of the basic plane, big-endian, from the first that is not zero.
    gbk: Vec<u32>,
    gb18030: Vec<u32>,
}

/// Which of the two encodes; both decode alike.
#[derive(Clone, Copy)]
pub(super) enum Chinese {
    Gbk,
    Gb18030,
}

/// The text of `bytes`, and whether all of them were characters.
pub(super) fn decode(bytes: &[u8]) -> (String, bool) {
    let tables = &*TABLES;
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
    let mut complete = true;
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let (character, length) = if first < 0x80 {
            (Some(char::from(first)), 1)
        } else {
            tables.character(&bytes[at..])
        };
        complete &= character.is_some();
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        at += length;
    }
    (text, complete)
}

/// `text` as bytes, with a `?` for each character that has none.
pub(super) fn encode(charset: Chinese, text: &str) -> Vec<u8> {
    let tables = &*TABLES;
    let by_character = match charset {
        Chinese::Gbk => &tables.gbk,
        Chinese::Gb18030 => &tables.gb18030,
    };
    // Three bytes of UTF-8 are four at most.
    let mut out = Vec::with_capacity(text.len() + text.len() / 3 + 1);
    for character in text.chars() {
        let scalar = character as usize;
        if let Ok(ascii @ 0..0x80) = u8::try_from(scalar) {
            out.push(ascii);
            continue;
        }
        match (by_character.get(scalar), charset) {
            (Some(0), _) | (None, Chinese::Gbk) => out.push(b'?'),
            (Some(bytes), _) => {
                // One, two or four; by lengths that are known, which is twice as fast.
                let [first, second, third, fourth] = bytes.to_be_bytes();
                match (first, third) {
                    (0, 0) => out.push(fourth),
                    (0, _) => out.extend_from_slice(&[third, fourth]),
                    _ => out.extend_from_slice(&[first, second, third, fourth]),
                }
            }
            (None, Chinese::Gb18030) => out.extend_from_slice(&four(scalar - 0x1_0000 + BEYOND)),
        }
    }
    out
}

impl Tables {
    fn new() -> Self {
        let pairs = LEADS.flat_map(|lead| trails().map(move |trail| vec![lead, trail]));
        let basic = (0..0x1_0000).filter_map(char::from_u32);
        let by_character = |encoding: &'static encoding_rs::Encoding| {
            let mut table = vec![0; 0x1_0000];
            let mut encoder = encoding.new_encoder();
            let mut letters = [0; 4];
            let mut bytes = [0; 8];
            for character in basic.clone() {
                let letters = character.encode_utf8(&mut letters);
                let (result, _, written) =
                    encoder.encode_from_utf8_without_replacement(letters, &mut bytes, false);
                if result == encoding_rs::EncoderResult::InputEmpty {
                    let number = bytes[..written].iter();
                    table[character as usize] =
                        number.fold(0, |number, byte| number << 8 | u32::from(*byte));
                }
            }
            table
        };
        Self {
            two: characters(pairs),
            four: characters((0..BASIC).map(|number| four(number).to_vec())),
            gbk: by_character(GBK),
            gb18030: by_character(GB18030),
        }
    }

    /// The character that `bytes` begin with and how long it is, or how many bytes are none.
    /// The first byte is not ASCII.
    fn character(&self, bytes: &[u8]) -> (Option<char>, usize) {
        let lead = bytes[0];
        if lead == 0x80 {
            return (Some('€'), 1);
        }
        if !LEADS.contains(&lead) {
            return (None, 1);
        }
        let Some(&second) = bytes.get(1) else {
            return (None, 1);
        };
        if DIGITS.contains(&second) {
            return self.character_of_four(bytes);
        }
        let row = usize::from(lead - 0x81) * TRAILS;
        let found = match second {
            0x40..=0x7E => self.two[row + usize::from(second - 0x40)],
            0x80..=0xFE => self.two[row + usize::from(second - 0x41)],
            _ => NONE,
        };
        match basic(found) {
            // What may be a character of its own is read again.
            None if second.is_ascii() => (None, 1),
            found => (found, 2),
        }
    }

    fn character_of_four(&self, bytes: &[u8]) -> (Option<char>, usize) {
        match (bytes.get(2), bytes.get(3)) {
            (Some(third), _) if !LEADS.contains(third) => (None, 1),
            // The end is in the middle of it: all of it is one that is none.
            (None, _) | (Some(_), None) => (None, bytes.len()),
            (Some(_), Some(fourth)) if !DIGITS.contains(fourth) => (None, 1),
            (Some(third), Some(fourth)) => {
                let number = usize::from(bytes[0] - 0x81) * 12_600
                    + usize::from(bytes[1] - 0x30) * 1_260
                    + usize::from(third - 0x81) * 10
                    + usize::from(fourth - 0x30);
                let found = match number {
                    0..BASIC => basic(self.four[number]),
                    BEYOND.. => u32::try_from(number - BEYOND + 0x1_0000)
                        .ok()
                        .and_then(char::from_u32),
                    _ => None,
                };
                (found, 4)
            }
        }
    }
}

fn basic(unit: u16) -> Option<char> {
    (unit != NONE)
        .then(|| char::from_u32(unit.into()))
        .flatten()
}

fn trails() -> impl Iterator<Item = u8> {
    (0x40..=0x7E).chain(0x80..=0xFE)
}

/// The four bytes that stand for a number.
fn four(number: usize) -> [u8; 4] {
    let digit = |divisor: usize, base: usize, from: u8| {
        from + u8::try_from(number / divisor % base).unwrap_or(0)
    };
    [
        digit(12_600, 126, 0x81),
        digit(1_260, 10, 0x30),
        digit(10, 126, 0x81),
        digit(1, 10, 0x30),
    ]
}

/// Which character of the basic plane each sequence is. They are decoded in one go, a line
/// for each, because a call for each would take a moment that a push had to wait for.
fn characters(sequences: impl Iterator<Item = Vec<u8>>) -> Vec<u16> {
    let mut lines = Vec::new();
    for sequence in sequences {
        lines.extend_from_slice(&sequence);
        lines.push(b'\n');
    }
    let (text, _) = GB18030.decode_without_bom_handling(&lines);
    let unit = |line: &str| {
        let mut letters = line.chars();
        match (letters.next(), letters.next()) {
            (Some(char::REPLACEMENT_CHARACTER), None) => NONE,
            (Some(letter), None) => u16::try_from(u32::from(letter)).unwrap_or(NONE),
            _ => NONE,
        }
    };
    text.lines().map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `encoding_rs` decodes.
    fn decoded(bytes: &[u8]) -> (String, bool) {
        let (text, malformed) = GB18030.decode_without_bom_handling(bytes);
        (text.into_owned(), !malformed)
    }

    fn encoded(encoding: &'static encoding_rs::Encoding, character: char) -> Vec<u8> {
        let mut bytes = [0; 8];
        let (result, _, written) = encoding.new_encoder().encode_from_utf8_without_replacement(
            character.encode_utf8(&mut [0; 4]),
            &mut bytes,
            true,
        );
        match result {
            encoding_rs::EncoderResult::InputEmpty => bytes[..written].to_vec(),
            _ => b"?".to_vec(),
        }
    }

    #[test]
    fn every_sequence_of_two_is_the_same_character() {
        for lead in 0x80..=0xFF {
            for second in 0..=0xFF {
                let bytes = [lead, second, b' '];
                assert_eq!(decode(&bytes), decoded(&bytes), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn every_sequence_of_four_is_the_same_character() {
        let all: Vec<u8> = (0..126 * 12_600)
            .flat_map(|number| {
                let [first, second, third, fourth] = four(number);
                [first, second, third, fourth, b'\n']
            })
            .collect();
        let ((ours, complete), (theirs, whole)) = (decode(&all), decoded(&all));
        assert_eq!(complete, whole);
        for (number, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
            assert_eq!(ours, theirs, "{:x?}", four(number));
        }
        assert_eq!(ours.len(), theirs.len());
    }

    #[test]
    fn every_character_is_the_same_bytes() {
        for character in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let text = character.to_string();
            assert_eq!(
                encode(Chinese::Gbk, &text),
                encoded(GBK, character),
                "{character:?}"
            );
            assert_eq!(
                encode(Chinese::Gb18030, &text),
                encoded(GB18030, character),
                "{character:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_same_text(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), 0x30_u8..0x3A, 0x81_u8..0x90, Just(0xFF), Just(b'a')],
                0..24,
            ),
        ) {
            prop_assert_eq!(decode(&bytes), decoded(&bytes));
        }
    }
}
