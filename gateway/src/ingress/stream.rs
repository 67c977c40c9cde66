//! The stream between the socket and HTTP: it gives a body to the answers that have none,
//! ends a connection where it was said to end, and bounds what is read ahead.
//!
//! Before there is a whole request (headers that never end, bytes that are not HTTP, a head
//! that is too large) actix-http itself answers, with a status and an empty body, which the
//! platform could not parse. Such an answer is recognised by its head, wherever in a write it
//! begins, and written again with JSON. After an answer that closes the connection nothing
//! more is written, although more requests may have been read with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Ticket;
use super::tls::Socket;

/// Bytes given to HTTP before it must use them: its buffer grows with what it gets at once,
/// and does not shrink.
const AHEAD: usize = 16 << 10;

/// A socket that speaks JSON also where actix-http says nothing.
pub(super) struct JsonStream {
    socket: Socket,
    ticket: Ticket,
    answers: Answers,
    /// What is left to write of what was taken.
    rest: Vec<u8>,
    /// Read without a pause.
    ahead: usize,
}

impl JsonStream {
    pub(super) fn new(socket: Socket, ticket: Ticket) -> Self {
        Self {
            socket,
            ticket,
            answers: Answers::Head,
            rest: Vec::new(),
            ahead: 0,
        }
    }

    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    fn write_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(context, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// Where in the answers of a connection the writing is.
///
/// | state | then |
/// |---|---|
/// | `Head` | a head: its body, or the next head |
/// | `Body` | so many bytes; the answer to a HEAD has none of them, so a head may follow |
/// | `Over` | nothing: the last answer closed the connection |
/// | `Unknown` | an answer whose end nothing says; nothing is changed any more |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Head,
    Body {
        left: usize,
        begun: bool,
        last: bool,
    },
    Over,
    Unknown,
}

impl Answers {
    /// What is to be written instead of `bytes`, if anything else is, and the state then.
    fn pass(mut self, bytes: &[u8]) -> (Option<Vec<u8>>, Self) {
        let mut out = Vec::new();
        let mut copied = 0;
        let mut at = 0;
        let mut change = |from: usize, to: usize, by: &[u8]| {
            out.extend_from_slice(&bytes[copied..from]);
            out.extend_from_slice(by);
            copied = to;
        };
        while at < bytes.len() {
            self = match self {
                Self::Over => {
                    change(at, bytes.len(), b"");
                    at = bytes.len();
                    self
                }
                Self::Unknown => {
                    at = bytes.len();
                    self
                }
                Self::Body { begun, last, .. } if !begun && bytes[at] == b'H' => Self::after(last),
                Self::Body { left, last, .. } => {
                    let here = left.min(bytes.len() - at);
                    at += here;
                    match left - here {
                        0 => Self::after(last),
                        left => Self::Body {
                            left,
                            begun: true,
                            last,
                        },
                    }
                }
                Self::Head => {
                    let Some(length) = end_of_head(&bytes[at..]) else {
                        // Heads are written whole; this is none of ours.
                        return (None, Self::Unknown);
                    };
                    let (start, head) = (at, &bytes[at..at + length]);
                    at += length;
                    match Head::of(head) {
                        Some(Head::Bare(answer)) => {
                            change(start, at, &answer);
                            Self::Over
                        }
                        Some(Head::Interim) => Self::Head,
                        Some(Head::With { left: 0, last }) => Self::after(last),
                        Some(Head::With { left, last }) => Self::Body {
                            left,
                            begun: false,
                            last,
                        },
                        None => Self::Unknown,
                    }
                }
            };
        }
        if copied == 0 && out.is_empty() {
            return (None, self);
        }
        out.extend_from_slice(&bytes[copied..]);
        (Some(out), self)
    }

