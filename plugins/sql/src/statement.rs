//! The statement: one, of a kind that hands a lead over, with a value for each parameter.
//!
//! What a lead says never becomes part of the text: every `:name` becomes a bind parameter of
//! the database's own.

use std::ops::Range;

use leadgate_plugin::{Problem, Problems, pointer_segment};
use serde_json::{Map, Value};

use crate::scan::{Dialect, Kind, Token, scan};

/// A statement ready to be prepared.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// With the database's own parameters.
    pub(crate) sql: String,
    /// The name behind each of them, in their order; a name may come several times.
    pub(crate) names: Vec<String>,
}

/// What a statement may begin with.
const KINDS: [&str; 7] = [
    "insert", "update", "merge", "replace", "call", "select", "with",
];
const PATH: &str = "/statement";
const NO_TEMPLATES: &str = "write :name where the value goes, and values.name = \"{{ … }}\"";

impl Statement {
    /// Understands `text` with its `values`; else says all that is wrong.
    pub(crate) fn new(
        dialect: Dialect,
        text: &str,
        values: &Map<String, Value>,
    ) -> Result<Self, Problems> {
        let tokens = scan(dialect, text);
        let mut problems = Problems::default();
        problems.extend(templates(text));
        problems.extend(broken(text, &tokens));
        problems.extend(several(text, &tokens));
        problems.extend(kind(text, &tokens));
        problems.extend(unmatched(text, &tokens, values));
        problems.into_result(())?;
        Ok(write(dialect, text, &tokens))
    }

    /// The values in the order of the parameters. `values` has all of them.
    pub(crate) fn ordered<'a>(&self, values: &'a Map<String, Value>) -> Vec<&'a Value> {
        let value = |name| values.get(name).unwrap_or(&Value::Null);
        self.names.iter().map(value).collect()
    }
}

fn problem(message: impl Into<String>, help: impl Into<String>, range: Range<usize>) -> Problem {
    Problem::at(PATH, message).help(help).range(Some(range))
}

/// The first template, if there is one. In quotes as well: that is how it would be misused.
fn templates(text: &str) -> Option<Problem> {
    let (start, end) = [("{{", "}}"), ("{%", "%}")]
        .into_iter()
        .filter_map(|(open, close)| Some((text.find(open)?, close)))
        .min()?;
    let length = text[start..].find(end).map_or(2, |length| length + 2);
    let message = "the statement has no templates: a lead's values would become part of it";
    Some(problem(message, NO_TEMPLATES, start..start + length))
}

/// Quotes that never end, and parameters of another style.
fn broken(text: &str, tokens: &[Token]) -> Vec<Problem> {
    let broken = tokens.iter().filter_map(|token| match token.kind {
        Kind::Unclosed => {
            let start = token.range.start;
            let opening = text[start..].chars().next().map_or(1, char::len_utf8);
            let message = "what begins here never ends";
            let help = "close the quotes or the comment";
            Some(problem(message, help, start..start + opening))
        }
        Kind::Positional => {
            let message = "parameters have names here";
            Some(problem(message, NO_TEMPLATES, token.range.clone()))
        }
        _ => None,
    });
    broken.collect()
}

/// What comes after the end of the first statement.
fn several(text: &str, tokens: &[Token]) -> Option<Problem> {
    let end = tokens
        .iter()
        .position(|token| token.kind == Kind::Semicolon)?;
    let silent = [Kind::Space, Kind::Comment, Kind::Semicolon];
    let next = tokens[end..]
        .iter()
        .find(|token| !silent.contains(&token.kind))?;
    let message = "one statement, not several";
    let help = "put the rest into a function or a procedure of the database, or into another sink";
    Some(problem(
        message,
        help,
        next.range.start..text.trim_end().len(),
    ))
}

/// A first word that hands no lead over.
fn kind(text: &str, tokens: &[Token]) -> Option<Problem> {
    let silent = [Kind::Space, Kind::Comment];
    let Some(first) = tokens.iter().find(|token| !silent.contains(&token.kind)) else {
        return Some(
            Problem::at(PATH, "there is no statement").help("insert into … values (:name)"),
        );
    };
    let word = text[first.range.clone()].to_ascii_lowercase();
    if KINDS.contains(&word.as_str()) {
        return None;
    }
    let help = guess(&word, KINDS).unwrap_or_else(|| format!("one of {}", KINDS.join(", ")));
    let message = format!("a statement that begins with `{word}` hands no lead over");
    Some(problem(message, help, first.range.clone()))
}

/// Parameters without a value, and values without a parameter.
fn unmatched(text: &str, tokens: &[Token], values: &Map<String, Value>) -> Vec<Problem> {
    let is_parameter = |token: &&Token| token.kind == Kind::Parameter;
    let parameters = || tokens.iter().filter(is_parameter);
    let name = |token: &Token| &text[token.range.start + 1..token.range.end];
    let without_value = parameters()
        .filter(|token| !values.contains_key(name(token)))
        .map(|token| {
            let name = name(token);
            let help = guess(name, values.keys().map(String::as_str))
                .unwrap_or_else(|| format!("add values.{name} = \"{{{{ … }}}}\""));
            let message = format!("`:{name}` has no value");
            problem(message, help, token.range.clone())
        });
    let unused = values
        .keys()
        .filter(|key| !parameters().any(|token| name(token) == *key))
        .map(|key| {
            let quoted = tokens.iter().any(|token| {
                token.kind == Kind::Quoted && text[token.range.clone()].contains(&format!(":{key}"))
            });
            let help = if quoted {
                format!("write :{key} without quotes: it is not a part of a text")
            } else {
                guess(key, parameters().map(name))
                    .unwrap_or_else(|| "use it or remove it".to_owned())
            };
            let path = format!("/values{}", pointer_segment(key));
            Problem::at(path, format!("the statement does not use `:{key}`")).help(help)
        });
    without_value.chain(unused).collect()
}

