//! PostgreSQL: connecting, preparing once, running, and cancelling what takes too long.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::bind::Bound;
use crate::failure::{Failure, Fault, Refusal, Stage, words};
use crate::server::{Deadline, Done};
use crate::statement::Statement;
use crate::target::{Place, Target};
use crate::tls;

/// Longest wait for the goodbye of a connection that is not needed any more.
const GOODBYE: Duration = Duration::from_millis(200);
/// When the system gives up a connection whose other end is gone.
const GONE: Duration = Duration::from_secs(30);

/// Makes connections.
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

/// One connection, with the statement prepared.
pub(crate) struct Connection {
    client: Client,
    statement: tokio_postgres::Statement,
    tls: MakeRustlsConnect,
    /// Speaks with the server; ends when the client is dropped.
    driver: JoinHandle<()>,
}

impl Connector {
    pub(crate) fn new(target: &Target, tls: rustls::ClientConfig) -> Self {
        let mut config = Config::new();
        match &target.place {
            Place::Net(host, port) => config.host(host).port(*port),
            Place::Socket(folder) => config.host_path(folder),
        };
        config
            .user(&target.user)
            .dbname(&target.database)
            .application_name("leadgate")
            .tcp_user_timeout(GONE)
            .ssl_mode(if target.tls {
                SslMode::Require
            } else {
                SslMode::Disable
            });
        if let Some(password) = &target.password {
            config.password(password.expose());
        }
        Self {
            config,
            tls: MakeRustlsConnect::new(tls),
        }
    }

    pub(crate) async fn connect(
        &self,
        statement: &Statement,
        ends: &Deadline,
    ) -> Result<Connection, Failure> {
        let connecting = self.config.connect(self.tls.clone());
        let (client, wire) = match timeout_at(ends.end, connecting).await {
            Ok(made) => made.map_err(|error| failure(Stage::Connect, &error, statement, None))?,
            Err(_) => return Err(Failure::new(Stage::Connect, Fault::Silent)),
        };
        let driver = tokio::spawn(async move {
            // Whoever uses the client learns of it as well.
            let _ = wire.await;
        });
        let preparing = client.prepare(&statement.sql);
        let prepared = cancelled_in_time(&client, &self.tls, ends, preparing).await;
        let prepared = prepared
            .ok_or_else(|| Failure::new(Stage::Prepare, Fault::Silent))
            .and_then(|prepared| {
                prepared.map_err(|error| failure(Stage::Prepare, &error, statement, None))
            });
        // A server that never answers would keep the connection for ever.
        let prepared = prepared.inspect_err(|_| driver.abort())?;
        Ok(Connection {
            client,
            statement: prepared,
            tls: self.tls.clone(),
            driver,
        })
    }
}

impl Connection {
    /// Runs the statement; gives how many rows it was about.
    pub(crate) async fn run(
        &mut self,
        statement: &Statement,
        values: &[&Value],
        ends: &Deadline,
    ) -> Result<u64, Failure> {
        let bound: Vec<_> = values.iter().map(|value| Bound(value)).collect();
        let running = self.client.execute_raw(&self.statement, bound);
        let answer = cancelled_in_time(&self.client, &self.tls, ends, running)
            .await
            .ok_or_else(|| Failure::new(Stage::Execute, Fault::Silent))?;
        answer.map_err(|error| failure(Stage::Execute, &error, statement, Some(&self.statement)))
    }

