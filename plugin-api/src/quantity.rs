//! Quantities as people write them: `"10s"`, `"64MiB"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A duration: a whole number and `ms`, `s`, `m`, `h`, `d` or `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// A size in bytes: a whole number, optionally with `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Text that is not a quantity; its message says what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a duration.
    #[error("not a duration; write a whole number and ms, s, m, h, d or w, such as \"10s\"")]
    Duration,
    /// Not a size.
    #[error("not a size; write a whole number and B, KiB, MiB or GiB, such as \"64MiB\"")]
    Size,
}

/// Splits `"10s"` into `10` and `s`.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

impl FromStr for HumanDuration {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (number, unit) = split(text).ok_or(Malformed::Duration)?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(Malformed::Duration),
        };
        // A thousand years are enough for anyone, and keep later sums far from overflow.
        let ms = number
            .checked_mul(unit_ms)
            .filter(|ms| *ms <= 31_557_600_000_000);
        ms.map(|ms| Self(Duration::from_millis(ms)))
            .ok_or(Malformed::Duration)
    }
}

impl FromStr for ByteSize {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (number, unit) = split(text).ok_or(Malformed::Size)?;
        let unit_bytes = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(Malformed::Size),
        };
        number
            .checked_mul(unit_bytes)
            .map(Self)
            .ok_or(Malformed::Size)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let units = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1_000, "s"),
        ];
        match units
            .iter()
            .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit))
        {
            Some((unit, name)) => write!(formatter, "{}{name}", ms / unit),
            None => write!(formatter, "{ms}ms"),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units
            .iter()
            .find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit))
        {
            Some((unit, name)) => write!(formatter, "{}{name}", self.0 / unit),
            None => write!(formatter, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d|w)$",
            "x-quantity": "duration",
            "description": "A whole number and `ms`, `s`, `m`, `h`, `d` or `w`, such as \"10s\".",
        })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$",
            "x-quantity": "size",
            "description": "A whole number and `B`, `KiB`, `MiB` or `GiB`, such as \"64MiB\".",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_written_the_same_way() {
        for text in ["10ms", "5s", "10m", "1h", "3d", "0ms"] {
            assert_eq!(text.parse::<HumanDuration>().expect(text).to_string(), text);
        }
        for text in ["7B", "256KiB", "64MiB", "2GiB"] {
            assert_eq!(text.parse::<ByteSize>().expect(text).to_string(), text);
        }
        assert_eq!(
            "2w".parse::<HumanDuration>()
                .expect("two weeks")
                .to_string(),
            "14d"
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "10",
            "10 s",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "9999999999999w",
            "1y",
        ] {
            assert_eq!(
                text.parse::<HumanDuration>(),
                Err(Malformed::Duration),
                "{text}"
            );
        }
        for text in ["", "MiB", "1TiB", "1kb", "-1B", "99999999999GiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(Malformed::Size), "{text}");
        }
    }
}
