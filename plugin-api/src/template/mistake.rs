//! Mistakes: what is wrong with a template, said without the values it happened on.
//!
//! Values are personal data, and minijinja quotes them in some of its errors. So of its errors
//! only what quotes the template is kept, and our own filters bring a [`Mistake`].

use minijinja::{Error, ErrorKind};

use crate::Problem;

/// What is wrong with a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
    /// JSON pointer to the text in its tree; empty for a lone text.
    pub path: String,
    /// Where, in bytes of the text, if known.
    pub range: Option<std::ops::Range<usize>>,
}

impl TemplateError {
    /// The same, as seen from above `key`.
    pub(super) fn below(mut self, key: &str) -> Self {
        self.path.insert_str(0, &crate::problem::step(key));
        self
    }

    /// As a problem of the settings, in which the text or tree is at the JSON pointer `above`.
    pub fn into_problem(self, above: &str) -> Problem {
        Problem::at(format!("{above}{}", self.path), self.message)
            .help(self.help)
            .range(self.range)
    }
}

/// What a filter of ours has to say.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Mistake {
    message: String,
    help: String,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }

    pub(super) fn at(self, range: std::ops::Range<usize>) -> TemplateError {
        TemplateError {
            message: self.message,
            help: self.help,
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

/// An error of minijinja without values. `moved` is how many bytes the compiled text is ahead
/// of the one that was written.
pub(super) fn convert(error: &Error, moved: isize, written: &str) -> TemplateError {
    let mistake =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<Mistake>());
    let (message, help) = match (mistake, error.kind()) {
        (Some(mistake), _) => (mistake.message.clone(), mistake.help.clone()),
        // Its detail quotes syntax, never values.
        (
            None,
            ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownMethod,
        ) => {
            let message = match error.detail() {
                Some(detail) => format!("{}: {detail}", error.kind()),
                None => error.kind().to_string(),
            };
            (message, String::new())
        }
        (None, ErrorKind::UndefinedError) => (
            "there is no such value for this lead".to_owned(),
            "use `| default(…)` if that may be".to_owned(),
        ),
        (None, kind) => (kind.to_string(), String::new()),
    };
    let place = |at: usize| {
        at.checked_add_signed(-moved)
            .filter(|at| *at <= written.len())
    };
    let range = error
        .range()
        .and_then(|range| Some(place(range.start)?..place(range.end)?))
        .filter(|range| {
            written
                .get(range.clone())
                .is_some_and(|text| !text.is_empty())
        });
    TemplateError {
        message,
        help,
        path: String::new(),
        range,
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
