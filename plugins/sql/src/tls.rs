//! TLS: which certificates are trusted. The server's is always checked, with its name.
//!
//! The driver for MySQL takes certificates alone and no rules of ours, so there an authority
//! that shows itself as the server is refused, and the reason says what to make instead.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use leadgate_plugin::Problem;
use leadgate_plugin::tls::{self, Named};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The certificates that a server's must come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    certificates: Vec<CertificateDer<'static>>,
    /// Those of the merchant's own file; a server may also be one of them.
    named: Option<Arc<Named>>,
}

impl Trust {
    /// Those in the file `ca`.
    pub(crate) fn of_file(ca: &Path) -> Result<Self, Problem> {
        let unreadable = |why: &str| {
            Problem::at("/ca", format!("{}: {why}", ca.display()))
                .help("a PEM file with the authority's certificate, or the server's own; a database's provider offers one")
        };
        let found = tls::certificates(ca).map_err(|why| unreadable(&why))?;
        let certificates = usable(found);
        let named = Named::new(certificates.clone()).map_err(|why| unreadable(&why))?;
        Ok(Self {
            certificates,
            named: Some(named),
        })
    }

    /// Those of the system.
    pub(crate) fn of_system() -> Result<Self, Problem> {
        let certificates = usable(rustls_native_certs::load_native_certs().certs);
        if certificates.is_empty() {
            let message = "this system has no certificates to check the server's with";
            let help = "install them (package ca-certificates), or name a `ca` file";
            return Err(Problem::at("", message).help(help));
        }
        Ok(Self {
            certificates,
            named: None,
        })
    }

    /// Each as DER.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = Vec<u8>> {
        self.certificates.iter().map(|one| one.to_vec())
    }

    /// For a connection of rustls.
    pub(crate) fn config(&self) -> Result<ClientConfig, Problem> {
        let unusable = |error: rustls::Error| Problem::at("", error.to_string());
        if let Some(named) = &self.named {
            return named.config().map_err(unusable);
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.certificates.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        Ok(builder.with_root_certificates(store).with_no_client_auth())
    }
}

/// A system, or a provider's collection, may hold some that rustls does not take.
fn usable(mut certificates: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    let mut store = RootCertStore::empty();
    certificates.retain(|one| store.add(one.clone()).is_ok());
    certificates
}

/// What is said of a server that has no TLS.
pub(crate) const NOT_OFFERED: &str = "the server does not offer TLS; switch it on there, or, if nobody else can listen on the way, \
     add ?sslmode=disable to `url`";

/// Why PostgreSQL's server was not trusted, if that is what `error` is about.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    tls::distrust(error, "ca", "url")
}

/// The same for MySQL's and MariaDB's.
pub(crate) fn distrust_by_mysql(error: &(dyn Error + 'static)) -> Option<String> {
    if tls::is_made_as_authority(error) {
        let why = "the server's certificate is made as an authority (CA:TRUE), as `openssl req \
                   -x509` does, and cannot be used with MySQL and MariaDB here, also if `ca` names \
                   it; make one for the server with -addext basicConstraints=critical,CA:FALSE \
                   and name that as `ca`, or one that an authority of your own has signed";
        return Some(why.to_owned());
    }
    distrust(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_a_problem_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        for text in [
            None,
            Some(""),
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            if let Some(text) = text {
                std::fs::write(&path, text).expect("writes");
            }
            let problem = Trust::of_file(&path).expect_err("nothing to trust");
            assert_eq!(problem.path, "/ca");
            assert!(problem.message.contains("ca.pem: "), "{problem:?}");
        }
    }
}
