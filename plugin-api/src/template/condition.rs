//! Conditions: expressions that say yes or no.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::guard::Guarded;
use super::mistake::{convert, each_once};
use super::{Context, Engine, Scope, TemplateError, expression, scan, slips, trial, types};

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    compiled: Arc<Compiled>,
}

struct Compiled {
    /// Holds the condition as its one template: compiled once, evaluated for every lead.
    environment: Environment<'static>,
    text: Guarded,
}

/// Name of the template in its environment.
const NAME: &str = "when";

impl Condition {
    pub(super) fn new(
        engine: &Engine,
        text: &str,
        scope: &Scope,
    ) -> Result<Self, Vec<TemplateError>> {
        let used = engine
            .environment
            .compile_expression(text)
            .map(|expression| expression.undeclared_variables(true))
            .map_err(|error| slips::of_condition(text, convert(&error, &Guarded::plain(text))))?;
        let read = expression::of_condition(text);
        let mut found = match &read {
            Some(read) => types::check_condition(text, read, scope),
            None => Vec::new(),
        };
        found.extend(scope.check(&scan::condition(text), &used, &engine.tables));
        if !found.is_empty() {
            return Err(each_once(found));
        }
        // The text is one whole expression, compiled above, so it cannot end the `if` early.
        let guarded = Guarded::condition(text, read.as_ref());
        let text = guarded.within(&(0..text.len()), "{% if (", "\n) %}1{% endif %}");
        let mut environment = engine.environment.clone();
        environment
            .add_template_owned(NAME, text.text().to_owned())
            .map_err(|error| vec![convert(&error, &text)])?;
        let compiled = Arc::new(Compiled { environment, text });
        let template = compiled
            .environment
            .get_template(NAME)
            .map_err(|error| vec![convert(&error, &compiled.text)])?;
        trial::run(&template, &compiled.text, scope, &used, &engine.tables)
            .map_err(|error| vec![error])?;
        Ok(Self { compiled })
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
        let Compiled { environment, text } = &*self.compiled;
        environment
            .get_template(NAME)
            .and_then(|template| template.render(context.0.clone()))
            .map(|rendered| !rendered.is_empty())
            .map_err(|error| convert(&error, text).in_one_line())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Tables;

    fn condition(text: &str) -> Result<Condition, Vec<TemplateError>> {
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
        let [error] = error.try_into().expect("one mistake");
        assert_eq!(error.message, "unknown field `purchase_intension`");
        assert_eq!(error.help, "did you mean `purchase_intention`?");
        assert_eq!(error.range, Some(0..18));
        let error = condition("store_id == 1 and citi_name == 'x'").err();
        assert_eq!(error.expect("unknown")[0].range, Some(18..27));
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
            assert!(
                error
                    .message
                    .starts_with("there is no such value for this lead; use `| default(…)`"),
                "{text}: {error}"
            );
            assert!(error.message.contains("other.vip"), "{text}: {error}");
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
        let failing = condition("other.missing.deeper == 1 or name == 'x'").expect("compiles");
        let error = failing
            .holds(&json!({"other": {}, "name": "张三"}), "shop")
            .expect_err("strict");
        assert!(
            error.message.contains("`other.missing.deeper`"),
            "the template is named: {error}"
        );
        assert!(!format!("{error:?}").contains('三'), "values stay out");
    }
}
