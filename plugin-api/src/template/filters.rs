//! Filters that leadgate adds to minijinja's own. TEMPLATES.md is their reference.
//!
//! A field that the push did not say is none, and none passes through all of them: a lead is
//! not refused for what it does not have.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use minijinja::value::{Rest, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::mistake::{Mistake, guess};
use super::time;
use crate::{Tables, phone};

/// Filters of this file and of [`time`].
pub(super) const OWN: [&str; 14] = [
    "e164",
    "mask",
    "lookup",
    "datetime",
    "format",
    "epoch_ms",
    "fromjson",
    "compact",
    "none_if_empty",
    "truncate_bytes",
    "sha256",
    "hmac_sha256",
    "uuid5",
    "base64",
];

pub(super) fn add(environment: &mut Environment<'static>, tables: Arc<Tables>) {
    environment.add_filter("lookup", move |code: &Value, table: &str| {
        look_up(&tables, code, table)
    });
    environment.add_filter("e164", |number: &Value, region: Option<&str>| {
        region.map_or(Ok(()), check_region)?;
        Ok::<_, Error>(text(number)?.and_then(|text| phone::e164(&text)))
    });
    environment.add_filter("mask", |value: &Value| {
        Ok::<_, Error>(text(value)?.map(|text| mask(&text)))
    });
    environment.add_filter("none_if_empty", |value: Value| match value.as_str() {
        Some(text) if text.trim().is_empty() => Value::from(()),
        _ => value,
    });
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("fromjson", fromjson);
    environment.add_filter("compact", compact);
    environment.add_filter("truncate_bytes", truncate_bytes);
    environment.add_filter("sha256", |value: &Value, encoding: Option<&str>| {
        let Some(text) = text(value)? else {
            return Ok(None);
        };
        Ok::<_, Error>(encode(&Sha256::digest(text.as_bytes()), encoding).map(Some)?)
    });
    environment.add_filter("hmac_sha256", hmac_sha256);
    environment.add_filter("uuid5", |value: &Value, namespace: &str| {
        let namespace = uuid_namespace(namespace)?;
        let made = text(value)?.map(|text| Uuid::new_v5(&namespace, text.as_bytes()).to_string());
        Ok::<_, Error>(made)
    });
    environment.add_filter("base64", |value: &Value| {
        let Some(text) = text(value)? else {
            return Ok(None);
        };
        Ok::<_, Error>(encode(text.as_bytes(), Some("base64")).map(Some)?)
    });
    time::add(environment);
}

/// Finds what is wrong with a filter's first argument, if that is written out: also in
/// branches that no trial takes.
pub(super) fn check_argument(tables: &Tables, filter: &str, argument: &str) -> Result<(), Mistake> {
    match filter {
        "lookup" => check_table(tables, argument),
        "e164" => check_region(argument),
        "uuid5" => uuid_namespace(argument).map(drop),
        "sha256" => encode(&[], Some(argument)).map(drop),
        "datetime" => time::zone(argument).map(drop),
        "format" => time::check_format(argument),
        _ => Ok(()),
    }
}

/// The text of a text or number; none of none.
pub(super) fn text(value: &Value) -> Result<Option<String>, Mistake> {
    match value.kind() {
        ValueKind::None => Ok(None),
        ValueKind::String | ValueKind::Number => Ok(Some(value.to_string())),
        ValueKind::Undefined => Err(Mistake::new(
            "there is no value",
            "use `| default(…)` before it if that may be",
        )),
        _ if value.downcast_object_ref::<time::Moment>().is_some() => Ok(Some(value.to_string())),
        _ => Err(Mistake::new("the filter wants a text or a number", "")),
    }
}

fn check_table(tables: &Tables, table: &str) -> Result<(), Mistake> {
    if tables.contains_key(table) {
        return Ok(());
    }
    let help = guess(table, tables.keys().map(String::as_str)).map_or_else(
        || format!("add [tables.{table}] to a file in tables.d/"),
        |guess| format!("did you mean `{guess}`?"),
    );
    Err(Mistake::new(format!("there is no table `{table}`"), help))
}

