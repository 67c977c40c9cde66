//! Webhooks: what a request says, and whether its signature is that of the secret.
//!
//! The signature is <https://www.standardwebhooks.com>'s: HMAC-SHA256 of `id.timestamp.body`.
//! Texts are made safe for a terminal here, whoever sent them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clock::Millis;
use crate::lead::mask;
use crate::terminal;

/// How far a signed time may be from now, as Standard Webhooks asks.
const TOLERANCE_SECONDS: i64 = 300;
/// Longest text of a request that is told, in letters.
const LONGEST: usize = 64;

/// The key that signs.
pub(in super::super) struct Key(Zeroizing<Vec<u8>>);

/// What was found of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Signature {
    Good,
    /// There is no key to check it with.
    Unchecked,
    /// And why.
    Wrong(&'static str),
}

/// A request, as far as it is told.
pub(in super::super) struct Webhook {
    pub(in super::super) at: Millis,
    /// The delivery's id.
    pub(in super::super) delivery: String,
    /// `lead.created`, `lead.updated`, or empty if the body is no event of leadgate.
    pub(in super::super) event: String,
    pub(in super::super) record_id: Option<String>,
    pub(in super::super) name: Person,
    pub(in super::super) phone: Person,
    pub(in super::super) signature: Signature,
    /// The whole body, for those who may see it.
    pub(in super::super) body: Value,
}

/// Something personal: shown masked unless it is asked for.
pub(in super::super) enum Person {
    Name(String),
    Phone(String),
}

impl Key {
    /// Reads `whsec_` and base64, or base64 alone.
    pub(in super::super) fn parse(secret: &str) -> Result<Self, &'static str> {
        let text = secret.trim();
        match STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)) {
            Ok(key) if !key.is_empty() => Ok(Self(Zeroizing::new(key))),
            _ => Err("not a Standard Webhooks secret, which is whsec_ and base64"),
        }
    }

    fn verify<'a>(
        &self,
        header: &impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Millis,
    ) -> Signature {
        let (Some(id), Some(timestamp), Some(signatures)) = (
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
        ) else {
            return Signature::Wrong("the request is not signed");
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return Signature::Wrong("the secret cannot be used");
        };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let is_right = signatures
            .split(' ')
            .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
            .any(|signature| mac.clone().verify_slice(&signature).is_ok());
        let seconds = timestamp.parse().unwrap_or(i64::MIN);
        if !is_right {
            Signature::Wrong("the signature is wrong")
        } else if seconds.saturating_sub(now / 1000).saturating_abs() > TOLERANCE_SECONDS {
            Signature::Wrong("the signed time is more than 5 minutes off")
        } else {
            Signature::Good
        }
    }
}

impl Webhook {
    pub(in super::super) fn read<'a>(
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        key: Option<&Key>,
        now: Millis,
    ) -> Self {
        let signature = key.map_or(Signature::Unchecked, |key| key.verify(&header, body, now));
        let body: Value = serde_json::from_slice(body)
            .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into());
        let lead = &body["lead"];
        let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let record_id = match &lead["record_id"] {
            Value::Null => None,
            Value::String(id) => Some(clean(id)),
            id => Some(clean(&id.to_string())),
        };
        Self {
            at: now,
            delivery: clean(header("webhook-id").unwrap_or_default()),
            event: clean(&text(&body["event"])),
            record_id,
            name: Person::Name(clean(&text(&lead["name"]))),
            phone: Person::Phone(clean(&text(&lead["phone"]))),
            signature,
            body,
        }
    }
}

impl Person {
    /// As it is.
    pub(in super::super) fn revealed(&self) -> &str {
        match self {
            Self::Name(text) | Self::Phone(text) => text,
        }
    }

    /// As everywhere in leadgate.
    pub(in super::super) fn masked(&self) -> String {
        match self {
            Self::Name(text) => mask::name(text),
            Self::Phone(text) => mask::phone(text),
        }
    }
}

/// Without what a terminal would obey, or be turned about by, and not too long.
fn clean(text: &str) -> String {
    let safe = |letter: char| {
        if terminal::acts(letter) {
            '�'
        } else {
            letter
        }
    };
    let mut shown: String = text.chars().take(LONGEST).map(safe).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const AT: i64 = 1_614_265_330;

    fn read(signature: &str, body: &[u8], seconds: i64) -> Signature {
        let key = Key::parse(SECRET).expect("a key");
        let time = AT.to_string();
        let header = |name: &str| match name {
            "webhook-id" => Some(ID),
            "webhook-timestamp" => Some(time.as_str()),
            "webhook-signature" => Some(signature).filter(|text| !text.is_empty()),
            _ => None,
        };
        Webhook::read(header, body, Some(&key), seconds * 1000).signature
    }

    #[test]
    fn a_signature_is_judged_as_the_specification_says() {
        assert_eq!(read(SIGNATURE, BODY, AT), Signature::Good);
        let several = format!("v1,AAAA v2,xyz {SIGNATURE}");
        assert_eq!(read(&several, BODY, AT + 299), Signature::Good);
        for (signature, body, seconds, why) in [
            (SIGNATURE, &b"{}"[..], AT, "wrong"),
            ("v1,AAAA", BODY, AT, "wrong"),
            ("", BODY, AT, "not signed"),
            (SIGNATURE, BODY, AT + 301, "5 minutes"),
            (SIGNATURE, BODY, AT - 301, "5 minutes"),
        ] {
            let found = read(signature, body, seconds);
            let is_it = matches!(found, Signature::Wrong(text) if text.contains(why));
            assert!(is_it, "{why}: {found:?}");
        }
        assert!(Key::parse("not base64!").is_err());
        assert!(Key::parse("whsec_").is_err());
    }

    #[test]
    fn what_is_personal_is_masked_and_nothing_moves_the_cursor() {
        let body = "{\"event\":\"lead.created\",\"lead\":{\"record_id\":\"7\\u001b[2J\",\"name\":\"张三13567658911\",\"phone\":\"13567658911\"}}";
        let webhook = Webhook::read(|_| None, body.as_bytes(), None, 0);
        assert_eq!(webhook.record_id.as_deref(), Some("7�[2J"));
        assert_eq!(webhook.name.masked(), "张**");
        assert_eq!(webhook.phone.masked(), "135****8911");
        assert_eq!(webhook.phone.revealed(), "13567658911");
        assert_eq!(clean(&"x".repeat(100)).chars().count(), LONGEST + 1);
    }
}
