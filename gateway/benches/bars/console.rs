//! The console: every page over a large store with many dead letters, while pushes come.
//!
//! Whoever asks waits for the whole answer, on a connection of its own each time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::bar::Bar;
use crate::filled::{self, GROUPS, Leads};
use crate::load::Load;
use crate::{Scale, accept, leads, ms, server};

/// Pushes a second meanwhile.
const RATE: usize = 2_000;
/// How long they come, at full scale.
const SECONDS: usize = 60;
/// Longest wait for a page.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let count = filled::count(1_000_000)?;
    println!("\nconsole over {count} leads, a tenth of them dead in {GROUPS} groups");
    let folder = server::folder()?;
    filled::fill(&folder.path().join("store"), count, Leads::Mixed)?;
    let leadgate = server::Server::leadgate(folder.path(), &server::sink(filled::NOWHERE))?;
    let pages = pages(leadgate.admin)?;
    for page in &pages {
        let (status, _, took) = get(leadgate.admin, page)?;
        ensure!(status == 200, "{page} answers {status}");
        println!("  {page:<70} {:>6.0} ms, the first time", ms(took));
    }
    let pushes = leads::signed_pushes(scale.of(RATE * SECONDS).max(RATE));
    let load = Load {
        address: leadgate.address,
        connections: accept::CONNECTIONS,
    };
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let pushing = std::thread::spawn(move || load.run_at(RATE as f64, pushes));
    let mut took = vec![Vec::new(); pages.len()];
    while !pushing.is_finished() {
        for (page, took) in pages.iter().zip(&mut took) {
            let (status, _, time) = get(leadgate.admin, page)?;
            ensure!(status == 200, "{page} answers {status}");
            took.push(time);
        }
    }
    let pushed = pushing.join();
    let pushed = pushed.map_err(|_| anyhow::anyhow!("the load broke off"))??;
    println!("\nwhile {RATE} pushes a second arrive              p50 ms      p95 ms      most ms");
    let mut all = Vec::new();
    for (page, took) in pages.iter().zip(&mut took) {
        all.extend_from_slice(took);
        let [p50, p95, most] = percentiles(took);
        println!("{page:<40} {p50:>12.1} {p95:>11.1} {most:>12.1}");
        Bar::AtMost(200.0).judge("p95", p95, " ms");
    }
    let [_, p95, _] = percentiles(&mut all);
    Bar::AtMost(200.0).judge("p95 of all pages", p95, " ms");
    println!("\naccept over HTTP                requests/s      p50 ms      p99 ms");
    accept::line("meanwhile", &pushed);
    Ok(())
}

/// Median, 95th percentile and the most, in milliseconds.
fn percentiles(took: &mut [Duration]) -> [f64; 3] {
    took.sort_unstable();
    let at = |percent: usize| ms(took[(took.len() * percent / 100).min(took.len() - 1)]);
    [at(50), at(95), at(100)]
}

/// All pages, those of one thing with one that there is.
fn pages(admin: SocketAddr) -> anyhow::Result<Vec<String>> {
    let first = |path: &str| -> anyhow::Result<String> {
        let (_, body, _) = get(admin, path)?;
        let list: serde_json::Value = serde_json::from_str(&body)?;
        let id = list["items"][0]["id"].as_str();
        Ok(id
            .with_context(|| format!("{path} lists nothing"))?
            .to_owned())
    };
    let lead = first("/api/v1/leads?limit=1")?;
    let dead = first("/api/v1/deliveries?state=dead&limit=1")?;
    let group = first("/api/v1/failure-groups")?;
    let mut pages = [
        "/",
        "/leads",
        "/leads?city=%E6%9D%AD%E5%B7%9E",
        "/leads?state=dead",
        "/deliveries",
        "/deliveries?state=dead",
        "/deliveries?state=delivered&order=newest",
        "/failures",
        "/bulk",
        "/sinks",
        "/sinks/crm",
        "/quarantine",
        "/pushes",
        "/plugins",
        "/audit",
        "/system",
    ]
    .map(str::to_owned)
    .to_vec();
    pages.push(format!("/leads/{lead}"));
    pages.push(format!("/deliveries/{dead}"));
    pages.push(format!("/deliveries?state=dead&group={group}"));
    Ok(pages)
}

/// The status and the body of an answer, and what it took.
fn get(admin: SocketAddr, path: &str) -> anyhow::Result<(u16, String, Duration)> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let took = began.elapsed();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let status = head.get(9..12).context("a status")?.parse()?;
    Ok((status, body.to_owned(), took))
}
