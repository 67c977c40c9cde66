//! Quantities that were written some other way: what was meant, as leadgate reads it.

use super::diagnostic::Text;

/// What kind of quantity a key wants; its schema says so by `x-quantity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Duration,
    Size,
    Rate,
}

impl Quantity {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "duration" => Some(Self::Duration),
            "size" => Some(Self::Size),
            "rate" => Some(Self::Rate),
            _ => None,
        }
    }

    /// What such a value looks like.
    fn form(self) -> Text {
        match self {
            Self::Duration => Text::new(
                "a duration is a whole number and a unit, in quotes: \"500ms\", \"10s\", \"5m\", \"2h\", \"3d\", \"1w\"",
                "时长写作整数加单位，并加引号：\"500ms\"（毫秒）、\"10s\"（秒）、\"5m\"（分钟）、\"2h\"（小时）、\"3d\"（天）、\"1w\"（周）",
            ),
            Self::Size => Text::new(
                "a size is a whole number and a unit, in quotes: \"64KiB\", \"16MiB\", \"1GiB\"",
                "大小写作整数加单位，并加引号：\"64KiB\"、\"16MiB\"、\"1GiB\"",
            ),
            Self::Rate => Text::new(
                "a rate is a whole number for a second, a minute or an hour, in quotes: \"20/s\", \"18/min\", \"500/h\"",
                "速率写作每秒、每分钟或每小时的整数，并加引号：\"20/s\"、\"18/min\"、\"500/h\"",
            ),
        }
    }

    /// What is wrong with `given`, and what to type.
    pub(super) fn explain(self, given: &str) -> (Text, Text) {
        let text = half_width(given.trim());
        let (number, rest) = split(&text);
        let meant = match self {
            Self::Duration => duration(number, &rest),
            Self::Size => size(number, &rest),
            Self::Rate => rate(number, &rest),
        };
        let message = if number.is_some() && rest.is_empty() {
            match self {
                Self::Duration => Text::new("a duration needs a unit", "时长需要单位"),
                Self::Size => Text::new("a size needs a unit", "大小需要单位"),
                Self::Rate => Text::new("a rate needs to say in what time", "速率需要写明时间单位"),
            }
        } else if self == Self::Size && rest.starts_with('%') {
            Text::new(
                "a share of the disk cannot be said, only a size",
                "不支持百分比，只能写大小",
            )
        } else {
            match self {
                Self::Duration => Text::new("not a duration", "时长的写法不对"),
                Self::Size => Text::new("not a size", "大小的写法不对"),
                Self::Rate => Text::new("not a rate", "速率的写法不对"),
            }
        };
        let (en, zh) = self.form().both();
        let help = match meant {
            Some(meant) => Text::new(
                format!("write \"{meant}\"; {en}"),
                format!("请写 \"{meant}\"；{zh}"),
            ),
            None => Text::new(en, zh),
        };
        (message, help)
    }
}

/// Full-width letters and digits as ASCII.
fn half_width(text: &str) -> String {
    text.chars()
        .map(|letter| match u32::from(letter) {
            code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(letter),
            0x3000 | 0xa0 => ' ',
            _ => letter,
        })
        .collect()
}

/// The number at the beginning, and what follows without blanks, in small letters.
fn split(text: &str) -> (Option<f64>, String) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != '_')
        .unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok();
    let rest: String = text[end..]
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    (
        number.filter(|number: &f64| number.is_finite()),
        rest.to_lowercase(),
    )
}

/// Milliseconds of a unit of time, as people write them.
fn unit_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" | "毫秒" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" | "sek" | "秒" | "秒钟" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" | "分" | "分钟" | "分鐘" => 60_000,
        "h" | "hr" | "hrs" | "hour" | "hours" | "std" | "时" | "小时" | "小時" | "个小时" => {
            3_600_000
        }
        "d" | "day" | "days" | "tag" | "tage" | "天" | "日" => 86_400_000,
        "w" | "week" | "weeks" | "周" | "星期" | "礼拜" => 604_800_000,
        "month" | "months" | "mo" | "月" | "个月" => 30 * 86_400_000,
        "y" | "year" | "years" | "年" => 365 * 86_400_000,
        _ => return None,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "rounded, not negative, and far below 2^53"
)]
fn scaled(number: f64, unit: u64) -> Option<u64> {
    let value = (number * unit as f64).round();
    (0.0..1e15).contains(&value).then_some(value as u64)
}

/// `90m` of `1.5` and `h`, or of `1h30m`.
fn duration(number: Option<f64>, rest: &str) -> Option<String> {
    let mut total = 0;
    let (mut number, mut rest) = (number?, rest.to_owned());
    loop {
        let end = rest
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len());
        // "小时半" and the like are for a person to say.
        total += scaled(number, unit_ms(&rest[..end])?)?;
        if end == rest.len() {
            break;
        }
        let (next, behind) = split(&rest[end..]);
        (number, rest) = (next?, behind);
    }
    let total = std::time::Duration::from_millis(total);
    Some(leadgate_plugin::HumanDuration(total).to_string())
}

