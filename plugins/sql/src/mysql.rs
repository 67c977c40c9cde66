//! MySQL and MariaDB: connecting, preparing once, running, and cancelling what takes too long.

use std::time::Duration;

use leadgate_plugin::Secret;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, Params, ServerError, SslOpts};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::failure::{CHARSET, Failure, Fault, Refusal, Stage, words};
use crate::server::{Deadline, Done};
use crate::statement::Statement;
use crate::target::{Place, Target};
use crate::tls::{self, Trust};

/// Longest wait for the goodbye of a connection that is not needed any more.
const GOODBYE: Duration = Duration::from_millis(200);
/// When the system asks whether the other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A value that does not fit is refused and never cut, and a statement counts at once,
/// whatever the server's defaults are.
const SETUP: &str =
    "set session autocommit = 1, session sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES')";

/// Makes connections.
pub(crate) struct Connector {
    opts: Opts,
}

/// One connection, with the statement prepared.
pub(crate) struct Connection {
    conn: Conn,
    statement: mysql_async::Statement,
    opts: Opts,
}

impl Connector {
    /// `trust` is there if the connection is encrypted.
    pub(crate) fn new(target: &Target, trust: Option<&Trust>) -> Self {
        let ssl = trust.map(|trust| {
            // The driver uses the process's provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let roots = trust.certificates().map(Into::into);
            SslOpts::default()
                .with_root_certs(roots.collect())
                .with_disable_built_in_roots(true)
        });
        let mut opts = OptsBuilder::default()
            .user(Some(&target.user))
            .pass(target.password.as_ref().map(Secret::expose))
            .db_name(Some(&target.database))
            .prefer_socket(false)
            .stmt_cache_size(1)
            .tcp_keepalive(Some(KEEPALIVE))
            .setup(vec![SETUP])
            .ssl_opts(ssl);
        opts = match &target.place {
            Place::Net(host, port) => opts.ip_or_hostname(host).tcp_port(*port),
            Place::Socket(path) => opts.socket(Some(path)),
        };
        Self { opts: opts.into() }
    }

    pub(crate) async fn connect(
        &self,
        statement: &Statement,
        ends: &Deadline,
    ) -> Result<Connection, Failure> {
        let mut conn = match timeout_at(ends.end, Conn::new(self.opts.clone())).await {
            Ok(made) => made.map_err(|error| failure(Stage::Connect, &error))?,
            Err(_) => return Err(Failure::new(Stage::Connect, Fault::Silent)),
        };
        let number = conn.id();
        let preparing = conn.prep(statement.sql.as_str());
        let failure = match cancelled_in_time(&self.opts, number, ends, preparing).await {
            Some(Ok(statement)) => {
                return Ok(Connection {
                    conn,
                    statement,
                    opts: self.opts.clone(),
                });
            }
            Some(Err(error)) => failure(Stage::Prepare, &error),
            None => Failure::new(Stage::Prepare, Fault::Silent),
        };
        goodbye(conn).await;
        Err(failure)
    }
}

impl Connection {
    /// Runs the statement; gives how many rows it was about.
    pub(crate) async fn run(&mut self, values: &[&Value], ends: &Deadline) -> Result<u64, Failure> {
        let Self {
            conn,
            statement,
            opts,
        } = self;
        let number = conn.id();
        let values = values.iter().map(|value| bound(value)).collect();
        let running = async {
            let result = conn
                .exec_iter(&*statement, Params::Positional(values))
                .await?;
            let rows = result.affected_rows();
            result.drop_result().await?;
            Ok(rows)
        };
        let answer = cancelled_in_time(opts, number, ends, running)
            .await
            .ok_or_else(|| Failure::new(Stage::Execute, Fault::Silent))?;
        answer.map_err(|error| failure(Stage::Execute, &error))
    }

