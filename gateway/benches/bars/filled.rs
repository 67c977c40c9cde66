//! Stores with many leads in them, made by the library before the real daemon opens them.
//!
//! `LEADGATE_BENCH_LEADS` says how many. A store was just written when it is opened, so the
//! disk's cache is warm.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use leadgate::clock::{Clock, SystemClock};
use leadgate::lead::Lead;
use leadgate::outbox::sled::SledOutbox;
use leadgate::outbox::{
    Arrival, Attempt, Claim, DeathReason, Finish, Intake as _, Maintenance as _, Operations as _,
    PauseCause, Queue as _, Route, State,
};
use leadgate_plugin::OutcomeKind;

use crate::bar::Bar;
use crate::load::{Load, Measured};
use crate::server::Server;
use crate::{accept, leads, per_second, server, store};

/// Arrivals that wait for the store at once while it is filled.
const IN_FLIGHT: usize = 1024;
/// Deliveries that are claimed at once while they are ended.
const CLAIMED: usize = 512;
/// Record ids of what fills a store begin here, beyond those of the pushes.
const FIRST: usize = 1_000_000_000;
/// Pushes right before the daemon is killed.
const BEFORE_THE_KILL: usize = 5_000;
/// Failure groups of dead letters.
pub(crate) const GROUPS: usize = 200;
/// Nobody listens there.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9/";

/// What becomes of the leads that fill a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leads {
    /// They wait for the sink `crm`, which is paused.
    Wait,
    /// They are delivered.
    Delivered,
    /// Nine of ten are delivered, and each tenth is a dead letter in one of [`GROUPS`] groups.
    Mixed,
}

/// How many leads to fill a store with: as the environment says, or `usual`.
pub(crate) fn count(usual: usize) -> anyhow::Result<usize> {
    Ok(std::env::var("LEADGATE_BENCH_LEADS")
        .ok()
        .map_or(Ok(usual), |text| text.parse())?)
}