fn size(number: Option<f64>, rest: &str) -> Option<String> {
    let unit = match rest.trim_end_matches("字节") {
        // Bytes, which few people mean when they write a small number.
        "" if number.is_none_or(|number| number < 1024.0) => return None,
        "" | "byte" | "bytes" | "b" => 1,
        "k" | "kb" | "kib" | "千" => 1 << 10,
        "m" | "mb" | "mib" | "兆" => 1 << 20,
        "g" | "gb" | "gib" | "吉" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = scaled(number?, unit)?;
    Some(leadgate_plugin::ByteSize(bytes).to_string())
}

fn rate(number: Option<f64>, rest: &str) -> Option<String> {
    let unit = rest
        .trim_start_matches(['次', '条', '个', '/', '每', '＼'])
        .trim_start_matches("per");
    let per = match unit {
        "qps" | "rps" | "tps" | "hz" => 1_000,
        _ if unit == rest => return None,
        // A rate's `m` cannot be a month, and is a minute everywhere else.
        _ => unit_ms(unit).filter(|ms| *ms <= 86_400_000)?,
    };
    let number = number?;
    let whole = |number: f64| {
        let count = scaled(number, 1)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let exact = (count as f64 - number).abs() < 1e-6;
        (count > 0 && exact).then_some(count)
    };
    #[expect(clippy::cast_precision_loss, reason = "at most a day")]
    let per = per as f64;
    [(1_000.0, "s"), (60_000.0, "min"), (3_600_000.0, "h")]
        .into_iter()
        .filter(|(unit, _)| *unit >= per.min(3_600_000.0))
        .find_map(|(unit, name)| Some(format!("{}/{name}", whole(number * unit / per)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(quantity: Quantity, given: &str) -> Option<String> {
        let (_, help) = quantity.explain(given);
        let (en, _) = help.both();
        Some(en.strip_prefix("write \"")?.split_once('"')?.0.to_owned())
    }

    #[test]
    fn what_was_meant_is_said_as_it_is_to_be_typed() {
        use Quantity::{Duration, Rate, Size};
        for (quantity, given, meant) in [
            (Duration, "10sec", "10s"),
            (Duration, "10秒", "10s"),
            (Duration, "10 s", "10s"),
            (Duration, "10S", "10s"),
            (Duration, "１０ｓ", "10s"),
            (Duration, "1.5h", "90m"),
            (Duration, "1h30m", "90m"),
            (Duration, "5分", "5m"),
            (Duration, "5分钟", "5m"),
            (Duration, "2小时", "2h"),
            (Duration, "3天", "3d"),
            (Duration, "2 weeks", "14d"),
            (Duration, "100毫秒", "100ms"),
            (Duration, "1年", "365d"),
            (Size, "256KB", "256KiB"),
            (Size, "256k", "256KiB"),
            (Size, "64 mb", "64MiB"),
            (Size, "1.5G", "1536MiB"),
            (Size, "64兆", "64MiB"),
            (Size, "1TB", "1024GiB"),
            (Size, "16777216", "16MiB"),
            (Rate, "20/sec", "20/s"),
            (Rate, "20 / s", "20/s"),
            (Rate, "20/m", "20/min"),
            (Rate, "20次/秒", "20/s"),
            (Rate, "18/分钟", "18/min"),
            (Rate, "20 per second", "20/s"),
            (Rate, "每秒", ""),
            (Rate, "20qps", "20/s"),
            (Rate, "0.5/s", "30/min"),
            (Rate, "1200/day", "50/h"),
            (Rate, "500/hour", "500/h"),
        ] {
            let said = typed(quantity, given).unwrap_or_default();
            assert_eq!(said, meant, "{given}");
        }
    }

    #[test]
    fn what_was_suggested_is_then_taken() {
        for given in ["10秒", "1.5h", "90秒", "3个月", "1w2d"] {
            let typed = typed(Quantity::Duration, given).expect(given);
            assert!(
                typed.parse::<leadgate_plugin::HumanDuration>().is_ok(),
                "{given}: {typed}"
            );
        }
    }

    #[test]
    fn without_a_unit_no_unit_is_guessed() {
        for given in ["10", "", "soon", "10%", "-5s"] {
            assert_eq!(typed(Quantity::Duration, given), None, "{given}");
            assert_eq!(typed(Quantity::Size, given), None, "{given}");
        }
        let (message, _) = Quantity::Duration.explain("10");
        assert_eq!(
            message.both(),
            (
                "a duration needs a unit".to_owned(),
                "时长需要单位".to_owned()
            )
        );
    }
}
