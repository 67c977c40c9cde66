//! Signers: how a request proves that it was not changed on its way.
//!
//! The two robots swap key and message, and count in milliseconds and in seconds:
//!
//! | kind | key | message | where |
//! |---|---|---|---|
//! | `standard_webhooks` | secret, base64 behind `whsec_` | `id.timestamp.body` | headers `webhook-*` |
//! | `dingtalk` | secret | `{ms}\n{secret}` | query `timestamp`, `sign` |
//! | `feishu_bot` | `{s}\n{secret}` | empty | JSON body `timestamp`, `sign` |
//! | `generic_hmac` | secret | a template | a header or a query parameter |

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use leadgate_plugin::template::{self, Context, Engine, Scope, Template};
use leadgate_plugin::{Problem, Secret, hex};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

use crate::settings::{Algorithm, Encoding, Sign, SignKind};

const MESSAGE: Scope = Scope::of(&[
    "id",
    "timestamp",
    "timestamp_ms",
    "method",
    "path",
    "query",
    "body",
]);

/// Signs requests with one secret.
#[derive(Clone)]
pub(crate) struct Signer(Way);

#[derive(Clone)]
enum Way {
    /// Keyed already.
    StandardWebhooks(Hmac<Sha256>),
    Dingtalk(Secret),
    FeishuBot(Secret),
    Generic(Box<Generic>),
}

#[derive(Clone)]
struct Generic {
    secret: Secret,
    message: Template,
    algorithm: Algorithm,
    encoding: Encoding,
    place: Place,
    prefix: String,
    timestamp_header: Option<HeaderName>,
}

#[derive(Clone)]
enum Place {
    Header(HeaderName),
    Query(String),
}

/// What is signed.
pub(crate) struct Signed<'a> {
    pub(crate) id: &'a str,
    pub(crate) now: SystemTime,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

/// What a signature adds to a request.
#[derive(Default)]
pub(crate) struct Signature {
    pub(crate) headers: HeaderMap,
    pub(crate) query: Vec<(String, String)>,
    /// Instead of the body.
    pub(crate) body: Option<Vec<u8>>,
}

impl Signer {
    /// Standard Webhooks with `secret`, which is at `at` in the settings.
    pub(crate) fn standard_webhooks(secret: &Secret, at: &str) -> Result<Self, Problem> {
        let text = secret.expose();
        let problem = |message: &str| {
            Problem::at(at, message)
                .help("copy it as the destination shows it: `whsec_` and base64")
        };
        let key = STANDARD
            .decode(text.strip_prefix("whsec_").unwrap_or(text))
            .map_err(|_| problem("not a Standard Webhooks secret: it is not base64"))?;
        if key.is_empty() {
            return Err(problem("the secret is empty"));
        }
        let mac = Hmac::new_from_slice(&key).map_err(|_| problem("the secret cannot be a key"))?;
        Ok(Self(Way::StandardWebhooks(mac)))
    }

    /// Signs as `given` says with `secret`, which is at `at` in the settings.
    pub(crate) fn new(
        given: &Sign,
        secret: &Secret,
        at: &str,
        engine: &Engine,
    ) -> Result<Self, Vec<Problem>> {
        let Some(kind) = given.kind else {
            let help = "such as { kind = \"standard_webhooks\", secret = \"env:NAME\" }";
            return Err(vec![Problem::at("/sign", "`sign` needs `kind`").help(help)]);
        };
        let mut problems = Vec::new();
        if kind != SignKind::GenericHmac {
            for (key, is_given) in [
                ("message", given.message.is_some()),
                ("algorithm", given.algorithm.is_some()),
                ("encoding", given.encoding.is_some()),
                ("header", given.header.is_some()),
                ("query", given.query.is_some()),
                ("prefix", given.prefix.is_some()),
                ("timestamp_header", given.timestamp_header.is_some()),
            ] {
                if is_given {
                    let message = format!("`{key}` belongs to `generic_hmac` only");
                    problems.push(Problem::at(format!("/sign/{key}"), message).help("remove it"));
                }
            }
        }
        if secret.expose().is_empty() {
            problems.push(Problem::at(at, "the secret is empty"));
        }
        let way = match kind {
            SignKind::StandardWebhooks => match Self::standard_webhooks(secret, at) {
                Ok(signer) => Some(signer.0),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            },
            SignKind::Dingtalk => Some(Way::Dingtalk(secret.clone())),
            SignKind::FeishuBot => Some(Way::FeishuBot(secret.clone())),
            SignKind::GenericHmac => generic(given, secret, engine, &mut problems)
                .map(Box::new)
                .map(Way::Generic),
        };
        match way {
            Some(way) if problems.is_empty() => Ok(Self(way)),
            _ => Err(problems),
        }
    }

