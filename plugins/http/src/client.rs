//! The client: connections of one sink, with what they trust and by which way they go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leadgate_plugin::{Problem, Problems};
use reqwest::{Certificate, Client, Identity, Proxy, Url};

use crate::private;
use crate::settings::{Settings, Tls};

/// Idle connections kept for each destination.
const IDLE: usize = 32;
/// Longest wait for a connection, unless said otherwise.
const CONNECT: Duration = Duration::from_secs(5);

/// Makes the client; all that is wrong with its settings is found at once.
pub(crate) fn client(settings: &Settings) -> Result<Client, Problems> {
    // Fails only if the process has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut problems = Problems::default();
    let connect = settings.connect_timeout.map_or(CONNECT, |given| given.0);
    let mut client = Client::builder()
        .user_agent(concat!("leadgate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect)
        .pool_max_idle_per_host(IDLE)
        .no_proxy();
    if settings.deny_private {
        client = client.dns_resolver(Arc::new(private::PublicOnly));
    }
    if let Some(proxy) = &settings.proxy {
        match way(proxy.expose(), settings.deny_private) {
            Ok(proxy) => client = client.proxy(proxy),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(tls) = &settings.tls {
        match authorities(tls) {
            Ok(found) if found.is_empty() => {}
            Ok(found) => client = client.tls_certs_only(found),
            Err(problem) => problems.push(problem),
        }
        match identity(tls) {
            Ok(Some(found)) => client = client.identity(found),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    problems.or(())?;
    client.build().map_err(|error| {
        let at = if settings.tls.is_some() { "/tls" } else { "" };
        let cause = crate::classify::cause(&error);
        Problem::at(at, format!("the HTTP client cannot be made: {cause}")).into()
    })
}

/// The proxy. Its address may hold a password and is not shown.
fn way(proxy: &str, deny_private: bool) -> Result<Proxy, Problem> {
    if deny_private {
        let problem = Problem::at(
            "/proxy",
            "behind a proxy nobody here sees which address a name has, and `deny_private` is set",
        );
        return Err(
            problem.help("let the proxy refuse private addresses, and remove one of the two")
        );
    }
    let wrong = || {
        let help = "such as proxy = \"http://proxy.example:3128\"";
        Problem::at("/proxy", "not the http or https URL of a proxy").help(help)
    };
    let url = Url::parse(proxy).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Proxy::all(url).map_err(|_| wrong())
}

fn authorities(tls: &Tls) -> Result<Vec<Certificate>, Problem> {
    let Some(ca) = &tls.ca else {
        return Ok(Vec::new());
    };
    let found = Certificate::from_pem_bundle(&read(ca, "/tls/ca")?).unwrap_or_default();
    if found.is_empty() {
        let message = format!("no certificate in {}", ca.display());
        return Err(Problem::at("/tls/ca", message).help("a PEM file: -----BEGIN CERTIFICATE-----"));
    }
    Ok(found)
}

fn identity(tls: &Tls) -> Result<Option<Identity>, Problem> {
    let lacks = |key: &str, other: &str| {
        let problem = Problem::at("/tls", format!("`{other}` needs `{key}`"));
        Err(problem.help(format!("{key} = \"/etc/leadgate/client.pem\"")))
    };
    match (&tls.certificate, &tls.key) {
        (None, None) => Ok(None),
        (Some(_), None) => lacks("key", "certificate"),
        (None, Some(_)) => lacks("certificate", "key"),
        (Some(certificate), Some(key)) => {
            let mut both = read(key, "/tls/key")?;
            both.push(b'\n');
            both.extend(read(certificate, "/tls/certificate")?);
            Identity::from_pem(&both).map(Some).map_err(|_| {
                let message = "no certificate with its private key";
                Problem::at("/tls/certificate", message).help("both in PEM, the key not encrypted")
            })
        }
    }
}

fn read(file: &Path, at: &str) -> Result<Vec<u8>, Problem> {
    std::fs::read(file).map_err(|error| {
        let message = format!("{} cannot be read: {error}", file.display());
        Problem::at(at, message).help("name a PEM file that the user of leadgate may read")
    })
}
