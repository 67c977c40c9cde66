//! TLS on the public listener: the certificate that is shown, and the greeting before HTTP.
//!
//! The certificate stands behind one shared value, so that another can take its place while
//! connections come and go. A greeting is bounded like the headers of a request, and one that
//! does not end makes room for others. Who speaks plain HTTP here is told so in JSON.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connections::Connection;
use crate::config::Certificate;

/// The first byte of whoever speaks TLS.
const HANDSHAKE: u8 = 0x16;
/// Read of whoever does not, so that the answer reaches them.
const UNREAD: usize = 64 << 10;

/// The certificate that is shown from now on.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    fn new(certificate: &Certificate) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::clone(certificate.key()))))
    }

    /// Shows another to whoever connects next; who is connected keeps what he has.
    pub fn swap(&self, certificate: &Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(certificate.key());
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

/// What greets.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    patience: Duration,
}

/// Why there is no connection: a stable reason, and more for the log.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

impl Tls {
    /// Greets within `patience`.
    pub(super) fn new(certificate: &Certificate, patience: Duration) -> io::Result<Self> {
        let shown = Shown::new(certificate);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shown,
            patience,
        })
    }

    pub(super) fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// Greets whoever connected, unless the connection has to go before.
    pub(super) async fn greet(
        &self,
        socket: TcpStream,
        connection: &Connection,
    ) -> Result<Socket, Failed> {
        let failed = |reason, detail: &dyn std::fmt::Display| Failed {
            reason,
            detail: detail.to_string(),
        };
        let gone = std::future::poll_fn(|context| {
            if connection.must_end(context.waker()) || connection.is_let_go() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let greeting = async {
            let mut first = [0];
            match socket.peek(&mut first).await {
                // Probes of whether the port is open.
                Ok(0) => return Err(failed("closed", &"")),
                Ok(_) if first[0] != HANDSHAKE => {
                    turn_away(socket).await;
                    return Err(failed("plain_http", &""));
                }
                Ok(_) => {}
                Err(error) => return Err(failed("closed", &error)),
            }
            let greeted = self.acceptor.accept(socket).await;
            greeted
                .map(|stream| Socket::Tls(Box::new(stream)))
                .map_err(|error| failed("handshake", &error))
        };
        tokio::select! {
            greeted = tokio::time::timeout(self.patience, greeting) => {
                greeted.unwrap_or_else(|_| Err(failed("timeout", &"")))
            }
            () = gone => Err(failed("closed", &"")),
        }
    }
}

/// Tells who speaks plain HTTP, as every answer here is told.
async fn turn_away(mut socket: TcpStream) {
    let body = r#"{"result":{"errCode":"tls-required","success":false,"errMsg":"this port speaks TLS: use https"}}"#;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\ncontent-type: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
        super::JSON
    );
    if socket.write_all(answer.as_bytes()).await.is_ok() && socket.shutdown().await.is_ok() {
        // What is closed with bytes unread takes the answer with it.
        let mut unread = [0; 4096];
        let mut read = 0;
        while let Ok(more) = socket.read(&mut unread).await
            && more > 0
            && read < UNREAD
        {
            read += more;
        }
    }
}

/// What HTTP is spoken over.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does the same to either.
macro_rules! either {
    ($socket:expr, $one:ident => $what:expr) => {
        match $socket.get_mut() {
            Socket::Plain($one) => {
                let $one = Pin::new($one);
                $what
            }
            Socket::Tls($one) => {
                let $one = Pin::new(&mut **$one);
                $what
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, one => one.poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, one => one.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, one => one.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, one => one.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustls::pki_types::ServerName;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::super::tests::{ingress, push_on_the_wire};
    use super::super::{Serving, serve};
    use super::*;
    use crate::outbox::{Accepted, Arrival, Intake, Quarantined, QuarantinedPush, Refusal};

    /// A store that accepts.
    struct Takes;

    impl Intake for Takes {
        fn accept(
            &self,
            _: Arrival,
        ) -> futures_util::future::BoxFuture<'static, Result<Accepted, Refusal>> {
            Box::pin(std::future::ready(Ok(Accepted::Deferred)))
        }
        fn quarantine(
            &self,
            _: QuarantinedPush,
        ) -> futures_util::future::BoxFuture<'static, Result<Quarantined, Refusal>> {
            Box::pin(std::future::ready(Err(Refusal::Full)))
        }
    }

    /// A certificate that vouches for itself: its PEM, and with its key.
    fn made() -> (String, Certificate) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let wanted = rcgen::CertificateParams::new(vec!["leads.shop.cn".to_owned()]);
        let certificate = wanted.and_then(|wanted| wanted.self_signed(&key));
        let pem = certificate.expect("signs itself").pem();
        let certificate = Certificate::of(&pem, &key.serialize_pem());
        (pem, certificate)
    }

    fn serving(certificate: Certificate) -> Serving {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("is set");
        serve(ingress(Arc::new(Takes), Some(certificate)), listener).expect("serves")
    }

    /// What is answered to a push over TLS by whoever shows this certificate.
    async fn push(address: SocketAddr, trusted: &str) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        let der = rustls::pki_types::CertificateDer::from_pem_slice(trusted.as_bytes());
        roots.add(der.expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = tokio::net::TcpStream::connect(address).await?;
        let name = ServerName::try_from("leads.shop.cn").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, socket).await?;
        stream.write_all(&push_on_the_wire()).await?;
        let mut text = Vec::new();
        while !text.ends_with(b"}") && stream.read_buf(&mut text).await? > 0 {}
        Ok(String::from_utf8(text).expect("text"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn pushes_are_taken_over_tls_and_the_certificate_can_be_changed() {
        let ((first, certificate), (second, other)) = (made(), made());
        let serving = serving(certificate);
        let address = serving.address();
        let answer = push(address, &first).await.expect("answered");
        assert!(answer.contains("\"success\":true"), "{answer}");
        assert!(push(address, &second).await.is_err(), "it is not shown yet");
        serving.shown().expect("it speaks TLS").swap(&other);
        let answer = push(address, &second).await.expect("answered");
        assert!(answer.contains("\"success\":true"), "{answer}");
        assert!(
            push(address, &first).await.is_err(),
            "it is not shown any more"
        );
        serving.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_speaks_plain_http_is_told_in_json() {
        let serving = serving(made().1);
        let mut socket = tokio::net::TcpStream::connect(serving.address())
            .await
            .expect("connects");
        socket.write_all(&push_on_the_wire()).await.expect("sent");
        let mut text = String::new();
        socket.read_to_string(&mut text).await.expect("it ends");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 400") && head.contains("connection: close"));
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["result"]["errCode"], "tls-required");
        serving.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_greeting_that_does_not_begin_keeps_no_stop() {
        let serving = serving(made().1);
        let mut silent = tokio::net::TcpStream::connect(serving.address())
            .await
            .expect("connects");
        let stopped = tokio::time::timeout(Duration::from_secs(9), serving.stop());
        stopped.await.expect("before its patience ends");
        assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
