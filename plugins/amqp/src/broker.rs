//! The broker: one connection, and how a message is handed over and confirmed.
//!
//! The connection is made at the first message, shared, and made again after it is lost, one
//! at a time. A channel has one message in flight at most, and is used again only after that
//! was confirmed: so a message that comes back for want of a route is surely the one that was
//! sent. What failed is said with how far it came.

use std::sync::{Arc, Mutex, PoisonError};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPError;
use lapin::tcp::RustlsConnector;
use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use lapin::{
    AsyncTcpStream, BasicProperties, Channel, Confirmation, Connection, ConnectionBuilder,
    ConnectionProperties, Error, ErrorKind,
};
use leadgate_plugin::tls::distrust;
use tokio::time::{Instant, timeout_at};

use crate::address::Address;

/// Channels that are kept for further messages; more are closed after use.
const IDLE: usize = 64;

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection or channel; nothing was sent.
    Unreachable(String),
    /// The login, or the virtual host, was refused.
    Login,
    /// The broker takes no messages for now; nothing was sent.
    Blocked,
    /// The message came back: no queue is bound for it.
    NoRoute,
    /// The broker says that it did not take it.
    Nack,
    /// The broker refused it and closed the channel: code and text.
    Refused(u16, String),
    /// The connection was lost before the confirmation.
    Lost,
    /// No confirmation in time.
    Silent,
}

/// A message, and where it goes.
pub(crate) struct Publication {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

/// A broker.
pub(crate) struct Broker {
    pub(crate) address: Address,
    /// Instead of the system's certificates.
    trust: Option<RustlsConnector>,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
}

struct Link {
    connection: Connection,
    idle: Mutex<Vec<Channel>>,
}

impl Broker {
    pub(crate) fn new(address: Address, trust: Option<RustlsConnector>) -> Self {
        Self {
            address,
            trust,
            link: tokio::sync::Mutex::new(None),
        }
    }

    /// Publishes, and waits for the confirmation, in any case until `ends`.
    pub(crate) async fn publish(&self, what: &Publication, ends: Instant) -> Result<(), Failure> {
        let late = || Failure::Unreachable("no connection in time".to_owned());
        let preparing = async {
            let link = self.link().await?;
            if link.connection.status().blocked() {
                return Err(Failure::Blocked);
            }
            let channel = link.channel().await?;
            Ok((link, channel))
        };
        let (link, channel) = timeout_at(ends, preparing).await.map_err(|_| late())??;
        // A channel that is not given back is closed when it is dropped.
        timeout_at(ends, send(&channel, what))
            .await
            .map_err(|_| Failure::Silent)??;
        link.keep(channel);
        Ok(())
    }

    /// Connects, logs in and opens the virtual host.
    pub(crate) async fn try_login(&self) -> Result<(), Failure> {
        let link = self.link().await?;
        let channel = link.channel().await?;
        link.keep(channel);
        Ok(())
    }

    /// The connection, made anew if there is none any more.
    async fn link(&self) -> Result<Arc<Link>, Failure> {
        let mut slot = self.link.lock().await;
        if let Some(link) = &*slot
            && link.connection.status().connected()
        {
            return Ok(Arc::clone(link));
        }
        *slot = None;
        let connection = self.connect().await.map_err(|error| unreachable(&error))?;
        let link = Arc::new(Link {
            connection,
            idle: Mutex::default(),
        });
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn connect(&self) -> lapin::Result<Connection> {
        let runtime = lapin::runtime::default_runtime()?;
        let uri = self.address.uri.clone();
        let properties = ConnectionProperties::default().with_connection_name("leadgate".into());
        let Some(trust) = self.trust.clone() else {
            let builder = ConnectionBuilder::new_with_runtime(runtime);
            let builder = builder.with_uri(uri).with_properties(properties);
            return builder.connect().await;
        };
        // The builder would take certificates alone, and none of ours that is an authority.
        Connection::connector(
            uri,
            runtime,
            async move |uri: AMQPUri, runtime| {
                let AMQPUri { authority, .. } = uri;
                let addresses = runtime.to_socket_addrs((authority.host.clone(), authority.port));
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                Ok(stream.into_rustls(&trust, &authority.host).await?)
            },
            properties,
        )
        .await
    }
}

impl Link {
    async fn channel(&self) -> Result<Channel, Failure> {
        while let Some(channel) = self.idle().pop() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let fresh = self.connection.create_channel().await;
        let fresh = fresh.map_err(|error| unreachable(&error))?;
        let confirming = fresh.confirm_select(ConfirmSelectOptions::default());
        confirming.await.map_err(|error| unreachable(&error))?;
        Ok(fresh)
    }

    fn keep(&self, channel: Channel) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(channel);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(channel: &Channel, what: &Publication) -> Result<(), Failure> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let confirm = channel
        .basic_publish(
            what.exchange.clone(),
            what.routing_key.clone(),
            options,
            &what.body,
            what.properties.clone(),
        )
        .await;
    let confirm = confirm.map_err(|error| match error.kind() {
        // It found the channel or the connection closed before it sent anything.
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_) => {
            unreachable(&error)
        }
        _ => interrupted(&error),
    })?;
    match confirm.await.map_err(|error| interrupted(&error))? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(Failure::NoRoute),
        Confirmation::Nack(_) => Err(Failure::Nack),
        // The channel was not confirming, so nobody knows.
        Confirmation::NotRequested => Err(Failure::Lost),
    }
}

/// What it means that there is no connection or channel.
fn unreachable(error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::ProtocolError(said) if matches!(said.get_id(), 403 | 530) => Failure::Login,
        ErrorKind::AuthProviderError(_) => Failure::Login,
        ErrorKind::ProtocolError(said) => Failure::Unreachable(format!("code {}", said.get_id())),
        _ => Failure::Unreachable(
            distrust(error, "ca", "url").unwrap_or_else(|| one_line(&error.to_string())),
        ),
    }
}

/// What it means that a message was not confirmed.
fn interrupted(error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::ProtocolError(said) if error.is_amqp_soft_error() => {
            Failure::Refused(said.get_id(), kept(said))
        }
        // The broker closes the whole connection for its own reasons, or ours is at fault.
        _ => Failure::Lost,
    }
}

/// What may be kept of the broker's words: with 403 they may quote the user and the routing
/// key.
fn kept(said: &AMQPError) -> String {
    match said.get_id() {
        404 | 406 => one_line(said.get_message().as_str()),
        _ => String::new(),
    }
}

fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(200));
    line
}
