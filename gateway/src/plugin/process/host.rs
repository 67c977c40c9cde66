//! The host: what runs in a plugin's process, and serves one plugin and at most one sink of it.
//!
//! It has nothing but its socket: no environment, no configuration, no secret but the settings
//! that it is given. Threads take turns: one reads the next frame, lets the next one read, and
//! does what the frame says, so that a plugin that blocks costs a thread and nothing else. It
//! ends when the socket does.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leadgate_plugin::child::{Inhabitant, stay_with_parent};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::super::file::Held;
use super::super::loader::{self, Plugin, Sink};
use super::super::{Call, LoadError, SinkConfig, SinkState, events};
use super::frame::{self, Delivery, Kind, MAX_TO_CHILD, PROTOCOL};
use super::message::{self, AskState, Described, Event, Hello, Settings, State, Told, Walked};
use super::{own_log, wire::Writer};

/// Threads that serve, at most: attempts that block, and one that reads.
const THREADS: usize = 128;
/// Read at once.
const PIECE: usize = 64 * 1024;
/// How long a sink may take to end its attempts when it is let go. The gateway waits less.
const LET_GO: Duration = Duration::from_secs(60);

/// Serves on standard input until it ends. `args` are those behind the command's name.
pub(in crate::plugin) fn run(mut args: impl Iterator<Item = OsString>) -> io::Result<()> {
    loader::close_inherited()?;
    let parent = args.next().and_then(|id| id.to_str()?.parse().ok());
    stay_with_parent(parent.ok_or_else(|| io::Error::other("whose child?"))?)?;
    serve()
}

/// The same without looking after what was inherited.
pub(super) fn serve() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A plugin that reads its standard input reads nothing, and no frames.
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    // Should memory run out, this goes first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    let writer = Arc::new(Writer::new(socket.try_clone()?));
    let mut reader = Reader {
        socket,
        bytes: Vec::new(),
        start: 0,
    };
    let (hello, file) = reader.hello()?;
    let log = Arc::clone(&writer);
    events::forward(Box::new(move |level, message, fields| {
        log.send(|out| {
            let event = Event {
                level,
                message: message.to_owned(),
                fields: fields.to_owned(),
            };
            message::json(out, Kind::Log, 0, &event);
        });
    }));
    own_log::start(Arc::clone(&writer));
    let plugin = match open(&hello, file) {
        Ok((plugin, described)) => {
            writer.send(|out| message::json(out, Kind::Described, 0, &described));
            plugin
        }
        Err(error) => {
            writer.send(|out| message::json(out, Kind::Unusable, 0, &error.to_string()));
            return Ok(());
        }
    };
    let host = Arc::new(Host {
        plugin,
        reader: Mutex::new(reader),
        writer,
        sink: Mutex::default(),
        waiting: AtomicUsize::new(0),
        threads: AtomicUsize::new(1),
        asked: Mutex::default(),
        next: AtomicU64::new(1),
    });
    host.work();
    Ok(())
}

/// Enters the sandbox and loads the plugin.
fn open(hello: &Hello, file: Option<OwnedFd>) -> Result<(Plugin, Described), LoadError> {
    let unfit = |why: &str| LoadError::Unfit {
        name: hello.name.clone(),
        why: why.to_owned(),
    };
    if hello.protocol != PROTOCOL {
        return Err(unfit("it is to be run by another leadgate"));
    }
    let mut sandbox = hello.sandbox.clone();
    let held = match (&hello.library, file) {
        (None, _) => None,
        (Some(library), Some(file)) => {
            let held = Held::adopt(file.into(), &library.path, library.sha256.as_deref())?;
            sandbox.read.push(held.place());
            Some(held)
        }
        (Some(_), None) => return Err(unfit("its file did not come")),
    };
    let report = sandbox.enter(Inhabitant::ThisProgram);
    let plugin = match held {
        Some(held) => loader::open(&hello.name, held)?,
        None => loader::linked()?
            .into_iter()
            .find(|plugin| plugin.name() == hello.name)
            .ok_or_else(|| unfit("it is not linked in"))?,
    };
    let abilities = plugin.abilities().into_iter().map(str::to_owned).collect();
    let described = Described {
        protocol: PROTOCOL,
        version: plugin.version().to_owned(),
        abi: plugin.abi(),
        vendor: plugin.vendor().to_owned(),
        description: plugin.description().to_owned(),
        url: plugin.url().to_owned(),
        schema: plugin.schema().clone(),
        abilities,
        batch: plugin.batch(),
        sandbox: report,
    };
    Ok((plugin, described))
}

