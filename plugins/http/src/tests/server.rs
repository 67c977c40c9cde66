//! A server that answers each request as a closure says, and remembers it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Server {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// All requests so far, in the order in which they were answered.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn start(
    answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
            tokio::spawn(async move { serve(stream, &*answer, &seen).await });
        }
    });
    Server {
        url,
        requests,
        task,
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&str) -> (u16, String) + ?Sized),
    seen: &Mutex<Vec<String>>,
) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    let request = loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|length| length.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                break text;
            }
        }
    };
    let (status, body) = answer(&request);
    seen.lock().expect("not poisoned").push(request);
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}
