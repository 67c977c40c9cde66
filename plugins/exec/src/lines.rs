//! Lines: what a program may write to its stdout, and what that means.
//!
//! Pure: bytes go in as they come, whole lines come out, bounded in length. Anything may be in
//! them; what is not an answer is a [`Breach`] and says how. Knows nothing of who waits.

use std::fmt;
use std::time::Duration;

use leadgate_plugin::{Level, Outcome, OutcomeKind};
use serde_json::{Map, Value};

/// Longest line, in bytes.
pub const LINE_MAX: usize = 1 << 20;
/// Keys of an answer that are named if nobody knows them.
const STRANGE: usize = 8;
/// Longest word that is repeated of what a program wrote, in characters.
const WORD: usize = 40;
/// A wait longer than this is no wait that a destination asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 86_400);

/// Makes lines of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    /// A line that has not ended yet.
    begun: Vec<u8>,
}

/// What one line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// How an attempt ended.
    Answer(Box<Answer>),
    /// What to keep of a delivery between its attempts.
    Keep {
        /// Whose.
        id: String,
        /// The step record.
        step_record: String,
    },
    /// Something for the log.
    Log {
        /// How important.
        level: Level,
        /// A short phrase.
        message: String,
        /// A JSON object, or nothing.
        fields: Value,
    },
    /// An empty line.
    Nothing,
}

/// The answer to one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The id of the event.
    pub id: String,
    /// The attempt that is answered, if the program says it.
    pub attempt: Option<u32>,
    /// How it ended, or the word that is none of the outcomes.
    pub outcome: Result<Outcome, String>,
    /// Keys that mean nothing, and keys whose values could not be read.
    pub strange: Vec<String>,
}

/// What a program wrote instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// More than [`LINE_MAX`] without a line break.
    Endless,
    /// Bytes that are not UTF-8.
    Encoding,
    /// Text that is not JSON, or JSON that is no object.
    Garbage,
    /// An object that says none of what it could.
    Meaningless,
    /// An answer to nothing: it has no id.
    Nameless,
}

impl Breach {
    /// The rule that decides the attempts it costs.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Endless => "endless-line",
            Self::Encoding | Self::Garbage | Self::Meaningless => "garbage",
            Self::Nameless => "wrong-id",
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Endless => "it wrote more than 1 MiB without a line break",
            Self::Encoding => "it wrote a line that is not UTF-8",
            Self::Garbage => "it wrote a line that is not a JSON object",
            Self::Meaningless => "it wrote an object with neither `outcome`, `keep` nor `log`",
            Self::Nameless => "it wrote an answer without the `id` of the event",
        })
    }
}

impl Decoder {
    /// The next line, taken from the front of `bytes`; `None` when they are used up. After a
    /// [`Breach::Endless`] nothing good can follow.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Result<Said, Breach>> {
        if bytes.is_empty() {
            return None;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = match end {
            Some(end) => (&bytes[..end], &bytes[end + 1..]),
            None => (*bytes, &bytes[bytes.len()..]),
        };
        *bytes = rest;
        if self.begun.len() + piece.len() > LINE_MAX {
            self.begun = Vec::new();
            *bytes = &[];
            return Some(Err(Breach::Endless));
        }
        if end.is_none() {
            self.begun.extend_from_slice(piece);
            return None;
        }
        if self.begun.is_empty() {
            return Some(read(piece));
        }
        self.begun.extend_from_slice(piece);
        let said = read(&self.begun);
        // One long line shall not hold its memory for ever.
        self.begun.clear();
        self.begun.shrink_to(64 * 1024);
        Some(said)
    }

    /// What is left when the program has closed its stdout: a last line without its line break.
    pub fn last(&mut self) -> Option<Result<Said, Breach>> {
        let begun = std::mem::take(&mut self.begun);
        (!begun.is_empty()).then(|| read(&begun))
    }
}

/// One line without its line break.
fn read(line: &[u8]) -> Result<Said, Breach> {
    let text = std::str::from_utf8(line).map_err(|_| Breach::Encoding)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(Said::Nothing);
    }
    let Ok(Value::Object(mut object)) = serde_json::from_str(text) else {
        return Err(Breach::Garbage);
    };
    if let Some(log) = object.remove("log") {
        return Ok(log_of(log));
    }
    if let Some(outcome) = object.remove("outcome") {
        let id = id_of(&mut object)?;
        return Ok(Said::Answer(Box::new(answer(id, &outcome, object))));
    }
    if let Some(kept) = object.remove("keep") {
        let id = id_of(&mut object)?;
        let step_record = match kept {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        return Ok(Said::Keep { id, step_record });
    }
    Err(Breach::Meaningless)
}

fn id_of(object: &mut Map<String, Value>) -> Result<String, Breach> {
    match object.remove("id") {
        Some(Value::String(id)) if !id.is_empty() => Ok(id),
        _ => Err(Breach::Nameless),
    }
}

