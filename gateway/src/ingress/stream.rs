//! The stream between the socket and HTTP: it gives a body to the answers that have none.
//!
//! Before there is a whole request (headers that never end, bytes that are not HTTP, a head
//! that is too large) actix-http itself answers, with a status and an empty body, which the
//! platform could not parse. Nothing of ours answers without a body, so such an answer is
//! recognised by its head and written again with JSON.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that speaks JSON also where actix-http says nothing.
pub(super) struct JsonStream {
    socket: TcpStream,
    /// What is left to write of an answer that was written again.
    rest: Vec<u8>,
}

impl JsonStream {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            rest: Vec::new(),
        }
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

/// The answer with a body, if `bytes` is one of actix-http's own.
fn with_body(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes.strip_suffix(b"\r\n\r\n")?).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let (code, message) = match status {
        "400" => ("bad-request", "this is not an HTTP request"),
        "408" => ("header-timeout", "the headers came too slowly"),
        "413" => ("body-too-large", "the body is too large"),
        "431" => ("headers-too-large", "the headers are too large"),
        _ => return None,
    };
    let empty = "\r\ncontent-length: 0\r\n";
    let body =
        format!(r#"{{"result":{{"errCode":"{code}","success":false,"errMsg":"{message}"}}}}"#);
    let filled = format!(
        "\r\ncontent-length: {}\r\ncontent-type: {}\r\n",
        body.len(),
        super::JSON
    );
    let at = head.find(empty)?;
    let (before, after) = (&head[..at], &head[at + empty.len()..]);
    Some(format!("{before}{filled}{after}\r\n\r\n{body}").into_bytes())
}

impl AsyncRead for JsonStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for JsonStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.write_rest(context))?;
        let Some(answer) = with_body(bytes) else {
            return Pin::new(&mut self.socket).poll_write(context, bytes);
        };
        self.rest = answer;
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

    #[test]
    fn an_answer_without_a_body_gets_one_and_others_stay() {
        let bare =
            b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let answer = String::from_utf8(with_body(bare).expect("written again")).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        assert!(head.ends_with("connection: close"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["result"]["errCode"], "header-timeout");
        let ours = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(with_body(ours), None);
        assert_eq!(
            with_body(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            None
        );
    }
}
