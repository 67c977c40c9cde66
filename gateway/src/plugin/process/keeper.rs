//! Keepers: each keeps the process of one sink running, and starts it again when it has failed.
//!
//! ```text
//!  starting ──made──▶ up ──fault──▶ waiting ──time──▶ starting
//!      └──────fault─────────────────▲
//!  any ──close──▶ closed
//! ```
//! A fault is counted and logged once, however many attempts it cost. One sink, one process: the
//! crash of one costs no other its attempts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leadgate_plugin::abi::{JOURNAL_MAX, LOG_ERROR};
use leadgate_plugin::child::{Backoff, SandboxReport};
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::super::{Call, Health, Outcome, Own, SinkState};
use super::children::{Counters, Status};
use super::fault::Fault;
use super::frame::{self, Ended, Frame, Kind, MAX_FROM_CHILD};
use super::link::{Link, Spec, grant};
use super::live::{End, Live};
use super::message::{self, Event, Told};
use super::voice::Voice;
use crate::config::Problem;

/// How often a process is asked whether it is there.
const BEAT: Duration = Duration::from_secs(2);
/// How long nothing may come from it after that.
const SILENCE: Duration = Duration::from_secs(10);
/// How long an attempt may go on after nobody waits for it any more.
const GRACE: Duration = Duration::from_secs(5);
/// Attempts that may go on so before no more are handed over.
const ABANDONED: usize = 64;
/// How long a process may take to let its sink go before it is killed.
const LET_GO: Duration = Duration::from_secs(5);
/// The longest wait for a process to come back that an attempt takes upon itself.
const PATIENT: Duration = Duration::from_secs(2);

/// How long a plugin may take to say how it is.
const ASKED: Duration = Duration::from_secs(2);

/// Whether the sink's process serves.
#[derive(Clone)]
enum Phase {
    Starting,
    Up(Arc<Live>),
    Waiting { until: Instant, why: Arc<str> },
    Closed,
}

/// What is known of the process, for people.
#[derive(Clone, Default)]
struct Known {
    pid: Option<u32>,
    restarts: u64,
    fate: Option<Arc<str>>,
    sandbox: SandboxReport,
}

/// Keeps the process of one sink running.
pub(super) struct Keeper {
    sink: String,
    spec: Arc<Spec>,
    /// The frame that has the sink made.
    create: Vec<u8>,
    state: Option<Arc<dyn SinkState>>,
    voice: Arc<Voice>,
    phase: watch::Sender<Phase>,
    known: Mutex<Known>,
    closing: AtomicBool,
    close: Notify,
    counters: Counters,
}

/// Why a sink was not made.
pub(super) enum NotMade {
    Problems(Vec<Problem>),
    Fault(Fault),
}

impl Keeper {
    pub(super) fn new(
        sink: &str,
        spec: Arc<Spec>,
        create: Vec<u8>,
        state: Option<Arc<dyn SinkState>>,
        voice: Arc<Voice>,
        counters: Counters,
    ) -> Arc<Self> {
        Arc::new(Self {
            sink: sink.to_owned(),
            spec,
            create,
            state,
            voice,
            phase: watch::Sender::new(Phase::Starting),
            known: Mutex::default(),
            closing: AtomicBool::new(false),
            close: Notify::new(),
            counters,
        })
    }

    pub(super) fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// Starts a process and has it make the sink. Blocks.
    pub(super) fn make(&self) -> Result<Link, NotMade> {
        let mut link = self
            .spec
            .start(&self.sink, &self.voice)
            .map_err(NotMade::Fault)?;
        let made = link.ask(
            "make the sink",
            &self.voice,
            self.state.as_ref(),
            |out| out.extend_from_slice(&self.create),
            |frame| match frame.kind {
                Kind::Created => Some(message::read::<Option<Vec<Told>>>(frame.body)),
                _ => None,
            },
        );
        match made.map_err(NotMade::Fault)? {
            Ok(None) => Ok(link),
            Ok(Some(problems)) => Err(NotMade::Problems(
                problems.into_iter().map(Problem::from).collect(),
            )),
            Err(broken) => Err(NotMade::Fault(Fault::Contract(broken))),
        }
    }

