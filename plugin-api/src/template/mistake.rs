//! Mistakes: what is wrong with a template, said without the values it happened on.
//!
//! Values are personal data, and minijinja quotes them in some of its errors. So of its errors
//! only what quotes the template is kept, and our own filters bring a [`Mistake`].

use std::ops::Range;

use minijinja::{Error, ErrorKind};

use super::guard::Guarded;
use crate::{Chinese, Problem, Problems};

/// What is wrong with a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
    /// The same in Chinese, where it is known.
    pub chinese: Box<Chinese>,
    /// JSON pointer to the text in its tree; empty for a lone text.
    pub path: String,
    /// Where, in bytes of the text, if known.
    pub range: Option<Range<usize>>,
}

impl TemplateError {
    /// What is wrong at `range`.
    pub(super) fn at(
        range: &Range<usize>,
        english: impl Into<String>,
        chinese: impl Into<String>,
    ) -> Self {
        Self {
            message: english.into(),
            chinese: Box::new(Chinese {
                message: chinese.into(),
                help: String::new(),
            }),
            range: Some(range.clone()),
            ..Self::default()
        }
    }

    /// Adds what to do.
    pub(super) fn help(mut self, english: impl Into<String>, chinese: impl Into<String>) -> Self {
        self.help = english.into();
        self.chinese.help = chinese.into();
        self
    }

    /// The same, as seen from above `key`.
    pub(super) fn below(mut self, key: &str) -> Self {
        self.path
            .insert_str(0, &crate::problem::pointer_segment(key));
        self
    }

    /// The same with what to do in its message: what fails for one lead is shown in one line, as
    /// the reason of a dead letter.
    pub(super) fn in_one_line(mut self) -> Self {
        if !self.help.is_empty() {
            self.message = format!("{}; {}", self.message, self.help);
            self.help.clear();
            self.chinese = Box::default();
        }
        self
    }

    /// As a problem of the settings, in which the text or tree is at the JSON pointer `above`.
    pub fn into_problem(self, above: &str) -> Problem {
        Problem::at(format!("{above}{}", self.path), self.message)
            .help(self.help)
            .chinese(self.chinese.message, self.chinese.help)
            .range(self.range)
    }
}

/// Each mistake once, in the order of the text: of those that are about the same place the one
/// that was found first.
pub(super) fn each_once(found: Vec<TemplateError>) -> Vec<TemplateError> {
    let mut once: Vec<TemplateError> = Vec::with_capacity(found.len());
    for error in found {
        let is_told = once.iter().any(|told| match (&told.range, &error.range) {
            (Some(one), Some(other)) => one.start < other.end && other.start < one.end,
            _ => told.message == error.message,
        });
        if !is_told {
            once.push(error);
        }
    }
    once.sort_by_key(|error| error.range.as_ref().map_or(usize::MAX, |range| range.start));
    once
}

/// The mistakes of a text as problems of the settings, in which the text is at the JSON pointer
/// `above`.
pub fn problems(mistakes: Vec<TemplateError>, above: &str) -> Problems {
    let mistakes = mistakes.into_iter();
    mistakes.map(|one| one.into_problem(above)).collect()
}

/// What a filter of ours has to say.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Mistake {
    message: String,
    help: String,
    chinese: Box<Chinese>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
            chinese: Box::default(),
        }
    }

    pub(super) fn chinese(mut self, message: impl Into<String>, help: impl Into<String>) -> Self {
        self.chinese = Box::new(Chinese {
            message: message.into(),
            help: help.into(),
        });
        self
    }

    pub(super) fn at(self, range: std::ops::Range<usize>) -> TemplateError {
        TemplateError {
            message: self.message,
            help: self.help,
            chinese: self.chinese,
            path: String::new(),
            range: Some(range),
        }
    }
}

impl From<Mistake> for Error {
    fn from(mistake: Mistake) -> Self {
        Error::new(ErrorKind::InvalidOperation, "a filter").with_source(mistake)
    }
}

/// An error of minijinja without values, with its place in the text that was written.
pub(super) fn convert(error: &Error, text: &Guarded) -> TemplateError {
    let range = error
        .range()
        .and_then(|range| text.written_at(&range))
        .filter(|range| !range.is_empty());
    let range = range.map(|range| text.whole(range));
    let mistake =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<Mistake>());
    if let Some(mistake) = mistake {
        return TemplateError {
            message: mistake.message.clone(),
            help: mistake.help.clone(),
            chinese: mistake.chinese.clone(),
            range,
            ..TemplateError::default()
        };
    }
    let shown = range.as_ref().map(|range| text.shown(range));
    let of = |en: &str| match &shown {
        Some(shown) => format!("{en}: `{shown}`"),
        None => en.to_owned(),
    };
    let (message, zh, help, help_zh) = match error.kind() {
        // Its detail quotes syntax, never values.
        ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod => {
            let message = match error.detail() {
                Some(detail) => format!("{}: {detail}", error.kind()),
                None => error.kind().to_string(),
            };
            return TemplateError {
                message,
                range,
                ..TemplateError::default()
            };
        }
        ErrorKind::UndefinedError => return absent(text, range),
        ErrorKind::InvalidOperation => (
            of("this cannot be done with the values of this lead"),
            of("这条客资的值不能这样计算"),
            "put `| default(…)` behind what may be missing, `| int(0)` behind what may be no number"
                .to_owned(),
            "可能缺少的值后加 `| default(…)`，可能不是数字的值后加 `| int(0)`".to_owned(),
        ),
        kind => (kind.to_string(), String::new(), String::new(), String::new()),
    };
    TemplateError {
        message,
        help,
        chinese: Box::new(Chinese {
            message: zh,
            help: help_zh,
        }),
        range,
        ..TemplateError::default()
    }
}

/// What is not there at all, at `range`.
pub(super) fn absent(text: &Guarded, range: Option<Range<usize>>) -> TemplateError {
    let shown = range
        .as_ref()
        .map_or_else(String::new, |range| format!(": `{}`", text.shown(range)));
    TemplateError {
        message: "there is no such value for this lead".to_owned(),
        help: format!("use `| default(…)` if that may be{shown}"),
        chinese: Box::new(Chinese {
            message: "这条客资没有这个值".to_owned(),
            help: format!("如果可能没有，请用 `| default(…)`{shown}"),
        }),
        range,
        ..TemplateError::default()
    }
}

/// Whether an error would come for every lead: a mistake in the template itself.
pub(super) fn is_static(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownMethod
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
    )
}

/// The known word that is nearest to `word`, if it is near.
pub(super) fn guess<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(candidate, word), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| candidate)
}

/// Whether a lead, and not what is missing in it or how long it is, made a template fail.
pub(super) fn is_of_the_template(error: &Error) -> bool {
    let mistake =
        std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Mistake>);
    !mistake
        && !matches!(
            error.kind(),
            ErrorKind::UndefinedError | ErrorKind::OutOfFuel
        )
}