fn log_of(log: Value) -> Said {
    let (level, message, fields) = match log {
        Value::Object(mut log) => {
            let level = match log.remove("level").as_ref().and_then(Value::as_str) {
                Some("error") => Level::Error,
                Some("warn" | "warning") => Level::Warn,
                Some("debug") => Level::Debug,
                _ => Level::Info,
            };
            let message = log.remove("message").map(plain).unwrap_or_default();
            (level, message, log.remove("fields").unwrap_or_default())
        }
        other => (Level::Info, plain(other), Value::Null),
    };
    Said::Log {
        level,
        message,
        fields,
    }
}

fn answer(id: String, word: &Value, mut object: Map<String, Value>) -> Answer {
    let mut strange = Vec::new();
    let mut text = |key: &str| object.remove(key).map(plain).unwrap_or_default();
    let (receipt, reason) = (text("receipt"), text("reason"));
    let (rule, request, response) = (text("rule"), text("request"), text("response"));
    let attempt = object.remove("attempt").and_then(|given| {
        let attempt = given.as_u64().and_then(|given| u32::try_from(given).ok());
        if attempt.is_none() {
            strange.push("attempt".to_owned());
        }
        attempt
    });
    let mut after = None;
    for (key, unit_ms) in [("after_ms", 1.0), ("retry_after", 1000.0)] {
        if let Some(given) = object.remove(key).filter(|given| !given.is_null()) {
            match wait(&given, unit_ms) {
                Some(wait) => after = after.max(Some(wait)),
                None => strange.push(key.to_owned()),
            }
        }
    }
    strange.extend(object.keys().take(STRANGE).map(|key| cut(key)));
    let kind = word.as_str().and_then(|word| {
        let mut all = OutcomeKind::ALL.into_iter();
        all.find(|kind| kind.as_str() == word)
    });
    let outcome = match kind {
        Some(kind) => Ok(outcome(kind, after, receipt, reason)),
        None => Err(cut(&plain(word.clone()))),
    };
    let outcome = outcome.map(|outcome| outcome.rule(rule).request(request).response(response));
    Answer {
        id,
        attempt,
        outcome,
        strange,
    }
}

fn outcome(kind: OutcomeKind, after: Option<Duration>, receipt: String, reason: String) -> Outcome {
    let mut outcome = Outcome::new(kind, reason);
    match kind {
        OutcomeKind::Delivered => outcome.receipt = receipt,
        OutcomeKind::Retry | OutcomeKind::Throttled => outcome.retry_after = after,
        _ => {}
    }
    outcome
}

/// A number of milliseconds or seconds; of both the longer counts.
fn wait(given: &Value, unit_ms: f64) -> Option<Duration> {
    let seconds = given.as_f64()? * unit_ms / 1000.0;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (wait <= LONGEST_WAIT).then_some(wait)
}

