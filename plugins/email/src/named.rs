//! A connection to a server that the merchant's `ca` names.
//!
//! lettre builds its TLS itself and takes no verifier of ours, so what comes before it, up to
//! the handshake, is spoken here: a certificate that is its own authority is trusted if it is
//! the very one that was named. From the greeting on, or from what stands for it after
//! STARTTLS, lettre goes on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use leadgate_plugin::tls::{Named, distrust};
use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::pki_types::ServerName;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::Fault;

/// Longest answer of a server before the connection is encrypted, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Who is trusted, under which name.
#[derive(Clone)]
pub(crate) struct Trusted {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Trusted {
    pub(crate) fn new(named: &Arc<Named>, host: &str) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned());
        let config = named.config().map_err(|error| error.to_string())?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: name
                .map_err(|_| "`host` is no name that a certificate could be for".to_owned())?,
        })
    }

    /// An encrypted connection; `hello` is what we greet with if it is asked for by STARTTLS.
    pub(crate) async fn connect(
        &self,
        server: (&str, u16),
        hello: Option<&str>,
    ) -> Result<Box<dyn AsyncTokioStream>, Fault> {
        let mut plain = TcpStream::connect(server).await.map_err(lost)?;
        if let Some(hello) = hello {
            start(&mut plain, hello).await?;
        }
        let tls = self.connector.connect(self.name.clone(), plain).await;
        let tls = tls.map_err(|error| match distrust(&error, "ca", "host") {
            Some(why) => Fault::Untrusted(why),
            None => lost(error),
        })?;
        // Behind STARTTLS a server greets nobody again, and lettre waits for it.
        let greeting = if hello.is_some() {
            &b"220 ready\r\n"[..]
        } else {
            b""
        };
        Ok(Box::new(Encrypted { greeting, tls }))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn lost(error: io::Error) -> Fault {
    Fault::Lost(error.to_string())
}

/// Asks for STARTTLS.
async fn start(stream: &mut TcpStream, hello: &str) -> Result<(), Fault> {
    // What a server sends before the handshake and was not asked for is dropped with it.
    let mut stream = BufReader::new(stream);
    expect(&mut stream, 220).await?;
    say(&mut stream, &format!("EHLO {hello}\r\n")).await?;
    let offered = expect(&mut stream, 250).await?;
    let offers = offered
        .iter()
        .any(|line| line.eq_ignore_ascii_case("STARTTLS"));
    if !offers {
        return Err(Fault::Unable("the server does not offer STARTTLS"));
    }
    say(&mut stream, "STARTTLS\r\n").await?;
    expect(&mut stream, 220).await.map(|_| ())
}

async fn say(stream: &mut BufReader<&mut TcpStream>, line: &str) -> Result<(), Fault> {
    stream.write_all(line.as_bytes()).await.map_err(lost)
}

/// The lines of an answer that has this code.
async fn expect(stream: &mut BufReader<&mut TcpStream>, code: u16) -> Result<Vec<String>, Fault> {
    let mut stream = stream.take(LONGEST);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await.map_err(lost)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (Some(said), Some(rest)) = (line.get(..3), line.get(3..)) else {
            return Err(Fault::Garbled);
        };
        let Ok(said) = said.parse::<u16>() else {
            return Err(Fault::Garbled);
        };
        lines.push(rest.trim_start_matches(['-', ' ']).trim().to_owned());
        if rest.starts_with('-') {
            continue;
        }
        if said != code {
            return Err(Fault::Answer(said, lines.join(" ")));
        }
        return Ok(lines);
    }
}

/// An encrypted connection, which may begin with a greeting that was said before.
#[derive(Debug)]
struct Encrypted {
    greeting: &'static [u8],
    tls: TlsStream<TcpStream>,
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let count = self.greeting.len().min(buffer.remaining());
            let (now, later) = self.greeting.split_at(count);
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tls.get_ref().0.peer_addr()
    }
}