    /// Runs the statement with each of `rows` in one transaction. Gives what became of each,
    /// `None` for what was not done, and whether the connection is as good as before: the server
    /// undoes a statement that it refuses, and no other.
    pub(crate) async fn run_all(
        &mut self,
        rows: &[Vec<&Value>],
        ends: &Deadline,
    ) -> (Vec<Done>, bool) {
        let mut all: Vec<Done> = vec![None; rows.len()];
        if self.say("start transaction", ends).await.is_err() {
            return (all, false);
        }
        let mut good = true;
        for (at, values) in rows.iter().enumerate() {
            if Instant::now() >= ends.cancel {
                break;
            }
            let done = self.run(values, ends).await;
            match &done {
                Err(failure) if failure.is_rolled_back() => {
                    forget(&mut all);
                    return (all, true);
                }
                // It was cancelled because the time was over.
                Err(failure) if failure.is_interrupted() => break,
                Err(failure) if !matches!(failure.fault, Fault::Refused(_)) => {
                    doubt(&mut all, failure);
                    all[at] = Some(done);
                    return (all, false);
                }
                Err(failure) => good &= failure.is_about_values(),
                Ok(_) => {}
            }
            all[at] = Some(done);
        }
        match self.say("commit", ends).await {
            Ok(()) => {}
            Err(failure) if failure.is_rolled_back() => forget(&mut all),
            Err(failure) => {
                doubt(&mut all, &failure);
                good = false;
            }
        }
        (all, good)
    }

    async fn say(&mut self, words: &str, ends: &Deadline) -> Result<(), Failure> {
        let number = self.conn.id();
        let saying = self.conn.query_drop(words);
        let said = cancelled_in_time(&self.opts, number, ends, saying).await;
        let said = said.ok_or_else(|| Failure::new(Stage::Execute, Fault::Silent))?;
        said.map_err(|error| failure(Stage::Execute, &error))
    }

    pub(crate) async fn answers(&mut self) -> bool {
        self.conn.ping().await.is_ok()
    }

    pub(crate) async fn close(self) {
        goodbye(self.conn).await;
    }
}

/// Without it the driver would wait for what is still running.
async fn goodbye(conn: Conn) {
    let _ = timeout(GOODBYE, conn.disconnect()).await;
}

/// The answer to what the connection `number` does. What takes too long is cancelled at the
/// server: if it confirms that, nothing is in doubt. `None` without an answer until the end.
async fn cancelled_in_time<T>(
    opts: &Opts,
    number: u32,
    ends: &Deadline,
    exchange: impl Future<Output = T>,
) -> Option<T> {
    let mut exchange = std::pin::pin!(exchange);
    if let Ok(answer) = timeout_at(ends.cancel, &mut exchange).await {
        return Some(answer);
    }
    let _ = timeout_at(ends.end, kill(opts.clone(), number)).await;
    timeout_at(ends.end, exchange).await.ok()
}

/// Cancels what the connection `number` is doing.
async fn kill(opts: Opts, number: u32) -> Result<(), Error> {
    let mut conn = Conn::new(opts).await?;
    let killed = conn.query_drop(format!("kill query {number}")).await;
    goodbye(conn).await;
    killed
}

/// All that was done is undone.
fn forget(all: &mut [Done]) {
    for done in all.iter_mut().filter(|done| matches!(done, Some(Ok(_)))) {
        *done = None;
    }
}

/// All that was done may be undone: a table may be of a kind that knows no transactions.
fn doubt(all: &mut [Done], failure: &Failure) {
    for done in all.iter_mut().filter(|done| matches!(done, Some(Ok(_)))) {
        *done = Some(Err(failure.clone()));
    }
}

/// Tables and lists are JSON.
fn bound(value: &Value) -> mysql_async::Value {
    use mysql_async::Value as Bound;
    match value {
        Value::Null => Bound::NULL,
        Value::Bool(yes) => Bound::Int((*yes).into()),
        Value::Number(number) => number
            .as_i64()
            .map(Bound::Int)
            .or_else(|| number.as_u64().map(Bound::UInt))
            .or_else(|| number.as_f64().map(Bound::Double))
            .unwrap_or_else(|| Bound::Bytes(number.to_string().into_bytes())),
        Value::String(text) => Bound::Bytes(text.as_bytes().to_vec()),
        Value::Array(_) | Value::Object(_) => Bound::Bytes(value.to_string().into_bytes()),
    }
}

