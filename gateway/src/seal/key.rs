//! The key of the outbox: 32 secret bytes, as text in a file or credential.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;
use zeroize::Zeroizing;

/// What a key's public id is derived with. Never changes: records carry the id.
const ID: &str = "leadgate 2026 outbox key id";
const LENGTH: usize = 32;

/// A key that encrypts the outbox. Never printed, wiped from memory when dropped.
#[derive(Clone)]
pub struct OutboxKey(Zeroizing<[u8; LENGTH]>);

/// The name of a key that everybody may know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

/// A text that is not a key. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key: 64 hexadecimal digits, or 32 bytes in base64")]
pub struct BadKey;

impl OutboxKey {
    /// A new key, from the kernel's randomness.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        super::random(&mut *bytes);
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits, or 32 bytes in base64; white space around them is ignored.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let text = text.trim();
        let mut key = Self(Zeroizing::new([0; LENGTH]));
        if text.len() == 2 * LENGTH {
            for (byte, digits) in key.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                let (high, low) = (digit(digits[0])?, digit(digits[1])?);
                *byte = high << 4 | low;
            }
        } else {
            let bytes = BASE64.decode(text).map(Zeroizing::new);
            let bytes = bytes.map_err(|_| BadKey)?;
            if bytes.len() != LENGTH {
                return Err(BadKey);
            }
            key.0.copy_from_slice(&bytes);
        }
        Ok(key)
    }

    /// 64 hexadecimal digits, which [`OutboxKey::parse`] reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * LENGTH));
        for byte in self.0.iter() {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(half)]));
            }
        }
        text
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        let [a, b, c, d, ..] = blake3::derive_key(ID, &*self.0);
        KeyId::from_be_bytes([a, b, c, d])
    }

    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

fn digit(byte: u8) -> Result<u8, BadKey> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(BadKey),
    }
}

impl fmt::Debug for OutboxKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OutboxKey(***)")
    }
}

impl KeyId {
    pub(super) fn from_be_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    pub(super) fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_is_read_from_hex_and_base64_and_written_as_hex() {
        let spaced = format!(" \t{HEX}\r\n");
        let upper = HEX.to_uppercase();
        for text in [HEX, &spaced, &upper, BASE64, BASE64.trim_end_matches('=')] {
            let key = OutboxKey::parse(text).expect("a key");
            assert_eq!(*key.to_text(), HEX);
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_quoted() {
        let short = &HEX[2..];
        let no_digit = HEX.replacen('0', "g", 1);
        let signs = HEX.replacen("00", "+0", 1);
        let wide = "é".repeat(32);
        let long = format!("{HEX}00");
        for text in [
            "",
            "hunter2",
            short,
            &no_digit,
            &signs,
            &wide,
            &long,
            &BASE64[4..],
        ] {
            let why = OutboxKey::parse(text).expect_err("no key");
            assert!(text.is_empty() || !why.to_string().contains(text));
        }
    }

    #[test]
    fn generated_keys_differ_and_are_read_back() {
        let (one, two) = (OutboxKey::generate(), OutboxKey::generate());
        assert_ne!(one.to_text(), two.to_text());
        assert_ne!(one.id(), two.id());
        let again = OutboxKey::parse(&one.to_text()).expect("a key");
        assert_eq!(again.id(), one.id());
    }

    // Stored records carry this value.
    #[test]
    fn the_id_of_a_key_never_changes() {
        let key = OutboxKey::parse(HEX).expect("a key");
        assert_eq!(key.id().to_string(), "2627b523");
    }

    #[test]
    fn debug_prints_a_mask() {
        let key = OutboxKey::parse(HEX).expect("a key");
        assert_eq!(format!("{key:?}"), "OutboxKey(***)");
    }
}
