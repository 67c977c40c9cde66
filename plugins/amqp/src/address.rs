//! The address: where the broker is, how we log in there, whom we trust.
//!
//! No `Debug`: it has the password in it.

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri};
use leadgate_plugin::tls::Named;
use leadgate_plugin::{Problem, net};

use crate::settings::Settings;

/// Seconds between signs of life, if the URL does not say: a connection without them for
/// twice as long is lost.
const HEARTBEAT: u16 = 10;
const AT: &str = "/url";

/// Where the broker is.
pub(crate) struct Address {
    pub(crate) uri: AMQPUri,
}

impl Address {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Problem> {
        let text = settings.url.expose();
        // Its error may quote the URL.
        let parsed = text
            .parse::<AMQPUri>()
            .ok()
            .filter(|_| text.contains("://"));
        let Some(mut uri) = parsed else {
            let problem = Problem::at(AT, "not the URL of a broker");
            let help = "amqps://USER:PASSWORD@HOST/VHOST, with everything that is no letter or digit as %XX";
            return Err(problem.help(help));
        };
        let host = host(text);
        if host.is_empty() {
            return Err(Problem::at(AT, "the URL names no host"));
        }
        if host.starts_with('[') {
            let problem = Problem::at(AT, "an IPv6 address cannot be used here");
            return Err(problem.help("give the host by its name"));
        }
        if uri.vhost.is_empty() {
            let problem = Problem::at(AT, "the URL names an empty virtual host");
            return Err(problem.help("without the `/` at the end it is the broker's default one"));
        }
        let plain = uri.scheme == AMQPScheme::AMQP;
        if plain && !settings.allow_plain && !net::is_loopback(&uri.authority.host) {
            let problem = Problem::at(AT, "leads would cross the network unencrypted");
            let help = "use `amqps://`; or, if nobody else can listen there, allow_plain = true";
            return Err(problem.help(help));
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self { uri })
    }

    /// Host, port and virtual host, for a person.
    pub(crate) fn name(&self) -> String {
        let AMQPUri {
            authority, vhost, ..
        } = &self.uri;
        format!("{}:{} ({vhost})", authority.host, authority.port)
    }

    /// Whether a certificate is asked for.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

/// Trusts what `ca` names instead of the system's certificates.
pub(crate) fn trust(settings: &Settings) -> Result<Option<RustlsConnector>, Problem> {
    let Some(ca) = &settings.ca else {
        return Ok(None);
    };
    let trust = Named::file(ca).and_then(|named| named.config().map_err(|why| why.to_string()));
    trust.map(|config| Some(config.into())).map_err(|why| {
        Problem::at("/ca", format!("{}: {why}", ca.display())).help(
            "a PEM file with the authority's certificate or the broker's own: -----BEGIN \
             CERTIFICATE----- …",
        )
    })
}

/// The host as it is written. The parser gives `localhost` for what it cannot take.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let after_login = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if after_login.starts_with('[') {
        after_login
    } else {
        after_login.split(':').next().unwrap_or_default()
    }
}