    /// Whether the signature is put into a JSON body.
    pub(crate) fn changes_body(&self) -> bool {
        matches!(self.0, Way::FeishuBot(_))
    }

    pub(crate) fn sign(&self, request: &Signed<'_>) -> Result<Signature, Problem> {
        // A clock before 1970 makes the destination refuse, which is right.
        let since = request.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, ms) = (since.as_secs(), since.as_millis());
        let mut signature = Signature::default();
        match &self.0 {
            Way::StandardWebhooks(mac) => {
                let mut mac = mac.clone();
                mac.update(format!("{}.{seconds}.", request.id).as_bytes());
                mac.update(request.body);
                let value = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
                signature.header(HeaderName::from_static("webhook-id"), request.id)?;
                signature.header(
                    HeaderName::from_static("webhook-timestamp"),
                    &seconds.to_string(),
                )?;
                signature.header(HeaderName::from_static("webhook-signature"), &value)?;
            }
            Way::Dingtalk(secret) => {
                let sign = sha256(
                    secret.expose().as_bytes(),
                    format!("{ms}\n{}", secret.expose()).as_bytes(),
                );
                signature
                    .query
                    .push(("timestamp".to_owned(), ms.to_string()));
                signature
                    .query
                    .push(("sign".to_owned(), STANDARD.encode(sign)));
            }
            Way::FeishuBot(secret) => {
                let sign = sha256(format!("{seconds}\n{}", secret.expose()).as_bytes(), b"");
                let mut body: Value = serde_json::from_slice(request.body).unwrap_or_default();
                let Value::Object(fields) = &mut body else {
                    return Err(Problem::at(
                        "/body",
                        "the body must be a table to be signed",
                    ));
                };
                fields.insert("timestamp".to_owned(), json!(seconds.to_string()));
                fields.insert("sign".to_owned(), json!(STANDARD.encode(sign)));
                signature.body = Some(body.to_string().into_bytes());
            }
            Way::Generic(generic) => generic.sign(request, seconds, ms, &mut signature)?,
        }
        Ok(signature)
    }
}

impl Signature {
    fn header(&mut self, name: HeaderName, value: &str) -> Result<(), Problem> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Problem::at("/sign", "the signature cannot be a header"))?;
        self.headers.insert(name, value);
        Ok(())
    }
}

fn generic(
    given: &Sign,
    secret: &Secret,
    engine: &Engine,
    problems: &mut Vec<Problem>,
) -> Option<Generic> {
    let message = engine
        .template(given.message.as_deref().unwrap_or("{{ body }}"), &MESSAGE)
        .map_err(|mistakes| problems.extend(template::problems(mistakes, "/sign/message")))
        .ok();
    let mut name = |key: &str, text: &String| {
        let read = HeaderName::from_bytes(text.as_bytes());
        read.map_err(|_| problems.push(Problem::at(format!("/sign/{key}"), "not a header name")))
            .ok()
    };
    let timestamp_header = given
        .timestamp_header
        .as_ref()
        .and_then(|text| name("timestamp_header", text));
    let place = match (&given.header, &given.query) {
        (Some(header), None) => name("header", header).map(Place::Header),
        (None, Some(query)) => Some(Place::Query(query.clone())),
        _ => {
            problems.push(
                Problem::at("/sign", "`generic_hmac` needs either `header` or `query`")
                    .help("header = \"x-signature\""),
            );
            None
        }
    };
    Some(Generic {
        secret: secret.clone(),
        message: message?,
        algorithm: given.algorithm.unwrap_or_default(),
        encoding: given.encoding.unwrap_or_default(),
        place: place?,
        prefix: given.prefix.clone().unwrap_or_default(),
        timestamp_header,
    })
}

impl Generic {
    fn sign(
        &self,
        request: &Signed<'_>,
        seconds: u64,
        ms: u128,
        signature: &mut Signature,
    ) -> Result<(), Problem> {
        let body = std::str::from_utf8(request.body)
            .map_err(|_| Problem::at("/sign", "the body is no text and cannot be signed"))?;
        let context = Context::of(&json!({
            "id": request.id, "timestamp": seconds, "timestamp_ms": u64::try_from(ms).unwrap_or(u64::MAX),
            "method": request.method, "path": request.path, "query": request.query, "body": body,
        }));
        let message = self
            .message
            .text(&context)
            .map_err(|error| error.into_problem("/sign/message"))?
            .unwrap_or_default();
        let key = self.secret.expose().as_bytes();
        let bytes = match self.algorithm {
            Algorithm::Sha256 => sha256(key, message.as_bytes()),
            Algorithm::Sha512 => sha512(key, message.as_bytes()),
        };
        let written = match self.encoding {
            Encoding::Hex => hex(&bytes),
            Encoding::Base64 => STANDARD.encode(&bytes),
        };
        let written = format!("{}{written}", self.prefix);
        if let Some(name) = &self.timestamp_header {
            signature.header(name.clone(), &seconds.to_string())?;
        }
        match &self.place {
            Place::Header(name) => signature.header(name.clone(), &written)?,
            Place::Query(name) => signature.query.push((name.clone(), written)),
        }
        Ok(())
    }
}

