//! Shown: times, counts, codes and texts as pages have them.
//!
//! Text that anybody may have written is escaped, isolated from the direction of the text around
//! it, shows its control characters, and is cut with the whole behind it.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;

use crate::clock::Millis;
use crate::lang::Lang;
use crate::words::Words;

/// Letters of a text that are shown at once.
const LINE: usize = 120;
/// Letters of a block that are shown at once.
const BLOCK: usize = 2_000;
/// Letters of anything that are shown at all.
const WHOLE: usize = 200_000;
/// Where merchants are.
const OFFSET: jiff::tz::Offset = jiff::tz::offset(8);

/// HTML, made of escaped parts here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Markup(String);

impl fmt::Display for Markup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl askama::FastWritable for Markup {
    fn write_into(&self, to: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(to.write_str(&self.0)?)
    }
}

impl HtmlSafe for Markup {}

/// Text as HTML has it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            // A control character by its picture.
            '\0'..='\u{1f}' => {
                out.push(char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'));
            }
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => out.push('\u{fffd}'),
            // What turns the direction of text is said, not done.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(
                    out,
                    "<span class=\"mark\">U+{:04X}</span>",
                    u32::from(letter)
                );
            }
            letter => out.push(letter),
        }
    }
    out
}

/// The first letters, if there are more than `most`.
fn beginning(text: &str, most: usize) -> Option<&str> {
    let (at, _) = text.char_indices().nth(most)?;
    Some(&text[..at])
}

fn cut(lang: Lang, text: &str, most: usize, tag: &str) -> Markup {
    let Some(start) = beginning(text, most) else {
        return Markup(format!("<{tag}>{}</{tag}>", escaped(text)));
    };
    let letters = count(text.chars().count() as u64);
    let all = lang.pick(
        format!("all {letters} characters"),
        format!("全部 {letters} 字"),
    );
    let whole = beginning(text, WHOLE).unwrap_or(text);
    Markup(format!(
        "<details class=\"long\"><summary><bdi>{}…</bdi> <span class=\"more\">{all}</span></summary><{tag}>{}</{tag}></details>",
        escaped(beginning(start, LINE).unwrap_or(start)),
        escaped(whole),
    ))
}

/// A line of text that anybody may have written.
pub(super) fn text(lang: Lang, text: &str) -> Markup {
    cut(lang, text, LINE, "bdi")
}

/// The beginning of a text that anybody may have written.
pub(super) fn line(text: &str) -> Markup {
    match beginning(text, LINE) {
        Some(start) => Markup(format!("<bdi>{}…</bdi>", escaped(start))),
        None => Markup(format!("<bdi>{}</bdi>", escaped(text))),
    }
}

/// A text of several lines that anybody may have written.
pub(super) fn block(lang: Lang, text: &str) -> Markup {
    cut(lang, text, BLOCK, "pre")
}

/// Text to be copied: whole, and as it is but for what HTML needs, since what is copied is what is
/// shown.
pub(super) fn copied(text: &str) -> Markup {
    let text = beginning(text, WHOLE).unwrap_or(text);
    Markup(format!(
        "<pre class=\"copy\" tabindex=\"0\">{}</pre>",
        escaped(text)
    ))
}

/// A sentence of leadgate's own, in which what stands between backticks is code.
pub(super) fn told(text: &str) -> Markup {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    Markup(parts.collect())
}

/// An id: never shortened, because people copy it.
pub(super) fn id(id: &str) -> Markup {
    Markup(format!("<code class=\"id\">{}</code>", escaped(id)))
}

/// A word with a colour; the colour says nothing that the word does not.
pub(super) fn chip(word: &str, tone: &str) -> Markup {
    Markup(format!(
        "<span class=\"chip {tone}\">{}</span>",
        escaped(word)
    ))
}

/// A code in words.
pub(super) fn word(lang: Lang, words: Words, code: &str) -> String {
    let word = words.of(lang, code);
    match lang {
        Lang::En => word.replace('_', " "),
        Lang::ZhCn => word.into_owned(),
    }
}

/// The colour of a delivery's state.
pub(super) fn tone_of_state(code: &str) -> &'static str {
    match code {
        "delivered" => "good",
        "dead" => "bad",
        "retrying" => "warn",
        "pending" | "in_flight" | "behind" => "wait",
        _ => "still",
    }
}

/// The colour of how an attempt ended.
pub(super) fn tone_of_outcome(code: &str) -> &'static str {
    match code {
        "delivered" | "duplicate" => "good",
        "rejected" | "reauth" => "bad",
        "ambiguous" | "retry" | "throttled" => "warn",
        _ => "still",
    }
}

/// The calendar where merchants are.
fn civil(at: Millis) -> jiff::civil::DateTime {
    OFFSET.to_datetime(jiff::Timestamp::from_millisecond(at).unwrap_or_default())
}

/// The instant that RFC 3339 names.
pub(super) fn instant(text: &str) -> Option<Millis> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

fn marked(at: Millis, text: &str) -> Markup {
    let instant = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    Markup(format!(
        "<time datetime=\"{instant:.3}\" title=\"{}\">{}</time>",
        civil(at).strftime("%Y-%m-%d %H:%M:%S.%3f +08:00"),
        escaped(text)
    ))
}

