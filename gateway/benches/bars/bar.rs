//! The bars: what a figure must reach, and whether it does.
//!
//! A bar that is not met is said, not an error: machines differ, and a figure is read by a
//! person.

use std::fmt;

/// What a figure must reach.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    /// Prints the figure, the bar and whether it is met.
    pub(crate) fn judge(self, name: &str, figure: f64, unit: &str) {
        let met = match self {
            Self::AtLeast(bar) => figure >= bar,
            Self::AtMost(bar) => figure <= bar,
        };
        let verdict = if met { "met" } else { "NOT MET" };
        println!("  {name:<44} {figure:>8.2}{unit}   bar: {self}{unit}, {verdict}");
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(formatter, "at least {bar:.2}"),
            Self::AtMost(bar) => write!(formatter, "at most {bar:.2}"),
        }
    }
}