/// A text as it is, nothing as no text, anything else as JSON: receipts may be numbers.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn cut(word: &str) -> String {
    word.chars().take(WORD).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn all(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Result<Said, Breach>> {
        let mut said = Vec::new();
        while !bytes.is_empty() {
            said.extend(decoder.next(&mut bytes));
        }
        said
    }

    fn one(line: &str) -> Result<Said, Breach> {
        let said = all(&mut Decoder::default(), format!("{line}\n").as_bytes());
        let [said] = <[_; 1]>::try_from(said).expect("one line");
        said
    }

    fn answered(line: &str) -> Answer {
        match one(line) {
            Ok(Said::Answer(answer)) => *answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_outcome_has_its_word() {
        let after = Some(Duration::from_millis(1500));
        for (line, outcome) in [
            (
                r#"{"id":"a","outcome":"delivered","receipt":4711}"#,
                Outcome::delivered("4711"),
            ),
            (r#"{"id":"a","outcome":"duplicate"}"#, Outcome::duplicate()),
            (
                r#"{"id":"a","outcome":"retry","after_ms":1500,"reason":"busy"}"#,
                Outcome::retry(after, "busy"),
            ),
            (
                r#"{"id":"a","outcome":"throttled","retry_after":1.5,"after_ms":10}"#,
                Outcome::throttled(after, ""),
            ),
            (
                r#"{"id":"a","outcome":"reauth","reason":"expired"}"#,
                Outcome::reauth("expired"),
            ),
            (
                r#"{"id":"a","outcome":"rejected","reason":"no city","rule":"fields"}"#,
                Outcome::rejected("no city").rule("fields"),
            ),
            (
                r#" {"outcome":"ambiguous","id":"a","request":"POST /","response":null} "#,
                Outcome::ambiguous("").request("POST /"),
            ),
        ] {
            let answer = answered(line);
            assert_eq!(answer.outcome, Ok(outcome), "{line}");
            assert!(answer.strange.is_empty(), "{line}: {:?}", answer.strange);
            assert_eq!(answer.id, "a");
        }
    }

    #[test]
    fn a_word_that_is_no_outcome_still_says_whose_attempt_it_costs() {
        assert_eq!(
            answered(r#"{"id":"a","outcome":"ok"}"#).outcome,
            Err("ok".to_owned())
        );
        assert_eq!(
            answered(r#"{"id":"a","outcome":7}"#).outcome,
            Err("7".to_owned())
        );
        let long = format!(r#"{{"id":"a","outcome":"{}"}}"#, "x".repeat(5000));
        assert_eq!(answered(&long).outcome, Err("x".repeat(WORD)));
    }

    #[test]
    fn keys_that_mean_nothing_are_named() {
        let answer = answered(
            r#"{"id":"a","outcome":"retry","attempt":"1","recipt":"x","after_ms":-1,"retry_after":1e300}"#,
        );
        assert_eq!(answer.outcome, Ok(Outcome::retry(None, "")));
        assert_eq!(
            answer.strange,
            ["attempt", "after_ms", "retry_after", "recipt"]
        );
        assert_eq!(
            answered(r#"{"id":"a","outcome":"retry","attempt":3}"#).attempt,
            Some(3)
        );
    }

    #[test]
    fn step_records_and_log_events_are_told_from_answers() {
        let kept = |record: &str| {
            Ok(Said::Keep {
                id: "a".to_owned(),
                step_record: record.to_owned(),
            })
        };
        assert_eq!(one(r#"{"id":"a","keep":"step 1"}"#), kept("step 1"));
        assert_eq!(one(r#"{"id":"a","keep":{"n":1}}"#), kept(r#"{"n":1}"#));
        assert_eq!(
            one(r#"{"log":{"level":"warn","message":"slow","fields":{"took_ms":7}}}"#),
            Ok(Said::Log {
                level: Level::Warn,
                message: "slow".to_owned(),
                fields: json!({"took_ms": 7}),
            })
        );
        assert_eq!(
            one(r#"{"log":"hello"}"#),
            Ok(Said::Log {
                level: Level::Info,
                message: "hello".to_owned(),
                fields: Value::Null,
            })
        );
    }

    #[test]
    fn what_is_no_answer_says_how() {
        let deep = "[".repeat(100_000);
        for (line, breach) in [
            ("lead was sent", Breach::Garbage),
            ("[]", Breach::Garbage),
            ("{\"id\":\"a\",\"outcome\":\"delivered\"", Breach::Garbage),
            (deep.as_str(), Breach::Garbage),
            ("{}", Breach::Meaningless),
            (r#"{"id":"a"}"#, Breach::Meaningless),
            (r#"{"outcome":"delivered"}"#, Breach::Nameless),
            (r#"{"id":7,"outcome":"delivered"}"#, Breach::Nameless),
            (r#"{"id":"","keep":"x"}"#, Breach::Nameless),
        ] {
            assert_eq!(one(line), Err(breach), "{}", &line[..line.len().min(80)]);
        }
        let gbk = [b"{\"log\":\"".as_slice(), &[0xd5, 0xc5], b"\"}\n"].concat();
        assert_eq!(all(&mut Decoder::default(), &gbk), [Err(Breach::Encoding)]);
        assert_eq!(one(" \r"), Ok(Said::Nothing));
    }

    #[test]
    fn an_endless_line_is_noticed_and_not_kept() {
        let mut decoder = Decoder::default();
        let piece = vec![b' '; 64 * 1024];
        let mut breaches = 0;
        for _ in 0..(LINE_MAX / piece.len()) {
            assert_eq!(decoder.next(&mut piece.as_slice()), None);
        }
        for _ in 0..100 {
            if decoder.next(&mut piece.as_slice()) == Some(Err(Breach::Endless)) {
                breaches += 1;
            }
            assert!(decoder.begun.capacity() <= 2 * LINE_MAX);
        }
        assert!(breaches > 0);
    }

    #[test]
    fn the_last_line_needs_no_line_break() {
        let mut decoder = Decoder::default();
        let mut bytes: &[u8] = br#"{"id":"a","keep":"x"}"#;
        assert_eq!(decoder.next(&mut bytes), None);
        assert!(matches!(decoder.last(), Some(Ok(Said::Keep { .. }))));
        assert_eq!(decoder.last(), None);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_their_bytes_come(
            lines in prop::collection::vec("[ -~\n]{0,40}|\\{\"id\":\"[ab]\",\"(outcome|keep)\":\"(retry|x)\"\\}", 0..8),
            cuts in prop::collection::vec(1_usize..30, 1..20),
        ) {
            let text = lines.join("\n");
            let whole = all(&mut Decoder::default(), text.as_bytes());
            let mut decoder = Decoder::default();
            let (mut pieces, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                pieces.extend(all(&mut decoder, piece));
                rest = behind;
            }
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            all(&mut decoder, &bytes);
            decoder.last();
        }
    }
}
