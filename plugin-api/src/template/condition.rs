//! Conditions: expressions that say yes or no.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::mistake::{convert, is_static};
use super::{Context, Engine, Scope, TemplateError, scan};
use crate::event::samples;

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    /// Holds the condition as its one template: compiled once, evaluated for every lead.
    environment: Arc<Environment<'static>>,
    written: Arc<str>,
}

/// Name of the template in its environment.
const NAME: &str = "when";
/// What is before the condition in that template.
const OPENING: &str = "{% if (";
/// How far the compiled condition is ahead of the written one.
const MOVED: isize = OPENING.len().cast_signed();

impl Condition {
    pub(super) fn new(engine: &Engine, text: &str, scope: &Scope) -> Result<Self, TemplateError> {
        let expression = engine
            .environment
            .compile_expression(text)
            .map_err(|error| convert(&error, 0, text))?;
        let used = expression.undeclared_variables(true);
        scope.check(&scan::condition(text), &used, &engine.tables)?;
        // A trial finds mistakes that would come for every lead; what fails only on this one
        // is not the condition's fault.
        for sample in samples(&scope.names()) {
            match expression.eval(sample) {
                Err(error) if is_static(&error) => return Err(convert(&error, 0, text)),
                _ => {}
            }
        }
        let mut environment = engine.environment.clone();
        // The text is one whole expression, checked above, so it cannot end the `if` early.
        environment
            .add_template_owned(NAME, format!("{OPENING}{text}\n) %}}1{{% endif %}}"))
            .map_err(|error| convert(&error, MOVED, text))?;
        Ok(Self {
            environment: Arc::new(environment),
            written: text.into(),
        })
    }

    /// Whether `lead` (a map of its fields) from `source` meets the condition.
    pub fn holds(&self, lead: &impl Serialize, source: &str) -> Result<bool, TemplateError> {
        let fields = Value::from(Serde(lead));
        let lead = fields.clone();
        self.meets(&Context(
            minijinja::context! { source => source, lead => lead, ..fields },
        ))
    }

    /// Whether it holds for what the names mean.
    pub fn meets(&self, context: &Context) -> Result<bool, TemplateError> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(context.0.clone()))
            .map(|text| !text.is_empty())
            .map_err(|error| convert(&error, MOVED, &self.written))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Tables;

    fn condition(text: &str) -> Result<Condition, TemplateError> {
        Engine::new(Tables::new()).condition(text)
    }

    fn holds(text: &str) -> bool {
        let lead = json!({"store_id": 437_763_404_i64, "purchase_intention": null, "city_name": "杭州", "other": {"x": 1}});
        condition(text)
            .expect(text)
            .holds(&lead, "shop")
            .expect(text)
    }

    #[test]
    fn conditions_compare_fields_and_the_source() {
        assert!(holds("store_id == 437763404"));
        assert!(holds("city_name in ['杭州', '上海'] and source == 'shop'"));
        assert!(!holds("city_name == '北京' or store_id < 5"));
        assert!(holds("other.x == 1"));
        assert!(holds("lead.store_id == store_id and lead.other.x == 1"));
    }

    #[test]
    fn an_absent_field_is_none_and_comes_before_all_numbers() {
        assert!(!holds("purchase_intention >= 1"));
        assert!(holds("purchase_intention < 1"));
        assert!(!holds(
            "purchase_intention is not none and purchase_intention < 1"
        ));
        assert!(!holds("purchase_intention == 0"));
    }

    #[test]
    fn an_unknown_name_is_an_error_with_a_guess() {
        let error = condition("purchase_intension >= 1").err().expect("unknown");
        assert_eq!(error.message, "unknown field `purchase_intension`");
        assert_eq!(error.help, "did you mean `purchase_intention`?");
        assert_eq!(error.range, Some(0..18));
        let error = condition("store_id == 1 and citi_name == 'x'").err();
        assert_eq!(error.expect("unknown").range, Some(18..27));
    }

    #[test]
    fn an_unknown_value_is_never_a_silent_no() {
        let lead = json!({"other": {}, "store_id": 5});
        for text in [
            "other.vip == 1",
            "other.vip != 1",
            "other.vip",
            "not other.vip",
            "other.vip in [1]",
            "other.vip | upper == 'X'",
            "other.vip > 3",
        ] {
            let condition = condition(text).expect(text);
            let error = condition.holds(&lead, "shop").expect_err(text);
            assert_eq!(
                error.message, "there is no such value for this lead",
                "{text}"
            );
        }
        let allowed =
            condition("other.vip | default(none) == 1 or (other.vip is defined and other.vip > 3)");
        assert!(
            !allowed
                .expect("valid")
                .holds(&lead, "shop")
                .expect("says no")
        );
    }

    #[test]
    fn mistakes_are_found_when_compiling() {
        for text in [
            "store_id ==",
            "store_id == 1 %}x{% if 1",
            "city_name | uper == 'X'",
            "city_name is weird",
            "f(1)",
            "store_id == 1 or (city_name | uper == 'X')",
            "store_id != 1 and city_name is weird",
            "store_id == 1 and (channel | lookup('nope')) == 'x'",
            "lead.stor_id == 1",
            "store_id.deeper == 1",
            "labels.channel == 'x'",
            "debug()",
        ] {
            assert!(condition(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_fails_on_one_lead_is_an_error_and_not_a_no() {
        let failing = condition("other.missing.deeper == 1").expect("compiles");
        let error = failing
            .holds(&json!({"other": {}}), "shop")
            .expect_err("strict");
        assert!(
            !error.message.contains("missing"),
            "values stay out: {error}"
        );
    }
}
