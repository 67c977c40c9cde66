//! TLS: which certificates are trusted. The server's is always checked, with its name.

use std::path::Path;
use std::sync::Arc;

use leadgate_plugin::Problem;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The certificates that a server's must come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Vec<CertificateDer<'static>>);

impl Trust {
    /// Those in the file `ca`.
    pub(crate) fn of_file(ca: &Path) -> Result<Self, Problem> {
        let unreadable = |why: &str| {
            Problem::at("/ca", format!("{}: {why}", ca.display()))
                .help("a file with certificates as PEM, which the database's provider offers")
        };
        let found = CertificateDer::pem_file_iter(ca)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(&error.to_string()))?;
        let trust = Self::usable(found);
        if trust.0.is_empty() {
            return Err(unreadable("no certificate that can be used"));
        }
        Ok(trust)
    }

    /// Those of the system.
    pub(crate) fn of_system() -> Result<Self, Problem> {
        let trust = Self::usable(rustls_native_certs::load_native_certs().certs);
        if trust.0.is_empty() {
            let message = "this system has no certificates to check the server's with";
            let help = "install them (package ca-certificates), or name a `ca` file";
            return Err(Problem::at("", message).help(help));
        }
        Ok(trust)
    }

    /// A system may hold some that rustls does not take.
    fn usable(mut certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        certificates.retain(|one| store.add(one.clone()).is_ok());
        Self(certificates)
    }

    /// Each as DER.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0.iter().map(|one| one.to_vec())
    }

    /// For a connection of rustls.
    pub(crate) fn config(&self) -> Result<ClientConfig, Problem> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.0.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::at("", error.to_string()))?;
        Ok(builder.with_root_certificates(store).with_no_client_auth())
    }
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
