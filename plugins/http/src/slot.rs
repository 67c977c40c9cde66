//! Slots: values of headers and query parameters, each a secret or a template over the lead.

use leadgate_plugin::template::{self, Context, Engine, Scope, Template};
use leadgate_plugin::{Chinese, Problem, Problems, Secret};

use crate::endpoint::has_template;

/// A setting that is a secret, or a template over the lead.
#[derive(Clone)]
pub(crate) enum Slot {
    Fixed(Secret),
    Template(Template),
}

impl Slot {
    pub(crate) fn new(
        given: &Secret,
        at: &str,
        engine: &Engine,
        scope: &Scope,
    ) -> Result<Self, Problems> {
        if !has_template(given.expose()) {
            return Ok(Self::Fixed(given.clone()));
        }
        engine
            .template(given.expose(), scope)
            .map(Self::Template)
            // A secret from elsewhere may look like a template by chance: no word of it is quoted.
            // One that is written in the file is shown there.
            .map_err(|mistakes| {
                let problems = template::problems(mistakes, at);
                problems.into_iter().map(unquoted).collect()
            })
    }

    /// The value, and whether it may be shown.
    pub(crate) fn value(
        &self,
        context: &Context,
        at: &str,
    ) -> Result<Option<(String, bool)>, Problem> {
        match self {
            Self::Fixed(secret) => Ok(Some((secret.expose().to_owned(), false))),
            Self::Template(template) => template
                .text(context)
                .map(|text| text.map(|text| (text, true)))
                .map_err(|error| error.into_problem(at)),
        }
    }
}

/// The same without a word of the text it is about.
fn unquoted(mut problem: Problem) -> Problem {
    let end = problem.message.find(['`', ':']);
    problem
        .message
        .truncate(end.unwrap_or(problem.message.len()));
    let what = match problem.message.trim_end() {
        "" => "a mistake",
        what => what,
    };
    problem.message = format!("{what} in this template");
    let chinese = std::mem::take(&mut problem.chinese.message);
    let end = chinese.find(['`', '：']).unwrap_or(chinese.len());
    let chinese = format!("此模板有误：{}", chinese[..end].trim_end());
    problem.chinese = Box::new(Chinese {
        message: chinese,
        help: String::new(),
    });
    if !problem.help.starts_with("did you mean") {
        problem.help.clear();
    }
    problem
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;

    use super::*;

    #[test]
    fn a_secret_that_looks_like_a_template_is_not_quoted() {
        let engine = Engine::new(Tables::new());
        for secret in [
            "k{{hunter}}",
            "k{{ hunter",
            "{% hunter %}",
            "{{ phone | hunter }}",
            "{{ name | lookup('hunter') }}",
        ] {
            let problem = Slot::new(&Secret::new(secret), "/headers/x", &engine, &Scope::EVENT)
                .err()
                .expect(secret);
            assert!(!format!("{problem:?}").contains("hunter"), "{problem:?}");
        }
        let problem = Slot::new(
            &Secret::new("{{ phnoe }}"),
            "/headers/x",
            &engine,
            &Scope::EVENT,
        )
        .err()
        .expect("unknown")
        .into_iter()
        .next()
        .expect("one mistake");
        assert_eq!(
            problem.to_string(),
            "settings.headers.x: unknown field in this template"
        );
        assert_eq!(
            (problem.help.as_str(), problem.range),
            ("did you mean `phone`?", Some(3..8))
        );
    }
}
