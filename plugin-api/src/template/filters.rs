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

use super::kind::{DATED, Kind, Signature, WRITTEN};
use super::mistake::{Mistake, guess};
use super::time;
use crate::{Tables, phone};

/// A filter of leadgate's own.
struct Own {
    name: &'static str,
    /// Its arguments as TEMPLATES.md names them.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares TEMPLATES.md"))]
    arguments: &'static str,
    /// What it gives, as TEMPLATES.md says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares TEMPLATES.md"))]
    about: &'static str,
    signature: Signature,
    /// Finds what is wrong with its first argument, if that is written out.
    check: fn(&Tables, &str) -> Result<(), Mistake>,
    /// Adds it to an environment under its name.
    add: fn(&mut Environment<'static>, &'static str, &Arc<Tables>),
}

const fn of(takes: &'static [Kind], arguments: &'static [Kind], gives: Kind) -> Signature {
    Signature {
        takes,
        gives,
        arguments,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "stands in the table as others do")]
fn any_argument(_: &Tables, _: &str) -> Result<(), Mistake> {
    Ok(())
}

/// The one list of them, in the order of TEMPLATES.md.
const OWN: [Own; 15] = [
    Own {
        name: "e164",
        arguments: "",
        about: "`+86…` of a number that surely is a Chinese mobile, else none",
        signature: of(&[Kind::Text], &[Kind::Text], Kind::Text),
        check: |_, region| check_region(region),
        add: |to, name, _| to.add_filter(name, e164),
    },
    Own {
        name: "mask",
        arguments: "",
        about: "a text for people who need not see all of it",
        signature: of(WRITTEN, &[], Kind::Text),
        check: any_argument,
        add: |to, name, _| {
            to.add_filter(name, |value: &Value| {
                Ok::<_, Error>(text(value)?.map(|text| mask(&text)))
            });
        },
    },
    Own {
        name: "lookup",
        arguments: "(table)",
        about: "the label of a code; the table's `default` for an unlisted code, else the code itself",
        signature: of(WRITTEN, &[Kind::Text], Kind::Any),
        check: check_table,
        add: |to, name, tables| {
            let tables = Arc::clone(tables);
            to.add_filter(name, move |code: &Value, table: &str| {
                look_up(&tables, code, table)
            });
        },
    },
    Own {
        name: "datetime",
        arguments: "(zone)",
        about: "a time: from text (read in `zone` if it has no offset; `Asia/Shanghai` if not said) or milliseconds since 1970",
        signature: of(DATED, &[Kind::Text], Kind::Time),
        check: |_, zone| time::zone(zone).map(drop),
        add: |to, name, _| to.add_filter(name, time::datetime),
    },
    Own {
        name: "format",
        arguments: "(pattern)",
        about: "a time as text, by [strftime](https://docs.rs/jiff/latest/jiff/fmt/strtime/index.html)",
        signature: of(DATED, &[Kind::Text], Kind::Text),
        check: |_, format| time::check_format(format),
        add: |to, name, _| to.add_filter(name, time::format),
    },
    Own {
        name: "epoch_ms",
        arguments: "",
        about: "a time in milliseconds since 1970",
        signature: of(DATED, &[], Kind::Number),
        check: any_argument,
        add: |to, name, _| to.add_filter(name, time::epoch_ms),
    },
    Own {
        name: "fromjson",
        arguments: "(otherwise)",
        about: "the value in a JSON text; `otherwise` for none and for what is no JSON",
        signature: of(&[Kind::Text], &[], Kind::Any),
        check: any_argument,
        add: |to, name, _| to.add_filter(name, fromjson),
    },
    Own {
        name: "compact",
        arguments: "",
        about: "a table or list without what is none, at any depth",
        signature: of(&[], &[], Kind::Any),
        check: any_argument,
        add: |to, name, _| to.add_filter(name, compact),
    },
    Own {
        name: "none_if_empty",
        arguments: "",
        about: "none for an empty or blank text",
        signature: of(&[], &[], Kind::Any),
        check: any_argument,
        add: |to, name, _| {
            to.add_filter(name, |value: Value| match value.as_str() {
                Some(text) if text.trim().is_empty() => Value::from(()),
                _ => value,
            });
        },
    },
    Own {
        name: "truncate_bytes",
        arguments: "(n, end)",
        about: "the beginning of at most `n` bytes of UTF-8, `end` included",
        signature: of(WRITTEN, &[Kind::Number, Kind::Text], Kind::Text),
        check: any_argument,
        add: |to, name, _| to.add_filter(name, truncate_bytes),
    },
    Own {
        name: "sha256",
        arguments: "(encoding)",
        about: "hash; `\"hex\"` or `\"base64\"`",
        signature: of(WRITTEN, &[Kind::Text], Kind::Text),
        check: |_, encoding| encode(&[], Some(encoding)).map(drop),
        add: |to, name, _| to.add_filter(name, sha256),
    },
    Own {
        name: "hmac_sha256",
        arguments: "(key, encoding)",
        about: "keyed hash; `\"hex\"` or `\"base64\"`",
        signature: of(WRITTEN, &[Kind::Text, Kind::Text], Kind::Text),
        check: any_argument,
        add: |to, name, _| to.add_filter(name, hmac_sha256),
    },
    Own {
        name: "base64",
        arguments: "",
        about: "base64 of a text's UTF-8",
        signature: of(WRITTEN, &[], Kind::Text),
        check: any_argument,
        add: |to, name, _| {
            to.add_filter(name, |value: &Value| {
                let Some(text) = text(value)? else {
                    return Ok(None);
                };
                Ok::<_, Error>(encode(text.as_bytes(), Some("base64")).map(Some)?)
            });
        },
    },
    Own {
        name: "uuid5",
        arguments: "(namespace)",
        about: "a stable UUID; `\"dns\"`, `\"url\"`, `\"oid\"`, `\"x500\"` or a UUID",
        signature: of(WRITTEN, &[Kind::Text], Kind::Text),
        check: |_, namespace| uuid_namespace(namespace).map(drop),
        add: |to, name, _| to.add_filter(name, uuid5),
    },
    Own {
        name: "default",
        arguments: "(value, also_false)",
        about: "`value` for none and for what is not there; with `true` also for what is empty or 0",
        signature: of(&[], &[], Kind::Any),
        check: any_argument,
        add: |to, name, _| {
            to.add_filter(name, default);
            to.add_filter("d", default);
        },
    },
];

