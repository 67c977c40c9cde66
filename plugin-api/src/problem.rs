//! Problems: what is wrong with a sink's settings.

use std::fmt;
use std::ops::Range;

/// One problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// JSON pointer into the settings, e.g. `/headers/x-shop`; empty for the whole.
    pub path: String,
    /// What is wrong. Never a secret or personal data.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
    /// The same in Chinese, where it is known.
    pub chinese: Box<Chinese>,
    /// Where in the text at `path`, in bytes; `None` is all of it.
    pub range: Option<Range<usize>>,
}

/// What a [`Problem`] says, in Chinese; empty where only the English is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chinese {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Stands between the English and the Chinese of one text where only one can be passed.
const BETWEEN: char = '\u{1f}';

/// Both languages as one text, as they cross the ABI.
pub(crate) fn both(english: &str, chinese: &str) -> String {
    if chinese.is_empty() {
        return english.to_owned();
    }
    format!("{english}{BETWEEN}{chinese}")
}

/// The English and the Chinese of a text that a plugin gave, which are the same if it gave one.
pub fn languages(text: &str) -> (&str, &str) {
    text.split_once(BETWEEN).unwrap_or((text, text))
}

impl Problem {
    /// A problem at `path`.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds the same in Chinese.
    #[must_use]
    pub fn chinese(mut self, message: impl Into<String>, help: impl Into<String>) -> Self {
        self.chinese = Box::new(Chinese {
            message: message.into(),
            help: help.into(),
        });
        self
    }

    /// Says where in the text it is.
    #[must_use]
    pub fn range(mut self, range: Option<Range<usize>>) -> Self {
        self.range = range;
        self
    }
}

/// One segment of a JSON pointer, with its slash.
pub fn pointer_segment(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return formatter.write_str(&self.message);
        }
        let place = self
            .path
            .replace('/', ".")
            .replace("~1", "/")
            .replace("~0", "~");
        write!(formatter, "settings{place}: {}", self.message)
    }
}

/// All problems that were found; none means that all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// What `result` has, or `None` and its problems are added. So that all mistakes are found
    /// at once:
    ///
    /// ```
    /// use leadgate_plugin::{Problem, Problems};
    /// let read = |at: &str, text: &str| {
    ///     text.parse::<u16>().map_err(|_| Problem::at(at, "not a number"))
    /// };
    /// let mut problems = Problems::default();
    /// let from = problems.keep(read("/from", "one"));
    /// let to = problems.keep(read("/to", "two"));
    /// assert_eq!((from, to, problems.into_iter().count()), (None, None, 2));
    /// ```
    pub fn keep<T, E: Into<Self>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|found| self.extend(found.into())).ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if there are no problems, else the problems.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<Problem> for Problems {
    fn extend<T: IntoIterator<Item = Problem>>(&mut self, problems: T) {
        self.0.extend(problems);
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<T: IntoIterator<Item = Problem>>(problems: T) -> Self {
        Self(problems.into_iter().collect())
    }
}
