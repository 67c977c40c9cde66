//! Filters that leadgate adds to minijinja's own.

use minijinja::{Environment, Error, ErrorKind, Value};

use crate::Tables;

/// Adds `lookup`, `mask` and `none_if_empty`.
pub(super) fn add(environment: &mut Environment<'static>, tables: Tables) {
    environment.add_filter("lookup", move |code: &Value, table: &str| {
        look_up(&tables, code, table)
    });
    environment.add_filter("mask", |text: &Value| text.as_str().map(mask));
    environment.add_filter("none_if_empty", |value: Value| match value.as_str() {
        Some("") => Value::from(()),
        _ => value,
    });
}

/// The label of `code` in `table`; its `default` if the code is not there, where `{{ value }}`
/// stands for the code; else the code itself.
fn look_up(tables: &Tables, code: &Value, table: &str) -> Result<Value, Error> {
    let Some(entries) = tables.get(table) else {
        return Err(Error::new(ErrorKind::InvalidOperation, "no such table"));
    };
    if code.is_none() || code.is_undefined() {
        return Ok(Value::from(()));
    }
    let key = code.to_string();
    if let Some(label) = entries
        .get(&key)
        .filter(|_| key != "label" && key != "default")
    {
        return Ok(Value::from(label.as_str()));
    }
    Ok(entries.get("default").map_or_else(
        || code.clone(),
        |default| {
            Value::from(
                default
                    .replace("{{ value }}", &key)
                    .replace("{{value}}", &key),
            )
        },
    ))
}

/// `13567658911` → `135****8911`; short texts become stars.
fn mask(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() < 8 {
        return "*".repeat(letters.len());
    }
    let end = letters.len() - 4;
    letters
        .iter()
        .enumerate()
        .map(|(at, letter)| if (3..end).contains(&at) { '*' } else { *letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_three_and_four_of_a_phone_and_nothing_of_short_texts() {
        assert_eq!(mask("13567658911"), "135****8911");
        assert_eq!(mask("张三"), "**");
        assert_eq!(mask(""), "");
    }

    #[test]
    fn lookups_fall_back_to_the_default_then_to_the_code() {
        let table = [
            ("2", "全屋装修"),
            ("default", "未知({{ value }})"),
            ("label", "装修类型"),
        ];
        let table = table
            .into_iter()
            .map(|(code, label)| (code.to_owned(), label.to_owned()))
            .collect();
        let tables = Tables::from([
            ("t".to_owned(), table),
            ("empty".to_owned(), std::collections::BTreeMap::new()),
        ]);
        let find =
            |code: Value, table| look_up(&tables, &code, table).map(|label| label.to_string());
        assert_eq!(find(Value::from(2), "t").expect("a label"), "全屋装修");
        assert_eq!(find(Value::from(9), "t").expect("the default"), "未知(9)");
        assert_eq!(
            find(Value::from("label"), "t").expect("the default"),
            "未知(label)"
        );
        assert_eq!(find(Value::from(9), "empty").expect("the code"), "9");
        assert!(find(Value::from(9), "none").is_err());
        assert!(
            look_up(&tables, &Value::from(()), "t")
                .expect("absent stays absent")
                .is_none()
        );
    }
}