/// Each place gets a parameter of its own, so that the database finds its type by that place
/// alone. Comments are left out for MySQL, whose driver would look for names in them.
fn write(dialect: Dialect, text: &str, tokens: &[Token]) -> Statement {
    let mut statement = Statement {
        sql: String::with_capacity(text.len()),
        names: Vec::new(),
    };
    for token in tokens {
        let written = &text[token.range.clone()];
        match (token.kind, dialect) {
            (Kind::Semicolon, _) => break,
            (Kind::Parameter, _) => {
                statement.names.push(written[1..].to_owned());
                match dialect {
                    Dialect::Postgres => {
                        statement.sql.push('$');
                        statement.sql += &statement.names.len().to_string();
                    }
                    Dialect::MySql => statement.sql.push('?'),
                }
            }
            (Kind::Comment, Dialect::MySql) => statement.sql.push(' '),
            _ => statement.sql.push_str(written),
        }
    }
    statement.sql.truncate(statement.sql.trim_end().len());
    statement
}

/// «did you mean …?» if a known word is near.
pub(crate) fn guess<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, word), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn understand(dialect: Dialect, text: &str, names: &[&str]) -> Result<Statement, Problems> {
        let values = names.iter().map(|name| ((*name).to_owned(), json!("x")));
        Statement::new(dialect, text, &values.collect())
    }

    /// Path, what the range covers, message, help.
    fn problems(text: &str, names: &[&str]) -> Vec<[String; 4]> {
        let found = understand(Dialect::Postgres, text, names).expect_err(text);
        let parts = found.into_iter().map(|one| {
            let place = one.range.map_or("", |range| &text[range]);
            [one.path, place.to_owned(), one.message, one.help]
        });
        parts.collect()
    }

    #[test]
    fn every_place_becomes_a_parameter_of_the_database() {
        let text = "insert into t -- :no\n values (:a, ':x', :b::text, :a); -- end";
        let statement = understand(Dialect::Postgres, text, &["a", "b"]).expect("good");
        assert_eq!(
            statement.sql,
            "insert into t -- :no\n values ($1, ':x', $2::text, $3)"
        );
        assert_eq!(statement.names, ["a", "b", "a"]);
        let text = "replace into `t` # it's :no\n values (:a, ':x', :b);;";
        let statement = understand(Dialect::MySql, text, &["a", "b"]).expect("good");
        assert_eq!(statement.sql, "replace into `t`  \n values (?, ':x', ?)");
        assert_eq!(statement.names, ["a", "b"]);
    }

    #[test]
    fn names_and_values_must_match_and_misspelt_ones_are_guessed() {
        assert_eq!(
            problems(
                "insert into t values (:phnoe, ':name', :zzz)",
                &["phone", "name"]
            ),
            [
                [
                    "/statement",
                    ":phnoe",
                    "`:phnoe` has no value",
                    "did you mean `phone`?"
                ],
                [
                    "/statement",
                    ":zzz",
                    "`:zzz` has no value",
                    "add values.zzz = \"{{ … }}\""
                ],
                [
                    "/values/name",
                    "",
                    "the statement does not use `:name`",
                    "write :name without quotes: it is not a part of a text"
                ],
                [
                    "/values/phone",
                    "",
                    "the statement does not use `:phone`",
                    "did you mean `phnoe`?"
                ],
            ]
        );
    }

    #[test]
    fn what_is_no_single_statement_of_a_kind_that_hands_over_is_refused() {
        for (text, place, message) in [
            (
                "insert into t values (:a); delete from t ;",
                "delete from t ;",
                "one statement, not several",
            ),
            (
                "insert into t values (:a, $1)",
                "$1",
                "parameters have names here",
            ),
            (
                "insert into t values (:a, 'b)",
                "'",
                "what begins here never ends",
            ),
            (
                "insert into t values (:a, '{{ name }}')",
                "{{ name }}",
                "the statement has no templates: a lead's values would become part of it",
            ),
            (
                "drop table t where :a",
                "drop",
                "a statement that begins with `drop` hands no lead over",
            ),
            (
                "/* x */ inser into t values (:a)",
                "inser",
                "a statement that begins with `inser` hands no lead over",
            ),
        ] {
            let [[path, found, said, help]] = &problems(text, &["a"])[..] else {
                panic!("{text}: {:?}", problems(text, &["a"]));
            };
            assert_eq!(
                (path.as_str(), found.as_str(), said.as_str()),
                ("/statement", place, message)
            );
            assert!(!help.is_empty(), "{text}");
        }
        assert_eq!(problems(" -- nothing", &[])[0][2], "there is no statement");
        for good in [
            "WITH x AS (select 1) INSERT INTO t SELECT :a",
            "select f(:a);\n-- done\n",
            "call p(:a)",
        ] {
            understand(Dialect::Postgres, good, &["a"]).expect(good);
        }
    }
}
