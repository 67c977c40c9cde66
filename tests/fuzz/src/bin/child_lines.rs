//! What a plugin's child prints.
//!
//! However the bytes come, the lines are the same; none is longer than allowed, no more come than
//! allowed, and what is left out is counted to the byte and line.
#![no_main]

use std::time::Duration;

use leadgate_plugin::child::{Limits, Line, Lines};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    line: 40,
    burst: 6,
    per_second: 2,
};

fn all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Line> {
    let mut lines = Lines::new(LIMITS);
    let mut got = Vec::new();
    for piece in pieces {
        lines.feed(piece, Duration::from_secs(1), &mut |line| got.push(line));
    }
    lines.end(&mut |line| got.push(line));
    got
}

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = all(std::iter::once(bytes));
    let pieces = all(bytes.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, pieces);
    // One more may only say that others were left out.
    assert!(whole.len() <= LIMITS.burst as usize + 1, "too many lines");
    for line in &whole {
        // A byte that is no text becomes three.
        assert!(line.text.len() <= 3 * LIMITS.line, "a line is too long");
    }
    let told: u64 = whole.iter().map(|line| line.dropped).sum();
    let breaks = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let ended = breaks + u64::from(!bytes.is_empty() && !bytes.ends_with(b"\n"));
    let given = whole.len() as u64;
    assert!(
        told + given == ended || told + given == ended + 1,
        "{ended} lines came, {given} were given, {told} left out"
    );
});