/// Makes a store at `path` with `count` leads, and says what that took.
pub(crate) fn fill(path: &Path, count: usize, leads: Leads) -> anyhow::Result<()> {
    let outbox = Arc::new(SledOutbox::open(store::options(path, &["crm"]))?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    runtime.block_on(async {
        if leads == Leads::Wait {
            outbox
                .pause("crm", Some(PauseCause::Person(String::new())))
                .await
                .map_err(|error| anyhow::anyhow!(error.0))?;
        }
        let mut tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|first| {
                let outbox = Arc::clone(&outbox);
                tokio::spawn(async move {
                    for number in (first..count).step_by(IN_FLIGHT) {
                        outbox.accept(arrival(number)?).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        if leads != Leads::Wait {
            tasks.push(tokio::spawn(deliver(Arc::clone(&outbox), count, leads)));
        }
        for task in tasks {
            task.await??;
        }
        anyhow::Ok(())
    })?;
    outbox.close();
    if count > 0 {
        println!(
            "  filled at {:.0} leads/s",
            per_second(count, began.elapsed())
        );
        #[expect(clippy::cast_precision_loss, reason = "a disk has fewer bytes")]
        let each = size(path)? as f64 / count as f64;
        println!("  disk used for each lead {each:.0} bytes");
    }
    Ok(())
}

/// Ends `count` deliveries.
async fn deliver(outbox: Arc<SledOutbox>, count: usize, leads: Leads) -> anyhow::Result<()> {
    let mut left = count;
    while left > 0 {
        let asked = Arc::clone(&outbox);
        let due =
            tokio::task::spawn_blocking(move || asked.claim("crm", SystemClock.now(), CLAIMED));
        let due = due.await?.map_err(|error| anyhow::anyhow!(error.0))?;
        left -= due.deliveries.len();
        if due.deliveries.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let claims = due.deliveries.into_iter();
        let ended = claims.zip(left..).map(|(claim, number)| match leads {
            Leads::Mixed if number % 10 == 0 => dead(claim, number / 10),
            _ => delivered(claim),
        });
        let ends = join_all(ended.map(|end| outbox.finish(end))).await;
        for end in ends {
            end.map_err(|error| anyhow::anyhow!(error.0))?;
        }
    }
    Ok(())
}

/// The end of an attempt that went well, with what the http sink keeps of it.
fn delivered(claim: Claim) -> Finish {
    let now = SystemClock.now();
    let was_due = match claim.delivery.state {
        State::Waiting { due_at } => due_at,
        _ => now,
    };
    let mut delivery = claim.delivery;
    delivery.state = State::Delivered { at: now };
    delivery.attempts += 1;
    delivery.history.push(Attempt {
        number: delivery.attempts,
        started_at: now,
        duration_ms: 12,
        outcome: OutcomeKind::Delivered,
        rule: "http-2xx".to_owned(),
        reason: String::new(),
        receipt: "8473920".to_owned(),
        request: "POST http://127.0.0.1:9/ 412 bytes".to_owned(),
        response: "200 {\"id\":8473920,\"result\":\"created\"}".to_owned(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        config_revision: "0123456789abcdef".to_owned(),
    });
    Finish {
        id: claim.id,
        sink: Arc::from(delivery.sink.as_str()),
        now,
        was_due,
        delivery,
    }
}

/// The end of one that the destination refused for good, for one of [`GROUPS`] reasons.
fn dead(claim: Claim, number: usize) -> Finish {
    let mut finish = delivered(claim);
    finish.delivery.state = State::Dead {
        at: finish.now,
        reason: DeathReason::Rejected,
    };
    // Words: numbers make no group.
    let field = [number / 20 % 10, number % 20]
        .map(|part| char::from(b'a' + u8::try_from(part).unwrap_or_default()));
    let field = String::from_iter(field);
    if let Some(attempt) = finish.delivery.history.last_mut() {
        attempt.outcome = OutcomeKind::Rejected;
        "http-4xx".clone_into(&mut attempt.rule);
        attempt.reason = format!("the destination answered 422: field {field} is unknown");
        attempt.receipt.clear();
        attempt.response = format!("422 {{\"error\":\"unknown field {field}\"}}");
    }
    finish
}

/// The lead of that number for `crm`, as a push would bring it.
pub(crate) fn arrival(number: usize) -> anyhow::Result<Arrival> {
    let raw = leads::lead(FIRST + number);
    let lead = Lead::parse_json(&raw).map_err(|_| anyhow::anyhow!("the sample is a lead"))?;
    Ok(Arrival {
        received_at: SystemClock.now(),
        routes: vec![Route {
            sink: Arc::from("crm"),
            failed: None,
        }],
        ..store::arrival(FIRST + number, &lead, raw)
    })
}

/// Starts the real daemon over the store below `folder`, ends it by `kill -9`, and starts it
/// again; judges both starts. Nothing listens where its sink delivers.
pub(crate) fn start_twice(folder: &Path, clean: Bar, killed: Bar) -> anyhow::Result<Server> {
    let sink = server::sink(NOWHERE);
    let leadgate = Server::leadgate(folder, &sink)?;
    let took = leadgate.ready_after.as_secs_f64();
    clean.judge("start to /readyz after a clean stop", took, " s");
    push(&leadgate, BEFORE_THE_KILL)?;
    drop(leadgate);
    let leadgate = Server::leadgate(folder, &sink)?;
    let took = leadgate.ready_after.as_secs_f64();
    killed.judge("start to /readyz after kill -9", took, " s");
    Ok(leadgate)
}

/// The real daemon over an empty store below `folder`.
pub(crate) fn empty(folder: &Path) -> anyhow::Result<Server> {
    fill(&folder.join("store"), 0, Leads::Wait)?;
    Server::leadgate(folder, &server::sink(NOWHERE))
}

/// `count` new leads, pushed over as many connections as the bars have.
pub(crate) fn push(leadgate: &Server, count: usize) -> anyhow::Result<Measured> {
    Load {
        address: leadgate.address,
        connections: accept::CONNECTIONS,
    }
    .run(leads::signed_pushes(count))
}

fn size(folder: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}
