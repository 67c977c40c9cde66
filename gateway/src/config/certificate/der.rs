//! What an X.509 certificate says of itself: who it is for, who signed it, and how long it is
//! good. Reads no more of its DER than that leads past, and panics at no bytes.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Millis;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, the version.
const VERSION: u8 = 0xa0;

/// The part of a certificate that is of use here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) issuer: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) not_before: Millis,
    pub(super) not_after: Millis,
}

impl Facts {
    /// Of a certificate in DER; `None` if it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut outer = Elements(certificate);
        let mut signed = Elements(Elements(outer.next(SEQUENCE)?).next(SEQUENCE)?);
        if signed.tag() == Some(VERSION) {
            signed.next(VERSION)?;
        }
        signed.next(INTEGER)?;
        signed.next(SEQUENCE)?;
        let issuer = signed.next(SEQUENCE)?.to_vec();
        let mut validity = Elements(signed.next(SEQUENCE)?);
        Some(Self {
            issuer,
            not_before: validity.time()?,
            not_after: validity.time()?,
            subject: signed.next(SEQUENCE)?.to_vec(),
        })
    }
}

/// DER elements, one after the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// What is in the next one, if it has this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0_u64, |length, digit| length << 8 | u64::from(*digit));
                (usize::try_from(length).ok()?, rest)
            }
            _ => return None,
        };
        let (inside, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(inside)
    }

    /// `YYMMDDHHMMSSZ`, of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<Millis> {
        let tag = self.tag()?;
        let text = std::str::from_utf8(self.next(tag)?).ok()?;
        let digits = text.strip_suffix('Z')?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match (tag, digits.len()) {
            (UTC_TIME, 12) => {
                let (year, rest) = digits.split_at(2);
                let year: i16 = year.parse().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            (GENERALIZED_TIME, 14) => {
                let (year, rest) = digits.split_at(4);
                (year.parse().ok()?, rest)
            }
            _ => return None,
        };
        let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
        let at = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
        Some(TimeZone::UTC.to_timestamp(at).ok()?.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut wanted = rcgen::CertificateParams::new(vec!["a.cn".to_owned()]).expect("names");
        wanted.not_before = rcgen::date_time_ymd(2026, 11, 28);
        wanted.not_after = rcgen::date_time_ymd(2050, 1, 2);
        wanted.self_signed(&key).expect("signs").der().to_vec()
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let facts = Facts::of(&made()).expect("a certificate");
        let at = |text: &str| {
            text.parse::<jiff::Timestamp>()
                .expect("a time")
                .as_millisecond()
        };
        assert_eq!(facts.not_before, at("2026-11-28T00:00:00Z"));
        assert_eq!(facts.not_after, at("2050-01-02T00:00:00Z"));
        assert_eq!(facts.issuer, facts.subject, "it signs itself");
    }

    #[test]
    fn whatever_is_cut_off_or_flipped_is_refused_or_read_and_never_a_panic() {
        let whole = made();
        for end in 0..whole.len() {
            // Cut within the outer length, it is none.
            assert_eq!(Facts::of(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let _ = Facts::of(&bytes);
            }
        }
    }
}