    /// Runs the statement with all `rows` in one transaction, sent together. Gives what became of
    /// each, `None` for what provably was not done, and whether the connection is as good as
    /// before: one refusal undoes all.
    pub(crate) async fn run_all(
        &mut self,
        statement: &Statement,
        rows: &[Vec<&Value>],
        ends: &Deadline,
    ) -> (Vec<Done>, bool) {
        let committing = AtomicBool::new(false);
        let client = &self.client;
        let running = async {
            let rows = rows.iter().map(|values| {
                let bound: Vec<_> = values.iter().map(|value| Bound(value)).collect();
                client.execute_raw(&self.statement, bound)
            });
            // `join` asks its first part first, so that the rows are sent behind it.
            let (begun, counts) = join(client.batch_execute("begin"), join_all(rows)).await;
            begun?;
            let counts = counts.into_iter().collect::<Result<Vec<_>, _>>()?;
            committing.store(true, Ordering::Relaxed);
            client.batch_execute("commit").await?;
            Ok(counts)
        };
        let answer = cancelled_in_time(client, &self.tls, ends, running).await;
        let committing = committing.load(Ordering::Relaxed);
        let each = |done: Done| vec![done; rows.len()];
        match answer {
            Some(Ok(counts)) => (
                counts.into_iter().map(|count| Some(Ok(count))).collect(),
                true,
            ),
            Some(Err(error)) => {
                let failure = failure(Stage::Execute, &error, statement, Some(&self.statement));
                if committing && failure.is_in_doubt() {
                    return (each(Some(Err(failure))), false);
                }
                let undone = timeout_at(ends.end, client.batch_execute("rollback")).await;
                (each(None), matches!(undone, Ok(Ok(()))))
            }
            // Without a connection the server undoes what was not committed.
            None if !committing => (each(None), false),
            None => {
                let failure = Failure::new(Stage::Execute, Fault::Silent);
                (each(Some(Err(failure))), false)
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(crate) async fn answers(&mut self) -> bool {
        self.client.check_connection().await.is_ok()
    }

    pub(crate) async fn close(self) {
        drop(self.client);
        let driver = self.driver.abort_handle();
        if timeout(GOODBYE, self.driver).await.is_err() {
            driver.abort();
        }
    }
}

/// The answer to what `client` does. What takes too long is cancelled at the server: if it
/// confirms that, nothing is in doubt. `None` without an answer until the end.
async fn cancelled_in_time<T>(
    client: &Client,
    tls: &MakeRustlsConnect,
    ends: &Deadline,
    exchange: impl Future<Output = T>,
) -> Option<T> {
    let mut exchange = std::pin::pin!(exchange);
    if let Ok(answer) = timeout_at(ends.cancel, &mut exchange).await {
        return Some(answer);
    }
    let cancelling = client.cancel_token();
    let _ = timeout_at(ends.end, cancelling.cancel_query(tls.clone())).await;
    timeout_at(ends.end, exchange).await.ok()
}

fn failure(
    stage: Stage,
    error: &Error,
    statement: &Statement,
    prepared: Option<&tokio_postgres::Statement>,
) -> Failure {
    let fault = match error.as_db_error() {
        Some(said) => Fault::Refused(refusal(stage, said, statement, prepared)),
        None => Fault::Lost(lost(error)),
    };
    Failure::new(stage, fault)
}

/// Why there is no connection, or none any more.
fn lost(error: &Error) -> String {
    if let Some(why) = tls::distrust(error) {
        return why;
    }
    match error.source().map(ToString::to_string) {
        // The driver has no other sign of it.
        Some(source) if source == "server does not support TLS" => tls::NOT_OFFERED.to_owned(),
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn refusal(
    stage: Stage,
    said: &DbError,
    statement: &Statement,
    prepared: Option<&tokio_postgres::Statement>,
) -> Refusal {
    let state = said.code().code().to_owned();
    // Once values were sent, the database's own words may quote them.
    let message = match stage {
        Stage::Execute => words(&state, None).to_owned(),
        Stage::Connect | Stage::Prepare => named(said.message(), statement),
    };
    let fields = [
        ("table", said.table()),
        ("column", said.column()),
        ("constraint", said.constraint()),
        ("type", said.datatype()),
    ];
    let mut names: Vec<_> = fields
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, name?.to_owned())))
        .collect();
    if let Some(at) = said.where_().and_then(parameter)
        && let Some(name) = statement.names.get(at)
    {
        names.push(("value", name.clone()));
        if let Some(kind) = prepared.and_then(|prepared| prepared.params().get(at)) {
            names.push(("type", kind.name().to_owned()));
        }
    }
    Refusal {
        state,
        number: None,
        message,
        names,
    }
}

/// Which parameter, counted from 0, a context such as `unnamed portal parameter $2` means.
fn parameter(context: &str) -> Option<usize> {
    let (_, number) = context.split_once(" parameter $")?;
    let end = number.find(|letter: char| !letter.is_ascii_digit());
    let number: usize = number[..end.unwrap_or(number.len())].parse().ok()?;
    number.checked_sub(1)
}

/// `message` with names instead of `$1`.
fn named(message: &str, statement: &Statement) -> String {
    let numbered = statement.names.iter().enumerate().rev();
    numbered.fold(message.to_owned(), |text, (at, name)| {
        text.replace(&format!("${}", at + 1), &format!(":{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_s_numbers_become_names() {
        assert_eq!(parameter("unnamed portal parameter $12 = '...'"), Some(11));
        assert_eq!(parameter("portal \"p\" parameter $1"), Some(0));
        assert_eq!(parameter("PL/pgSQL function f()"), None);
        let statement = Statement {
            sql: String::new(),
            names: (1..=11).map(|number| format!("n{number}")).collect(),
        };
        assert_eq!(
            named("type of $11 and $1", &statement),
            "type of :n11 and :n1"
        );
    }
}
