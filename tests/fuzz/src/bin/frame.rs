//! What a plugin's process may write into its connection to the gateway, and the other way round.
//!
//! Frames are found however their bytes come, what is understood is written back as it was read,
//! and a length never makes room for more than there is.
#![no_main]

#[path = "../../../../gateway/src/plugin/process/frame.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod frame;

use frame::{Delivery, Ended, Kind, all, next, write};
use libfuzzer_sys::fuzz_target;

/// Longest frame here; the gateway's own limits are larger than any input.
const MOST: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Ok((frames, left)) = all(bytes, MOST) else {
        return;
    };
    // Nothing is lost between frames, and what is left is the beginning of one.
    let mut again = Vec::new();
    for frame in &frames {
        assert!(frame.body.len() < MOST);
        write(&mut again, frame.kind, frame.number, |out| {
            out.extend_from_slice(frame.body);
        });
        let mut body = Vec::new();
        match frame.kind {
            Kind::Deliver | Kind::Render => Delivery::read(frame.body).expect("read before").write(&mut body),
            Kind::Done => Ended::read(frame.body).expect("read before").write(&mut body),
            _ => body.extend_from_slice(frame.body),
        }
        assert_eq!(body, frame.body, "{:?} is written as it was read", frame.kind);
    }
    again.extend_from_slice(left);
    assert_eq!(again, bytes);
    assert_eq!(next(left, MOST), Ok(None));
    // A frame that has come only in part is never taken for a whole one.
    if let Some(first) = frames.first() {
        let length = first.body.len() + 13;
        for end in [0, 3, 4, 12, length - 1] {
            assert_eq!(next(&bytes[..end.min(length - 1)], MOST), Ok(None));
        }
    }
});
