//! The subject: tokens between dots, each a template of its own.
//!
//! A lead fills a token, and never makes two of one: what it says may not have a dot, a
//! wildcard or white space in it, so it cannot choose another place in the hierarchy.

use leadgate_plugin::template::{self, Context, Engine, Scope, Template};
use leadgate_plugin::{Problem, Problems};

/// Longest subject, in bytes. Servers take 4096 for the whole line that it stands in.
const LONGEST: usize = 1024;
const AT: &str = "/subject";

/// A subject before a lead fills it.
pub(crate) struct Subject {
    written: String,
    tokens: Vec<Template>,
}

impl Subject {
    pub(crate) fn new(text: &str, engine: &Engine) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut tokens = Vec::new();
        for (start, token) in split(text) {
            let whole = start..start + token.len();
            match engine.template(token, &Scope::EVENT) {
                Ok(template) => {
                    if template.is_plain()
                        && let Err(why) = fits(token)
                    {
                        problems.push(Problem::at(AT, why).range(Some(whole)));
                    }
                    tokens.push(template);
                }
                Err(mistakes) => {
                    let found = template::problems(mistakes, AT).into_iter();
                    problems.extend(found.map(|mut problem| {
                        let inner = problem.range.take();
                        let inner = inner.map(|inner| start + inner.start..start + inner.end);
                        problem.range(Some(inner.unwrap_or_else(|| whole.clone())))
                    }));
                }
            }
        }
        if text.starts_with('$') {
            let problem = Problem::at(AT, "subjects that begin with `$` are the server's own");
            problems.push(problem.range(Some(0..1)));
        }
        problems.into_result(Self {
            written: text.to_owned(),
            tokens,
        })
    }

    /// As it stands in the settings: without anything that a lead says.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    pub(crate) fn fill(&self, context: &Context) -> Result<String, Problem> {
        let mut subject = String::new();
        for token in &self.tokens {
            let filled = token
                .text(context)
                .map_err(|error| error.into_problem(AT))?;
            let filled = filled.unwrap_or_default();
            fits(&filled).map_err(|why| {
                let message = format!("what the lead gives for `{}`: {why}", token.written());
                Problem::at(AT, message)
                    .help("{{ city_name | default('none') | replace('.', '-') }}")
            })?;
            if !subject.is_empty() {
                subject.push('.');
            }
            subject.push_str(&filled);
        }
        if subject.len() > LONGEST {
            return Err(Problem::at(AT, "the subject is longer than 1024 bytes"));
        }
        if subject.starts_with('$') {
            return Err(Problem::at(
                AT,
                "subjects that begin with `$` are the server's own",
            ));
        }
        Ok(subject)
    }
}

/// Whether `token` may stand between two dots.
fn fits(token: &str) -> Result<(), &'static str> {
    let unfit = |letter: char| letter.is_whitespace() || letter.is_control();
    if token.is_empty() {
        Err("a part of a subject must not be empty")
    } else if token.contains(['.', '*', '>']) {
        Err("a part of a subject cannot have `.`, `*` or `>` in it")
    } else if token.contains(unfit) {
        Err("a part of a subject cannot have white space in it")
    } else {
        Ok(())
    }
}

/// The parts between the dots that stand outside of expressions, each with where it begins.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let close = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")]
            .into_iter()
            .find(|(open, _)| rest.starts_with(open))
            .map(|(_, close)| close);
        if let Some(close) = close {
            at = rest.find(close).map_or(text.len(), |end| at + end + 2);
        } else {
            if rest.starts_with('.') {
                tokens.push((start, &text[start..at]));
                start = at + 1;
            }
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    tokens.push((start, &text[start..]));
    tokens
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;
    use serde_json::json;

    use super::*;

    fn engine() -> Engine {
        Engine::new(Tables::new())
    }

    fn fill(text: &str, lead: &serde_json::Value) -> Result<String, Problem> {
        let subject = Subject::new(text, &engine()).expect("compiles");
        subject.fill(&engine().event(&json!({"lead": lead}), "D1"))
    }

    #[test]
    fn dots_in_expressions_do_not_part_tokens() {
        let lead = json!({"store_id": 7, "name": "张三"});
        for (text, subject) in [
            ("leads", "leads"),
            ("leads.new", "leads.new"),
            (
                "leads.{{ lead.store_id }}.x-{{ delivery_id }}",
                "leads.7.x-D1",
            ),
            (
                "{# a.b #}leads.{% if store_id == 7 %}seven{% endif %}",
                "leads.seven",
            ),
            ("leads.{{ name }}", "leads.张三"),
        ] {
            assert_eq!(fill(text, &lead).as_deref(), Ok(subject), "{text}");
        }
    }

    #[test]
    fn a_lead_fills_one_token_and_its_value_is_not_shown() {
        for value in ["a.b", "*", ">", "a b", "a\tb", "a\r\nPUB x", "", "\u{3000}"] {
            for text in ["leads.{{ name }}", "leads.{{ lead.name }}.new"] {
                let result = fill(text, &json!({"name": value}));
                let problem = result.expect_err("refused");
                assert_eq!(problem.path, "/subject", "{value:?}");
                let text = problem.to_string();
                assert!(value.len() < 3 || !text.contains(value), "{text}");
            }
        }
        assert!(fill("leads.{{ name }}", &json!({"name": null})).is_err());
        assert!(fill("{{ name }}", &json!({"name": "$SYS"})).is_err());
        let long = "x".repeat(2000);
        assert!(fill("leads.{{ name }}", &json!({"name": long})).is_err());
    }

    #[test]
    fn mistakes_are_found_at_their_place() {
        for (text, expected) in [
            ("", &[Some(0..0)][..]),
            ("leads..new", &[Some(6..6)]),
            ("leads.*", &[Some(6..7)]),
            ("leads.>.a b", &[Some(6..7), Some(8..11)]),
            ("leads.{{ nmae }}.{{ phon }}", &[Some(9..13), Some(20..24)]),
            ("$JS.API.x", &[Some(0..1)]),
        ] {
            let problems = Subject::new(text, &engine()).err().expect("wrong");
            let places: Vec<_> = problems.into_iter().map(|one| one.range).collect();
            assert_eq!(places, expected, "{text}");
        }
    }
}
