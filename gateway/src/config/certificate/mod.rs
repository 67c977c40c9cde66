//! The certificate of the public listener, with its key: read and judged before it is used.
//!
//! Files of a certificate authority come in many shapes, and what is wrong with one is seen
//! only by whoever pushes. So both are tried on each other here, for `check`, the start and a
//! reload alike. Knows nothing of connections.

mod der;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use self::der::Facts;
use super::diagnostic::Text;
use super::encoding;
use crate::clock::Millis;

/// Largest file, in bytes: a chain has a few KiB.
const LARGEST: u64 = 1 << 20;
const DAY: Millis = 86_400_000;
/// Who renews by himself does it a month before; less is late.
const SOON: Millis = 14 * DAY;

/// A certificate that can be shown, with those that vouch for it and its key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// Of each, in the order of the file.
    facts: Vec<Facts>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// A key fits one certificate only, so who shows the same certificates shows the same.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

impl Eq for Certificate {}

/// Which of the two files something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Cert,
    Key,
}

/// What is wrong: with which file, what, and what to do.
pub(super) type Wrong = (About, Text, Text);

impl Certificate {
    /// What rustls shows.
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// From when on nobody trusts it: the earliest end of those in the file.
    pub fn expires_at(&self) -> Millis {
        let ends = self.facts.iter().map(|one| one.not_after);
        ends.min().unwrap_or(Millis::MAX)
    }

    /// Reads both files and tries them on each other.
    pub(super) fn load(cert: &Path, key: &Path) -> Result<Self, Wrong> {
        let certificates = file(About::Cert, cert)?;
        let secret = Zeroizing::new(file(About::Key, key)?);
        Self::read(&certificates, &secret)
    }

    /// From PEM texts.
    #[cfg(test)]
    pub(crate) fn of(certificates: &str, secret: &str) -> Self {
        Self::read(certificates.as_bytes(), secret.as_bytes()).expect("a certificate with its key")
    }

    fn read(certificates: &[u8], secret: &[u8]) -> Result<Self, Wrong> {
        let chain = chain(certificates)?;
        let secret = private_key(secret)?;
        let key = ring::sign::any_supported_type(&secret).map_err(|_| {
            (
                About::Key,
                Text::new("this kind of private key cannot be used", "不支持这种私钥"),
                Text::new(
                    "use ECDSA (P-256, P-384), RSA of 2048 bits or more, or Ed25519",
                    "请使用 ECDSA（P-256、P-384）、2048 位以上的 RSA 或 Ed25519",
                ),
            )
        })?;
        let (ders, facts): (Vec<_>, Vec<_>) = chain.into_iter().unzip();
        let fits = |one: &CertificateDer<'static>| {
            CertifiedKey::new(vec![one.clone()], Arc::clone(&key))
                .keys_match()
                .is_ok()
        };
        match ders.iter().position(fits) {
            Some(0) => {}
            Some(at) => return Err(first_elsewhere(at)),
            None => return Err(mismatch()),
        }
        Ok(Self {
            key: Arc::new(CertifiedKey::new(ders, key)),
            facts,
        })
    }

    /// What is worth a look although it can be used, at `now`: each with its code.
    pub(super) fn remarks(&self, now: Millis) -> Vec<(&'static str, Text, Text)> {
        let mut remarks = Vec::new();
        let ends = self.expires_at();
        let begins = self.facts.iter().map(|one| one.not_before).max();
        let renew = || {
            Text::new(
                "renew it, and reload or restart leadgate",
                "请续期，然后重新加载或重启 leadgate",
            )
        };
        if ends <= now {
            remarks.push((
                "config::certificate_expired",
                Text::new(
                    format!(
                        "the certificate expired at {}: whoever pushes refuses it",
                        day(ends)
                    ),
                    format!("证书已于 {} 过期：推送方会拒绝连接", day(ends)),
                ),
                renew(),
            ));
        } else if ends - now < SOON {
            remarks.push((
                "config::certificate_expires",
                Text::new(
                    format!("the certificate expires at {}", day(ends)),
                    format!("证书将于 {} 过期", day(ends)),
                ),
                renew(),
            ));
        }
        if let Some(begins) = begins.filter(|begins| *begins > now) {
            remarks.push((
                "config::certificate_early",
                Text::new(
                    format!("the certificate is good only from {} on", day(begins)),
                    format!("证书自 {} 起才有效", day(begins)),
                ),
                Text::new(
                    "use one that is good already, and look at this machine's clock",
                    "请使用已生效的证书，并检查本机时钟",
                ),
            ));
        }
        let is_wrong = |two: &[Facts]| two[0].issuer != two[1].subject;
        if let Some(at) = self.facts.windows(2).position(is_wrong) {
            let (signed, number) = (at + 1, at + 2);
            remarks.push((
                "config::certificate_order",
                Text::new(
                    format!("certificate {number} of the file did not sign certificate {signed}: who pushes may not trust it"),
                    format!("文件中的第 {number} 个证书不是第 {signed} 个证书的签发者：推送方可能不信任它"),
                ),
                order(),
            ));
        }
        // One that nobody else signed needs nobody to vouch for it.
        if let [alone] = self.facts.as_slice()
            && alone.issuer != alone.subject
        {
            remarks.push((
                "config::certificate_alone",
                Text::new(
                    "the file has the certificate alone, without those that vouch for it: who pushes may not trust it",
                    "文件中只有证书本身，缺少中间证书：推送方可能不信任它",
                ),
                Text::new(
                    "use the file with the whole chain, such as fullchain.pem",
                    "请使用含完整证书链的文件，例如 fullchain.pem",
                ),
            ));
        }
        remarks
    }
}

