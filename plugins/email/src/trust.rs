//! Trust: how the connection is encrypted, and who may vouch for the server.
//!
//! The system's authorities, or only what the merchant's own file names. There is no setting
//! that trusts anybody: leads would go to whoever stands in between.

use std::error::Error;

use leadgate_plugin::Problem;
use leadgate_plugin::tls::{self, Named};
use lettre::transport::smtp::client::TlsParameters;

use crate::named::Trusted;
use crate::settings::{Settings, Tls};

/// How the connection is encrypted.
pub(crate) enum Way {
    Plain,
    Starttls(Trust),
    Tls(Trust),
}

/// Who may vouch for the server.
pub(crate) enum Trust {
    System(TlsParameters),
    Named(Trusted),
}

impl Way {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Problem> {
        match (settings.tls, &settings.ca) {
            (Tls::None, None) => Ok(Self::Plain),
            (Tls::None, Some(_)) => {
                Err(Problem::at("/ca", "without TLS nobody shows a certificate")
                    .help("take it out, or use tls = \"tls\" or \"starttls\""))
            }
            (Tls::Tls, _) => trust(settings).map(Self::Tls),
            (Tls::Starttls, _) => trust(settings).map(Self::Starttls),
        }
    }
}

fn trust(settings: &Settings) -> Result<Trust, Problem> {
    let Some(path) = &settings.ca else {
        let system = TlsParameters::builder(settings.host.clone()).build();
        return system
            .map(Trust::System)
            .map_err(|_| Problem::at("/tls", "the system's certificates cannot be used"));
    };
    let named = Named::file(path).map_err(|why| {
        Problem::at("/ca", format!("{}: {why}", path.display())).help(
            "a PEM file with the authority's certificate or the server's own: -----BEGIN \
             CERTIFICATE----- …",
        )
    })?;
    let trusted = Trusted::new(&named, &settings.host);
    trusted
        .map(Trust::Named)
        .map_err(|why| Problem::at("/host", why))
}

/// Why no encrypted connection came about, if that is what an exchange failed of: nothing but
/// names of servers is in it.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    tls::distrust(error, "ca", "host")
}
