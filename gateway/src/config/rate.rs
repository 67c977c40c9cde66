//! Rates as people write them: `"20/s"`, `"18/min"`, `"500/h"`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::Rate;

/// A rate in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateText(pub(super) Rate);

fn parse(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    let count = count.parse().ok().filter(|count| *count > 0)?;
    Some(Rate {
        count,
        per: Duration::from_secs(seconds),
    })
}

impl<'de> Deserialize<'de> for RateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom("not a rate; write \"20/s\", \"18/min\" or \"500/h\"")
        })
    }
}

impl JsonSchema for RateText {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[1-9][0-9]{0,8}/(s|min|h)$",
            "x-quantity": "rate",
            "description": "A whole number and `/s`, `/min` or `/h`, such as \"20/s\".",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_count_and_a_unit() {
        assert_eq!(
            parse("18/min"),
            Some(Rate {
                count: 18,
                per: Duration::from_secs(60)
            })
        );
        for text in ["", "20", "0/s", "-1/s", "1.5/s", "20/d", "/s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