/// The certificates of a file, with what each says.
fn chain(text: &[u8]) -> Result<Vec<(CertificateDer<'static>, Facts)>, Wrong> {
    let mut chain = Vec::new();
    for (at, found) in CertificateDer::pem_slice_iter(text).enumerate() {
        let read = found.ok().and_then(|der| {
            let facts = Facts::of(&der)?;
            Some((der, facts))
        });
        chain.push(read.ok_or_else(|| {
            let number = at + 1;
            (
                About::Cert,
                Text::new(
                    format!("certificate {number} of the file is damaged"),
                    format!("文件中的第 {number} 个证书已损坏"),
                ),
                Text::new(
                    "copy the file again, whole, as the authority gave it",
                    "请重新完整复制证书机构提供的文件",
                ),
            )
        })?);
    }
    if !chain.is_empty() {
        return Ok(chain);
    }
    let swapped = PrivateKeyDer::from_pem_slice(text).is_ok();
    Err((
        About::Cert,
        if swapped {
            Text::new(
                "this is a private key, not a certificate",
                "这是私钥，不是证书",
            )
        } else {
            Text::new("there is no certificate in the file", "文件中没有证书")
        },
        if swapped {
            Text::new(
                "cert and key may have been mixed up",
                "cert 与 key 可能写反了",
            )
        } else {
            Text::new(
                "it is PEM text with -----BEGIN CERTIFICATE-----; from DER: openssl x509 -inform der -in FILE",
                "应为含 -----BEGIN CERTIFICATE----- 的 PEM 文本；DER 可用 openssl x509 -inform der -in 文件 转换",
            )
        },
    ))
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Wrong> {
    if let Ok(key) = PrivateKeyDer::from_pem_slice(text) {
        return Ok(key);
    }
    let contains = |part: &[u8]| text.windows(part.len()).any(|some| some == part);
    let (message, help) = if contains(b"ENCRYPTED") {
        (
            Text::new(
                "the private key is encrypted with a passphrase",
                "私钥用口令加密了",
            ),
            Text::new(
                "write it without: openssl pkey -in FILE -out key.pem && chmod 600 key.pem",
                "请去掉口令：openssl pkey -in 文件 -out key.pem && chmod 600 key.pem",
            ),
        )
    } else if contains(b"BEGIN CERTIFICATE") {
        (
            Text::new(
                "this is a certificate, not a private key",
                "这是证书，不是私钥",
            ),
            Text::new(
                "cert and key may have been mixed up",
                "cert 与 key 可能写反了",
            ),
        )
    } else {
        (
            Text::new("there is no private key in the file", "文件中没有私钥"),
            Text::new(
                "it is PEM text with -----BEGIN PRIVATE KEY-----, BEGIN EC PRIVATE KEY or BEGIN RSA PRIVATE KEY",
                "应为含 -----BEGIN PRIVATE KEY-----、BEGIN EC PRIVATE KEY 或 BEGIN RSA PRIVATE KEY 的 PEM 文本",
            ),
        )
    };
    Err((About::Key, message, help))
}

fn mismatch() -> Wrong {
    (
        About::Key,
        Text::new(
            "the private key is not that of the certificate",
            "私钥与证书不匹配",
        ),
        Text::new(
            "use the key that the certificate was asked for with; a renewal may have made a new one",
            "请使用申请该证书时的私钥；续期时可能生成了新的私钥",
        ),
    )
}

fn first_elsewhere(at: usize) -> Wrong {
    let number = at + 1;
    (
        About::Cert,
        Text::new(
            format!(
                "the certificate of the key is number {number} in the file, and must be the first"
            ),
            format!("与私钥对应的证书在文件中排第 {number}，应排在第一"),
        ),
        order(),
    )
}

fn order() -> Text {
    Text::new(
        "the certificate of the server comes first, then the one that signed it, and so on; leave out what is of another chain",
        "顺序应为：服务器证书、签发它的中间证书，依次向上；请删除不属于该证书链的证书",
    )
}

/// What is in a file.
fn file(about: About, path: &Path) -> Result<Vec<u8>, Wrong> {
    let read = |path: &Path| {
        let facts = std::fs::metadata(path)?;
        if !facts.is_file() || facts.len() > LARGEST {
            return Ok(None);
        }
        std::fs::read(path).map(Some)
    };
    match read(path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let shown = path.display();
            Err((
                about,
                Text::new(
                    format!("{shown} is no file, or larger than 1 MiB"),
                    format!("{shown} 不是普通文件，或大于 1 MiB"),
                ),
                Text::new("name the PEM file", "请写 PEM 文件的路径"),
            ))
        }
        Err(error) => Err((
            about,
            encoding::io_text(path, &error),
            Text::new(
                "give the user that runs leadgate the right to read it; under systemd: LoadCredential=tls-key:PATH and \"${CREDENTIALS_DIRECTORY}/tls-key\"",
                "请让运行 leadgate 的用户有权读取；systemd 下可用 LoadCredential=tls-key:路径 与 \"${CREDENTIALS_DIRECTORY}/tls-key\"",
            ),
        )),
    }
}