/// A time at +08:00: as much of it as differs from now, the exact instant behind it.
pub(super) fn time(text: &str, now: Millis) -> Markup {
    let Some(at) = instant(text) else {
        return Markup(escaped(text));
    };
    let (then, now) = (civil(at), civil(now));
    let format = if then.date() == now.date() {
        "%H:%M:%S"
    } else if then.year() == now.year() {
        "%m-%d %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    marked(at, &then.strftime(format).to_string())
}

/// A time at +08:00 with its day and second, as plain text.
pub(super) fn whole_time(text: &str) -> String {
    let Some(at) = instant(text) else {
        return text.to_owned();
    };
    civil(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago, the exact instant behind it.
pub(super) fn ago(lang: Lang, text: &str, now: Millis) -> Markup {
    let Some(at) = instant(text) else {
        return Markup(escaped(text));
    };
    let age = u64::try_from(now.saturating_sub(at) / 1000).unwrap_or(0);
    let said = match age {
        0..5 => lang.pick("just now", "刚刚").to_owned(),
        age => {
            let age = seconds(lang, age);
            lang.pick(format!("{age} ago"), format!("{age}前"))
        }
    };
    marked(at, &said)
}

/// How long, by its two greatest units at most.
pub(super) fn seconds(lang: Lang, seconds: u64) -> String {
    let units = [
        (86_400, "d", "天"),
        (3_600, "h", "小时"),
        (60, "min", "分"),
        (1, "s", "秒"),
    ];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (unit, en, zh) in units {
        let many = left / unit;
        left %= unit;
        if many > 0 {
            parts.push(format!("{many} {}", lang.pick(en, zh)));
        } else if !parts.is_empty() {
            break;
        }
        // Seconds say nothing beside hours.
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        return lang.pick("0 s", "0 秒").to_owned();
    }
    parts.join(" ")
}

/// A count with its thousands apart.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the unit that leaves one to three digits before the point.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point")]
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// A row of bars, the tallest as tall as there is room; a count above each on hover.
pub(super) fn bars(bars: &[(String, u64)], label: &str) -> Markup {
    const WIDTH: u64 = 14;
    const ROOM: u64 = 36;
    let most = bars
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0)
        .max(1);
    let width = bars.len() as u64 * WIDTH;
    let mut svg = format!(
        "<svg class=\"bars\" viewBox=\"0 0 {width} {ROOM}\" width=\"{width}\" height=\"{ROOM}\" role=\"img\" aria-label=\"{}\">",
        escaped(label)
    );
    for (at, (name, many)) in bars.iter().enumerate() {
        let tall = if *many == 0 {
            1
        } else {
            (many * ROOM / most).max(2)
        };
        let _ = write!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{tall}\" rx=\"1.5\"><title>{}: {}</title></rect>",
            at as u64 * WIDTH,
            ROOM - tall,
            WIDTH - 4,
            escaped(name),
            count(*many),
        );
    }
    svg.push_str("</svg>");
    Markup(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_text() {
        let hostile = "<script>alert(1)</script>\" onload='x' \u{1b}[31m \u{202e}abc & \u{85}";
        let shown = text(Lang::En, hostile).to_string();
        assert_eq!(
            shown,
            "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; ␛[31m \
             <span class=\"mark\">U+202E</span>abc &amp; \u{fffd}</bdi>"
        );
    }

    #[test]
    fn what_stands_between_backticks_is_code_and_text_all_the_same() {
        assert_eq!(
            told("set `a<b>` to <1>").to_string(),
            "set <code>a&lt;b&gt;</code> to &lt;1&gt;"
        );
    }

    #[test]
    fn long_text_is_cut_with_the_whole_behind_it() {
        let long = "客".repeat(10_000);
        let shown = text(Lang::ZhCn, &long).to_string();
        assert!(shown.starts_with("<details"), "{}", &shown[..80]);
        assert!(shown.contains("全部 10,000 字"));
        assert!(shown.contains(&format!("<bdi>{}…</bdi>", "客".repeat(LINE))));
        assert!(shown.contains(&format!("<bdi>{long}</bdi>")));
        assert_eq!(
            line(&long).to_string(),
            format!("<bdi>{}…</bdi>", "客".repeat(LINE))
        );
        assert!(
            !text(Lang::En, &"a".repeat(LINE))
                .to_string()
                .contains("details")
        );
    }

    #[test]
    fn a_time_is_shown_at_beijing_and_exact_on_hover() {
        let now = instant("2026-11-29T07:00:00Z").expect("a time");
        let shown = |text| time(text, now).to_string();
        assert_eq!(
            shown("2026-11-28T16:00:01.234Z"),
            "<time datetime=\"2026-11-28T16:00:01.234Z\" title=\"2026-11-29 00:00:01.234 +08:00\">00:00:01</time>"
        );
        assert!(shown("2026-11-28T15:59:59Z").ends_with(">11-28 23:59</time>"));
        assert!(shown("2025-11-28T15:59:59Z").ends_with(">2025-11-28 23:59</time>"));
        assert_eq!(shown("<b>"), "&lt;b&gt;");
        assert_eq!(
            whole_time("2026-11-28T16:00:01.234Z"),
            "2026-11-29 00:00:01"
        );
    }

    #[test]
    fn ages_sizes_and_counts_read_well() {
        for (age, en, zh) in [
            (0, "0 s", "0 秒"),
            (61, "1 min 1 s", "1 分 1 秒"),
            (3_600, "1 h", "1 小时"),
            (90_061, "1 d 1 h", "1 天 1 小时"),
            (86_401, "1 d", "1 天"),
        ] {
            assert_eq!(seconds(Lang::En, age), en);
            assert_eq!(seconds(Lang::ZhCn, age), zh);
        }
        for (size, shown) in [(0, "0 B"), (1_536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(bytes(size), shown);
        }
        for (many, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(many), shown);
        }
        let now = 10_000;
        let zero = "1970-01-01T00:00:00Z";
        assert!(
            ago(Lang::ZhCn, zero, now)
                .to_string()
                .ends_with(">10 秒前</time>")
        );
        assert!(
            ago(Lang::En, zero, 1_000)
                .to_string()
                .ends_with(">just now</time>")
        );
    }
}