    /// The life of the sink's processes, the first of which may be there already, or have failed.
    pub(super) async fn run(self: Arc<Self>, first: Option<Result<Link, Fault>>) {
        let mut backoff = Backoff::default();
        let mut next = first;
        while !self.closing.load(Ordering::Acquire) {
            let made = match next.take() {
                Some(made) => made,
                None => tokio::select! {
                    made = self.make_aside() => made,
                    // Whatever is being made then ends with this process, at the latest.
                    () = self.closed() => break,
                },
            };
            let began = Instant::now();
            let fault = match made {
                Ok(link) => match self.serve(link).await {
                    Some(fault) => fault,
                    None => break,
                },
                Err(fault) => fault,
            };
            let wait = backoff.after(began.elapsed());
            self.failed(&fault, wait);
            let until = Instant::now() + wait;
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.close.notified() => {}
            }
            if !self.closing.load(Ordering::Acquire) {
                self.phase.send_replace(Phase::Starting);
                self.known().restarts += 1;
                self.counters.restarted(&self.sink);
            }
        }
        self.known().pid = None;
        self.phase.send_replace(Phase::Closed);
    }

    async fn make_aside(self: &Arc<Self>) -> Result<Link, Fault> {
        let keeper = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || keeper.make()).await;
        match made {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(NotMade::Fault(fault))) => Err(fault),
            Ok(Err(NotMade::Problems(problems))) => {
                let lines = problems.iter().map(ToString::to_string);
                Err(Fault::Refused(lines.collect::<Vec<_>>().join("; ")))
            }
            Err(error) => Err(Fault::Start(error.to_string())),
        }
    }

    /// Counts and tells a fault, once.
    fn failed(&self, fault: &Fault, wait: Duration) {
        let said = fault.to_string();
        let said = match self.voice.masks() {
            Some(masks) => masks.hide(said),
            None => said,
        };
        let why: Arc<str> = said.as_str().into();
        {
            let mut known = self.known();
            known.pid = None;
            known.fate = Some(Arc::clone(&why));
        }
        self.phase.send_replace(Phase::Waiting {
            until: Instant::now() + wait,
            why,
        });
        self.counters.failed(&self.spec.name, fault.fate());
        tracing::error!(
            sink = self.sink,
            plugin = self.spec.name,
            fate = said,
            again_in = ?wait,
            "plugin's process failed; it is started again"
        );
    }

    /// Serves until the process fails; `None` if it was let go.
    async fn serve(&self, link: Link) -> Option<Fault> {
        let Link {
            child,
            socket,
            mut bytes,
            described,
        } = link;
        let killer = child.killer();
        let ended = child.ended();
        let socket = socket
            .set_nonblocking(true)
            .and_then(|()| UnixStream::from_std(socket));
        let live = match socket {
            Ok(socket) => Arc::new(Live::new(socket)),
            Err(error) => return Some(Fault::Start(error.to_string())),
        };
        {
            let mut known = self.known();
            known.pid = Some(child.id());
            known.sandbox = described.sandbox;
        }
        self.phase.send_replace(Phase::Up(Arc::clone(&live)));
        let fault = tokio::select! {
            fault = self.read(&live, &mut bytes) => fault,
            fault = self.watch(&live) => fault,
            () = write_on(&live) => None,
            () = self.closed() => {
                live.send(|out| frame::write(out, Kind::Destroy, 0, |_| {}));
                let let_go = async {
                    // It answers attempts that are on their way, and ends.
                    tokio::select! {
                        _ = self.read(&live, &mut bytes) => {}
                        () = write_on(&live) => {}
                    }
                };
                let _ = tokio::time::timeout(LET_GO, let_go).await;
                killer.kill();
                // What the kernel still has to do of it takes a moment.
                let _ = tokio::time::timeout(Duration::from_secs(1), ended.wait()).await;
                live.lose(&"leadgate let the sink go".into());
                return None;
            }
        };
        // Nothing more is handed over from here on.
        self.phase.send_replace(Phase::Starting);
        let fault = match fault {
            // The connection is over: how the process ends says more.
            None => match tokio::time::timeout(Duration::from_secs(1), ended.wait()).await {
                Ok(exit) => Fault::Ended(exit),
                Err(_) => Fault::Closed,
            },
            Some(fault) => fault,
        };
        killer.kill();
        live.lose(&fault.to_string().into());
        Some(fault)
    }

    async fn closed(&self) {
        while !self.closing.load(Ordering::Acquire) {
            self.close.notified().await;
        }
    }

    /// Takes what comes, until nothing more does.
    async fn read(&self, live: &Arc<Live>, bytes: &mut Vec<u8>) -> Option<Fault> {
        loop {
            let mut taken = 0;
            loop {
                match frame::next(&bytes[taken..], MAX_FROM_CHILD) {
                    Ok(Some((frame, length))) => {
                        if let Err(broken) = self.take(live, frame) {
                            return Some(Fault::Contract(broken));
                        }
                        taken += length;
                    }
                    Ok(None) => break,
                    Err(broken) => return Some(Fault::Contract(broken)),
                }
            }
            bytes.drain(..taken);
            bytes.reserve(64 * 1024);
            if live.socket.readable().await.is_err() {
                return None;
            }
            match live.socket.try_read_buf(bytes) {
                Ok(0) => return None,
                Ok(_) => live.heard(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    fn take(&self, live: &Arc<Live>, frame: Frame<'_>) -> Result<(), frame::Broken> {
        match frame.kind {
            Kind::Done => {
                let outcome = message::outcome(&Ended::read(frame.body)?);
                if !live.done(frame.number, outcome) {
                    let message = "plugin completed an attempt that is not open; it was dropped";
                    self.voice.log(LOG_ERROR, message.to_owned(), String::new());
                }
            }
            Kind::Keep => {
                let step_record = std::str::from_utf8(frame.body)
                    .ok()
                    .filter(|step_record| step_record.len() <= JOURNAL_MAX)
                    .ok_or(frame::Broken::Body("step record"))?;
                if let Some(keep) = live.keep(frame.number) {
                    keep(step_record.to_owned());
                }
            }
            Kind::Health => {
                let says: Option<message::Says> = message::read(frame.body)?;
                live.says(frame.number, says.map(Health::from));
            }
            Kind::Log => {
                let event: Event = message::read(frame.body)?;
                self.voice.log(event.level, event.message, event.fields);
            }
            Kind::AskState => {
                let ask = message::read(frame.body)?;
                let (live, state) = (Arc::clone(live), self.state.clone());
                let number = frame.number;
                // It may take as long as the disk does.
                drop(tokio::task::spawn_blocking(move || {
                    let told = grant(state.as_ref(), ask);
                    live.send(|out| message::json(out, Kind::State, number, &told));
                }));
            }
            // Others were heard, which is what they are for, or come too late.
            _ => {}
        }
        Ok(())
    }

    /// Looks after a process: whether it answers, and ends what nobody waits for.
    async fn watch(&self, live: &Arc<Live>) -> Option<Fault> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked: Option<Instant> = None;
        loop {
            beat.tick().await;
            let now = Instant::now();
            let heard = live.last_heard();
            if asked.is_some_and(|asked| heard > asked) {
                asked = None;
            }
            if asked.is_some_and(|asked| now.duration_since(asked) > SILENCE) {
                return Some(Fault::Hung("answer", SILENCE));
            }
            if asked.is_none() {
                asked = Some(now);
                live.send(|out| frame::write(out, Kind::Ping, 0, |_| {}));
            }
            if live.overdue(now).is_some_and(|since| since > GRACE) {
                // Nothing new is handed over; whoever still waits for another attempt gets it.
                self.phase.send_replace(Phase::Starting);
                while live.is_awaited(Instant::now()) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                return Some(Fault::Hung("end an attempt", GRACE));
            }
        }
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, call: Call) -> Outcome {
        let timeout = call.timeout;
        let deadline = Instant::now() + timeout;
        let live = match self.live(deadline).await {
            Ok(live) => live,
            Err(outcome) => return outcome,
        };
        if live.abandoned() >= ABANDONED {
            return Own::Stuck.outcome();
        }
        let (number, end) = live.begin(&call, deadline);
        self.voice.hears(Arc::new(call.event));
        let outcome = match tokio::time::timeout_at(deadline, end).await {
            Ok(Ok(End::Outcome(outcome))) => outcome,
            Ok(Ok(End::Lost { handed: true, why })) => Own::Crashed.outcome_with(&why),
            Ok(Ok(End::Lost { handed: false, why })) => Own::NotStarted.outcome_with(&why),
            Ok(Err(_)) => Own::Lost.outcome(),
            Err(_) => {
                live.abandon(number);
                Own::Late.outcome_with(&format!("{timeout:?}"))
            }
        };
        match self.voice.masks() {
            Some(masks) => masks.outcome(outcome),
            None => outcome,
        }
    }

    /// How the sink is: whether its process runs, and what its plugin says, if it says anything.
    pub(super) async fn health(&self) -> Option<Health> {
        let hide = |text: String| match self.voice.masks() {
            Some(masks) => masks.hide(text),
            None => text,
        };
        let phase = self.phase.borrow().clone();
        match phase {
            Phase::Up(live) => match live.health(ASKED).await {
                Ok(Some(Health::Degraded(why))) => Some(Health::Degraded(hide(why))),
                Ok(Some(Health::Failed(why))) => Some(Health::Failed(hide(why))),
                Ok(other) => other,
                Err(()) => Some(Health::Failed(
                    "the plugin does not say how it is".to_owned(),
                )),
            },
            Phase::Waiting { until, why } => {
                let left = until.saturating_duration_since(Instant::now()).as_secs();
                Some(Health::Failed(format!(
                    "the plugin's process {why}; it is started again in {left} s"
                )))
            }
            Phase::Starting => {
                let fate = self.known().fate.clone();
                fate.map(|fate| {
                    Health::Degraded(format!(
                        "the plugin's process {fate}; it is being started again"
                    ))
                })
            }
            Phase::Closed => None,
        }
    }

    /// The process, or why there is none in time.
    async fn live(&self, deadline: Instant) -> Result<Arc<Live>, Outcome> {
        if let Phase::Up(live) = &*self.phase.borrow() {
            return Ok(Arc::clone(live));
        }
        let mut phase = self.phase.subscribe();
        let patient = deadline.min(Instant::now() + PATIENT);
        loop {
            let now = phase.borrow_and_update().clone();
            let not_started = |why: &str, wait: Option<Duration>| {
                let mut outcome = Own::NotStarted.outcome_with(why);
                outcome.retry_after = wait;
                outcome
            };
            match now {
                Phase::Up(live) => return Ok(live),
                Phase::Closed => return Err(not_started("the sink was let go", None)),
                Phase::Waiting { until, why } if until > patient => {
                    let wait = until.saturating_duration_since(Instant::now());
                    return Err(not_started(&why, Some(wait)));
                }
                Phase::Waiting { .. } | Phase::Starting => {}
            }
            let changed = tokio::time::timeout_at(patient, phase.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                let fate = self.known().fate.clone();
                return Err(not_started(
                    fate.as_deref().unwrap_or("it is being started"),
                    None,
                ));
            }
        }
    }

    /// Lets the sink go: what is on its way may end, then the process does.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.close.notify_one();
    }

    pub(super) fn status(&self) -> Status {
        let known = self.known().clone();
        let (state, again_in) = match &*self.phase.borrow() {
            Phase::Starting => ("starting", None),
            Phase::Up(_) => ("running", None),
            Phase::Waiting { until, .. } => (
                "failed",
                Some(until.saturating_duration_since(Instant::now())),
            ),
            Phase::Closed => ("stopped", None),
        };
        Status {
            sink: self.sink.clone(),
            plugin: self.spec.name.clone(),
            state,
            pid: known.pid,
            restarts: known.restarts,
            fate: known.fate.as_deref().map(str::to_owned),
            again_in,
            sandbox: known.sandbox,
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what did not fit at once, until it never will.
async fn write_on(live: &Live) {
    loop {
        live.more.notified().await;
        if !live.flush().await {
            return;
        }
    }
}
