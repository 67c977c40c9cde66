//! Links: a plugin's process that was started and has said what it is, and the questions that
//! are asked of it one at a time, on this thread, each with its time.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leadgate_plugin::abi::STATE_VALUE_MAX;
use leadgate_plugin::child::{Child, Command, Input, Limits, Sandbox, Stream, follow};
use leadgate_plugin::state::is_key;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::super::SinkState;
use super::super::file::Held;
use super::fault::Fault;
use super::frame::{self, Frame, Kind, MAX_FROM_CHILD, PROTOCOL};
use super::message::{self, AskState, Described, Event, Hello, Library, State};
use super::voice::Voice;

/// How long a process may take to load its plugin, and to answer a question.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a process whose connection has ended may take to end itself.
const LAST: Duration = Duration::from_secs(1);

/// What a process is started with.
pub(super) struct Spec {
    pub(super) name: String,
    /// None for a linked plugin.
    pub(super) library: Option<(Held, Option<String>)>,
    pub(super) sandbox: Sandbox,
}

/// A process, connected.
pub(super) struct Link {
    pub(super) child: Child,
    pub(super) socket: UnixStream,
    /// What has come and was not read yet.
    pub(super) bytes: Vec<u8>,
    pub(super) described: Described,
}

impl Spec {
    /// Starts a process and waits until it has said what its plugin is.
    pub(super) fn start(&self, sink: &str, voice: &Arc<Voice>) -> Result<Link, Fault> {
        let start = |error: std::io::Error| Fault::Start(error.to_string());
        let command = host_command(&self.name, sink).input(Input::Socket);
        let mut child = command.spawn().map_err(start)?;
        let streams = [
            (Stream::Output, child.output.take()),
            (Stream::Error, child.error.take()),
        ];
        let streams = streams
            .into_iter()
            .filter_map(|(stream, pipe)| Some((stream, pipe?)));
        let heard = Arc::clone(voice);
        follow(
            streams.collect(),
            Limits::default(),
            child.ended(),
            move |stream, line| heard.line(stream, &line),
        )
        .map_err(start)?;
        let socket = child.input.take().map(UnixStream::from);
        let socket = socket.ok_or_else(|| Fault::Start("it has no connection".to_owned()))?;
        socket.set_write_timeout(Some(PATIENCE)).map_err(start)?;
        self.greet(&socket).map_err(start)?;
        let mut conversation = Conversation {
            child: &child,
            socket: &socket,
            bytes: Vec::new(),
            voice,
            state: None,
        };
        let described =
            conversation.until("load its plugin", PATIENCE, |frame| match frame.kind {
                Kind::Described => {
                    Some(message::read::<Described>(frame.body).map_err(Fault::Contract))
                }
                Kind::Unusable => Some(Err(
                    message::read(frame.body).map_or_else(Fault::Contract, Fault::Unusable)
                )),
                _ => None,
            })??;
        let bytes = conversation.bytes;
        Ok(Link {
            child,
            socket,
            bytes,
            described,
        })
    }

