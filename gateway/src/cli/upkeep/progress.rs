//! Progress: said on stderr only of what takes long, and not too often.

use std::time::{Duration, Instant};

use super::super::Global;

/// Nothing is said of what is done sooner.
const SOON: Duration = Duration::from_secs(1);
/// Between two lines.
const AGAIN: Duration = Duration::from_secs(5);

/// Of one command.
pub(super) struct Progress {
    /// Data is for a program: it has no use for it.
    silent: bool,
    next: Instant,
}

impl Progress {
    pub(super) fn new(global: &Global) -> Self {
        Self {
            silent: global.json,
            next: Instant::now() + SOON,
        }
    }

    /// Says `text` if it is time to.
    pub(super) fn at(&mut self, text: impl FnOnce() -> String) {
        if self.is_due(Instant::now()) {
            errln!("leadgate: {}", text());
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        if self.silent || now < self.next {
            return false;
        }
        self.next = now + AGAIN;
        true
    }
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut rest = bytes;
    let mut unit = 0;
    while rest >= 10_240 && unit + 1 < UNITS.len() {
        rest /= 1_024;
        unit += 1;
    }
    format!("{rest} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quick_says_nothing_and_what_is_slow_not_too_often() {
        let began = Instant::now();
        let mut progress = Progress {
            silent: false,
            next: began + SOON,
        };
        let said = (0..200_u64).filter(|step| {
            let now = began + Duration::from_millis(100 * step);
            progress.is_due(now)
        });
        assert_eq!(said.collect::<Vec<_>>(), [10, 60, 110, 160]);
        assert_eq!(size(9), "9 B");
        assert_eq!(size(97 << 20), "97 MiB");
        assert_eq!(size(300 << 30), "300 GiB");
    }
}
