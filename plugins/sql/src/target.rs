//! The target: which database a URL names, who logs in, and how the connection is protected.
//!
//! The URL holds a password: nothing said about it quotes it.

use std::net::IpAddr;

use leadgate_plugin::{Problem, Problems, Secret};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::scan::Dialect;
use crate::statement::guess;

/// A database on a server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) dialect: Dialect,
    pub(crate) place: Place,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
    /// Whether the connection is encrypted, and the server's certificate checked.
    pub(crate) tls: bool,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Host and port.
    Net(String, u16),
    /// A socket of this machine: its file, for PostgreSQL its folder.
    Socket(String),
}

const PATH: &str = "/url";
const SHAPE: &str = "postgres://USER:PASSWORD@HOST/DATABASE or mysql://…; in a password @ is %40, : is %3A, / is %2F, # is %23, % is %25";
const SCHEMES: [&str; 4] = ["postgres", "postgresql", "mysql", "mariadb"];

/// The dialect that a URL's scheme says; PostgreSQL's if it says none.
pub(crate) fn dialect(url: &Secret) -> Dialect {
    let scheme = url.expose().split(':').next().unwrap_or_default();
    if ["mysql", "mariadb"].contains(&scheme) {
        Dialect::MySql
    } else {
        Dialect::Postgres
    }
}

impl Target {
    /// Understands a URL, else says all that is wrong with it.
    pub(crate) fn new(text: &Secret) -> Result<Self, Problems> {
        let dialect = dialect(text);
        let url = Url::parse(text.expose())
            .map_err(|error| Problem::at(PATH, format!("not a URL: {error}")).help(SHAPE))?;
        if !SCHEMES.contains(&url.scheme()) {
            let help = guess(url.scheme(), SCHEMES)
                .unwrap_or_else(|| format!("one of {}", SCHEMES.join(", ")));
            let message = "this kind of database is not known";
            return Err(Problem::at(PATH, message).help(help).into());
        }
        let mut problems = Problems::default();
        let mut decoded = |part: &str, what: &str| {
            let decoded = percent_decode_str(part).decode_utf8();
            let decoded = decoded.map(std::borrow::Cow::into_owned);
            let empty = decoded.as_ref().is_ok_and(String::is_empty);
            if decoded.is_err() {
                problems.push(Problem::at(PATH, format!("the {what} is not UTF-8")).help(SHAPE));
            } else if empty && what != "password" {
                problems.push(Problem::at(PATH, format!("the URL names no {what}")).help(SHAPE));
            }
            decoded.unwrap_or_default()
        };
        let user = decoded(url.username(), "user");
        let password = url.password().map(|password| decoded(password, "password"));
        let database = decoded(url.path().trim_start_matches('/'), "database");
        if url.fragment().is_some() {
            problems.push(Problem::at(PATH, "a URL of a database has no `#`").help(SHAPE));
        }
        let port = match dialect {
            Dialect::Postgres => 5432,
            Dialect::MySql => 3306,
        };
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut place = Place::Net(host.to_owned(), url.port().unwrap_or(port));
        let mut tls = None;
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), dialect) {
                ("sslmode" | "ssl-mode", _) => match mode(&value) {
                    Ok(mode) => tls = Some(mode),
                    Err(problem) => problems.push(problem),
                },
                ("host", Dialect::Postgres) | ("socket", Dialect::MySql)
                    if value.starts_with('/') =>
                {
                    place = Place::Socket(value.into_owned());
                }
                _ => problems.push(unknown(&name, dialect)),
            }
        }
        if place == Place::Net(String::new(), url.port().unwrap_or(port)) {
            problems.push(Problem::at(PATH, "the URL names no host").help(SHAPE));
        }
        let tls = tls.unwrap_or(!place.is_near());
        if tls && matches!(place, Place::Socket(_)) {
            let message = "a connection over a socket of this machine is not encrypted";
            problems.push(Problem::at(PATH, message).help("remove sslmode"));
        }
        problems.into_result(Self {
            dialect,
            place,
            user,
            password: password.map(Secret::new),
            database,
            tls,
        })
    }

    /// What may be shown: server and database, not who logs in.
    pub(crate) fn shown(&self) -> String {
        let (kind, database) = (self.dialect.name(), &self.database);
        match &self.place {
            Place::Net(host, port) if host.contains(':') => {
                format!("{kind} at [{host}]:{port}/{database}")
            }
            Place::Net(host, port) => format!("{kind} at {host}:{port}/{database}"),
            Place::Socket(path) => format!("{kind} at {path}, {database}"),
        }
    }
}

