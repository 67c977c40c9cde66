//! Latency at half load: what a push waits while the gateway is as busy as it should be.

use crate::bar::Bar;
use crate::load::Load;
use crate::{Scale, accept, leads, ms, server, store};

/// How long pushes are sent, at full scale.
const SECONDS: f64 = 15.0;

/// Pushes at half of `full` a second.
pub(crate) fn run(scale: Scale, full: f64) -> anyhow::Result<()> {
    let rate = full / 2.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let pushes = leads::signed_pushes(scale.of((rate * SECONDS) as usize).max(100));
    let folder = server::folder()?;
    let leadgate = server::Server::leadgate(folder.path(), "")?;
    let sync = store::bare_sync()?;
    let measured = Load {
        address: leadgate.address,
        connections: accept::CONNECTIONS,
    }
    .run_at(rate, pushes)?;
    println!("\nat half load                    requests/s      p50 ms      p99 ms");
    accept::line(&format!("paced at {rate:.0} a second"), &measured);
    println!("  one fdatasync {:.2} ms", ms(sync));
    let bar = 5.0 * ms(sync) + 1.0;
    Bar::AtMost(bar).judge("p99, against 5 fdatasync + 1 ms", ms(measured.p99), " ms");
    Ok(())
}
