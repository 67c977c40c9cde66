//! HTTP/2: what the protocol says was not processed is tried again, and nothing else is.
//!
//! The server writes its frames by hand, because no real one ends a connection on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What the server does with the requests of a connection.
#[derive(Clone, Copy)]
enum Way {
    /// Answers so many, then says that it processed no more, and ignores them.
    Answers(u32),
    /// Refuses each.
    Refuses,
    /// Says that it may have processed the first one, and closes.
    Leaves,
}

struct Server {
    url: String,
    certificate: String,
    answered: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start(way: Way) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signs");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("fits");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answered);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = serve(stream, way, &counter).await;
                }
            });
        }
    });
    Server {
        url: format!("https://localhost:{port}/"),
        certificate: certificate.pem(),
        answered,
        task,
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END: u8 = 1;
/// With all headers, and nothing after them.
const WHOLE: u8 = 5;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    way: Way,
    answered: &AtomicUsize,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut count = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        let id = u32::from_be_bytes(id);
        if kind == SETTINGS && flags & ACK == 0 {
            stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
        }
        if !matches!(kind, DATA | HEADERS) || flags & END == 0 {
            continue;
        }
        count += 1;
        let goaway = |last: u32| {
            let payload = [last.to_be_bytes(), [0; 4]].concat();
            frame(GOAWAY, 0, 0, &payload)
        };
        match way {
            Way::Answers(most) if count <= most => {
                answered.fetch_add(1, Ordering::Relaxed);
                // 0x88 is `:status: 200`.
                stream
                    .write_all(&frame(HEADERS, WHOLE, id, &[0x88]))
                    .await?;
                if count == most {
                    stream.write_all(&goaway(id)).await?;
                }
            }
            Way::Answers(0) if count == 1 => stream.write_all(&goaway(0)).await?,
            Way::Answers(_) => {}
            Way::Refuses => {
                stream
                    .write_all(&frame(RESET, 0, id, &[0, 0, 0, 7]))
                    .await?;
            }
            Way::Leaves => {
                stream.write_all(&goaway(id)).await?;
                return stream.shutdown().await;
            }
        }
    }
}

fn sink_to(server: &Server) -> (tempfile::TempDir, HttpSink) {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &server.certificate).expect("writes");
    let given = json!({"url": server.url, "tls": {"ca": ca}});
    (folder, sink(settings_of(given)).expect("valid"))
}

#[tokio::test]
async fn what_comes_after_a_goaway_is_tried_again_and_none_of_forty_is_in_doubt() {
    let server = start(Way::Answers(3)).await;
    let (_folder, sink) = sink_to(&server);
    let mut waiting: Vec<usize> = (0..40).collect();
    let mut rounds = 0;
    while !waiting.is_empty() {
        rounds += 1;
        assert!(rounds < 200, "{waiting:?}");
        let few: Vec<usize> = waiting.drain(..waiting.len().min(8)).collect();
        let deliveries: Vec<Delivery> = few
            .iter()
            .map(|lead| Delivery::new(format!("d{lead}"), 1, Duration::from_secs(20), EVENT))
            .collect();
        let sent = deliveries.iter().map(|delivery| sink.deliver(delivery));
        let outcomes = futures_util::future::join_all(sent).await;
        for (lead, outcome) in few.into_iter().zip(outcomes) {
            match (outcome.kind.as_str(), outcome.rule.as_str()) {
                ("delivered", "status-2xx") => {}
                ("retry", "not-processed") => waiting.push(lead),
                _ => panic!("{outcome:?}"),
            }
        }
    }
    let answered = server.answered.load(Ordering::Relaxed);
    assert_eq!(answered, 40, "each once");
}

#[tokio::test]
async fn what_was_refused_is_a_retry_and_what_may_have_been_processed_is_in_doubt() {
    for (way, kind, rule, why) in [
        (Way::Answers(0), "retry", "not-processed", "GOAWAY"),
        (Way::Refuses, "retry", "not-processed", "REFUSED_STREAM"),
        (Way::Leaves, "ambiguous", "connection-lost", "nobody knows"),
    ] {
        let server = start(way).await;
        let (_folder, sink) = sink_to(&server);
        let outcome = sink.deliver(&delivery()).await;
        assert_eq!(
            (outcome.kind.as_str(), outcome.rule.as_str()),
            (kind, rule),
            "{outcome:?}"
        );
        assert!(outcome.reason.contains(why), "{outcome:?}");
    }
}
