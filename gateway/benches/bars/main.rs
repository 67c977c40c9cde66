//! `cargo bench -p leadgate`: the bars of this gateway, each with its figure, in one run.
//!
//! Everything is compared with something measured on the same machine in the same run, load
//! generator included. Machines differ: read the ratios. What each part measures is in
//! `../README.md`.

mod accept;
mod backlog;
mod bar;
mod baseline;
mod charset;
mod console;
mod delivery;
mod filled;
mod half_load;
mod kept;
mod leads;
mod load;
mod plugin;
mod server;
mod sink;
mod store;

use std::time::Duration;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much of everything is done; 1 for figures that mean something.
#[derive(Clone, Copy)]
struct Scale(f64);

impl Scale {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    fn of(self, count: usize) -> usize {
        (count as f64 * self.0) as usize
    }
}

fn main() -> anyhow::Result<()> {
    let part = std::env::args().skip(1).find(|part| part != "--bench");
    if part.as_deref() == Some("plugin-host") {
        // Started by this program itself, as the gateway starts itself.
        return Ok(leadgate::plugin::host(std::env::args_os().skip(2))?);
    }
    if part.as_deref() == Some("sandboxed") {
        // The same for a program of another hand.
        return Err(leadgate::plugin::launch(std::env::args_os().skip(2)).into());
    }
    if part.as_deref() == Some("--baseline") {
        return baseline::serve();
    }
    let scale = std::env::var("LEADGATE_BENCH_SCALE")
        .ok()
        .map_or(Ok(1.0), |text| text.parse())?;
    let scale = Scale(scale);
    match part.as_deref() {
        None => {
            charset::run()?;
            let rate = accept::run(scale)?;
            store::run(scale)?;
            plugin::run(scale)?;
            half_load::run(scale, rate)?;
            delivery::run(scale, rate)
        }
        Some("charset") => charset::run(),
        Some("accept") => accept::run(scale).map(drop),
        Some("store") => store::run(scale),
        Some("half-load") => half_load::run(scale, accept::rate(scale)?),
        Some("delivery") => delivery::run(scale, accept::rate(scale)?),
        Some("plugin") => plugin::run(scale),
        Some("backlog") => backlog::run(scale),
        Some("kept") => kept::run(scale),
        Some("console") => console::run(scale),
        Some(other) => {
            anyhow::bail!(
                "no part {other:?}: charset, accept, store, plugin, half-load, delivery, backlog, kept or console"
            )
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss)]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