/// Their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    OWN.iter().map(|own| own.name)
}

/// What one of them takes and gives.
pub(super) fn signature(filter: &str) -> Option<Signature> {
    let own = OWN.iter().find(|own| own.name == filter)?;
    Some(own.signature)
}

pub(super) fn add(environment: &mut Environment<'static>, tables: &Arc<Tables>) {
    for own in &OWN {
        (own.add)(environment, own.name, tables);
    }
}

/// Finds what is wrong with a filter's first argument, if that is written out: also in
/// branches that no trial takes.
pub(super) fn check_argument(tables: &Tables, filter: &str, argument: &str) -> Result<(), Mistake> {
    let own = OWN.iter().find(|own| own.name == filter);
    own.map_or(Ok(()), |own| (own.check)(tables, argument))
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
        _ => Err(Mistake::new(
            "the filter wants a text or a number",
            "`| tojson` makes a text of a list or table",
        )
        .chinese("过滤器需要文本或数字", "`| tojson` 可把列表或表变成文本")),
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

fn e164(number: &Value, region: Option<&str>) -> Result<Option<String>, Error> {
    region.map_or(Ok(()), check_region)?;
    Ok(text(number)?.and_then(|text| phone::e164(&text)))
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
        .chinese("文本不是 JSON", "`| fromjson({})` 此时给出空表")
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

fn sha256(value: &Value, encoding: Option<&str>) -> Result<Option<String>, Error> {
    let Some(text) = text(value)? else {
        return Ok(None);
    };
    Ok(encode(&Sha256::digest(text.as_bytes()), encoding).map(Some)?)
}

fn uuid5(value: &Value, namespace: &str) -> Result<Option<String>, Error> {
    let namespace = uuid_namespace(namespace)?;
    Ok(text(value)?.map(|text| Uuid::new_v5(&namespace, text.as_bytes()).to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_a_row_for_each_filter_and_no_other() {
        let reference = include_str!("../../TEMPLATES.md");
        let below = reference
            .split_once("| filter | what it gives |\n|---|---|\n")
            .expect("the table is there")
            .1;
        let written: Vec<_> = below
            .lines()
            .take_while(|line| line.starts_with('|'))
            .collect();
        let known: Vec<_> = OWN
            .iter()
            .map(|own| format!("| `{}{}` | {} |", own.name, own.arguments, own.about))
            .collect();
        assert_eq!(written, known);
    }

    #[test]
    fn each_filter_is_in_the_engine() {
        let engine = super::super::Engine::new(Tables::new());
        for name in names() {
            let text = format!("{{{{ '1' | {name}('x', 'y', 'z', 'w', 'v') }}}}");
            let mut environment = engine.environment.clone();
            environment.add_template_owned("t", text).expect("compiles");
            let rendered = environment.get_template("t").expect("is there").render(());
            let unknown = rendered.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter);
            assert!(!unknown, "{name}");
        }
    }
}
