//! What connections trust, who they say they are, and which way they go.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::*;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key()).expect("signs")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// A certificate for `name`, and its key.
fn certificate(issuer: &Issuer, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = key();
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let made = params.signed_by(&key, issuer).expect("signs");
    (made, key)
}

/// A TLS server that answers 200 over HTTP/1.1, and says what it saw.
struct Server {
    port: u16,
    /// PEM.
    certificate: String,
    seen: tokio::task::JoinHandle<Vec<String>>,
}

/// Takes `connections` for `name`; clients must show a certificate of `clients`, if given.
async fn start(
    issuer: &Issuer,
    name: &str,
    clients: Option<&Issuer>,
    connections: usize,
) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (certificate, key) = certificate(issuer, name);
    let config = rustls::ServerConfig::builder();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            config.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = config.with_single_cert(chain, key).expect("fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await.expect("a connection");
            let Ok(mut stream) = acceptor.accept(stream).await else {
                seen.push("no handshake".to_owned());
                continue;
            };
            let mut buffer = vec![0; 8192];
            let count = stream.read(&mut buffer).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            seen.push(text.lines().next().unwrap_or_default().to_owned());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
        seen
    });
    Server {
        port,
        certificate: certificate.pem(),
        seen,
    }
}

/// Settings with each of these as a file of its own, as long as the folder lives.
fn files(tls: &Value) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = tls.clone();
    for (key, text) in tls.as_object().expect("a table") {
        let path = folder.path().join(key);
        std::fs::write(&path, text.as_str().expect("PEM")).expect("writes");
        paths[key] = json!(path);
    }
    (folder, paths)
}

async fn send(port: u16, tls: Value) -> Outcome {
    let (_folder, tls) = files(&tls);
    let settings = settings_of(json!({"url": format!("https://localhost:{port}/l"), "tls": tls}));
    sink(settings).expect("valid").deliver(&delivery()).await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_if_it_is_given() {
    let ours = authority();
    let server = start(&ours, "localhost", None, 3).await;
    let trusted = send(server.port, json!({"ca": ours.pem()})).await;
    assert!(trusted.kind == OutcomeKind::Delivered, "{trusted:?}");
    for tls in [json!({}), json!({"ca": authority().pem()})] {
        let refused = send(server.port, tls).await;
        assert_eq!(refused.rule, "connect", "{refused:?}");
        assert!(refused.reason.contains("certificate"), "{}", refused.reason);
    }
    assert_eq!(
        server.seen.await.expect("served"),
        ["POST /l HTTP/1.1", "no handshake", "no handshake"]
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ours = authority();
    let server = start(&ours, "crm.example", None, 1).await;
    let refused = send(server.port, json!({"ca": ours.pem()})).await;
    assert_eq!(refused.rule, "connect", "{refused:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let (ours, clients) = (authority(), authority());
    let (certificate, key) = certificate(&clients, "shop.example");
    let server = start(&ours, "localhost", Some(&clients), 2).await;
    let shown =
        json!({"ca": ours.pem(), "certificate": certificate.pem(), "key": key.serialize_pem()});
    let known = send(server.port, shown).await;
    assert!(known.kind == OutcomeKind::Delivered, "{known:?}");
    let unknown = send(server.port, json!({"ca": ours.pem()})).await;
    assert!(unknown.kind != OutcomeKind::Delivered, "{unknown:?}");
    assert_eq!(
        server.seen.await.expect("served"),
        ["POST /l HTTP/1.1", "no handshake"]
    );
}

#[tokio::test]
async fn a_proxy_gets_the_request_and_its_password_is_nowhere_shown() {
    let proxy = server::start(|_| (200, r#"{"id":1}"#.to_owned())).await;
    let address = proxy.url.replace("http://", "http://shop:hunter22@");
    let settings = settings_of(json!({"url": "http://crm.example/l", "proxy": address}));
    let outcome = sink(settings).expect("valid").deliver(&delivery()).await;
    assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    let request = proxy.requests().remove(0).to_ascii_lowercase();
    assert!(
        request.starts_with("post http://crm.example/l http/1.1"),
        "{request}"
    );
    assert!(request.contains("proxy-authorization: basic "), "{request}");
    assert!(!format!("{outcome:?}").contains("hunter22"), "{outcome:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_destination_offers_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ours = authority();
    let (certificate, key) = certificate(&ours, "localhost");
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).expect("fits");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let seen = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = acceptor.accept(stream).await.expect("a handshake");
        let mut preface = [0; 14];
        stream.read_exact(&mut preface).await.expect("reads");
        preface
    });
    // Closed without an answer: it may have been taken.
    let outcome = send(port, json!({"ca": ours.pem()})).await;
    assert_eq!(outcome.kind, OutcomeKind::Ambiguous, "{outcome:?}");
    assert_eq!(&seen.await.expect("served"), b"PRI * HTTP/2.0");
}

#[tokio::test]
async fn a_packed_answer_is_read() {
    /// `{"id":"crm-gz"}`
    const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4c\x51\xb2\x52\x4a\x2e\xca\xd5\x4d\xaf\x52\xaa\x05\x00\x35\x32\x5c\x52\x0f\x00\x00\x00";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/l", listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut buffer = vec![0; 8192];
        let count = stream.read(&mut buffer).await.expect("reads");
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
        stream
            .write_all(&[head.as_bytes(), PACKED].concat())
            .await
            .expect("writes");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    });
    let outcome = sink(settings_of(json!({"url": url})))
        .expect("valid")
        .deliver(&delivery())
        .await;
    let receipt = "crm-gz".to_owned();
    assert_eq!(
        (outcome.kind, &outcome.receipt),
        (OutcomeKind::Delivered, &receipt)
    );
    assert!(
        served
            .await
            .expect("served")
            .contains("accept-encoding: gzip")
    );
}

#[test]
fn mistakes_are_found_with_their_place() {
    let (certificate, _) = certificate(&authority(), "shop.example");
    for (given, place, message) in [
        (
            json!({"tls": {"ca": "no PEM"}}),
            "/tls/ca",
            "no certificate in it",
        ),
        (
            json!({"tls": {"certificate": certificate.pem()}}),
            "/tls",
            "`certificate` needs `key`",
        ),
        (
            json!({"tls": {"key": "x"}}),
            "/tls",
            "`key` needs `certificate`",
        ),
        (
            json!({"tls": {"certificate": certificate.pem(), "key": "hunter22"}}),
            "/tls/certificate",
            "no certificate with its private key",
        ),
        (
            json!({"proxy": "hunter22"}),
            "/proxy",
            "not the http or https URL of a proxy",
        ),
        (
            json!({"proxy": "socks5://p"}),
            "/proxy",
            "not the http or https URL of a proxy",
        ),
        (
            json!({"proxy": "http://p.example", "deny_private": true}),
            "/proxy",
            "behind a proxy nobody here sees which address a name has, and `deny_private` is set",
        ),
    ] {
        let mut given = given;
        given["url"] = json!("https://crm.example/l");
        let folder = given.get("tls").map(files);
        if let Some((_, tls)) = &folder {
            given["tls"] = tls.clone();
        }
        let found: Vec<_> = problems(&settings_of(given)).into_iter().collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, place);
        assert!(found[0].message.contains(message), "{found:?}");
        assert!(!format!("{found:?}").contains("hunter22"));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let settings =
        settings_of(json!({"url": "https://crm.example/l", "tls": {"ca": "/nowhere/ca.pem"}}));
    let found: Vec<_> = problems(&settings).into_iter().collect();
    assert_eq!(found[0].path, "/tls/ca");
    assert!(
        found[0]
            .message
            .starts_with("/nowhere/ca.pem: no such file"),
        "{found:?}"
    );
}

/// A server with a certificate that is its own authority, and its PEM.
async fn self_made(change: impl FnOnce(&mut CertificateParams)) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = key();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    // As `openssl req -x509` makes them.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let certificate = params.self_signed(&key).expect("signs");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 8192]).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, certificate.pem())
}

