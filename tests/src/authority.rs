//! An authority of one's own: it signs certificates that no system trusts by itself.
//! Or a server vouches for itself.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate.
pub struct Certificate {
    /// Its key and then itself, in PEM.
    pub pem: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// If no key can be made.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut wanted = CertificateParams::new(Vec::new()).expect("no names");
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(wanted, key).expect("signs itself"))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the server with these names.
    ///
    /// # Panics
    ///
    /// If a name is none.
    pub fn certificate(&self, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(names)
            .and_then(|wanted| wanted.signed_by(&key, &self.0))
            .expect("signs");
        Certificate {
            pem: key.serialize_pem() + &certificate.pem(),
        }
    }
}

impl Certificate {
    /// A certificate that signs itself, for the server with these names; with `authority` made
    /// as `openssl req -x509` makes it, which says that it may sign others as well.
    ///
    /// # Panics
    ///
    /// If a name is none.
    pub fn of_itself(names: &[&str], authority: bool) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted = CertificateParams::new(names).expect("names");
        wanted.is_ca = if authority {
            IsCa::Ca(BasicConstraints::Unconstrained)
        } else {
            IsCa::ExplicitNoCa
        };
        let key = KeyPair::generate().expect("a key");
        let certificate = wanted.self_signed(&key).expect("signs itself");
        Self {
            pem: key.serialize_pem() + &certificate.pem(),
        }
    }

    /// It without its key.
    pub fn public(&self) -> &str {
        let begin = self.pem.find("-----BEGIN CERTIFICATE");
        begin.map_or("", |begin| &self.pem[begin..])
    }
}