fn failure(stage: Stage, error: &Error) -> Failure {
    let fault = match error {
        Error::Server(said) => Fault::Refused(refusal(stage, said)),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            Fault::Lost(tls::NOT_OFFERED.to_owned())
        }
        other => Fault::Lost(tls::distrust_by_mysql(other).unwrap_or_else(|| other.to_string())),
    };
    Failure::new(stage, fault)
}

fn refusal(stage: Stage, said: &ServerError) -> Refusal {
    let (message, names) = match stage {
        // Once values were sent, the database's own words may quote them.
        Stage::Execute => {
            // The same number is for a text in a column of numbers.
            let is_charset =
                said.code == 1366 && said.message.starts_with("Incorrect string value");
            let words = if is_charset {
                CHARSET
            } else {
                words(&said.state, Some(said.code))
            };
            (words.to_owned(), names(&said.message))
        }
        Stage::Connect | Stage::Prepare => (said.message.clone(), Vec::new()),
    };
    Refusal {
        state: said.state.clone(),
        number: Some(said.code),
        message,
        names,
    }
}

/// The column, key or constraint in one of the server's messages. A value comes before the
/// name in each of them, so the last match is the server's own.
fn names(message: &str) -> Vec<(&'static str, String)> {
    let between = |start: &str, end: &str| {
        let (_, rest) = message.rsplit_once(start)?;
        Some(rest.split_once(end)?.0)
    };
    let found = [
        ("column", between(" for column ", " at row ")),
        ("key", between("' for key '", "'")),
        (
            "column",
            message
                .strip_prefix("Column '")
                .and_then(|rest| Some(rest.split_once("' cannot be null")?.0)),
        ),
        (
            "column",
            message
                .strip_prefix("Field '")
                .and_then(|rest| Some(rest.split_once("' doesn't have a default")?.0)),
        ),
        ("constraint", between("CONSTRAINT `", "`")),
    ];
    let found = found.into_iter().filter_map(|(kind, name)| {
        let name: String = name?
            .chars()
            .filter(|letter| !['`', '\''].contains(letter))
            .collect();
        let is_name = |letter: char| letter.is_alphanumeric() || "_.$-".contains(letter);
        (!name.is_empty() && name.chars().all(is_name)).then_some((kind, name))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_types() {
        use mysql_async::Value as Bound;
        for (value, expected) in [
            (json!(null), Bound::NULL),
            (json!(true), Bound::Int(1)),
            (json!(-7), Bound::Int(-7)),
            (json!(u64::MAX), Bound::UInt(u64::MAX)),
            (json!(1.5), Bound::Double(1.5)),
            (json!("张三"), Bound::Bytes("张三".into())),
            (json!({"a": [1]}), Bound::Bytes(r#"{"a":[1]}"#.into())),
        ] {
            assert_eq!(bound(&value), expected);
        }
    }

    #[test]
    fn of_a_message_only_the_server_s_own_names_are_kept() {
        for (message, expected) in [
            (
                "Data too long for column 'phone' at row 1",
                &[("column", "phone")][..],
            ),
            (
                "Incorrect integer value: '张三 for column x at row 1' for column `d`.`t`.`n` at row 1",
                &[("column", "d.t.n")],
            ),
            (
                "Duplicate entry '13567658911' for key 't.PRIMARY'",
                &[("key", "t.PRIMARY")],
            ),
            ("Duplicate entry '13567658911' for key '", &[]),
            ("Column 'name' cannot be null", &[("column", "name")]),
            (
                "Field 'name' doesn't have a default value",
                &[("column", "name")],
            ),
            (
                "CONSTRAINT `adult` failed for `d`.`t`",
                &[("constraint", "adult")],
            ),
            (
                "Cannot add or update a child row: a foreign key constraint fails (`d`.`t`, CONSTRAINT `shop` FOREIGN KEY (`s`) REFERENCES `shops` (`id`))",
                &[("constraint", "shop")],
            ),
            ("no way, 张三", &[]),
        ] {
            let found = names(message);
            let found: Vec<_> = found
                .iter()
                .map(|(kind, name)| (*kind, name.as_str()))
                .collect();
            assert_eq!(found, expected, "{message}");
        }
    }
}
