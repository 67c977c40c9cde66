//! The charsets: what 256 KiB of the worst bytes cost, which anybody may send unsigned.

use std::time::{Duration, Instant};

use leadgate::source::tmall::recode;

use crate::bar::Bar;
use crate::ms;

const SIZE: usize = 256 << 10;
const ROUNDS: usize = 20;

/// For each charset the patterns it finds hardest.
const WORST: [(&str, &[&[u8]]); 5] = [
    ("utf-8", &[b"\xFF", b"a\xFF", b"\xE4\xBD", b"\xC3\xA9\xFF"]),
    (
        "gbk",
        &[
            b"\xFF",
            b"a\xFF",
            b"\x81\x30",
            b"\x90\x30\x81\x30",
            b"\xBA\xBC",
        ],
    ),
    (
        "gb18030",
        &[
            b"\xFF",
            b"a\xFF",
            b"\x81\x30",
            b"\x84\x31\xA4\x37",
            b"\xBA\xBC",
        ],
    ),
    ("iso-8859-1", &[b"\xFF", b"a\xFF"]),
    ("us-ascii", &[b"\xFF", b"a\xFF"]),
];

/// Prints for each charset the dearest of its patterns, decoded and encoded again.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("charsets, 256 KiB of the worst bytes, decoded and encoded");
    for (charset, patterns) in WORST {
        let mut dearest = Duration::ZERO;
        for pattern in patterns {
            let bytes: Vec<u8> = pattern.iter().copied().cycle().take(SIZE).collect();
            let mut fastest = Duration::MAX;
            for _ in 0..ROUNDS {
                let began = Instant::now();
                let length = recode(charset, &bytes);
                anyhow::ensure!(
                    length.is_some_and(|length| length > 0),
                    "{charset}: nothing"
                );
                fastest = fastest.min(began.elapsed());
            }
            dearest = dearest.max(fastest);
        }
        Bar::AtMost(1.0).judge(charset, ms(dearest), " ms");
    }
    Ok(())
}
