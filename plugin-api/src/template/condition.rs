//! Conditions: expressions that say yes or no to a lead.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::{CONDITION_NAMES, Engine, TemplateError, check_names, convert, is_static};
use crate::event::sample_names;

/// A compiled condition.
pub struct Condition {
    /// Holds the condition as its one template: compiled once, evaluated for every lead.
    environment: Arc<Environment<'static>>,
}

/// Name of the template in its environment.
const NAME: &str = "when";

impl Condition {
    pub(super) fn new(engine: &Engine, text: &str) -> Result<Self, TemplateError> {
        let expression = engine
            .environment
            .compile_expression(text)
            .map_err(|error| convert(&error))?;
        check_names(expression.undeclared_variables(false), &CONDITION_NAMES)?;
        // A trial finds filters and tests that do not exist; what fails only on this lead is
        // not the template's fault.
        if let Err(error) = expression.eval(sample_names())
            && is_static(&error)
        {
            return Err(convert(&error));
        }
        let mut environment = (*engine.environment).clone();
        // The text is one whole expression, checked above, so it cannot end the `if` early.
        environment
            .add_template_owned(NAME, format!("{{% if ({text}\n) %}}1{{% endif %}}"))
            .map_err(|error| convert(&error))?;
        Ok(Self {
            environment: Arc::new(environment),
        })
    }

    /// Whether `lead` (a map of its fields) from `source` meets the condition.
    pub fn holds(&self, lead: &impl Serialize, source: &str) -> Result<bool, TemplateError> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| convert(&error))?;
        let lead = Value::from(Serde(lead));
        let context = minijinja::context! { source => source, .. lead };
        template
            .render(context)
            .map(|text| !text.is_empty())
            .map_err(|error| convert(&error))
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
    }

    #[test]
    fn mistakes_are_found_when_compiling() {
        for text in [
            "store_id ==",
            "store_id == 1 %}x{% if 1",
            "city_name | uper == 'X'",
            "city_name is weird",
            "f(1)",
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
