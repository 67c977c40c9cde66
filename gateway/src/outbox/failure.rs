//! Failure groups: deliveries of one sink that failed alike, by rule and by reason with numbers
//! and ids taken out.

use std::fmt;
use std::str::FromStr;

use super::{DeliveryId, FailureGroupId};
use crate::clock::Millis;

/// Deliveries of a sink whose last attempt failed alike: dead letters, and those that wait for a
/// retry.
#[derive(Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// Its name. Groups of two sinks have the same if they fail alike.
    pub id: FailureGroupId,
    /// Name of the sink.
    pub sink: String,
    /// Rule that decided.
    pub rule: String,
    /// Why, with numbers and ids taken out.
    pub reason: String,
    /// Dead letters in it.
    pub dead: u64,
    /// Deliveries in it that wait for a retry.
    pub retrying: u64,
    /// When the oldest delivery in it was made.
    pub first: Millis,
    /// When the newest delivery in it was made.
    pub last: Millis,
    /// One of them: the newest.
    pub sample: DeliveryId,
}

impl FailureGroup {
    /// How many deliveries are in it.
    pub const fn size(&self) -> u64 {
        self.dead.saturating_add(self.retrying)
    }
}

impl fmt::Debug for FailureGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A destination may have put anything into its reason.
        formatter
            .debug_struct("FailureGroup")
            .field("id", &self.id)
            .field("sink", &self.sink)
            .field("dead", &self.dead)
            .field("retrying", &self.retrying)
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for FailureGroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A text that names no failure group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure group is 16 hex digits")]
pub struct NotAGroup;

impl FromStr for FailureGroupId {
    type Err = NotAGroup;

    fn from_str(text: &str) -> Result<Self, NotAGroup> {
        let hex = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number
            .map(|number| Self(number.to_be_bytes()))
            .ok_or(NotAGroup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_group_is_sixteen_hex_digits_both_ways() {
        let id = FailureGroupId([0, 1, 2, 3, 0xab, 0xcd, 0xef, 0xff]);
        assert_eq!(id.to_string(), "00010203abcdefff");
        assert_eq!("00010203ABCDEFff".parse(), Ok(id));
        for wrong in [
            "",
            "0",
            "+001020300000000",
            "00010203abcdefff0",
            "zz010203abcdefff",
        ] {
            assert_eq!(wrong.parse::<FailureGroupId>(), Err(NotAGroup), "{wrong}");
        }
    }
}