/// Reads frames.
struct Reader {
    socket: UnixStream,
    bytes: Vec<u8>,
    /// Where what was not taken yet begins.
    start: usize,
}

impl Reader {
    /// The first frame, and the descriptor beside it.
    fn hello(&mut self) -> io::Result<(Hello, Option<OwnedFd>)> {
        let mut piece = vec![0; PIECE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut piece)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = recvmsg(&self.socket, &mut into, &mut beside, flags)?.bytes;
        let mut file = None;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                file = descriptors.last();
            }
        }
        self.bytes.extend_from_slice(&piece[..got]);
        let hello = self.take(|frame| match frame.kind {
            Kind::Hello => message::read(frame.body).map_err(io::Error::other),
            _ => Err(io::Error::other("no greeting")),
        })?;
        hello.map(|hello| (hello, file))
    }

    /// Waits for the next frame and reads it with `read`.
    fn take<T>(&mut self, read: impl FnOnce(frame::Frame<'_>) -> T) -> io::Result<T> {
        loop {
            let there = frame::next(&self.bytes[self.start..], MAX_TO_CHILD);
            if let Some((frame, length)) = there.map_err(io::Error::other)? {
                let taken = read(frame);
                self.start += length;
                if self.start == self.bytes.len() {
                    self.bytes.clear();
                    self.bytes.shrink_to(1 << 20);
                    self.start = 0;
                }
                return Ok(taken);
            }
            self.bytes.drain(..self.start);
            self.start = 0;
            let filled = self.bytes.len();
            self.bytes.resize(filled + PIECE, 0);
            let got = self.socket.read(&mut self.bytes[filled..]);
            self.bytes.truncate(filled + *got.as_ref().unwrap_or(&0));
            match got {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a frame asks for, with all of it copied out.
enum Wish {
    Check(Settings),
    Create(Settings),
    Deliver(Call),
    Cancel,
    Render(Call),
    Connect(u64),
    State(State),
    Ping,
    Health,
    Destroy,
}

struct Host {
    plugin: Plugin,
    reader: Mutex<Reader>,
    writer: Arc<Writer>,
    sink: Mutex<Option<Sink>>,
    /// Threads that want to read.
    waiting: AtomicUsize,
    threads: AtomicUsize,
    /// Who waits for what of the sink's state.
    asked: Mutex<HashMap<u64, SyncSender<State>>>,
    next: AtomicU64,
}

impl Host {
    /// One thread's life: until the socket ends, and the process with it.
    fn work(self: &Arc<Self>) {
        loop {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = reader.take(|frame| (frame.number, self.wish(frame)));
            let others = self.waiting.fetch_sub(1, Ordering::SeqCst) - 1;
            let Ok((number, Some(wish))) = taken else {
                // The gateway is gone, or is not what it should be.
                std::process::exit(0)
            };
            if matches!(wish, Wish::Ping) {
                self.writer
                    .send(|out| frame::write(out, Kind::Pong, number, |_| {}));
                continue;
            }
            if others == 0 {
                self.another();
            }
            drop(reader);
            self.grant(number, wish);
        }
    }

    /// One thread more, to read while this one is busy.
    fn another(self: &Arc<Self>) {
        if self.threads.load(Ordering::Relaxed) >= THREADS {
            return;
        }
        let host = Arc::clone(self);
        let thread = std::thread::Builder::new().name("leadgate-serve".to_owned());
        if thread.spawn(move || host.work()).is_ok() {
            self.threads.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wish(self: &Arc<Self>, frame: frame::Frame<'_>) -> Option<Wish> {
        Some(match frame.kind {
            Kind::Check => Wish::Check(message::read(frame.body).ok()?),
            Kind::Create => Wish::Create(message::read(frame.body).ok()?),
            Kind::Deliver => Wish::Deliver(self.call(frame)?),
            Kind::Render => Wish::Render(self.call(frame)?),
            Kind::Cancel => Wish::Cancel,
            Kind::Connect => Wish::Connect(message::read(frame.body).ok()?),
            Kind::State => Wish::State(message::read(frame.body).ok()?),
            Kind::Ping => Wish::Ping,
            Kind::Destroy => Wish::Destroy,
            Kind::AskHealth => Wish::Health,
            _ => return None,
        })
    }

    fn call(self: &Arc<Self>, frame: frame::Frame<'_>) -> Option<Call> {
        let delivery = Delivery::read(frame.body).ok()?;
        let number = frame.number;
        let writer = Arc::clone(&self.writer);
        Some(Call {
            id: delivery.id.to_owned(),
            attempt: delivery.attempt,
            timeout: Duration::from_millis(delivery.timeout_ms),
            event: delivery.event.to_vec(),
            trace_id: delivery.trace_id.to_owned(),
            step_record: delivery.step_record.to_owned(),
            keep: Some(Arc::new(move |record: String| {
                writer.send(|out| {
                    frame::write(out, Kind::Keep, number, |out| {
                        out.extend_from_slice(record.as_bytes());
                    });
                });
            })),
        })
    }

    fn grant(self: &Arc<Self>, number: u64, wish: Wish) {
        match wish {
            Wish::Deliver(call) => {
                // None before it is made.
                let Some(sink) = self.sink() else { return };
                let writer = Arc::clone(&self.writer);
                sink.begin(number, call, move |outcome| {
                    writer.send(|out| message::done(out, number, &outcome));
                });
            }
            Wish::Cancel => {
                if let Some(sink) = self.sink() {
                    sink.cancel(number);
                }
            }
            Wish::State(state) => {
                let asked = self
                    .asked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&number);
                if let Some(asked) = asked {
                    // Room for the one answer.
                    let _ = asked.try_send(state);
                }
            }
            Wish::Check(settings) => {
                let problems = self.plugin.check(&settings.config());
                let problems: Vec<Told> = problems.into_iter().map(Told::from).collect();
                self.answer(Kind::Checked, number, &problems);
            }
            Wish::Create(settings) => self.create(number, &settings),
            Wish::Render(call) => {
                let rendered = self.sink().map(|sink| sink.render(call));
                self.answer(Kind::Rendered, number, &rendered.unwrap_or(Ok(None)));
            }
            Wish::Connect(timeout_ms) => {
                let Some(sink) = self.sink() else { return };
                let ended = sink.connect(Duration::from_millis(timeout_ms), &mut |step| {
                    self.answer(Kind::Step, number, &Walked::from(step));
                });
                self.answer(Kind::Connected, number, &message::WalkEnd::from(ended));
            }
            Wish::Destroy => self.end(number),
            Wish::Health => {
                let said = self.sink().and_then(|sink| sink.health_here());
                let said = said.map(message::Says::from);
                self.answer(Kind::Health, number, &said);
            }
            Wish::Ping => {}
        }
    }

    fn create(self: &Arc<Self>, number: u64, settings: &Settings) {
        let state: Option<Arc<dyn SinkState>> = settings.state.then(|| {
            let state: Arc<dyn SinkState> = Arc::new(Remote(Arc::clone(self)));
            state
        });
        let made = self.plugin.create_with(&settings.config(), state);
        let problems: Option<Vec<Told>> = match made {
            Ok(sink) => {
                *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
                None
            }
            Err(problems) => Some(problems.into_iter().map(Told::from).collect()),
        };
        self.answer(Kind::Created, number, &problems);
    }

    /// Lets the sink go when its attempts have ended, says so and ends the process.
    fn end(&self, number: u64) {
        let began = Instant::now();
        let sink = self
            .sink
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(sink) = sink {
            while sink.is_busy() && began.elapsed() < LET_GO {
                std::thread::sleep(Duration::from_millis(2));
            }
            // The plugin destroys it here, unless an attempt still has it.
            drop(sink);
        }
        self.writer
            .send(|out| frame::write(out, Kind::Destroyed, number, |_| {}));
        std::process::exit(0);
    }

    fn sink(&self) -> Option<Sink> {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.clone()
    }

    fn answer(&self, kind: Kind, number: u64, body: &impl serde::Serialize) {
        self.writer
            .send(|out| message::json(out, kind, number, body));
    }
}

impl Settings {
    fn config(&self) -> SinkConfig<'_> {
        SinkConfig {
            name: &self.sink,
            settings: &self.settings,
            tables: &self.tables,
        }
    }
}

/// The sink's state, which is the gateway's.
struct Remote(Arc<Host>);

impl Remote {
    fn ask(&self, ask: &AskState) -> Option<State> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = sync_channel(1);
        self.0
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, answer);
        self.0.answer(Kind::AskState, number, ask);
        answered.recv().ok()
    }
}

impl SinkState for Remote {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.ask(&AskState::Get(key.to_owned())) {
            Some(State::Got(value)) => value,
            _ => None,
        }
    }

    fn set(&self, key: &str, value: Option<Vec<u8>>) -> bool {
        let answer = self.ask(&AskState::Set(key.to_owned(), value));
        matches!(answer, Some(State::Set(true)))
    }
}
