//! Panics that somebody catches and reports: the process's hook says nothing of them.
//!
//! The hook of [`super::log`] asks whether the thread is inside [`caught`]. So whoever calls a
//! library that panics on bad data needs no hook of its own, and nothing is said twice.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Does what may panic; a panic's message is the error. It may quote what was worked on: it is
/// for the caller to say what happened in its own words.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            EXPECTED.set(self.0);
        }
    }
    let done = {
        let _before = Before(EXPECTED.replace(true));
        catch_unwind(AssertUnwindSafe(work))
    };
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("no reason given").to_owned()
    })
}

/// Whether a panic of this thread is caught and reported by somebody.
pub(super) fn expected() -> bool {
    EXPECTED.try_with(Cell::get).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_is_an_error_and_expected_only_in_there() {
        assert!(!expected());
        let inner = caught(|| {
            let nested = caught(expected);
            assert_eq!(nested, Ok(true));
            assert!(expected(), "the outer one goes on");
            std::panic::resume_unwind(Box::new("gone".to_owned()));
        });
        assert_eq!(inner, Err::<(), _>("gone".to_owned()));
        assert!(!expected());
    }
}
