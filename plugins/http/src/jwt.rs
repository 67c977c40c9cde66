//! The assertion of OAuth 2's JWT bearer grant (RFC 7523), signed by RS256.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use leadgate_plugin::{Problem, Secret};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::json;

/// How long an assertion is good; destinations refuse longer ones.
const LIFETIME: Duration = Duration::from_mins(3);

/// Signs assertions.
pub(crate) struct Assertion {
    key: KeyPair,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
}

/// Reads an RSA key in PEM, PKCS#8 or PKCS#1.
pub(crate) fn key(pem: &Secret) -> Result<KeyPair, Problem> {
    let problem = || {
        Problem::at("/auth/private_key", "not an RSA key in PEM").help(
            "a file that begins with `-----BEGIN PRIVATE KEY-----`: openssl genrsa -out key.pem 2048",
        )
    };
    let text = pem.expose().trim();
    let (opening, rest) = text.split_once("KEY-----").ok_or_else(problem)?;
    let (inner, _) = rest.split_once("-----END").ok_or_else(problem)?;
    let inner: String = inner
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    let der = STANDARD.decode(inner).map_err(|_| problem())?;
    let read = match opening {
        "-----BEGIN PRIVATE " => KeyPair::from_pkcs8(&der),
        "-----BEGIN RSA PRIVATE " => KeyPair::from_der(&der),
        _ => return Err(problem()),
    };
    read.map_err(|_| problem())
}

impl Assertion {
    pub(crate) fn new(key: KeyPair, issuer: String, subject: String, audience: String) -> Self {
        Self {
            key,
            issuer,
            subject,
            audience,
        }
    }

    /// The signed assertion; `None` if there is no randomness to be had.
    pub(crate) fn sign(&self, now: SystemTime) -> Option<Secret> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "RS256", "typ": "JWT"}));
        let claims = part(json!({
            "iss": self.issuer, "sub": self.subject, "aud": self.audience,
            "iat": now, "exp": now + LIFETIME.as_secs(),
        }));
        let message = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .ok()?;
        Some(Secret::new(format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}

/// Made for these tests, and used nowhere else.
#[cfg(test)]
pub(crate) const TEST_KEY: &str = include_str!("tests/key.pem");

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_says_who_to_whom_and_until_when_and_its_signature_holds() {
        let key = key(&Secret::new(TEST_KEY)).expect("a key");
        let public = key.public().as_ref().to_vec();
        let assertion = Assertion::new(
            key,
            "client".into(),
            "user@example".into(),
            "https://login.example".into(),
        );
        let signed = assertion
            .sign(UNIX_EPOCH + Duration::from_secs(1000))
            .expect("signed");
        let parts: Vec<_> = signed.expose().split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64");
        let claims: serde_json::Value = serde_json::from_slice(&decode(parts[1])).expect("JSON");
        assert_eq!(
            claims,
            json!({"iss": "client", "sub": "user@example", "aud": "https://login.example", "iat": 1000, "exp": 1180})
        );
        let message = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(message.as_bytes(), &decode(parts[2]))
            .expect("the signature holds");
    }

    #[test]
    fn anything_else_is_no_key_and_is_not_shown() {
        for text in [
            "",
            "s3cret",
            "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----",
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
        ] {
            let problem = key(&Secret::new(text)).expect_err("refused");
            assert!(!format!("{problem:?}").contains("s3cret"));
        }
    }
}