/// A time as people and `openssl x509 -dates` compare it.
pub(super) fn day(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;
    use crate::lang::Lang;

    /// An authority, one that it signed, and a server's that this one signed; their PEM.
    struct Chain {
        root: String,
        middle: String,
        leaf: String,
        key: String,
    }

    fn authority(name: &str) -> CertificateParams {
        let mut wanted = CertificateParams::new(Vec::new()).expect("no names");
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        wanted
    }

    fn made() -> Chain {
        let key = || KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(authority("root"), key()).expect("signs itself");
        let middle =
            CertifiedIssuer::signed_by(authority("middle"), key(), &root).expect("is signed");
        let mut wanted = CertificateParams::new(vec!["leads.shop.cn".to_owned()]).expect("names");
        wanted.not_before = rcgen::date_time_ymd(2026, 11, 1);
        wanted.not_after = rcgen::date_time_ymd(2027, 2, 1);
        let own = key();
        let leaf = wanted.signed_by(&own, &middle).expect("is signed");
        Chain {
            root: root.pem(),
            middle: middle.pem(),
            leaf: leaf.pem(),
            key: own.serialize_pem(),
        }
    }

    fn at(text: &str) -> Millis {
        text.parse::<jiff::Timestamp>()
            .expect("a time")
            .as_millisecond()
    }

    fn wrong(cert: &str, key: &str) -> (About, String) {
        let (about, message, _) =
            Certificate::read(cert.as_bytes(), key.as_bytes()).expect_err("it is refused");
        (about, message.pick(Lang::En).to_owned())
    }

    #[test]
    fn a_whole_chain_is_taken_and_nothing_is_said_of_it() {
        let made = made();
        let chain = [&*made.leaf, &made.middle, &made.root];
        for upto in [2, 3] {
            let text = chain[..upto].concat();
            let read = Certificate::read(text.as_bytes(), made.key.as_bytes()).expect("good");
            assert_eq!(read.expires_at(), at("2027-02-01T00:00:00Z"));
            assert!(read.remarks(at("2026-12-01T00:00:00Z")).is_empty());
            assert_eq!(read.key().cert.len(), upto);
        }
        // Both in one file, as some tools write them.
        let both = [&*made.key, &made.leaf, &made.middle].concat();
        assert!(Certificate::read(both.as_bytes(), both.as_bytes()).is_ok());
    }

    #[test]
    fn what_does_not_go_together_is_told_apart() {
        let (made, other) = (made(), made());
        let Chain {
            middle, leaf, key, ..
        } = &made;
        let (about, said) = wrong(leaf, &other.key);
        assert_eq!(about, About::Key);
        assert!(said.contains("not that of the certificate"), "{said}");
        let (about, said) = wrong(&[&**middle, leaf].concat(), key);
        assert_eq!(about, About::Cert);
        assert!(said.contains("number 2"), "{said}");
        let (about, said) = wrong(key, leaf);
        assert_eq!(
            (about, &*said),
            (About::Cert, "this is a private key, not a certificate")
        );
        let (about, said) = wrong(leaf, middle);
        assert_eq!(
            (about, &*said),
            (About::Key, "this is a certificate, not a private key")
        );
        let locked = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert!(wrong(leaf, &locked).1.contains("encrypted"));
        assert!(wrong("", key).1.contains("no certificate"));
        assert!(wrong(leaf, "x").1.contains("no private key"));
        let cut = leaf.replacen("MII", "MIIA", 1);
        assert!(wrong(&cut, key).1.contains("damaged"));
    }

    #[test]
    fn what_time_and_missing_links_make_of_it_is_said() {
        let made = made();
        let text = [&*made.leaf, &made.middle].concat();
        let chain = Certificate::read(text.as_bytes(), made.key.as_bytes()).expect("good");
        let codes = |one: &Certificate, now: &str| {
            let remarks = one.remarks(at(now)).into_iter();
            remarks.map(|(code, ..)| code).collect::<Vec<_>>()
        };
        assert_eq!(
            codes(&chain, "2027-02-01T00:00:00Z"),
            ["config::certificate_expired"]
        );
        assert_eq!(
            codes(&chain, "2027-01-31T23:59:59Z"),
            ["config::certificate_expires"]
        );
        assert_eq!(
            codes(&chain, "2026-10-31T00:00:00Z"),
            ["config::certificate_early"]
        );
        let alone = Certificate::read(made.leaf.as_bytes(), made.key.as_bytes()).expect("good");
        assert_eq!(
            codes(&alone, "2026-12-01T00:00:00Z"),
            ["config::certificate_alone"]
        );
    }

    #[test]
    fn a_chain_in_the_wrong_order_is_said_with_the_place() {
        let (made, other) = (made(), made());
        let Chain {
            root,
            middle,
            leaf,
            key,
        } = &made;
        for (chain, said) in [
            (
                [leaf, root, middle],
                "certificate 2 of the file did not sign certificate 1",
            ),
            (
                [leaf, middle, &other.leaf],
                "certificate 3 of the file did not sign certificate 2",
            ),
        ] {
            let text = chain.map(String::as_str).concat();
            let read = Certificate::read(text.as_bytes(), key.as_bytes()).expect("it can be used");
            let remarks = read.remarks(at("2026-12-01T00:00:00Z"));
            let [("config::certificate_order", message, _)] = remarks.as_slice() else {
                panic!("{remarks:?}");
            };
            assert!(message.pick(Lang::En).starts_with(said), "{message:?}");
        }
    }

    #[test]
    fn a_certificate_cannot_print_its_key() {
        let made = made();
        let read = Certificate::read(made.leaf.as_bytes(), made.key.as_bytes()).expect("good");
        let shown = format!("{read:?}");
        assert!(
            shown.starts_with("Certificate { expires_at: ") && shown.len() < 60,
            "{shown}"
        );
    }
}
