//! The servers: which they are, how we log in, and whether leads may cross the network to them.

use std::path::Path;

use async_nats::rustls::ClientConfig;
use async_nats::{ConnectOptions, ServerAddr};
use leadgate_plugin::tls::Named;
use leadgate_plugin::{Problem, Problems, Secret, net};

use crate::settings::Settings;

/// Letters of an nkey's seed.
const SEED: usize = 58;

/// A cluster and the way into it.
pub(crate) struct Servers {
    pub(crate) addresses: Vec<ServerAddr>,
    login: Login,
    /// Instead of the system's certificates.
    trust: Option<ClientConfig>,
}

#[derive(Clone)]
enum Login {
    None,
    Token(Secret),
    Password(String, Secret),
    Nkey(Secret),
    Credentials(Secret),
}

impl Servers {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut addresses = Vec::new();
        if settings.servers.is_empty() {
            let problem = Problem::at("/servers", "there is no server to publish to");
            problems.push(problem.help("servers = [\"tls://nats.shop.example:4222\"]"));
        }
        for (number, text) in settings.servers.iter().enumerate() {
            match address(text, settings.allow_plain) {
                Ok(address) => addresses.push(address),
                Err(mut problem) => {
                    problem.path = format!("/servers/{number}");
                    problems.push(problem);
                }
            }
        }
        let login = login(settings, &mut problems);
        let trust = settings.ca.as_deref().map(trust).transpose();
        let trust = trust.map_err(|problem| problems.push(problem));
        problems.into_result(Self {
            addresses,
            login,
            trust: trust.unwrap_or_default(),
        })
    }

    /// Hosts and ports, for a person.
    pub(crate) fn names(&self) -> String {
        let names = self.addresses.iter();
        let names = names.map(|one| format!("{}:{}", one.host(), one.port()));
        names.collect::<Vec<_>>().join(", ")
    }

    /// How to connect. The crate's own errors say nothing of a login.
    pub(crate) fn options(&self) -> Result<ConnectOptions, std::io::Error> {
        let options = ConnectOptions::new().name("leadgate");
        let options = match &self.login {
            Login::None => options,
            Login::Token(token) => options.token(token.expose().to_owned()),
            Login::Password(user, password) => {
                options.user_and_password(user.clone(), password.expose().to_owned())
            }
            Login::Nkey(seed) => options.nkey(seed.expose().trim().to_owned()),
            Login::Credentials(text) => options.credentials(text.expose())?,
        };
        Ok(match &self.trust {
            Some(trust) => options.tls_client_config(trust.clone()),
            None => options,
        })
    }
}

/// Trusts what the file `ca` names.
fn trust(ca: &Path) -> Result<ClientConfig, Problem> {
    let trust = Named::file(ca).and_then(|named| named.config().map_err(|why| why.to_string()));
    trust.map_err(|why| {
        Problem::at("/ca", format!("{}: {why}", ca.display())).help(
            "a PEM file with the authority's certificate or the server's own: -----BEGIN \
             CERTIFICATE----- …",
        )
    })
}

fn address(text: &str, allow_plain: bool) -> Result<ServerAddr, Problem> {
    let unusable = || {
        Problem::at("", "not the address of a NATS server")
            .help("\"tls://nats.shop.example:4222\"; `nats://` is without TLS")
    };
    let address: ServerAddr = text.parse().map_err(|_| unusable())?;
    if !matches!(address.scheme(), "nats" | "tls") || address.host().is_empty() {
        return Err(unusable());
    }
    if address.has_user_pass() || address.password().is_some() {
        let problem = Problem::at("", "a login does not belong into the address");
        return Err(problem.help("user = \"…\", password = \"env:NATS_PASSWORD\""));
    }
    if !allow_plain && !address.tls_required() && !net::is_loopback(address.host()) {
        let problem = Problem::at("", "leads would cross the network unencrypted");
        let help = "use `tls://`; or, if nobody else can listen there, allow_plain = true";
        return Err(problem.help(help));
    }
    Ok(address)
}

fn login(settings: &Settings, problems: &mut Problems) -> Login {
    let mut ways = Vec::new();
    if let Some(token) = &settings.token {
        ways.push(("/token", Login::Token(token.clone())));
    }
    match (&settings.user, &settings.password) {
        (Some(user), Some(password)) => {
            ways.push(("/user", Login::Password(user.clone(), password.clone())));
        }
        (Some(_), None) => {
            let problem = Problem::at("/user", "a user without `password`");
            problems.push(problem.help("password = \"env:NATS_PASSWORD\""));
        }
        (None, Some(_)) => problems.push(Problem::at("/password", "a password without `user`")),
        (None, None) => {}
    }
    if let Some(seed) = &settings.nkey {
        if !is_seed(seed.expose().trim()) {
            let problem = Problem::at("/nkey", "not the seed of a user's nkey");
            problems.push(problem.help("58 letters and digits that begin with SU"));
        }
        ways.push(("/nkey", Login::Nkey(seed.clone())));
    }
    if let Some(text) = &settings.credentials {
        if ConnectOptions::with_credentials(text.expose()).is_err() {
            let problem = Problem::at("/credentials", "not the text of a credentials file");
            problems.push(problem.help("\"file:/etc/leadgate/leads.creds\", as `nsc` writes it"));
        }
        ways.push(("/credentials", Login::Credentials(text.clone())));
    }
    for (at, _) in ways.iter().skip(1) {
        let message = "one way to log in is enough";
        let help = "either `token`, or `user` and `password`, or `nkey`, or `credentials`";
        problems.push(Problem::at(*at, message).help(help));
    }
    ways.pop().map_or(Login::None, |(_, login)| login)
}

fn is_seed(text: &str) -> bool {
    let base32 = |letter: char| letter.is_ascii_uppercase() || ('2'..='7').contains(&letter);
    text.len() == SEED && text.starts_with("SU") && text.chars().all(base32)
}
