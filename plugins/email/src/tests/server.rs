//! A mail server that fails where a test says so. The rest of it is the least that SMTP asks.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What it answers to a line; `None` is as usual.
pub(super) type Script = fn(&str) -> Option<Reply>;

/// An unusual answer.
pub(super) enum Reply {
    /// This one.
    Say(&'static str),
    /// None, and the connection is closed.
    HangUp,
    /// None.
    Hang,
}

pub(super) struct MailServer {
    pub(super) port: u16,
    /// Every line that came; `CONNECT` for each connection, `.` after each letter.
    lines: Arc<Mutex<Vec<String>>>,
    letters: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let server = Self {
            port,
            lines: Arc::default(),
            letters: Arc::default(),
        };
        let (lines, letters) = (Arc::clone(&server.lines), Arc::clone(&server.letters));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (lines, letters) = (Arc::clone(&lines), Arc::clone(&letters));
                tokio::spawn(async move {
                    // A client that leaves is no failure here.
                    let _ = serve(stream, script, &lines, &letters).await;
                });
            }
        });
        server
    }

    /// The same behind TLS; with `upgrade`, once STARTTLS asked for it.
    pub(super) async fn encrypted(acceptor: TlsAcceptor, upgrade: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let server = Self {
            port,
            lines: Arc::default(),
            letters: Arc::default(),
        };
        let (lines, letters) = (Arc::clone(&server.lines), Arc::clone(&server.letters));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (lines, letters) = (Arc::clone(&lines), Arc::clone(&letters));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if upgrade {
                        asked(&mut stream).await?;
                    }
                    let stream = acceptor.accept(stream).await?;
                    if upgrade {
                        // Nobody is greeted twice.
                        let mut stream = BufReader::new(stream);
                        let mut first = String::new();
                        stream.read_line(&mut first).await?;
                        return speak(stream, first.trim_end(), |_| None, &lines, &letters).await;
                    }
                    speak(stream, "CONNECT", |_| None, &lines, &letters).await
                });
            }
        });
        server
    }

    /// How often a line began with `verb`.
    pub(super) fn count(&self, verb: &str) -> usize {
        let lines = self.lines.lock().expect("lines");
        lines.iter().filter(|line| line.starts_with(verb)).count()
    }

    /// Every line that came.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    /// The letters that came whole.
    pub(super) fn letters(&self) -> Vec<String> {
        self.letters.lock().expect("letters").clone()
    }
}

async fn serve(
    stream: TcpStream,
    script: Script,
    lines: &Mutex<Vec<String>>,
    letters: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    speak(stream, "CONNECT", script, lines, letters).await
}

/// A connection from what stands for its first line.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    first: &str,
    script: Script,
    lines: &Mutex<Vec<String>>,
    letters: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = first.to_owned();
    loop {
        lines.lock().expect("lines").push(line.clone());
        let usual = match line.split(' ').next().unwrap_or_default() {
            "CONNECT" => "220 ready",
            "EHLO" => "250-here\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "." => "250 2.0.0 Ok: queued as 4XyZ for <sales@x.example>",
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        let answer = match script(&line) {
            None => usual,
            Some(Reply::Say(answer)) => answer,
            Some(Reply::HangUp) => return Ok(()),
            Some(Reply::Hang) => std::future::pending().await,
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if line == "DATA" && answer.starts_with("354") {
            let letter = letter(&mut stream).await?;
            letters.lock().expect("letters").push(letter);
            ".".clone_into(&mut line);
            continue;
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        line.truncate(line.trim_end().len());
    }
}

/// Speaks until STARTTLS was answered.
async fn asked(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    stream
        .write_all(b"250-here\r\n250-SIZE 9999\r\n250 STARTTLS\r\n")
        .await?;
    line.clear();
    stream.read_line(&mut line).await?;
    assert_eq!(line, "STARTTLS\r\n");
    stream.write_all(b"220 go on\r\n").await
}

/// Reads a letter with its end.
async fn letter(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n.\r\n") {
        read.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&read[..read.len() - 3]).into_owned())
}
