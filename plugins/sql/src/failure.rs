//! A failure: what went wrong, how far it had come, and what of it may be told.
//!
//! Databases quote values in their messages, and values are personal data. So of a refusal
//! that came after a lead's values were sent only codes and names are kept; before that the
//! message can quote nothing but the settings.

use std::fmt::Write;

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connecting, encrypting, logging in.
    Connect,
    /// Preparing the statement: no value was sent.
    Prepare,
    /// From sending the values on.
    Execute,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The database's answer.
    Refused(Refusal),
    /// No answer in time.
    Silent,
    /// No connection, or none any more; why, without values.
    Lost(String),
    /// All connections were in use.
    Busy,
}

/// A statement that was not carried out, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) fault: Fault,
}

impl Failure {
    pub(crate) fn new(stage: Stage, fault: Fault) -> Self {
        Self { stage, fault }
    }

    /// Whether what was sent may have been done: the database did not say that it was not.
    pub(crate) fn is_in_doubt(&self) -> bool {
        match &self.fault {
            Fault::Refused(refusal) => refusal.state.starts_with("08") || refusal.state == "40003",
            Fault::Silent | Fault::Lost(_) | Fault::Busy => true,
        }
    }

    /// Whether the database undid the whole transaction for the sake of another one.
    pub(crate) fn is_rolled_back(&self) -> bool {
        match &self.fault {
            Fault::Refused(refusal) => matches!(refusal.state.as_str(), "40001" | "40P01"),
            Fault::Silent | Fault::Lost(_) | Fault::Busy => false,
        }
    }

    /// Whether it was ended before it was done, by us or by another.
    pub(crate) fn is_interrupted(&self) -> bool {
        match &self.fault {
            Fault::Refused(refusal) => refusal.state == "57014" || refusal.number == Some(1317),
            Fault::Silent | Fault::Lost(_) | Fault::Busy => false,
        }
    }

    /// Whether the connection is as good as before: the database refused these values alone.
    pub(crate) fn is_about_values(&self) -> bool {
        match (&self.stage, &self.fault) {
            (Stage::Execute, Fault::Refused(refusal)) => {
                refusal.state.starts_with("22") || refusal.state.starts_with("23")
            }
            _ => false,
        }
    }
}

/// What a database said no with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// SQLSTATE.
    pub(crate) state: String,
    /// MySQL's own number.
    pub(crate) number: Option<u16>,
    /// What is wrong, in our words or, where no value can be in it, the database's.
    pub(crate) message: String,
    /// What it names: kind and name, such as `column` and `phone`.
    pub(crate) names: Vec<(&'static str, String)>,
}

/// Longest message or name that is kept, in bytes.
const KEPT: usize = 300;

impl Refusal {
    /// All of it on one line.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("SQLSTATE {}", self.state);
        if let Some(number) = self.number {
            let _ = write!(text, " (error {number})");
        }
        if !self.message.is_empty() {
            let _ = write!(text, ": {}", one_line(&self.message));
        }
        let names: Vec<_> = self
            .names
            .iter()
            .map(|(kind, name)| format!("{kind} {}", one_line(name)))
            .collect();
        if !names.is_empty() {
            let _ = write!(text, " ({})", names.join(", "));
        }
        text
    }
}

/// Why a text is not taken although its column is for texts.
pub(crate) const CHARSET: &str = "a text has a character, such as an emoji or a rare 汉字, that the character set of \
     its column or database does not hold; make it utf8mb4 in MySQL and MariaDB, UTF8 in PostgreSQL";

/// Words for states that come of values; `""` for others.
pub(crate) fn words(state: &str, number: Option<u16>) -> &'static str {
    const NULL: &str = "a column that must have a value got none";
    const REFERENCE: &str = "the row that this one refers to does not exist";
    const UNIQUE: &str =
        "a row with the same key is there, and the statement does not say what to do then";
    const CHECK: &str = "a check of the table does not hold";
    const TYPE: &str = "a value does not fit the type of its column";
    match (number, state) {
        (Some(1048 | 1364), _) | (_, "23502") => NULL,
        (Some(1216 | 1452), _) | (_, "23503") => REFERENCE,
        (Some(1062 | 1586), _) | (_, "23505") => UNIQUE,
        (Some(3819 | 4025), _) | (_, "23514") => CHECK,
        (Some(1366 | 1265), _) | (_, "22P02" | "22P03" | "22018") => TYPE,
        (_, "22001") => "a text is too long for its column",
        (_, "22003") => "a number is out of the range of its column",
        (_, "22007" | "22008") => "a text is not a date or time as its column takes it",
        (Some(3988), _) | (_, "22021" | "22P05") => CHARSET,
        (_, "22032" | "22023") => "a text is not the JSON that its column takes",
        (_, "57014") | (Some(1317), _) => "it took too long and was cancelled",
        (_, "40P01" | "40001") => "it was rolled back for another one",
        (_, "25006") | (Some(1290 | 1836), _) => "the database takes no changes now",
        _ => "",
    }
}

/// `text` on one line, cut.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(KEPT));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_its_codes_and_names() {
        let refusal = Refusal {
            state: "23505".to_owned(),
            number: Some(1062),
            message: "a\nb".to_owned(),
            names: vec![("table", "leads".to_owned()), ("key", "PRIMARY".to_owned())],
        };
        assert_eq!(
            refusal.text(),
            "SQLSTATE 23505 (error 1062): a b (table leads, key PRIMARY)"
        );
        assert_eq!(one_line(&"杭".repeat(200)).len(), KEPT);
    }
}