    fn greet(&self, socket: &UnixStream) -> std::io::Result<()> {
        let library = self.library.as_ref().map(|(held, sha256)| Library {
            path: held.path().to_owned(),
            sha256: sha256.clone(),
        });
        let hello = Hello {
            protocol: PROTOCOL,
            name: self.name.clone(),
            library,
            sandbox: self.sandbox.clone(),
        };
        let mut bytes = Vec::new();
        message::json(&mut bytes, Kind::Hello, 0, &hello);
        let Some((held, _)) = &self.library else {
            return (&*socket).write_all(&bytes);
        };
        let descriptors = [held.descriptor()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        beside.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = sendmsg(
            socket.as_fd(),
            &[IoSlice::new(&bytes)],
            &mut beside,
            SendFlags::NOSIGNAL,
        )?;
        (&*socket).write_all(&bytes[sent..])
    }
}

/// `leadgate plugin-host …`, or what stands for it in tests. The names are for people who look
/// at what runs.
fn host_command(plugin: &str, sink: &str) -> Command {
    let command = Command::of_this_program();
    let command = if cfg!(test) {
        command.args([
            "plugin::process::tests::host",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
    } else {
        command.args(["plugin-host", &std::process::id().to_string()])
    };
    if cfg!(test) {
        command
    } else {
        command.args([plugin, sink])
    }
}

impl Link {
    /// Asks, and waits for what `answer` takes. What comes beside is done meanwhile.
    pub(super) fn ask<T>(
        &mut self,
        what: &'static str,
        voice: &Arc<Voice>,
        state: Option<&Arc<dyn SinkState>>,
        question: impl FnOnce(&mut Vec<u8>),
        answer: impl FnMut(Frame<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        self.ask_within(PATIENCE, what, voice, state, question, answer)
    }

    /// The same for something that may take so long, and a little more.
    pub(super) fn ask_for<T>(
        &mut self,
        most: Duration,
        what: &'static str,
        voice: &Arc<Voice>,
        question: impl FnOnce(&mut Vec<u8>),
        answer: impl FnMut(Frame<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        self.ask_within(most + PATIENCE, what, voice, None, question, answer)
    }

    fn ask_within<T>(
        &mut self,
        most: Duration,
        what: &'static str,
        voice: &Arc<Voice>,
        state: Option<&Arc<dyn SinkState>>,
        question: impl FnOnce(&mut Vec<u8>),
        answer: impl FnMut(Frame<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        let mut bytes = Vec::new();
        question(&mut bytes);
        let mut conversation = Conversation {
            child: &self.child,
            socket: &self.socket,
            bytes: std::mem::take(&mut self.bytes),
            voice,
            state,
        };
        if (&self.socket).write_all(&bytes).is_err() {
            return Err(conversation.over());
        }
        let answered = conversation.until(what, most, answer);
        self.bytes = conversation.bytes;
        answered
    }
}

struct Conversation<'a> {
    child: &'a Child,
    socket: &'a UnixStream,
    bytes: Vec<u8>,
    voice: &'a Arc<Voice>,
    state: Option<&'a Arc<dyn SinkState>>,
}

impl Conversation<'_> {
    fn until<T>(
        &mut self,
        what: &'static str,
        most: Duration,
        mut answer: impl FnMut(Frame<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + most;
        let late = || Fault::Hung(what, most);
        let mut piece = vec![0; 64 * 1024];
        loop {
            let mut taken = 0;
            let mut answered = None;
            while answered.is_none() {
                let there = frame::next(&self.bytes[taken..], MAX_FROM_CHILD);
                let Some((frame, length)) = there.map_err(Fault::Contract)? else {
                    break;
                };
                taken += length;
                match frame.kind {
                    Kind::Log => {
                        let event: Event = message::read(frame.body).map_err(Fault::Contract)?;
                        self.voice.log(event.level, event.message, event.fields);
                    }
                    Kind::AskState => {
                        let ask = message::read(frame.body).map_err(Fault::Contract)?;
                        let told = grant(self.state, ask);
                        let mut bytes = Vec::new();
                        message::json(&mut bytes, Kind::State, frame.number, &told);
                        // If it is gone, the next read says so.
                        let _ = (&*self.socket).write_all(&bytes);
                    }
                    _ => answered = answer(frame),
                }
            }
            self.bytes.drain(..taken);
            if let Some(answered) = answered {
                return Ok(answered);
            }
            let left = deadline
                .checked_duration_since(Instant::now())
                .ok_or_else(late)?;
            let left = left.max(Duration::from_millis(1));
            self.socket
                .set_read_timeout(Some(left))
                .map_err(|error| Fault::Start(error.to_string()))?;
            match (&*self.socket).read(&mut piece) {
                Ok(0) => return Err(self.over()),
                Ok(length) => self.bytes.extend_from_slice(&piece[..length]),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::Interrupted => {}
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                        return Err(late());
                    }
                    _ => return Err(self.over()),
                },
            }
        }
    }

    /// Why the connection is over.
    fn over(&self) -> Fault {
        self.child
            .ended()
            .wait_for(LAST)
            .map_or(Fault::Closed, Fault::Ended)
    }
}

/// Does what a plugin wants of its sink's state, within its limits. Blocks.
pub(super) fn grant(state: Option<&Arc<dyn SinkState>>, ask: AskState) -> State {
    match ask {
        AskState::Get(key) => {
            let state = state.filter(|_| is_key(&key));
            State::Got(state.and_then(|state| state.get(&key)))
        }
        AskState::Set(key, value) => {
            let fits = value
                .as_ref()
                .is_none_or(|value| value.len() <= STATE_VALUE_MAX);
            let state = state.filter(|_| fits && is_key(&key));
            State::Set(state.is_some_and(|state| state.set(&key, value)))
        }
    }
}
