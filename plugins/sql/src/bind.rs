//! Binding for PostgreSQL: a value as the text that the parameter's type reads.
//!
//! The database infers each parameter's type from its place and reads the text as it would
//! read a literal in quotes, so every type takes what its documentation says, also those of
//! extensions.

use std::error::Error;

use serde_json::Value;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

/// A value to bind.
#[derive(Clone, Copy)]
pub(crate) struct Bound<'a>(pub(crate) &'a Value);

/// The driver shows its parameters at some log levels.
impl std::fmt::Debug for Bound<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = text(self.0, kind) else {
            return Ok(IsNull::Yes);
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// `None` is null. Tables and lists are JSON, but a list for an array column is an array.
fn text(value: &Value, kind: &Type) -> Option<String> {
    match (value, kind.kind()) {
        (Value::Null, _) => None,
        (_, Kind::Domain(base)) => text(value, base),
        (Value::Array(items), Kind::Array(_)) => Some(array(items)),
        (Value::String(text), _) => Some(text.clone()),
        _ => Some(value.to_string()),
    }
}

fn array(items: &[Value]) -> String {
    let items: Vec<_> = items
        .iter()
        .map(|item| match item {
            Value::Null => "null".to_owned(),
            Value::Array(items) => array(items),
            Value::String(text) => quoted(text),
            Value::Object(_) => quoted(&item.to_string()),
            Value::Bool(_) | Value::Number(_) => item.to_string(),
        })
        .collect();
    format!("{{{}}}", items.join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_the_text_that_its_type_reads() {
        for (value, kind, expected) in [
            (json!(null), Type::TEXT, None),
            (json!("张三"), Type::TEXT, Some("张三")),
            (json!(371_009), Type::INT8, Some("371009")),
            (json!(1.5), Type::NUMERIC, Some("1.5")),
            (json!(true), Type::BOOL, Some("true")),
            (json!({"a": [1]}), Type::JSONB, Some(r#"{"a":[1]}"#)),
            (json!([1, "a"]), Type::JSONB, Some(r#"[1,"a"]"#)),
            (json!(r#"{"a":1}"#), Type::JSONB, Some(r#"{"a":1}"#)),
            (
                json!([1, null, [2]]),
                Type::INT8_ARRAY,
                Some("{1,null,{2}}"),
            ),
            (
                json!(["a,\"b\\", "null", {"k": "v"}]),
                Type::TEXT_ARRAY,
                Some(r#"{"a,\"b\\","null","{\"k\":\"v\"}"}"#),
            ),
        ] {
            assert_eq!(text(&value, &kind).as_deref(), expected, "{value} {kind}");
        }
    }
}