/// The label of `code` in `table`; its `default` if the code is not there, where `{{ value }}`
/// stands for the code; else the code itself.
fn look_up(tables: &Tables, code: &Value, table: &str) -> Result<Value, Error> {
    check_table(tables, table)?;
    let Some(key) = text(code)? else {
        return Ok(Value::from(()));
    };
    let none = BTreeMap::new();
    let entries = tables.get(table).unwrap_or(&none);
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

fn check_region(region: &str) -> Result<(), Mistake> {
    if region == "CN" {
        return Ok(());
    }
    Err(Mistake::new(
        "`e164` knows the region CN only",
        "write `| e164`",
    ))
}

/// `13567658911` → `135****8911`. Only a text that is one phone is shown in part: of any other,
/// be it two phones or a phone with a name, each letter is a star.
fn mask(text: &str) -> String {
    phone::masked(text).unwrap_or_else(|| "*".repeat(text.chars().count()))
}

/// Unlike minijinja's own also for none: that is how a lead says that it has no value.
/// A none that is said stands for itself, and is not taken for "nothing was said".
fn default(value: Value, said: Rest<Value>) -> Result<Value, Error> {
    let mut said = said.0.into_iter();
    let (other, also_false) = (said.next(), said.next());
    if said.next().is_some() {
        return Err(ErrorKind::TooManyArguments.into());
    }
    let absent = value.is_undefined() || value.is_none();
    let also_false = also_false.is_some_and(|also_false| also_false.is_true());
    if absent || (also_false && !value.is_true()) {
        Ok(other.unwrap_or_else(|| Value::from("")))
    } else {
        Ok(value)
    }
}

/// The value in a JSON text. What is no JSON is `otherwise`, or an error without it.
fn fromjson(value: &Value, otherwise: Option<Value>) -> Result<Value, Error> {
    let Some(text) = text(value)? else {
        return Ok(otherwise.unwrap_or_else(|| Value::from(())));
    };
    match (serde_json::from_str::<serde_json::Value>(&text), otherwise) {
        (Ok(parsed), _) => Ok(Value::from(Serde(parsed))),
        (Err(_), Some(otherwise)) => Ok(otherwise),
        (Err(_), None) => Err(Mistake::new(
            "the text is not JSON",
            "`| fromjson({})` gives an empty table then",
        )
        .into()),
    }
}

/// Without entries that are none, at any depth.
fn compact(value: &Value) -> Result<Value, Error> {
    Ok(match value.kind() {
        ValueKind::Map => {
            let mut kept = BTreeMap::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                if !item.is_none() && !item.is_undefined() {
                    kept.insert(key, compact(&item)?);
                }
            }
            Value::from_object(kept)
        }
        ValueKind::Seq => value
            .try_iter()?
            .filter(|item| !item.is_none() && !item.is_undefined())
            .map(|item| compact(&item))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from)?,
        _ => value.clone(),
    })
}

/// The longest beginning of at most `most` bytes of UTF-8, with `end` behind it if cut.
fn truncate_bytes(value: &Value, most: usize, end: Option<&str>) -> Result<Option<String>, Error> {
    let Some(mut text) = text(value)? else {
        return Ok(None);
    };
    if text.len() > most {
        let end = end.filter(|end| end.len() <= most).unwrap_or_default();
        text.truncate(text.floor_char_boundary(most - end.len()));
        text.push_str(end);
    }
    Ok(Some(text))
}

fn hmac_sha256(value: &Value, key: &str, encoding: Option<&str>) -> Result<Option<String>, Error> {
    let Some(text) = text(value)? else {
        return Ok(None);
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| Mistake::new("this key cannot be used", ""))?;
    mac.update(text.as_bytes());
    Ok(encode(&mac.finalize().into_bytes(), encoding).map(Some)?)
}

fn encode(bytes: &[u8], encoding: Option<&str>) -> Result<String, Mistake> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    match encoding {
        None | Some("hex") => Ok(crate::hex(bytes)),
        Some("base64") => Ok(STANDARD.encode(bytes)),
        Some(_) => Err(Mistake::new(
            "unknown encoding",
            "\"hex\" (default) or \"base64\"",
        )),
    }
}

fn uuid_namespace(name: &str) -> Result<Uuid, Mistake> {
    match name {
        "dns" => Ok(Uuid::NAMESPACE_DNS),
        "url" => Ok(Uuid::NAMESPACE_URL),
        "oid" => Ok(Uuid::NAMESPACE_OID),
        "x500" => Ok(Uuid::NAMESPACE_X500),
        given => Uuid::parse_str(given).map_err(|_| {
            Mistake::new(
                "not a namespace for `uuid5`",
                "\"dns\", \"url\", \"oid\", \"x500\" or a UUID of your own",
            )
        }),
    }
}
