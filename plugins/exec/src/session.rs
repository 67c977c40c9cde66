//! A session: one running program and all that goes in and out of it, until its end.
//!
//! One task owns it. It writes lines as the program takes them, reads what the program says,
//! ends attempts whose time is over, and ends itself by the first [`End`] there is. Whatever the
//! end, the program and all in its group are gone afterwards, and every attempt has its outcome.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use leadgate_plugin::child::{Child, Exit};
use leadgate_plugin::{Host, Level, Outcome};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::end::End;
use crate::flight::{Cost, Fit, Flight, Handing};
use crate::line;
use crate::lines::{Answer, Breach, Decoder, Said};
use crate::pen::Pen;
use crate::recent::Recent;
use crate::start::{Running, Starter, Unread};
use crate::stderr::Stderr;
use crate::throttle::Throttle;

/// Attempts that one program may have at once.
const OPEN: usize = 1024;
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;
/// Bytes without an answer among them after which a program is ended.
const FLOOD: usize = 16 << 20;
/// How long a program that was killed may take to be gone.
const KILL: Duration = Duration::from_secs(2);
/// How long what a program wrote before it ended may take to be read.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// How a session is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The program is for one attempt only.
    pub(crate) once: bool,
    /// It wants to be told what nobody waits for.
    pub(crate) cancel: bool,
    /// How long it may take to end after its stdin was closed.
    pub(crate) stop_timeout: Duration,
}

/// Gives attempts to a session. When all are dropped the program's stdin is closed.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inbox: mpsc::Sender<Handing>,
    /// Rung when somebody does not wait any more.
    pub(crate) gone: Arc<Notify>,
}

/// What became of a session.
#[derive(Debug)]
pub(crate) struct Report {
    /// Whether the program answered at least once.
    pub(crate) answered: bool,
    /// How it ended, in words.
    pub(crate) reason: String,
}

/// What happens next.
enum Event {
    Came(Option<Handing>),
    Wrote(io::Result<usize>),
    Read(io::Result<usize>),
    Exited(Exit),
    TimeIsOver,
    SomebodyLeft,
}

/// A running program with what it has to do.
pub(crate) struct Session {
    child: Child,
    /// `None` once it is closed.
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    unread: Unread,
    stderr: Stderr,
    manner: Manner,
    host: Host,
    inbox: mpsc::Receiver<Handing>,
    gone: Arc<Notify>,
    /// Whether nothing comes any more.
    closed: bool,
    flight: Flight,
    pen: Pen,
    decoder: Decoder,
    recent: Recent,
    budget: Throttle,
    /// When it said something last.
    heard: Instant,
    /// When it read something last, as far as its pipe tells.
    moved: Instant,
    /// Bytes since its last answer.
    quiet: usize,
    answered: bool,
    strange_told: bool,
}

impl Session {
    pub(crate) fn new(
        starter: Arc<Starter>,
        running: Running,
        manner: Manner,
        host: &Host,
    ) -> (Self, Handle) {
        let (send, inbox) = mpsc::channel(64);
        let gone = Arc::new(Notify::new());
        let handle = Handle {
            inbox: send,
            gone: Arc::clone(&gone),
        };
        let recent = Recent::default();
        let now = Instant::now();
        let session = Self {
            stderr: Stderr::follow(running.stderr, &running.child, starter, host, &recent),
            child: running.child,
            stdin: Some(running.stdin),
            stdout: running.stdout,
            unread: running.unread,
            manner,
            host: host.clone(),
            inbox,
            gone,
            closed: false,
            flight: Flight::default(),
            pen: Pen::default(),
            decoder: Decoder::default(),
            recent,
            budget: Throttle::new(now),
            heard: now,
            moved: now,
            quiet: 0,
            answered: false,
            strange_told: false,
        };
        (session, handle)
    }

    /// Runs until its end.
    pub(crate) async fn run(mut self) -> Report {
        let mut piece = vec![0; PIECE];
        let end = loop {
            if self.closed && self.pen.is_empty() {
                self.stdin = None;
                if self.flight.is_empty() {
                    break End::Closed;
                }
            }
            let event = self.next(&mut piece).await;
            if let Err(end) = self.happened(event, &piece) {
                break end;
            }
        };
        self.finish(end, &mut piece).await
    }

