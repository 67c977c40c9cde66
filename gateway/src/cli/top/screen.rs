//! The screen: a terminal taken for a while, and given back as it was, however that ends.
//!
//! Keys come one by one and are not shown; signals stay signals, so that Ctrl-C is one. What
//! was on the terminal before is there again afterwards.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::terminal;

/// Another screen, without a cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// The one that was, with its cursor.
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const TO_END_OF_LINE: &str = "\x1b[K";
const TO_END_OF_SCREEN: &str = "\x1b[J";
/// Tenths of a second after which whoever waits for a key looks whether he still should.
const PATIENCE: u8 = 1;
/// Less than that.
const HARDLY: Duration = Duration::from_millis(20);
/// So many empty answers at once, and nobody will ever press a key.
const GONE: u32 = 50;

/// What happens on a screen.
pub(super) enum Event {
    Quit,
    Resized,
}

/// A terminal that was taken.
pub(super) struct Screen {
    keys: Option<Keys>,
    resized: Signal,
}

impl Screen {
    /// Takes the terminal. Must be called inside a tokio runtime.
    pub(super) fn enter() -> io::Result<Self> {
        let resized = signal(SignalKind::window_change())?;
        // Without keys a signal ends it.
        let keys = if io::stdin().is_terminal() {
            Some(Keys::start()?)
        } else {
            None
        };
        let screen = Self { keys, resized };
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows these lines and nothing else, as many as there is room for.
    #[expect(clippy::unused_self, reason = "only who took the terminal draws on it")]
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        write(drawn(lines, terminal::rows()).as_bytes())
    }

    /// Waits for the key that quits, or until there is another number of rows or columns.
    pub(super) async fn event(&mut self) -> Event {
        let Self { keys, resized } = self;
        let quit = async {
            match keys {
                // The sender is gone when the keys are: with the terminal.
                Some(keys) => drop(keys.quit.wait_for(|quit| *quit).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = quit => Event::Quit,
            _ = resized.recv() => Event::Resized,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = write(LEAVE);
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// What draws these lines over what is there.
fn drawn(lines: &[String], rows: usize) -> String {
    let mut text = HOME.to_owned();
    for (at, line) in lines.iter().take(rows).enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str(TO_END_OF_LINE);
    }
    text.push_str(TO_END_OF_SCREEN);
    text
}

/// The keys, read on a thread of their own until they are dropped.
struct Keys {
    quit: watch::Receiver<bool>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    was: Termios,
}

impl Keys {
    fn start() -> io::Result<Self> {
        let was = tcgetattr(io::stdin())?;
        let mut modes = was.clone();
        modes.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = PATIENCE;
        // Stopped, it would leave the terminal as it is.
        modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        let (pressed, quit) = watch::channel(false);
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let over = Arc::clone(&over);
            move || read(&over, &pressed)
        });
        Ok(Self {
            quit,
            over,
            thread: Some(thread),
            was,
        })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.was);
    }
}

/// Reads until one quits, the terminal is gone, or nobody wants to know.
fn read(over: &AtomicBool, pressed: &watch::Sender<bool>) {
    let mut stdin = io::stdin().lock();
    let mut keys = [0; 16];
    let mut at_once = 0;
    while !over.load(Ordering::Acquire) && at_once < GONE {
        let since = Instant::now();
        match stdin.read(&mut keys) {
            Ok(count) if quits(&keys[..count]) => break,
            // Nothing was pressed for a while; a terminal that is gone says so without one.
            Ok(0) if since.elapsed() < HARDLY => at_once += 1,
            Ok(_) => at_once = 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    pressed.send_replace(true);
}

/// Whether one of these keys quits: `q`, and Ctrl-D. A key that begins with an escape, such as
/// an arrow, is none.
fn quits(keys: &[u8]) -> bool {
    !keys.starts_with(b"\x1b") && keys.iter().any(|key| matches!(key, b'q' | b'Q' | 0x04))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_is_said_quits() {
        for keys in [&b"q"[..], b"Q", b"xq", b"\x04"] {
            assert!(quits(keys), "{keys:?}");
        }
        for keys in [&b""[..], b"x", b"\x1b[A", b"\x1bq", b"\r"] {
            assert!(!quits(keys), "{keys:?}");
        }
    }

    #[test]
    fn no_more_is_drawn_than_there_is_room_for_and_the_last_line_does_not_scroll() {
        let lines: Vec<String> = (0..9).map(|line| format!("line {line}")).collect();
        let text = drawn(&lines, 4);
        assert!(
            text.contains("line 3") && !text.contains("line 4"),
            "{text:?}"
        );
        assert_eq!(text.matches('\n').count(), 3);
        assert!(text.ends_with(&format!("line 3{TO_END_OF_LINE}{TO_END_OF_SCREEN}")));
    }
}
