//! The load: keep-alive connections that each send one push after the other.
//!
//! Requests are made and signed before the clock starts; each has its own record id, so that
//! none is a duplicate. Every answer must be the success answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leadgate::clock::{Clock, SystemClock};
use leadgate::source::tmall::{self, PushParts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const SECRET: &str = "bench-app-secret";

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
}

pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// `count` whole HTTP requests.
pub(crate) fn signed_pushes(count: usize) -> Vec<Vec<u8>> {
    let now = SystemClock.now();
    (0..count)
        .map(|record| {
            let body = leadgate::lead::SAMPLE.replace("371009", &(10_000_000 + record).to_string());
            let push = tmall::signed_push(&PushParts {
                app_key: "23456789",
                secret: SECRET,
                method: None,
                now,
                body: body.as_bytes(),
            });
            let mut request = format!(
                "POST /tmall/leads?{} HTTP/1.1\r\nhost: bench\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
                push.query,
                push.content_type,
                push.body.len()
            )
            .into_bytes();
            request.extend_from_slice(&push.body);
            request
        })
        .collect()
}

impl Load {
    pub(crate) fn run(&self, pushes: &[Vec<u8>]) -> anyhow::Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let address = self.address;
        let shares: Vec<Vec<Vec<u8>>> = (0..self.connections)
            .map(|first| {
                pushes
                    .iter()
                    .skip(first)
                    .step_by(self.connections)
                    .cloned()
                    .collect()
            })
            .collect();
        runtime.block_on(async move {
            let mut streams = Vec::new();
            for _ in 0..shares.len() {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            let began = Instant::now();
            let tasks: Vec<_> = streams
                .into_iter()
                .zip(shares)
                .map(|(stream, share)| tokio::spawn(send(stream, share)))
                .collect();
            let mut latencies = Vec::new();
            for task in tasks {
                latencies.extend(task.await??);
            }
            let took = began.elapsed();
            latencies.sort_unstable();
            let at = |percent: usize| {
                latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)]
            };
            #[expect(clippy::cast_precision_loss)]
            let rate = latencies.len() as f64 / took.as_secs_f64();
            Ok(Measured {
                rate,
                p50: at(50),
                p99: at(99),
            })
        })
    }
}

async fn send(mut stream: TcpStream, requests: Vec<Vec<u8>>) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(requests.len());
    let mut answer = vec![0; 4096];
    for request in requests {
        let began = Instant::now();
        stream.write_all(&request).await?;
        let mut filled = 0;
        loop {
            let read = stream.read(&mut answer[filled..]).await?;
            ensure!(read > 0, "the server closed the connection");
            filled += read;
            if answer[..filled].ends_with(tmall::SUCCESS) {
                break;
            }
            ensure!(filled < answer.len(), "not the success answer");
        }
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "not the success answer"
        );
        latencies.push(began.elapsed());
    }
    stream.shutdown().await.context("closing")?;
    Ok(latencies)
}