impl Dialect {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL",
        }
    }
}

impl Place {
    /// Whether what is sent there stays on this machine.
    fn is_near(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Net(host, _) => {
                host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }
}

/// Modes that encrypt without saying to whom are not offered.
fn mode(value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(false),
        "require" | "required" | "verify-full" | "verify-identity" => Ok(true),
        _ => Err(
            Problem::at(PATH, "sslmode is `disable` or `verify-full`").help(
                "others would give the password to whoever answers; a `ca` file says whom to trust",
            ),
        ),
    }
}

/// The name is shown only if it is a word: a password may have ended up here.
fn unknown(name: &str, dialect: Dialect) -> Problem {
    let known = match dialect {
        Dialect::Postgres => ["sslmode", "host"],
        Dialect::MySql => ["sslmode", "socket"],
    };
    let help = guess(name, known).unwrap_or_else(|| {
        let [mode, socket] = known;
        format!("known are {mode}, and {socket}=/PATH for a socket of this machine")
    });
    Problem::at(PATH, "the URL has a parameter that is not known").help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, Problems> {
        Target::new(&Secret::new(url))
    }

    #[test]
    fn a_url_says_where_who_and_how() {
        for (url, shown, tls) in [
            (
                "postgres://u:p@db.example/shop",
                "PostgreSQL at db.example:5432/shop",
                true,
            ),
            (
                "postgresql://u@localhost:1/shop",
                "PostgreSQL at localhost:1/shop",
                false,
            ),
            (
                "postgres://u@127.0.0.1/a?sslmode=require",
                "PostgreSQL at 127.0.0.1:5432/a",
                true,
            ),
            (
                "mysql://u@db/shop?sslmode=disable",
                "MySQL at db:3306/shop",
                false,
            ),
            (
                "mariadb://u@[::1]/shop?ssl-mode=VERIFY_IDENTITY",
                "MySQL at [::1]:3306/shop",
                true,
            ),
            (
                "postgres://u@localhost/s?host=/run/pg",
                "PostgreSQL at /run/pg, s",
                false,
            ),
            (
                "mysql://u@localhost/s?socket=/run/my.sock",
                "MySQL at /run/my.sock, s",
                false,
            ),
        ] {
            let target = target(url).expect(url);
            assert_eq!((target.shown(), target.tls), (shown.to_owned(), tls));
        }
        let target = target("mysql://l%40d:p%23%25%E6%9D%AD@db/s%20p").expect("escaped");
        assert_eq!(
            (target.user.as_str(), target.database.as_str()),
            ("l@d", "s p")
        );
        assert_eq!(target.password.expect("one").expose(), "p#%杭");
    }

    #[test]
    fn every_mistake_is_said_at_once_and_none_quotes_the_url() {
        for (url, messages) in [
            ("t0psecret", &["not a URL: relative URL without a base"][..]),
            (
                "postgres://u:t0psecret@h:x/d",
                &["not a URL: invalid port number"],
            ),
            (
                "mysq://u:t0psecret@h/d",
                &["this kind of database is not known"],
            ),
            (
                "postgres://h?t0psecret=1",
                &[
                    "the URL names no user",
                    "the URL names no database",
                    "the URL has a parameter that is not known",
                ],
            ),
            (
                "mysql://u:a@h/d?sslmode=t0psecret#t0psecret",
                &[
                    "a URL of a database has no `#`",
                    "sslmode is `disable` or `verify-full`",
                ],
            ),
            (
                "mysql:///d?host=/x",
                &[
                    "the URL names no user",
                    "the URL has a parameter that is not known",
                    "the URL names no host",
                ],
            ),
            ("postgres://u:%ff@h/d", &["the password is not UTF-8"]),
            (
                "postgres://u@h/d?host=/x&sslmode=verify-full",
                &["a connection over a socket of this machine is not encrypted"],
            ),
        ] {
            let problems: Vec<_> = target(url).expect_err(url).into_iter().collect();
            let found: Vec<_> = problems.iter().map(|one| one.message.as_str()).collect();
            assert_eq!(found, messages, "{url}");
            assert!(
                problems
                    .iter()
                    .all(|one| one.path == PATH && !one.help.is_empty())
            );
            assert!(
                !format!("{problems:?}").contains("t0psecret"),
                "{problems:?}"
            );
        }
        let one = target("mysq://u@h/d")
            .expect_err("a scheme")
            .into_iter()
            .next();
        assert_eq!(one.expect("one").help, "did you mean `mysql`?");
    }
}
