//! The signer: Standard Webhooks, symmetric (`v1`).
//!
//! The signature is base64 of HMAC-SHA256 over `id.timestamp.body`; the secret is base64
//! behind an optional `whsec_` (<https://github.com/standard-webhooks/standard-webhooks>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use leadgate_plugin::{Problem, Secret};
use sha2::Sha256;

/// Signs bodies with one secret.
#[derive(Clone)]
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new(secret: &Secret) -> Result<Self, Problem> {
        let text = secret.expose();
        let problem = |message: &str| {
            Problem::at("/secret", message)
                .help("copy it as the destination shows it: `whsec_` and base64")
        };
        let key = STANDARD
            .decode(text.strip_prefix("whsec_").unwrap_or(text))
            .map_err(|_| problem("not a Standard Webhooks secret: it is not base64"))?;
        if key.is_empty() {
            return Err(problem("the secret is empty"));
        }
        let mac = Hmac::new_from_slice(&key).map_err(|_| problem("the secret cannot be a key"))?;
        Ok(Self { mac })
    }

    /// The value of `webhook-signature`. `timestamp` is in seconds.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_is_met() {
        // Key, id, timestamp, payload and signature as the official libraries test them.
        let signer =
            Signer::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).expect("valid");
        let signature = signer.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_no_base64_is_refused_without_being_shown() {
        let problem = Signer::new(&Secret::new("whsec_not base64!"))
            .err()
            .expect("refused");
        assert!(
            !format!("{problem:?}").contains("not base64!"),
            "{problem:?}"
        );
        assert!(Signer::new(&Secret::new("")).is_err());
    }
}
