//! TLS: a connection that trusts what the merchant named, and why one was not trusted.
//!
//! For sinks that speak through rustls. A file that a merchant names as `ca` holds authorities,
//! or the server's own certificate: who makes one with `openssl req -x509` has both in one, and
//! rustls alone would refuse an authority that shows itself as a server.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Longest file of certificates; a system's whole collection has a quarter of it.
const LONGEST: u64 = 1024 * 1024;

/// Trusts servers whose certificate comes from one of those named, or is one of them. Name and
/// dates must fit in either case.
#[derive(Debug)]
pub struct Named {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl Named {
    /// Trusts the certificates of a PEM file. The error says what is wrong with the file.
    pub fn file(path: &Path) -> Result<Arc<Self>, String> {
        Self::new(certificates(path)?)
    }

    /// Trusts these certificates.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Arc<Self>, String> {
        let mut roots = RootCertStore::empty();
        for one in &certificates {
            let added = roots.add(one.clone());
            added.map_err(|_| "a certificate in it cannot be read".to_owned())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let authorities = authorities
            .build()
            .map_err(|_| "no certificate in it".to_owned())?;
        Ok(Arc::new(Self {
            certificates,
            authorities,
        }))
    }

    /// The settings of a connection that trusts them and shows no certificate of its own.
    pub fn config(self: &Arc<Self>) -> Result<rustls::ClientConfig, rustls::Error> {
        Ok(self.builder()?.with_no_client_auth())
    }

    /// The same, for who has a certificate of their own to show.
    pub fn builder(
        self: &Arc<Self>,
    ) -> Result<
        rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>,
        rustls::Error,
    > {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?;
        let verifier = Arc::clone(self) as Arc<dyn ServerCertVerifier>;
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier))
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let Err(error) = verified else {
            return verified;
        };
        // Invariant: all of these are found after the dates were, so those fit.
        let only_its_origin = match &error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => true,
            error => is_authority(error),
        };
        let is_named = || self.certificates.iter().any(|one| one == end_entity);
        if !only_its_origin || !is_named() {
            return Err(error);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// The error of TLS in `error`: those of the system hide what they are made of.
fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner: &(dyn Error + 'static) = error.downcast_ref::<io::Error>()?.get_ref()?;
    within(inner)
}

/// Whether a server was refused because its certificate is made as an authority, for sinks whose
/// library cannot take a [`Named`].
pub fn is_made_as_authority(error: &(dyn Error + 'static)) -> bool {
    cause(error).is_some_and(is_authority)
}

/// The error of TLS that `error` comes from.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.find_map(within)
}

fn is_authority(error: &rustls::Error) -> bool {
    matches!(made_as(error), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What of how a certificate is made makes it unusable, where rustls has no word for it.
fn made_as(error: &rustls::Error) -> Option<&webpki::Error> {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return None;
    };
    other.0.downcast_ref()
}

/// The certificates of a PEM file. The error says what is wrong with it.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut pem = Vec::new();
    // One more, so that a longer file is seen.
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut pem))
        .map_err(|error| error.to_string().to_lowercase())?;
    if pem.len() as u64 > LONGEST {
        return Err("longer than 1 MiB: that is no file of certificates".to_owned());
    }
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(_) => Err("a certificate in it cannot be read".to_owned()),
    }
}

