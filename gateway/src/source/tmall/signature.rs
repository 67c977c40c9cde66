//! The signature: MD5 over secret, sorted parameters, text body and secret again, in the
//! charset of the request, as upper-case hex (ARCHITECTURE.md, The push).
//!
//! The base string is never built: its parts go straight into the hash, for each secret
//! anew, but decoded and encoded once.

use std::borrow::Cow;
use std::cmp::Ordering;

use leadgate_plugin::Secret;
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::charset::Charset;

/// The one parameter that is not signed, because it is the signature.
pub(super) const SIGN: &str = "sign";

/// Letters of a signature.
pub(super) const LENGTH: usize = 32;

/// Whether `sign` can be a signature at all: 32 digits of upper-case hex. What is none is
/// refused before anything is decoded or hashed for it.
pub(super) fn is_one(sign: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    sign.len() == LENGTH && sign.bytes().all(digit)
}

/// Parameters in signing order, without the signature; of two of the same name the later.
pub(super) fn sorted<'a>(
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let mut params: Vec<_> = params.into_iter().filter(|(key, _)| *key != SIGN).collect();
    // Latest first among equals, so that `dedup` keeps it.
    params.reverse();
    params.sort_by(|(one, _), (other, _)| by_utf16(one, other));
    params.dedup_by_key(|(key, _)| *key);
    params
}

/// Everything of a push that is signed, encoded once for however many secrets.
pub(super) struct Signed<'a> {
    charset: Charset,
    /// Keys and values in signing order, then the body if it is signed as text.
    pieces: Vec<Cow<'a, [u8]>>,
}

impl<'a> Signed<'a> {
    /// Of two parameters of the same name the later counts. `body` is in the request's
    /// charset.
    pub(super) fn new(
        charset: Charset,
        params: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: Cow<'a, [u8]>,
    ) -> Self {
        Self::in_order(charset, sorted(params), body)
    }

    /// The same of parameters that are signed in this order.
    pub(super) fn in_order(
        charset: Charset,
        params: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: Cow<'a, [u8]>,
    ) -> Self {
        let params = params.into_iter().flat_map(|(key, value)| [key, value]);
        let mut pieces: Vec<_> = params.map(|text| charset.encode(text)).collect();
        pieces.push(body);
        Self { charset, pieces }
    }

    /// What stands between the secrets.
    pub(super) fn pieces(&self) -> &[Cow<'a, [u8]>] {
        &self.pieces
    }

    /// The signature that `secret` makes.
    pub(super) fn sign(&self, secret: &str) -> [u8; LENGTH] {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let secret = self.charset.encode(secret);
        let mut md5 = Md5::new();
        md5.update(&secret);
        for piece in &self.pieces {
            md5.update(piece);
        }
        md5.update(&secret);
        let mut sign = [0; LENGTH];
        for (pair, byte) in sign.chunks_exact_mut(2).zip(md5.finalize()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        sign
    }

    /// Whether one of `secrets` made `sign`. Takes the same time wherever a wrong one
    /// differs.
    pub(super) fn verify(&self, secrets: &[Secret], sign: &str) -> bool {
        secrets
            .iter()
            .any(|secret| self.sign(secret.expose()).ct_eq(sign.as_bytes()).into())
    }
}

/// The order of Java's strings: by UTF-16 code units. It differs from that of UTF-8 only
/// beyond the basic plane.
fn by_utf16(one: &str, other: &str) -> Ordering {
    let bytes = one.bytes().zip(other.bytes());
    let same = bytes.take_while(|(one, other)| one == other).count();
    // The characters that differ begin at or before the bytes that do.
    let start = (0..=same).rev().find(|at| one.is_char_boundary(*at));
    let start = start.unwrap_or(0);
    one[start..]
        .encode_utf16()
        .cmp(other[start..].encode_utf16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(params: &[(&str, &str)], body: &str) -> String {
        let signed = Signed::new(
            Charset::Utf8,
            params.iter().copied(),
            Cow::Borrowed(body.as_bytes()),
        );
        String::from_utf8(signed.sign("s").to_vec()).expect("hex")
    }

    fn md5(base: &str) -> String {
        let hex = |byte: u8| format!("{byte:02X}");
        Md5::digest(base).into_iter().map(hex).collect()
    }

    #[test]
    fn the_base_is_secret_sorted_parameters_body_secret() {
        assert_eq!(
            sign(&[("b", "2"), ("a", ""), ("sign", "x"), ("B", "1")], "{}"),
            md5("sB1ab2{}s")
        );
    }

    #[test]
    fn keys_sort_by_utf_16_code_units() {
        let keys = [("\u{FDFA}", "2"), ("\u{1F600}", "1")];
        assert_eq!(sign(&keys, ""), md5("s\u{1F600}1\u{FDFA}2s"));
    }

    proptest::proptest! {
        #[test]
        fn any_keys_sort_by_utf_16_code_units(one: String, other: String, same: String) {
            let (one, other) = (same.clone() + &one, same + &other);
            let units = one.encode_utf16().cmp(other.encode_utf16());
            proptest::prop_assert_eq!(by_utf16(&one, &other), units);
        }
    }

    #[test]
    fn only_32_digits_of_upper_case_hex_can_be_a_signature() {
        let right = sign(&[("a", "1")], "");
        assert!(is_one(&right));
        for wrong in [
            "",
            "A",
            &right[1..],
            &format!("{right}0"),
            &right.to_lowercase().replace(char::is_numeric, "a"),
            &"G".repeat(32),
            &"é".repeat(16),
        ] {
            assert!(!is_one(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_later_of_two_parameters_counts() {
        assert_eq!(sign(&[("a", "1"), ("a", "2")], ""), md5("sa2s"));
    }

    #[test]
    fn any_of_several_secrets_verifies() {
        let signed = Signed::new(Charset::Utf8, [("a", "1")], Cow::Borrowed(b"".as_slice()));
        let secrets = [Secret::new("new"), Secret::new("s")];
        let right = sign(&[("a", "1")], "");
        assert!(signed.verify(&secrets, &right));
        assert!(!signed.verify(&secrets[..1], &right));
        assert!(!signed.verify(&secrets, &right.to_lowercase()));
        assert!(!signed.verify(&secrets, ""));
        assert!(!signed.verify(&[], &right));
    }
}