    async fn next(&mut self, piece: &mut [u8]) -> Event {
        let exit = self.child.ended();
        let end = self.flight.next_end();
        let open = !self.closed && self.flight.len() < OPEN;
        let rest = self.pen.rest();
        let stdin = self.stdin.as_mut().filter(|_| !rest.is_empty());
        tokio::select! {
            came = self.inbox.recv(), if open => Event::Came(came),
            wrote = write(stdin, rest) => Event::Wrote(wrote),
            read = self.stdout.read(piece) => Event::Read(read),
            exit = exit.wait() => Event::Exited(exit),
            () = at(end) => Event::TimeIsOver,
            () = self.gone.notified() => Event::SomebodyLeft,
        }
    }

    fn happened(&mut self, event: Event, piece: &[u8]) -> Result<(), End> {
        match event {
            Event::Came(Some(handing)) => self.take(handing),
            Event::Came(None) => self.closed = true,
            Event::Wrote(Ok(length)) => {
                self.moved = Instant::now();
                self.pen.wrote(length, &mut self.flight);
            }
            Event::Wrote(Err(error)) | Event::Read(Err(error)) => return Err(End::Pipe(error)),
            Event::Read(Ok(0)) => {
                if let Some(said) = self.decoder.last() {
                    self.said(said)?;
                }
                return Err(End::ClosedOutput);
            }
            Event::Read(Ok(length)) => return self.read(&piece[..length]),
            Event::Exited(exit) => return Err(End::Exited(exit)),
            Event::TimeIsOver => return self.time_is_over(Instant::now()),
            Event::SomebodyLeft => {
                for id in self.flight.sweep() {
                    self.cancel(&id);
                }
                self.pen.skip(&self.flight);
            }
        }
        Ok(())
    }

    fn take(&mut self, handing: Handing) {
        match line::event(&handing.delivery) {
            Ok(line) => {
                self.recent.add(handing.delivery.event_bytes());
                let id = handing.delivery.id().to_owned();
                self.flight.take(handing, Instant::now());
                self.pen.add(Some(id), line);
            }
            Err(problem) => {
                let outcome = Outcome::rejected(problem.to_string()).rule("event");
                let _ = handing.done.send(outcome);
            }
        }
    }

    fn cancel(&mut self, id: &str) {
        if self.manner.cancel && self.pen.len() < OPEN {
            self.pen.add(None, line::cancel(id));
        }
    }

    fn time_is_over(&mut self, now: Instant) -> Result<(), End> {
        let overdue = self.flight.overdue(now);
        let Some(since) = overdue.since else {
            return Ok(());
        };
        if self.manner.once {
            return Err(End::Overdue);
        }
        if self.heard <= since {
            // It hangs: it would take the next ones with it.
            return Err(End::Silence);
        }
        if !overdue.waiting.is_empty() && self.moved <= since {
            return Err(End::Deaf);
        }
        for id in overdue.waiting {
            let reason = "the program did not take it in time";
            let outcome = Outcome::retry(None, reason).rule("not-read");
            self.flight.end(&id, outcome);
        }
        for id in overdue.handed {
            let outcome = Outcome::ambiguous("the program gave no answer in time");
            self.flight.end(&id, outcome.rule("timeout"));
            self.cancel(&id);
        }
        self.pen.skip(&self.flight);
        Ok(())
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        self.heard = Instant::now();
        self.quiet += bytes.len();
        while !bytes.is_empty() {
            if let Some(said) = self.decoder.next(&mut bytes) {
                self.said(said)?;
            }
        }
        if self.quiet > FLOOD {
            return Err(End::Flood);
        }
        Ok(())
    }