/// Why no encrypted connection came about, if that is what `error` is about. Nothing but names of
/// servers is in it. `ca` and `host` are the settings that name the authorities and the server.
pub fn distrust(error: &(dyn Error + 'static), ca: &str, host: &str) -> Option<String> {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext,
        NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    Some(match cause(error)? {
        // The signature is bad if the authority is another one of the same name.
        InvalidCertificate(UnknownIssuer | BadSignature) => format!(
            "the server's certificate is from an authority that is not trusted here; `{ca}` names \
             a file of those to trust"
        ),
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => format!(
            "the server's certificate is not for the name in `{host}`: that must be among its \
             alternative names (subjectAltName)"
        ),
        InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet; is the clock of this machine right?"
                .to_owned()
        }
        error if is_authority(error) => format!(
            "the server's certificate is made as an authority (CA:TRUE), as `openssl req -x509` \
             does; name this very certificate as `{ca}`, or make one for the server with -addext \
             basicConstraints=critical,CA:FALSE"
        ),
        error if matches!(made_as(error), Some(webpki::Error::UnsupportedCertVersion)) => {
            "the server's certificate is of version 1, as `openssl x509 -req` makes it without \
             -extfile; make it anew with a file for that which has subjectAltName=DNS:NAME in it"
                .to_owned()
        }
        InvalidCertificate(InvalidPurpose | InvalidPurposeContext { .. }) => {
            "the server's certificate is not made for a server; its extendedKeyUsage must have \
             serverAuth in it"
                .to_owned()
        }
        InvalidMessage(_) => "the server does not speak TLS there; is the port right?".to_owned(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    /// Made by `openssl req -x509`.
    const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcTCCARegAwIBAgIUQ4Z7s8Zhvyd2BEgnV5Jg8XQ3l5gwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTI4MTM0MDAyWhgPMjEyNjExMDQxMzQwMDJa
MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfCdrqxlQ
YLEsubZnqA9IDqeAmwpamjT0ixDIbDMEOLJD61FXQIS8UKoU3+dDownagRWoHAGk
So7JhdvbwZWr4aNTMFEwHQYDVR0OBBYEFNrwkmjcj913gvpQ4I5bPpoKdzRFMB8G
A1UdIwQYMBaAFNrwkmjcj913gvpQ4I5bPpoKdzRFMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSAAwRQIgXIdHMQcdbtrZLJBnl89svhlme+9J0hapGFCndtfg
qj4CIQCBTUfu8AC94hC9GRiPQf1hc2ddJz8L+v0Cri25Z9zjXQ==
-----END CERTIFICATE-----
";
    /// Signed by it with `openssl x509 -req`.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBIzCBygIUBzETwjItwVdtYww7/1zEkg6iTycwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCY2EwIBcNMjYxMTI4MTM0MDAyWhgPMjEyNjExMDQxMzQwMDJaMBoxGDAW
BgNVBAMMD2RiLnNob3AuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BDKoz/Qd3a9uPBCTVqW3Oc9IQHKuB4ZcqaUdPsCLVG5pyUn7clwop8W/55fl2TFL
975SmZcYdTpYiOdwGPh1c+cwCgYIKoZIzj0EAwIDSAAwRQIhANS5Znd/gvqrSvt+
7im2yIVaqKnC2Ro3HaLJAUBnSx3FAiBbKQ51JS5+ss0s3DDBbsWyZmkxXjL8wK2c
2JQ8BxGYJQ==
-----END CERTIFICATE-----
";

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words_of_the_settings() {
        use rustls::Error::{InvalidCertificate, InvalidMessage as Message};
        let other = |error| CertificateError::Other(rustls::OtherError(Arc::new(error)));
        for (error, said) in [
            (
                InvalidCertificate(CertificateError::UnknownIssuer),
                "`tls.ca` names a file",
            ),
            (
                InvalidCertificate(CertificateError::BadSignature),
                "`tls.ca` names a file",
            ),
            (
                InvalidCertificate(CertificateError::NotValidForName),
                "the name in `url`",
            ),
            (InvalidCertificate(CertificateError::Expired), "has expired"),
            (
                InvalidCertificate(CertificateError::NotValidYet),
                "not valid yet",
            ),
            (
                InvalidCertificate(other(webpki::Error::CaUsedAsEndEntity)),
                "CA:FALSE",
            ),
            (
                InvalidCertificate(other(webpki::Error::UnsupportedCertVersion)),
                "-extfile",
            ),
            (
                InvalidCertificate(CertificateError::InvalidPurpose),
                "serverAuth",
            ),
            (
                Message(InvalidMessage::InvalidContentType),
                "does not speak TLS",
            ),
            (InvalidCertificate(CertificateError::Revoked), "Revoked"),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            let error = io::Error::other(error);
            let why = distrust(&error, "tls.ca", "url").expect("a reason");
            assert!(why.contains(said), "{why}");
            assert_eq!(is_made_as_authority(&error), said == "CA:FALSE");
        }
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(distrust(&reset, "ca", "host"), None);
    }

    #[test]
    fn a_certificate_of_version_1_is_told_from_others() {
        let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("reads");
        let named = Named::new(vec![read(AUTHORITY)]).expect("an authority");
        let name = ServerName::try_from("db.shop.example").expect("a name");
        // In 2027, when both are valid.
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        let refused = named.verify_server_cert(&read(VERSION_1), &[], &name, &[], now);
        let why = distrust(&refused.expect_err("refused"), "ca", "url").expect("a reason");
        assert!(why.contains("subjectAltName=DNS:NAME"), "{why}");
    }

    #[test]
    fn a_file_without_certificates_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let why = |text: &str| {
            std::fs::write(&file, text).expect("writes");
            Named::file(&file).expect_err("nothing to trust")
        };
        assert_eq!(why("nothing"), "no certificate in it");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(why(broken), "a certificate in it cannot be read");
        assert!(why(&"x".repeat(1 << 21)).starts_with("longer than 1 MiB"));
        let missing = Named::file(&folder.path().join("none")).expect_err("no file");
        assert!(missing.starts_with("no such file"), "{missing}");
    }
}
