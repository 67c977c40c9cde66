//! Accepting over HTTP: leadgate beside a handler that only reads the body and answers.

use crate::bar::Bar;
use crate::load::{Load, Measured};
use crate::{Scale, leads, ms, server};

/// Connections, and requests sent through them.
const ROUNDS: [(usize, usize); 4] = [(1, 3_000), (16, 30_000), (64, 60_000), (256, 60_000)];
/// The round that has a bar, and whose rate the other parts relate to.
pub(crate) const CONNECTIONS: usize = 64;

/// All rounds; gives leadgate's rate in the one with the bar.
pub(crate) fn run(scale: Scale) -> anyhow::Result<f64> {
    println!("\naccept over HTTP                requests/s      p50 ms      p99 ms");
    let mut rate = 0.0;
    for (connections, requests) in ROUNDS {
        let requests = scale.of(requests).max(connections);
        let bare = server::Server::baseline()?;
        let reference = Load {
            address: bare.address,
            connections,
        }
        .run(leads::signed_pushes(requests))?;
        drop(bare);
        let measured = leadgate(connections, requests)?;
        line(
            &format!("{connections:>3} connections, bare actix"),
            &reference,
        );
        line(
            &format!("{connections:>3} connections, leadgate"),
            &measured,
        );
        let ratio = measured.rate / reference.rate;
        if connections == CONNECTIONS {
            rate = measured.rate;
            Bar::AtLeast(0.5).judge("accept rate / bare actix", ratio, "");
        } else {
            println!("  accept rate / bare actix {ratio:.2}");
        }
    }
    Ok(rate)
}

/// Only leadgate's rate in the round with the bar.
pub(crate) fn rate(scale: Scale) -> anyhow::Result<f64> {
    let measured = leadgate(CONNECTIONS, scale.of(60_000).max(CONNECTIONS))?;
    println!("\naccept over HTTP                requests/s      p50 ms      p99 ms");
    line(
        &format!("{CONNECTIONS:>3} connections, leadgate"),
        &measured,
    );
    Ok(measured.rate)
}

fn leadgate(connections: usize, requests: usize) -> anyhow::Result<Measured> {
    let folder = server::folder()?;
    let leadgate = server::Server::leadgate(folder.path(), "")?;
    Load {
        address: leadgate.address,
        connections,
    }
    .run(leads::signed_pushes(requests))
}

/// One row of the table.
pub(crate) fn line(name: &str, result: &Measured) {
    println!(
        "{name:<30}  {:>10.0}  {:>10.2}  {:>10.2}",
        result.rate,
        ms(result.p50),
        ms(result.p99)
    );
}
