//! The client: connections of one sink, with what they trust and by which way they go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leadgate_plugin::tls::Named;
use leadgate_plugin::{Problem, Problems};
use reqwest::header::{CONNECTION, HeaderMap, HeaderValue};
use reqwest::{Client, Identity, Proxy, Url};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::private;
use crate::settings::{Settings, Tls};

/// Idle connections kept for each destination.
const IDLE: usize = 32;
/// Longest wait for a connection, unless said otherwise.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept, unless said otherwise: shorter than servers and load
/// balancers keep theirs (60 s and 75 s are usual), so that none is used while it is closed.
const KEEP: Duration = Duration::from_secs(50);

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
        .no_proxy();
    match connections(settings) {
        Ok(Some(keep)) => {
            client = client.pool_max_idle_per_host(IDLE).pool_idle_timeout(keep);
        }
        Ok(None) => {
            let close = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
            client = client.pool_max_idle_per_host(0).default_headers(close);
        }
        Err(problem) => problems.push(problem),
    }
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
        match trust(tls) {
            Ok(Trust::Named(config)) => client = client.tls_backend_preconfigured(*config),
            Ok(Trust::System(Some(identity))) => client = client.identity(identity),
            Ok(Trust::System(None)) => {}
            Err(found) => problems.extend(found),
        }
    }
    problems.into_result(())?;
    client.build().map_err(|error| {
        let at = if settings.tls.is_some() { "/tls" } else { "" };
        let cause = crate::failure::cause(&error);
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

/// How long idle connections are kept; none if each request gets one of its own.
fn connections(settings: &Settings) -> Result<Option<Duration>, Problem> {
    let keep = settings.idle_timeout.as_ref().map(|given| given.0);
    match (settings.keep_alive, keep) {
        (Some(false), Some(_)) => {
            let message =
                "`idle_timeout` is about connections that are kept, and `keep_alive` is false";
            Err(Problem::at("/idle_timeout", message).help("remove one of the two"))
        }
        (Some(false), None) => Ok(None),
        (_, Some(Duration::ZERO)) => {
            let message = "no connection could be kept for no time";
            Err(Problem::at("/idle_timeout", message).help("keep_alive = false"))
        }
        (_, keep) => Ok(Some(keep.unwrap_or(KEEP))),
    }
}

/// Who is trusted, and who connects.
enum Trust {
    Named(Box<ClientConfig>),
    System(Option<Identity>),
}

fn trust(tls: &Tls) -> Result<Trust, Problems> {
    let mut problems = Problems::default();
    let identity = identity(tls).map_err(|problem| problems.push(problem));
    let named = tls.ca.as_deref().map(|ca| {
        Named::file(ca).map_err(|why| {
            let problem = Problem::at("/tls/ca", format!("{}: {why}", ca.display()));
            problems.push(problem.help(
                "a PEM file that the user of leadgate may read, with the authority's certificate \
                 or the server's own: -----BEGIN CERTIFICATE-----",
            ));
        })
    });
    let (Ok(identity), Ok(named)) = (identity, named.transpose()) else {
        return Err(problems);
    };
    let unfit = |_: String| Problem::at("/tls/certificate", NO_PAIR).help(BOTH_PEM);
    match (named, identity) {
        (Some(named), identity) => {
            let builder = named
                .builder()
                .map_err(|error| Problem::at("/tls", error.to_string()))?;
            let mut config = match identity {
                None => builder.with_no_client_auth(),
                Some(pair) => builder
                    .with_client_auth_cert(pair.chain, pair.key)
                    .map_err(|error| unfit(error.to_string()))?,
            };
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(Trust::Named(Box::new(config)))
        }
        (None, None) => Ok(Trust::System(None)),
        (None, Some(pair)) => {
            let identity = Identity::from_pem(&pair.pem);
            let identity = identity.map_err(|error| unfit(error.to_string()))?;
            Ok(Trust::System(Some(identity)))
        }
    }
}

const NO_PAIR: &str = "no certificate with its private key";
const BOTH_PEM: &str = "both in PEM, the key not encrypted";

/// A certificate to show, and its key.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Both as they were read.
    pem: Vec<u8>,
}

fn identity(tls: &Tls) -> Result<Option<Pair>, Problem> {
    let lacks = |key: &str, other: &str| {
        let problem = Problem::at("/tls", format!("`{other}` needs `{key}`"));
        Err(problem.help(format!("{key} = \"/etc/leadgate/client.pem\"")))
    };
    match (&tls.certificate, &tls.key) {
        (None, None) => Ok(None),
        (Some(_), None) => lacks("key", "certificate"),
        (None, Some(_)) => lacks("certificate", "key"),
        (Some(certificate), Some(key)) => {
            let mut pem = read(key, "/tls/key")?;
            pem.push(b'\n');
            pem.extend(read(certificate, "/tls/certificate")?);
            let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(&pem);
            match (chain, key) {
                (Ok(chain), Ok(key)) if !chain.is_empty() => Ok(Some(Pair { chain, key, pem })),
                _ => Err(Problem::at("/tls/certificate", NO_PAIR).help(BOTH_PEM)),
            }
        }
    }
}

fn read(file: &Path, at: &str) -> Result<Vec<u8>, Problem> {
    std::fs::read(file).map_err(|error| {
        let message = format!("{} cannot be read: {error}", file.display());
        Problem::at(at, message).help("name a PEM file that the user of leadgate may read")
    })
}
