//! The terminal: colours, width, and what may reach it.
//!
//! Text that people did not write themselves, such as a lead's fields or a file's lines, may
//! hold characters that move the cursor or turn the direction of what follows. [`visible`]
//! makes them seen instead of obeyed. Knows nothing of what is printed.

use std::borrow::Cow;
use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of what is no terminal, and of a terminal that does not say.
const COLUMNS: usize = 80;
/// Rows of a terminal that does not say.
const ROWS: usize = 24;
/// Narrower than this nothing is laid out.
const NARROWEST: usize = 40;

/// Whether what goes to stdout may have colours.
pub fn colours_on_stdout() -> bool {
    colours(std::io::stdout().is_terminal(), |name| {
        std::env::var(name).ok()
    })
}

/// Whether what goes to stderr may have colours.
pub fn colours_on_stderr() -> bool {
    colours(std::io::stderr().is_terminal(), |name| {
        std::env::var(name).ok()
    })
}

/// Whether the terminal cannot write over what it shows.
pub fn is_dumb() -> bool {
    is_dumb_by(std::env::var("TERM").ok().as_deref())
}

fn is_dumb_by(term: Option<&str>) -> bool {
    term.is_some_and(|term| term == "dumb" || term.is_empty())
}

/// `NO_COLOR` (any value but the empty one), `CLICOLOR=0` and `TERM=dumb` switch colours off;
/// so does everything that is no terminal.
fn colours(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let off = variable("NO_COLOR").is_some_and(|value| !value.is_empty())
        || variable("CLICOLOR").is_some_and(|value| value == "0")
        || variable("TERM").is_some_and(|value| value == "dumb");
    terminal && !off
}

/// Columns of stdout: `COLUMNS` if it is set, else the terminal's own, else 80, also where
/// stdout is a pipe or a file.
pub fn columns() -> usize {
    let named = std::env::var("COLUMNS").ok();
    let named = named.and_then(|text| text.trim().parse().ok());
    let own = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    named.or_else(own).unwrap_or(COLUMNS).max(NARROWEST)
}

/// Rows of stdout: the terminal's own, else 24.
pub fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let own = size.map(|size| usize::from(size.ws_row));
    own.filter(|rows| *rows > 0).unwrap_or(ROWS)
}

/// Columns that a text takes: a Chinese character takes two.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Columns that a character takes.
pub fn width_of(letter: char) -> usize {
    letter.width().unwrap_or(0)
}

/// Whether a character acts on the terminal instead of being shown: controls, and marks that
/// turn the direction of text or cannot be seen.
pub fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with a visible sign for each character that [`acts`], ends of lines and tabs
/// apart.
pub fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |letter: char| acts(letter) && !matches!(letter, '\n' | '\t');
    if text.contains(hidden) {
        Cow::Owned(text.replace(hidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// As [`visible`], for text whose bytes are counted elsewhere: each sign is as many bytes long
/// as what it stands for.
pub fn visible_in_place(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter: char| acts(letter) && !matches!(letter, '\n' | '\t' | '\r')) {
        return Cow::Borrowed(text);
    }
    let seen = text.chars().map(|letter| match letter {
        '\n' | '\t' | '\r' => letter,
        _ if !acts(letter) => letter,
        _ => match letter.len_utf8() {
            1 => '?',
            2 => '¿',
            3 => '\u{fffd}',
            _ => '\u{1f6ab}',
        },
    });
    Cow::Owned(seen.collect())
}

/// JSON text in which what would act on the terminal stands as `\u….`; it means the same.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    use std::fmt::Write;
    let hidden = |letter: char| acts(letter) && !matches!(letter, '\n' | '\t');
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for letter in json.chars() {
        if hidden(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_only_for_terminals_that_want_them() {
        let coloured = |terminal, set: &[(&str, &str)]| {
            colours(terminal, |name| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(is_dumb_by(Some("dumb")) && is_dumb_by(Some("")));
        assert!(!is_dumb_by(Some("xterm")) && !is_dumb_by(None));
        assert!(coloured(true, &[("TERM", "xterm")]));
        assert!(coloured(true, &[("NO_COLOR", ""), ("CLICOLOR", "1")]));
        assert!(!coloured(false, &[("TERM", "xterm")]));
        for off in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
            assert!(!coloured(true, &[off]), "{off:?}");
        }
    }

    #[test]
    fn nothing_that_acts_on_the_terminal_is_left() {
        let nasty =
            "a\u{1b}[2J\u{202e}b\u{2066}c\u{9b}d\u{7f}e\u{200f}\u{61c}\u{feff}\u{e0041}张\n\tz";
        for text in [visible(nasty), visible_in_place(nasty)] {
            assert!(
                !text.contains(|one: char| acts(one) && !matches!(one, '\n' | '\t')),
                "{text:?}"
            );
            assert!(text.contains('张') && text.ends_with("\n\tz"));
        }
        assert_eq!(visible_in_place(nasty).len(), nasty.len(), "byte for byte");
        assert!(matches!(visible("张三 abc"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_says_the_same_when_it_is_made_visible() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{7f}\u{e0041}c" });
        let shown = visible_json(&format!("{value:#}")).into_owned();
        assert!(
            !shown.contains(|one: char| acts(one) && one != '\n'),
            "{shown:?}"
        );
        let read: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(read, value);
    }
}
