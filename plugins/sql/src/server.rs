//! The server: a few connections, each with the statement prepared.
//!
//! Owns the connections. What is kept is asked whether it is still there before a lead's
//! values are sent over it, so that a server that was restarted leaves nothing in doubt.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use leadgate_plugin::Problem;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::failure::{Failure, Fault, Stage};
use crate::parts::Parts;
use crate::scan::Dialect;
use crate::statement::Statement;
use crate::tls::Trust;
use crate::{mysql, postgres};

/// Connections at once, if not said.
const CONNECTIONS: u32 = 4;
/// Longest time that an unused connection is kept.
const KEPT: Duration = Duration::from_secs(60);
/// Unused for less than this, a connection whose loss would have been noticed is still there.
const TRUSTED: Duration = Duration::from_secs(1);
/// Longest wait for that.
const CHECK: Duration = Duration::from_secs(1);
/// Longest time for cancelling.
const CANCELLING: Duration = Duration::from_secs(1);

/// When an attempt must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// What still runs then is cancelled.
    pub(crate) cancel: Instant,
    pub(crate) end: Instant,
}

impl Deadline {
    /// For an attempt that may take `whole`.
    pub(crate) fn new(whole: Duration) -> Self {
        let end = Instant::now() + whole;
        Self {
            cancel: end - CANCELLING.min(whole / 4),
            end,
        }
    }
}

/// What became of a row in a transaction: how many rows it was about, or a failure of its own;
/// `None` if it provably was not done and can be done again.
pub(crate) type Done = Option<Result<u64, Failure>>;

/// A database server.
pub(crate) struct Server {
    connector: Connector,
    /// One permit for each connection that may be in use.
    free: Semaphore,
    /// At most as many as there are permits.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

enum Connector {
    Postgres(Box<postgres::Connector>),
    MySql(mysql::Connector),
}

enum Connection {
    Postgres(Box<postgres::Connection>),
    MySql(mysql::Connection),
}

impl Server {
    pub(crate) fn new(parts: &Parts, connections: Option<u32>) -> Result<Self, Problem> {
        let target = &parts.target;
        let trust = match (&parts.trust, target.tls) {
            (Some(trust), true) => Some(trust.clone()),
            (None, true) => Some(Trust::of_system()?),
            (_, false) => None,
        };
        let connector = match target.dialect {
            Dialect::Postgres => {
                let tls = trust.unwrap_or_default().config()?;
                Connector::Postgres(Box::new(postgres::Connector::new(target, tls)))
            }
            Dialect::MySql => Connector::MySql(mysql::Connector::new(target, trust.as_ref())),
        };
        let connections = connections.unwrap_or(CONNECTIONS).max(1);
        Ok(Self {
            connector,
            free: Semaphore::new(connections as usize),
            idle: Mutex::default(),
        })
    }

    /// Runs `statement` with `values`, in any case until `ends`; gives how many rows it was about.
    pub(crate) async fn run(
        &self,
        statement: &Statement,
        values: &Map<String, Value>,
        ends: &Deadline,
    ) -> Result<u64, Failure> {
        let Ok(Ok(_permit)) = timeout_at(ends.end, self.free.acquire()).await else {
            return Err(Failure::new(Stage::Connect, Fault::Busy));
        };
        let mut connection = match self.kept(ends).await {
            Some(connection) => connection,
            None => self.connect(statement, ends).await?,
        };
        let values = statement.ordered(values);
        let done = match &mut connection {
            Connection::Postgres(connection) => connection.run(statement, &values, ends).await,
            Connection::MySql(connection) => connection.run(&values, ends).await,
        };
        if done.as_ref().err().is_none_or(Failure::is_about_values) {
            self.idle().push((connection, Instant::now()));
        } else {
            // The statement is prepared anew, for the tables as they are then.
            connection.close().await;
        }
        done
    }

    /// Runs `statement` with each of `rows`, in any case within `whole`: together in one
    /// transaction, and what that left undone one by one. So one that is refused, or waits for a
    /// lock, costs the others half of their time at most.
    pub(crate) async fn run_all(
        &self,
        statement: &Statement,
        rows: &[Map<String, Value>],
        whole: Duration,
    ) -> Vec<Result<u64, Failure>> {
        let ends = Deadline::new(whole);
        let half = Deadline::new(whole / 2);
        let together = self.together(statement, rows, &half).await;
        let each = rows.iter().zip(together).map(|(values, done)| async {
            match done {
                Some(done) => done,
                None => self.run(statement, values, &ends).await,
            }
        });
        join_all(each).await
    }

    /// What became of each row in one transaction.
    async fn together(
        &self,
        statement: &Statement,
        rows: &[Map<String, Value>],
        ends: &Deadline,
    ) -> Vec<Done> {
        let Ok(Ok(_permit)) = timeout_at(ends.end, self.free.acquire()).await else {
            return vec![None; rows.len()];
        };
        let mut connection = match self.kept(ends).await {
            Some(connection) => connection,
            None => match self.connect(statement, ends).await {
                Ok(connection) => connection,
                Err(failure) => return vec![Some(Err(failure)); rows.len()],
            },
        };
        let rows: Vec<_> = rows
            .iter()
            .map(|values| statement.ordered(values))
            .collect();
        let (done, good) = match &mut connection {
            Connection::Postgres(connection) => connection.run_all(statement, &rows, ends).await,
            Connection::MySql(connection) => connection.run_all(&rows, ends).await,
        };
        if good {
            self.idle().push((connection, Instant::now()));
        } else {
            connection.close().await;
        }
        done
    }

    /// Connects, logs in and prepares the statement, without running it.
    pub(crate) async fn try_login(
        &self,
        statement: &Statement,
        ends: &Deadline,
    ) -> Result<(), Failure> {
        self.connect(statement, ends).await?.close().await;
        Ok(())
    }

    /// A connection that is still there.
    async fn kept(&self, ends: &Deadline) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle().pop()?;
            if since.elapsed() < KEPT && connection.is_there(since, ends).await {
                return Some(connection);
            }
            connection.close().await;
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, statement: &Statement, ends: &Deadline) -> Result<Connection, Failure> {
        Ok(match &self.connector {
            Connector::Postgres(connector) => {
                Connection::Postgres(Box::new(connector.connect(statement, ends).await?))
            }
            Connector::MySql(connector) => {
                Connection::MySql(connector.connect(statement, ends).await?)
            }
        })
    }
}

impl Connection {
    /// PostgreSQL's is listened to all the time; MySQL's driver notices nothing by itself.
    async fn is_there(&mut self, since: Instant, ends: &Deadline) -> bool {
        let until = ends.end.min(Instant::now() + CHECK);
        let asking = async {
            match self {
                Self::Postgres(connection) if connection.is_closed() => false,
                Self::Postgres(_) if since.elapsed() < TRUSTED => true,
                Self::Postgres(connection) => connection.answers().await,
                Self::MySql(connection) => connection.answers().await,
            }
        };
        timeout_at(until, asking).await.unwrap_or(false)
    }

    async fn close(self) {
        match self {
            Self::Postgres(connection) => connection.close().await,
            Self::MySql(connection) => connection.close().await,
        }
    }
}
