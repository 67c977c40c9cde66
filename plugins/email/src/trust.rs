//! Trust: how the connection is encrypted, and who may vouch for the server.
//!
//! The system's authorities, or only those of the merchant's own file. There is no setting
//! that trusts anybody: leads would go to whoever stands in between.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use leadgate_plugin::Problem;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use rustls::CertificateError;

use crate::settings::{Settings, Tls};

/// Longest file of certificates; a system's whole collection has a quarter of it.
const LONGEST: u64 = 1024 * 1024;
/// What a certificate begins with.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How the connection is encrypted.
pub(crate) enum Way {
    Plain,
    Starttls(TlsParameters),
    Tls(TlsParameters),
}

impl Way {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Problem> {
        match (settings.tls, &settings.ca) {
            (Tls::None, None) => Ok(Self::Plain),
            (Tls::None, Some(_)) => {
                Err(Problem::at("/ca", "without TLS nobody shows a certificate")
                    .help("take it out, or use tls = \"tls\" or \"starttls\""))
            }
            (Tls::Tls, _) => parameters(settings).map(Self::Tls),
            (Tls::Starttls, _) => parameters(settings).map(Self::Starttls),
        }
    }
}

fn parameters(settings: &Settings) -> Result<TlsParameters, Problem> {
    let builder = TlsParameters::builder(settings.host.clone());
    let Some(path) = &settings.ca else {
        return builder
            .build()
            .map_err(|_| Problem::at("/tls", "the system's certificates cannot be used"));
    };
    let wrong = |why: String| Problem::at("/ca", format!("{}: {why}", path.display()));
    let pem = read(path).map_err(wrong)?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(wrong("no certificate in it".to_owned())
            .help("a PEM file with the authority's certificate: -----BEGIN CERTIFICATE----- …"));
    }
    let broken = |_| {
        wrong("a certificate in it cannot be read".to_owned())
            .help("look at it with: openssl x509 -noout -text -in FILE")
    };
    let certificate = Certificate::from_pem(&pem).map_err(broken)?;
    builder
        .certificate_store(CertificateStore::None)
        .add_root_certificate(certificate)
        .build()
        .map_err(broken)
}

/// Why no encrypted connection came about, if that is what an exchange failed of: nothing but
/// names of servers is in it.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        UnknownIssuer,
    };
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    let tls = causes.find_map(|cause| {
        let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
        inner.downcast_ref::<rustls::Error>()
    })?;
    Some(match tls {
        // The signature is bad if the authority is another one of the same name.
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "the server's certificate is from an authority that is not trusted here; \
             `ca` names a file of those to trust"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "the server's certificate is not for the name in `host`".to_owned()
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        rustls::Error::InvalidMessage(_) => {
            "the server does not speak TLS there; do `port` and `tls` belong together?".to_owned()
        }
        other => other.to_string(),
    })
}

/// Reads a file of certificates, or says why not.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    // One more, so that a longer file is seen.
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut pem))
        .map_err(|error| error.to_string().to_lowercase())?;
    if pem.len() as u64 > LONGEST {
        return Err("longer than 1 MiB: that is no file of certificates".to_owned());
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words_of_the_settings() {
        use rustls::Error::{InvalidCertificate, InvalidMessage as Message};
        for (error, said) in [
            (
                InvalidCertificate(CertificateError::UnknownIssuer),
                "`ca` names a file",
            ),
            (
                InvalidCertificate(CertificateError::BadSignature),
                "`ca` names a file",
            ),
            (
                InvalidCertificate(CertificateError::NotValidForName),
                "the name in `host`",
            ),
            (InvalidCertificate(CertificateError::Expired), "has expired"),
            (
                Message(InvalidMessage::InvalidContentType),
                "`port` and `tls`",
            ),
            (InvalidCertificate(CertificateError::Revoked), "Revoked"),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            let why = distrust(&error).expect("a reason");
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn a_connection_that_breaks_is_no_matter_of_trust() {
        assert_eq!(
            distrust(&io::Error::from(io::ErrorKind::ConnectionReset)),
            None
        );
    }
}