fn sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn sha512(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("any length is a key");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leadgate_plugin::Tables;

    use super::*;

    fn signer(given: Value) -> Result<Signer, Vec<Problem>> {
        let given: Sign = serde_json::from_value(given).expect("settings");
        let secret = given.secret.clone().expect("a secret");
        Signer::new(&given, &secret, "/sign/secret", &Engine::new(Tables::new()))
    }

    fn sign(given: Value, seconds: u64, body: &str) -> Signature {
        let request = Signed {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            now: UNIX_EPOCH + Duration::from_secs(seconds),
            method: "POST",
            path: "/hook",
            query: "a=1",
            body: body.as_bytes(),
        };
        signer(given)
            .expect("valid")
            .sign(&request)
            .expect("signed")
    }

    #[test]
    fn the_example_of_standard_webhooks_is_met() {
        // Key, id, timestamp, payload and signature as the official libraries test them.
        let given = json!({"kind": "standard_webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
        let signature = sign(given, 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(
            signature.headers["webhook-signature"],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(signature.headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn the_robots_swap_key_and_message() {
        let signature = sign(
            json!({"kind": "dingtalk", "secret": "SECx"}),
            1_700_000_000,
            "{}",
        );
        assert_eq!(
            signature.query,
            [
                ("timestamp".to_owned(), "1700000000000".to_owned()),
                (
                    "sign".to_owned(),
                    "rgcjbH+yFyES+S0llX+cAPCwVRpsr7sbiX5Lnyo/ocU=".to_owned()
                ),
            ]
        );
        let signature = sign(
            json!({"kind": "feishu_bot", "secret": "SECx"}),
            1_700_000_000,
            r#"{"msg_type":"text"}"#,
        );
        let body: Value = serde_json::from_slice(&signature.body.expect("a body")).expect("JSON");
        assert_eq!(
            body,
            json!({"msg_type": "text", "timestamp": "1700000000", "sign": "SqAAKq+LeBpM90HLQbQZuXzQJU2DWQuN3nGpYvrdFMc="})
        );
    }

    #[test]
    fn any_hmac_is_written_where_the_destination_wants_it() {
        // RFC 4231, test case 2.
        let message = "what do ya want for nothing?";
        let given = json!({"kind": "generic_hmac", "secret": "Jefe", "header": "x-hub-signature-256", "prefix": "sha256="});
        let signature = sign(given, 0, message);
        assert_eq!(
            signature.headers["x-hub-signature-256"],
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let given = json!({"kind": "generic_hmac", "secret": "Jefe", "query": "sign", "algorithm": "sha512", "timestamp_header": "x-time"});
        let signature = sign(given, 5, message);
        assert!(
            signature.query[0]
                .1
                .starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
        );
        assert_eq!(signature.headers["x-time"], "5");
        let whole = json!({"kind": "generic_hmac", "secret": "k", "query": "s", "encoding": "base64",
            "message": "{{ method }}\n{{ path }}?{{ query }}\n{{ timestamp }}\n{{ timestamp_ms }}\n{{ body }}"});
        let plain =
            json!({"kind": "generic_hmac", "secret": "k", "query": "s", "encoding": "base64"});
        assert_eq!(
            sign(whole, 1, "b").query,
            sign(plain, 1, "POST\n/hook?a=1\n1\n1000\nb").query
        );
    }

    #[test]
    fn what_cannot_sign_is_refused_without_being_shown() {
        for given in [
            json!({"kind": "standard_webhooks", "secret": "whsec_not base64!"}),
            json!({"kind": "standard_webhooks", "secret": ""}),
            json!({"kind": "dingtalk", "secret": ""}),
            json!({"kind": "dingtalk", "secret": "s3cret!", "header": "x"}),
            json!({"kind": "generic_hmac", "secret": "s3cret!"}),
            json!({"kind": "generic_hmac", "secret": "s3cret!", "header": "x", "query": "y"}),
            json!({"kind": "generic_hmac", "secret": "s3cret!", "header": "x y"}),
            json!({"kind": "generic_hmac", "secret": "s3cret!", "header": "x", "message": "{{ boddy }}"}),
        ] {
            let problems = signer(given.clone()).err().expect("refused");
            let shown = format!("{problems:?}");
            assert!(
                !shown.contains("not base64!") && !shown.contains("s3cret!"),
                "{shown}"
            );
        }
    }
}
