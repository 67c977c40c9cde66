//! The load: keep-alive connections that push, as fast as they are answered or at a pace.
//!
//! Every answer must be the success answer. At a pace the clock of a push starts when it was
//! to be sent, also if every connection was busy then: a slow server does not get less load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leadgate::source::tmall;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
}

pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// What is to be sent, each with the moment from which its latency counts.
type Orders = Arc<Mutex<mpsc::UnboundedReceiver<(Vec<u8>, Option<Instant>)>>>;

impl Load {
    /// Each connection sends as soon as it was answered.
    pub(crate) fn run(&self, pushes: Vec<Vec<u8>>) -> anyhow::Result<Measured> {
        self.measure(|orders| {
            for push in pushes {
                let _ = orders.send((push, None));
            }
        })
    }

    /// A push is sent `rate` times a second, evenly, by whichever connection is free.
    pub(crate) fn run_at(&self, rate: f64, pushes: Vec<Vec<u8>>) -> anyhow::Result<Measured> {
        let every = Duration::from_secs_f64(1.0 / rate);
        let mut due = Duration::ZERO;
        self.measure(move |orders| {
            // A thread of its own: the runtime's timers are no finer than a millisecond.
            std::thread::spawn(move || {
                let began = Instant::now();
                for push in pushes {
                    std::thread::sleep(due.saturating_sub(began.elapsed()));
                    due += every;
                    if orders.send((push, Some(Instant::now()))).is_err() {
                        return;
                    }
                }
            });
        })
    }

    fn measure(
        &self,
        order: impl FnOnce(mpsc::UnboundedSender<(Vec<u8>, Option<Instant>)>),
    ) -> anyhow::Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async move {
            let mut streams = Vec::new();
            for _ in 0..self.connections {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            let (sender, orders) = mpsc::unbounded_channel();
            let orders = Arc::new(Mutex::new(orders));
            let began = Instant::now();
            order(sender);
            let tasks: Vec<_> = streams
                .into_iter()
                .map(|stream| tokio::spawn(send(stream, Arc::clone(&orders))))
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

async fn send(mut stream: TcpStream, orders: Orders) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut answer = vec![0; 4096];
    loop {
        let next = orders.lock().await.recv().await;
        let Some((request, due)) = next else { break };
        let began = due.unwrap_or_else(Instant::now);
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