    fn said(&mut self, said: Result<Said, Breach>) -> Result<(), End> {
        match said.map_err(End::Breach)? {
            Said::Nothing => Ok(()),
            Said::Answer(answer) => self.answer(*answer),
            Said::Keep { id, step_record } => match self.flight.keep(&id, &step_record) {
                (Fit::Wrong, _) => Err(End::WrongId),
                (_, true) => Ok(()),
                (_, false) => {
                    let message = "a program's step record is too long and was not kept";
                    self.tell(Level::Warn, message, || json!({"delivery": id}));
                    Ok(())
                }
            },
            Said::Log {
                level,
                message,
                fields,
            } => {
                // Looked through only if there is room for it: there may be a flood of them.
                if let Some(left_out) = self.budget.take(Instant::now()) {
                    let message = self.recent.hide(&message);
                    let fields = hidden(&self.recent, &fields);
                    self.write(level, &message, fields, left_out);
                }
                Ok(())
            }
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<(), End> {
        let id = answer.id.clone();
        let strange = (!answer.strange.is_empty() && !self.strange_told)
            .then(|| self.recent.hide(&answer.strange.join(", ")));
        match self.flight.answer(answer) {
            Fit::Wrong => return Err(End::WrongId),
            Fit::Good => {
                self.quiet = 0;
                self.answered = true;
            }
            Fit::Twice => {
                let message = "a program answered twice; the second answer was dropped";
                self.tell(Level::Warn, message, || json!({"delivery": id}));
            }
            Fit::Late => {
                let message = "a program's answer came after its attempt had ended";
                self.tell(Level::Info, message, || json!({"delivery": id}));
            }
        }
        if let Some(keys) = strange {
            self.strange_told = true;
            let message = "a program's answer had keys that mean nothing";
            self.tell(
                Level::Warn,
                message,
                || json!({"delivery": id, "keys": keys}),
            );
        }
        Ok(())
    }

    /// Logs, as far as there is room for it.
    fn tell(&mut self, level: Level, message: &str, fields: impl FnOnce() -> Value) {
        if let Some(left_out) = self.budget.take(Instant::now()) {
            self.write(level, message, fields(), left_out);
        }
    }

    fn write(&self, level: Level, message: &str, mut fields: Value, left_out: u64) {
        if left_out > 0 && fields.is_object() {
            fields["lines_left_out"] = json!(left_out);
        }
        self.host.log(level, message, &fields);
    }

    /// Sees to it that the program is gone and that every attempt has its outcome.
    async fn finish(mut self, mut end: End, piece: &mut [u8]) -> Report {
        let ended = self.child.ended();
        if let End::ClosedOutput = end {
            // Whoever ends closes it as well.
            let exit = timeout(AFTERWARDS, ended.wait()).await;
            end = exit.map_or(end, End::Exited);
        }
        if let End::Closed = end {
            let until = Instant::now() + self.manner.stop_timeout;
            let drained =
                async { while self.stdout.read(piece).await.is_ok_and(|length| length > 0) {} };
            let both = async { tokio::join!(ended.wait(), drained) };
            let _ = timeout_at(until, both).await;
        }
        // With all that it started.
        self.child.killer().kill();
        let exit = timeout(KILL, ended.wait()).await.ok();
        if let End::Exited(_) = end {
            // What it said before counts, also against it.
            let afterwards = async {
                while let Ok(length) = self.stdout.read(piece).await {
                    let said = match length {
                        0 => self.decoder.last().map_or(Ok(()), |said| self.said(said)),
                        _ => self.read(&piece[..length]),
                    };
                    if length == 0 || said.is_err() {
                        return said.err();
                    }
                }
                None
            };
            if let Ok(Some(said)) = timeout(AFTERWARDS, afterwards).await {
                end = said;
            }
            let _ = timeout(AFTERWARDS, &mut self.stderr.over).await;
        }
        self.inbox.close();
        while let Ok(handing) = self.inbox.try_recv() {
            self.take(handing);
        }
        let mut reason = end.to_string();
        let last = self.stderr.last();
        if let (End::Exited(_), false) = (&end, last.is_empty()) {
            reason = format!("{reason}: {last}");
        }
        let read = self.pen.written.saturating_sub(self.unread.take());
        let said = format!("the program: {reason}");
        let cost = self.flight.end_all(read, end.rule(), &said);
        self.tell_end(&end, exit, &reason, cost);
        Report {
            answered: self.answered,
            reason,
        }
    }

    fn tell_end(&self, end: &End, exit: Option<Exit>, reason: &str, cost: Cost) {
        let Cost { ambiguous, unread } = cost;
        let left_out = self.budget.left_out();
        let fields = json!({
            "rule": end.rule(), "reason": reason, "ambiguous": ambiguous, "retried": unread,
            "lines_left_out": (left_out > 0).then_some(left_out), "pid": self.child.id(),
        });
        let (level, message) = match (end, exit) {
            (_, None) => (Level::Error, "a program could not be ended"),
            (End::Closed, _) if self.manner.once => (Level::Debug, "a program was ended"),
            (End::Closed, _) => (Level::Info, "a program was ended"),
            // Its attempt says what became of it.
            _ if self.manner.once => (Level::Debug, "a program ended"),
            (End::Exited(exit), _) if exit.is_success() && ambiguous + unread == 0 => {
                (Level::Info, "a program ended")
            }
            _ => (Level::Warn, "a program ended"),
        };
        self.host.log(level, message, &fields);
    }
}

/// Writes some of it; waits for ever if there is nothing to write.
async fn write(stdin: Option<&mut pipe::Sender>, rest: &[u8]) -> io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(rest).await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Fields of a program's log event, without what leads say.
fn hidden(recent: &Recent, fields: &Value) -> Value {
    if fields.is_null() {
        return json!({});
    }
    let text = recent.hide(&fields.to_string());
    serde_json::from_str(&text).unwrap_or_else(|_| json!({"fields": text}))
}
