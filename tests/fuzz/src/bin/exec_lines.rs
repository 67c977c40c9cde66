//! What a program of an `exec` sink may write to its stdout.
//!
//! However the bytes come, the same is said; the last line needs no line break.
#![no_main]

#[path = "../../../../plugins/exec/src/lines.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod lines;

use libfuzzer_sys::fuzz_target;
use lines::{Breach, Decoder, Said};

fn all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<Said, Breach>> {
    let mut decoder = Decoder::default();
    let mut said = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            said.extend(decoder.next(&mut piece));
        }
    }
    said.extend(decoder.last());
    said
}

fuzz_target!(|input: &[u8]| {
    // The first byte says how large the pieces are in which the others come.
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = all(std::iter::once(bytes));
    let pieces = all(bytes.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, pieces);
    let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(whole.len() <= breaks + 1, "more is said than there are lines");
});