    const fn after(last: bool) -> Self {
        if last { Self::Over } else { Self::Head }
    }
}

/// What the head of an answer says.
enum Head {
    /// One of actix-http's own, with a body.
    Bare(Vec<u8>),
    /// `100 Continue`: the answer comes later.
    Interim,
    /// So many bytes of a body follow.
    With { left: usize, last: bool },
}

impl Head {
    fn of(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let status = text.split(' ').nth(1)?;
        if status.starts_with('1') {
            return Some(Self::Interim);
        }
        let field = |name: &str| {
            let mut lines = text.split("\r\n").skip(1);
            lines.find_map(|line| {
                let (given, value) = line.split_once(':')?;
                given.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let left = field("content-length")?.parse().ok()?;
        if left == 0
            && let Some(answer) = with_body(status)
        {
            return Some(Self::Bare(answer));
        }
        let last = field("connection").is_some_and(|said| said.eq_ignore_ascii_case("close"));
        Some(Self::With { left, last })
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = b"\r\n\r\n";
    let at = bytes.windows(end.len()).position(|four| four == end)?;
    Some(at + end.len())
}

/// The whole answer instead of one of actix-http's own, after which it reads no more.
fn with_body(status: &str) -> Option<Vec<u8>> {
    let (line, code, message) = match status {
        "400" => (
            "400 Bad Request",
            "bad-request",
            "this is not an HTTP request",
        ),
        "408" => (
            "408 Request Timeout",
            "header-timeout",
            "the headers came too slowly",
        ),
        "413" => (
            "413 Payload Too Large",
            "body-too-large",
            "the body is too large",
        ),
        "431" => (
            "431 Request Header Fields Too Large",
            "headers-too-large",
            "the headers are too large",
        ),
        _ => return None,
    };
    let body =
        format!(r#"{{"result":{{"errCode":"{code}","success":false,"errMsg":"{message}"}}}}"#);
    let answer = format!(
        "HTTP/1.1 {line}\r\ncontent-length: {}\r\ncontent-type: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
        super::JSON
    );
    Some(answer.into_bytes())
}

impl AsyncRead for JsonStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ticket.connection.must_end(context.waker()) || self.answers == Answers::Over {
            // As if the other side had said that nothing more comes.
            return Poll::Ready(Ok(()));
        }
        if self.ahead >= AHEAD {
            self.ahead = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        match read {
            // Only now: what has come is answered.
            Poll::Pending if self.ticket.connection.is_let_go() => return Poll::Ready(Ok(())),
            Poll::Pending => self.ahead = 0,
            Poll::Ready(_) => {
                let read = buffer.filled().len() - before;
                self.ahead += read;
                if read > 0 {
                    self.ticket.connection.came();
                }
            }
        }
        read
    }
}

impl AsyncWrite for JsonStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.write_rest(context))?;
        let (instead, answers) = self.answers.pass(bytes);
        match instead {
            None => {
                let written = ready!(Pin::new(&mut self.socket).poll_write(context, bytes))?;
                if written == 0 && !bytes.is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.rest.extend_from_slice(&bytes[written..]);
            }
            Some(instead) => self.rest = instead,
        }
        self.answers = answers;
        // Taken as a whole; what does not fit the socket now is written by the next call.
        if let Poll::Ready(Err(error)) = self.write_rest(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_rest(context))?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_rest(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str =
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const OURS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    const LAST: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

    /// What is written for these writes, one after the other.
    fn written(writes: &[&str]) -> String {
        let mut answers = Answers::Head;
        let mut all = Vec::new();
        for write in writes {
            let (instead, then) = answers.pass(write.as_bytes());
            all.extend(instead.unwrap_or_else(|| write.as_bytes().to_vec()));
            answers = then;
        }
        String::from_utf8(all).expect("text")
    }

    /// The JSON that stands for [`BARE`] at the end of `text`.
    fn told(text: &str) -> String {
        let (head, body) = text.rsplit_once("\r\n\r\n").expect("a head and a body");
        let length = format!("content-length: {}\r\n", body.len());
        assert!(head.contains(&length), "{head}");
        assert!(head.ends_with("connection: close"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        body["result"]["errCode"].as_str().expect("text").to_owned()
    }

    #[test]
    fn an_answer_without_a_body_gets_one_wherever_it_begins() {
        assert_eq!(told(&written(&[BARE])), "header-timeout");
        for before in [OURS, HEAD, CONTINUE, &OURS.repeat(3)] {
            for writes in [
                vec![[before, BARE].concat()],
                vec![before.to_owned(), BARE.to_owned()],
            ] {
                let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
                let all = written(&writes);
                assert!(all.starts_with(before), "{all}");
                assert_eq!(told(&all), "header-timeout");
            }
        }
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        let empty = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let ours = "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}";
        for whole in [
            OURS.to_owned(),
            [OURS, empty, ours, CONTINUE, OURS].concat(),
            [HEAD, HEAD, OURS].concat(),
        ] {
            assert_eq!(Answers::Head.pass(whole.as_bytes()).0, None, "{whole}");
            // However it is cut behind a head.
            let (one, other) = whole.split_at(whole.len() - 1);
            assert_eq!(written(&[one, other]), whole);
        }
    }

    #[test]
    fn nothing_follows_an_answer_that_closes_the_connection() {
        for after in [OURS, BARE, LAST, "GARBAGE"] {
            assert_eq!(
                written(&[&[OURS, LAST, after].concat()]),
                [OURS, LAST].concat()
            );
            assert_eq!(written(&[LAST, after, after]), LAST);
        }
        let all = written(&[&[BARE, OURS].concat(), BARE]);
        assert_eq!(told(&all), "header-timeout");
        assert!(!all.contains("200 OK"), "{all}");
    }
}