#[tokio::test]
async fn a_self_made_certificate_is_trusted_if_it_is_named_and_fits() {
    let (port, pem) = self_made(|_| ()).await;
    let named = send(port, json!({"ca": pem})).await;
    assert!(named.kind == OutcomeKind::Delivered, "{named:?}");
    // Also among others, and without being an authority.
    let among = format!("{}{pem}", authority().pem());
    let named = send(port, json!({"ca": among})).await;
    assert!(named.kind == OutcomeKind::Delivered, "{named:?}");
    let (plain, pem) = self_made(|params| params.is_ca = IsCa::NoCa).await;
    let named = send(plain, json!({"ca": pem})).await;
    assert!(named.kind == OutcomeKind::Delivered, "{named:?}");

    let (_, other) = self_made(|_| ()).await;
    let past = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let soon =
        |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    let elsewhere = |params: &mut CertificateParams| {
        let name = rcgen::string::Ia5String::try_from("crm.example").expect("a name");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    };
    for ((port, pem), why) in [
        ((port, other), "CA:TRUE"),
        (self_made(past).await, "has expired"),
        (self_made(soon).await, "not valid yet"),
        (self_made(elsewhere).await, "not for the name in `url`"),
    ] {
        let refused = send(port, json!({"ca": pem})).await;
        assert_eq!(refused.rule, "connect", "{refused:?}");
        assert!(refused.reason.contains(why), "{}", refused.reason);
    }
}

#[tokio::test]
async fn the_servers_own_certificate_may_be_named_instead_of_its_authority() {
    let ours = authority();
    let server = start(&ours, "localhost", None, 1).await;
    // The same key again would be another certificate; this is the very one.
    let pem = server.certificate.clone();
    let named = send(server.port, json!({"ca": pem})).await;
    assert!(named.kind == OutcomeKind::Delivered, "{named:?}");
}
