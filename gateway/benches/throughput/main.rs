//! `cargo bench -p leadgate`: what durable, verified accepting costs, in one run.
//!
//! Three comparisons on this machine, load generator included: leadgate beside an actix-web
//! handler that only reads the body and answers the same success, at 1, 16, 64 and 256
//! connections; the store alone beside a raw log with one fdatasync for each group; and the
//! store's bare fdatasync, for scale. Machines differ: read the ratios.
//!
//! `LEADGATE_BENCH_SCALE=0.1` makes a quick run of a tenth of the requests.

mod baseline;
mod load;
mod server;
mod store;

use std::time::Duration;

use load::Load;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: [(usize, usize); 4] = [(1, 3_000), (16, 30_000), (64, 60_000), (256, 60_000)];

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--baseline") {
        return baseline::serve();
    }
    let scale: f64 = std::env::var("LEADGATE_BENCH_SCALE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    let sync = store::bare_sync()?;
    println!("one fdatasync of 4 KiB here: median {:.2} ms", ms(sync));

    println!("\naccept over HTTP                requests/s      p50 ms      p99 ms");
    for (connections, requests) in CONNECTIONS {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let requests = ((requests as f64 * scale) as usize).max(connections);
        let pushes = load::signed_pushes(requests);
        let bare = server::Server::baseline()?;
        let reference = Load {
            address: bare.address,
            connections,
        }
        .run(&pushes)?;
        drop(bare);
        let leadgate = server::Server::leadgate()?;
        let measured = Load {
            address: leadgate.address,
            connections,
        }
        .run(&pushes)?;
        drop(leadgate);
        line(
            &format!("{connections:>3} connections, bare actix"),
            &reference,
        );
        line(
            &format!("{connections:>3} connections, leadgate"),
            &measured,
        );
        println!("    ratio {:.2}", measured.rate / reference.rate);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let each = ((1_500.0 * scale) as usize).max(10);
    let log = store::raw_log(64, each)?;
    let outbox = store::outbox(64, each)?;
    println!("\nstore alone, 64 producers       commits/s");
    println!("raw log with fdatasync          {log:>9.0}");
    println!("outbox (sled and barrier)       {outbox:>9.0}");
    println!("    ratio {:.2}", outbox / log);
    Ok(())
}

fn line(name: &str, result: &load::Measured) {
    println!(
        "{name:<30}  {:>10.0}  {:>10.2}  {:>10.2}",
        result.rate,
        ms(result.p50),
        ms(result.p99)
    );
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
