//! Connections: whether they are kept, and what it means that one broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;

/// Takes one request on each connection, and resets it when a second one comes.
async fn forgetful() -> (String, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut buffer = [0; 8192];
                let _ = stream.read(&mut buffer).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                    .await;
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    (url, connections, task)
}

#[tokio::test]
async fn without_keep_alive_each_request_has_a_connection_of_its_own() {
    let (url, connections, task) = forgetful().await;
    let given = json!({"url": url, "keep_alive": false});
    let closed = sink(settings_of(given)).expect("valid");
    for _ in 0..4 {
        let outcome = closed.deliver(&delivery()).await;
        assert_eq!(outcome.kind.as_str(), "delivered", "{outcome:?}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 4);
    let kept = sink(settings_of(json!({"url": url}))).expect("valid");
    kept.deliver(&delivery()).await;
    let lost = kept.deliver(&delivery()).await;
    assert_eq!(
        (lost.kind.as_str(), lost.rule.as_str()),
        ("ambiguous", "connection-lost")
    );
    assert!(
        lost.reason.contains("keep_alive = false"),
        "{}",
        lost.reason
    );
    task.abort();
}

#[test]
fn how_long_connections_are_kept_must_make_sense() {
    let wrong = |given: Value| {
        let mut all = json!({"url": "https://crm.example"});
        all.as_object_mut()
            .expect("a table")
            .extend(given.as_object().expect("a table").clone());
        let found = problems(&settings_of(all)).into_iter();
        found.map(|problem| problem.path).collect::<Vec<_>>()
    };
    assert_eq!(wrong(json!({"idle_timeout": "5s"})), Vec::<String>::new());
    assert_eq!(wrong(json!({"idle_timeout": "0s"})), ["/idle_timeout"]);
    assert_eq!(
        wrong(json!({"keep_alive": false, "idle_timeout": "5s"})),
        ["/idle_timeout"]
    );
}
