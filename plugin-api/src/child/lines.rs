//! Lines: what a child writes, cut into lines that are bounded in length and number.
//!
//! Pure: bytes and the time go in, lines come out. What is left out is counted, never silently
//! dropped.

use std::time::Duration;

/// What of a child's output is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest line in bytes; the rest of a longer one is counted and left out.
    pub line: usize,
    /// Lines that may come at once.
    pub burst: u32,
    /// Lines a second after that; more are counted and left out.
    pub per_second: u32,
}

impl Default for Limits {
    /// 4 KiB a line, 200 at once and 20 a second.
    fn default() -> Self {
        Self {
            line: 4096,
            burst: 200,
            per_second: 20,
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without its end; what is no UTF-8 is replaced.
    pub text: String,
    /// Bytes of it that were left out.
    pub cut: u64,
    /// Lines before it that were left out.
    pub dropped: u64,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct Lines {
    limits: Limits,
    partial: Vec<u8>,
    cut: u64,
    dropped: u64,
    /// Lines that may come now, in thousandths.
    budget: u64,
    at: Option<Duration>,
}

impl Lines {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            partial: Vec::new(),
            cut: 0,
            dropped: 0,
            budget: u64::from(limits.burst) * 1000,
            at: None,
        }
    }

    /// Takes bytes that came at `now` (on any clock that only goes forward) and gives the lines
    /// that they end.
    pub fn feed(&mut self, mut bytes: &[u8], now: Duration, each: &mut dyn FnMut(Line)) {
        self.earn(now);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end]);
            self.give(each);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    /// The stream has ended: gives what has no line end, and a last empty line if some were left
    /// out that no other has told of.
    pub fn end(&mut self, each: &mut dyn FnMut(Line)) {
        if !self.partial.is_empty() || self.cut > 0 {
            self.give(each);
        }
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            each(Line {
                text: String::new(),
                cut: 0,
                dropped,
            });
        }
    }

    fn earn(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at.unwrap_or(now));
        self.at = Some(now);
        let earned = passed
            .as_millis()
            .saturating_mul(u128::from(self.limits.per_second));
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        let most = u64::from(self.limits.burst) * 1000;
        self.budget = self.budget.saturating_add(earned).min(most);
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.limits.line.saturating_sub(self.partial.len());
        let (kept, left_out) = bytes.split_at(bytes.len().min(room));
        self.partial.extend_from_slice(kept);
        self.cut = self.cut.saturating_add(left_out.len() as u64);
    }

    fn give(&mut self, each: &mut dyn FnMut(Line)) {
        let cut = std::mem::take(&mut self.cut);
        let Some(left) = self.budget.checked_sub(1000) else {
            self.dropped = self.dropped.saturating_add(1);
            self.partial.clear();
            return;
        };
        self.budget = left;
        let mut bytes = self.partial.as_slice();
        if let Some(before) = bytes.strip_suffix(b"\r") {
            bytes = before;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.partial.clear();
        each(Line {
            text,
            cut,
            dropped: std::mem::take(&mut self.dropped),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(lines: &mut Lines, bytes: &[u8], at_ms: u64) -> Vec<Line> {
        let mut got = Vec::new();
        lines.feed(bytes, Duration::from_millis(at_ms), &mut |line| {
            got.push(line);
        });
        got
    }

    #[test]
    fn lines_come_whole_however_the_bytes_come() {
        let mut lines = Lines::new(Limits::default());
        let mut texts = Vec::new();
        for byte in "one\r\n\ntwo 二\nrest".as_bytes() {
            texts.extend(fed(&mut lines, &[*byte], 0).into_iter().map(|one| one.text));
        }
        lines.end(&mut |line| texts.push(line.text));
        assert_eq!(texts, ["one", "", "two 二", "rest"]);
    }

    #[test]
    fn an_endless_line_is_cut_and_takes_no_memory() {
        let mut lines = Lines::new(Limits {
            line: 10,
            ..Limits::default()
        });
        for _ in 0..1000 {
            assert!(fed(&mut lines, &[b'x'; 1000], 0).is_empty());
            assert!(lines.partial.capacity() <= 64);
        }
        let got = fed(&mut lines, b"\nnext\n", 0);
        assert_eq!((got[0].text.len(), got[0].cut), (10, 999_990));
        assert_eq!((got[1].text.as_str(), got[1].cut), ("next", 0));
    }

    #[test]
    fn a_flood_is_thinned_out_and_what_is_left_out_is_counted() {
        let mut lines = Lines::new(Limits {
            line: 10,
            burst: 3,
            per_second: 2,
        });
        assert_eq!(fed(&mut lines, &b"x\n".repeat(10), 0).len(), 3);
        let later = fed(&mut lines, &b"y\n".repeat(10), 1000);
        assert_eq!(later.len(), 2);
        assert_eq!((later[0].dropped, later[1].dropped), (7, 0));
        let mut last = Vec::new();
        lines.end(&mut |line| last.push(line));
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].dropped, 8);
    }
}
