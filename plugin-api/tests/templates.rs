//! Every example in TEMPLATES.md is true.
#![cfg(feature = "template")]

use std::collections::BTreeMap;

use leadgate_plugin::Tables;
use leadgate_plugin::template::{Engine, Scope, TemplateError};
use serde_json::{Map, Value, json};

const REFERENCE: &str = include_str!("../TEMPLATES.md");

fn tables() -> Tables {
    let table = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(code, label)| ((*code).to_owned(), (*label).to_owned()))
            .collect()
    };
    Tables::from([
        (
            "intention".to_owned(),
            table(&[("1", "强"), ("default", "未知({{ value }})")]),
        ),
        ("channel".to_owned(), table(&[("2", "线下")])),
    ])
}

fn event() -> Value {
    // Every field is there, none if it was not said.
    let mut lead: Map<String, Value> = Map::new();
    let schema: Value = serde_json::from_str(include_str!("../event.schema.json")).expect("JSON");
    for name in schema["$defs"]["Lead"]["properties"]
        .as_object()
        .expect("fields")
        .keys()
    {
        lead.insert(name.clone(), Value::Null);
    }
    let said = json!({
        "name": "张三", "phone": "13567658911", "phone_e164": "+8613567658911",
        "store_id": 437_763_404, "city_name": "杭州市", "purchase_intention": 1, "channel": 2,
        "decoration_stage": 3, "gmt_appointment": "2021-07-17 23:13:19", "other": {},
    });
    lead.extend(said.as_object().expect("a table").clone());
    json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop",
        "received_at": "2026-11-24T02:00:00.370Z", "lead": lead, "labels": {"channel": "线下"},
        "raw": "{}",
    })
}

/// Rows `| `left` | right |` below the heading `| left_name |`.
fn rows(heading: &str) -> Vec<(String, String)> {
    let below = REFERENCE.split_once(heading).expect("the table is there").1;
    let rows: Vec<_> = below
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let line = line.replace("\\|", "\u{1}");
            let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
            assert_eq!(cells.len(), 2, "{line}");
            let plain = |cell: &str| cell.trim().trim_matches('`').replace('\u{1}', "|");
            (plain(cells[0]), plain(cells[1]))
        })
        .collect();
    assert!(rows.len() > 5);
    rows
}

#[test]
fn every_template_gives_what_the_reference_says() {
    let engine = Engine::new(tables());
    let context = engine.event(&event(), "D");
    for (text, gives) in rows("| template | gives |") {
        let wanted: Value = serde_json::from_str(&gives).expect(&gives);
        let template = engine.template(&text, &Scope::EVENT).expect(&text);
        assert_eq!(template.value(&context).expect(&text), wanted, "{text}");
    }
}

#[test]
fn every_condition_holds_as_the_reference_says() {
    let engine = Engine::new(tables());
    for (text, holds) in rows("| condition | holds |") {
        let condition = engine.condition(&text).expect(&text);
        let decided = condition.holds(&event()["lead"], "shop").expect(&text);
        assert_eq!(decided, holds == "yes", "{text}");
    }
}

#[test]
fn every_filter_lets_none_pass() {
    let engine = Engine::new(tables());
    let context = engine.event(&event(), "D");
    let with_arguments = [
        "e164",
        "mask",
        "lookup('intention')",
        "datetime",
        "datetime('UTC')",
        "format('%F')",
        "epoch_ms",
        "fromjson",
        "compact",
        "none_if_empty",
        "truncate_bytes(3)",
        "sha256",
        "hmac_sha256('k')",
        "uuid5('url')",
        "base64",
    ];
    for filter in with_arguments {
        let text = format!("{{{{ remark | {filter} }}}}");
        let template = engine.template(&text, &Scope::EVENT).expect(&text);
        assert_eq!(
            template.value(&context).expect(&text),
            Value::Null,
            "{text}"
        );
    }
}

#[test]
fn mistakes_are_found_before_any_lead_with_their_place() {
    let engine = Engine::new(tables());
    for (text, message, help, place) in [
        (
            "{{ phnoe }}",
            "unknown field `phnoe`",
            "did you mean `phone`?",
            "phnoe",
        ),
        (
            "客 {{ lead.phnoe }}",
            "unknown field `phnoe`",
            "did you mean `phone`?",
            "lead.phnoe",
        ),
        (
            "{{ labels.chanel }}",
            "unknown label `chanel`",
            "did you mean `channel`?",
            "labels.chanel",
        ),
        (
            "{{ channel | lookup('intension') }}",
            "there is no table `intension`",
            "did you mean `intention`?",
            "intension",
        ),
        (
            "{{ phone | msk }}",
            "unknown filter `msk`",
            "did you mean `mask`?",
            "msk",
        ),
        (
            "{% if channel == 77 %}{{ phone | msk }}{% endif %}",
            "unknown filter `msk`",
            "did you mean `mask`?",
            "msk",
        ),
        (
            "{{ phone if phone is defind }}",
            "unknown test `defind`",
            "did you mean `defined`?",
            "defind",
        ),
        (
            "{{ rnge(3) }}",
            "unknown function `rnge`",
            "did you mean `range`?",
            "rnge",
        ),
        (
            "{{ gmt_modified | datetime('Asia/Shangai') }}",
            "unknown time zone",
            "did you mean `Asia/Shanghai`?",
            "Asia/Shangai",
        ),
        (
            "{{ gmt_modified | datetime | format('%') }}",
            "not a time format",
            "such as \"%Y-%m-%d %H:%M:%S\"",
            "%",
        ),
        (
            "{{ record_id | uuid5('urn') }}",
            "not a namespace for `uuid5`",
            "\"dns\", \"url\", \"oid\", \"x500\" or a UUID of your own",
            "urn",
        ),
        (
            "{{ phone | e164('US') }}",
            "`e164` knows the region CN only",
            "write `| e164`",
            "US",
        ),
        (
            "{{ name.first }}",
            "`name` is one value and has no `first`",
            "what changes a value is a filter, such as `| upper`; JSON in a text is read by `| fromjson`",
            "name.first",
        ),
    ] {
        let found = engine.template(text, &Scope::EVENT).err().expect(text);
        let [error] = found.try_into().expect(text);
        assert_eq!(
            (error.message.as_str(), error.help.as_str()),
            (message, help),
            "{text}"
        );
        let range = error.range.expect(text);
        assert_eq!(text.get(range), Some(place), "{text}");
    }
    for text in [
        "{{ phone",
        "{{ phone | truncate_bytes }}",
        "{% if %}",
        "{{ 1 + }}",
    ] {
        let found = engine.template(text, &Scope::EVENT).err().expect(text);
        let [error] = found.try_into().expect(text);
        assert!(!error.message.is_empty(), "{text}");
    }
}

#[test]
fn names_that_a_template_makes_itself_are_known() {
    let engine = Engine::new(tables());
    let context = engine.event(&event(), "D");
    for (text, gives) in [
        (
            "{% for n in [1, 2] %}{{ loop.index }}{{ n }}{% endfor %}",
            "1122",
        ),
        (
            "{% for n in range(3) if n > 1 %}{{ n }}{% else %}{{ phone }}{% endfor %}",
            "2",
        ),
        (
            "{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}",
            "2",
        ),
        (
            "{% set who, where = name, city_name %}{{ who }}{{ where }}",
            "张三杭州市",
        ),
        (
            "{% macro m(a, b='y') %}{{ a }}{{ b }}{% endmacro %}{{ m(name, b='x') }}",
            "张三x",
        ),
        (
            "{% with a = name %}{{ a.x is defined }}{{ a }}{% endwith %}",
            "False张三",
        ),
        ("{% filter upper %}a{{ 'b' }}{% endfilter %}", "AB"),
        (
            "{{ [1, 2] | map('string') | join(',') }}{{ dict(a=1).a }}",
            "1,21",
        ),
        ("{{ name ~ ' is | weird( ' }}", "张三 is | weird( "),
        (
            "{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}",
            "a1",
        ),
        (
            "{{ phone is not none and phone is startingwith('135') }}",
            "true",
        ),
        ("{{ (raw | fromjson({})).x is defined }}x", "Falsex"),
        (
            "{#- {{ nope }} -#}{% raw %}{{ nope }}{% endraw %}",
            "{{ nope }}",
        ),
    ] {
        let template = engine.template(text, &Scope::EVENT).expect(text);
        let value = template.text(&context).expect(text).unwrap_or_default();
        assert_eq!(value.to_lowercase(), gives.to_lowercase(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_engine_panic(parts in proptest::collection::vec(
        proptest::sample::select(vec![
            "{{", "}}", "{%", "%}", "{#", "#}", " ", "phone", "name", "|", "mask", "lookup", "(", ")", "'", "\"", "if",
            "else", "endif", "for", "in", "is", "not", "none", ".", ",", "1", "客", "[", "]", "{", "}", "-", "\\", "raw",
            "set", "=", "｛", "｝", "＝", "“", "”", "`", "$", "&&", "!", "like", "姓名", "\u{3000}", "%", "@", "?", "~", "+", "==",
            "remark", "store_id", "format", "datetime", "uuid5", "truncate_bytes",
        ]), 0..14)) {
        let text = parts.concat();
        let engine = Engine::new(tables());
        if let Ok(template) = engine.template(&text, &Scope::EVENT) {
            let _ = template.value(&engine.event(&event(), "D"));
        } else {
            let found = engine.template(&text, &Scope::EVENT).err().expect("as before");
            assert!(!found.is_empty());
            // A place can always be shown, and is behind the one before.
            let mut behind = 0;
            for range in found.into_iter().filter_map(|error| error.range) {
                assert!(text.get(range.clone()).is_some());
                assert!(range.start >= behind, "{text}");
                behind = range.end;
            }
        }
        if let Ok(condition) = engine.condition(&text) {
            let _ = condition.holds(&event()["lead"], "shop");
        }
    }
}

#[test]
fn all_mistakes_of_a_text_are_told_at_once_and_each_once() {
    let engine = Engine::new(tables());
    let places = |text: &'static str, found: Option<Vec<TemplateError>>| -> Vec<&str> {
        let found = found.expect(text).into_iter();
        found
            .map(|error| text.get(error.range.expect(text)).expect(text))
            .collect()
    };
    for (text, wrong) in [
        // Slips that the engine refuses, in one expression and in several.
        (
            "{{ name == “张三” }} {{ city_name && 1 }} {phone}",
            &["“张三”", "&&", "{phone}"][..],
        ),
        ("{{ nmae }} and {{ phnoe | mask }}", &["nmae", "phnoe"]),
        (
            "{{ nmae }} and {phone} and %name%",
            &["nmae", "{phone}", "%name%"],
        ),
        ("{{ store_id == '1' }} {{ phone == 1 }}", &["'1'", "1"]),
        ("{phone}, {name}", &["{phone}", "{name}"]),
        // One mistake, however many signs it has.
        ("{{ city_name == 你好，世界 }}", &["你好"]),
        ("{{ city_name == \\\"x\\\" }}", &["\\"]),
        ("{{ name }", &["{{"]),
        ("{{ {name} }}", &["{{ {name} }}"]),
    ] {
        let found = engine.template(text, &Scope::EVENT).err();
        assert_eq!(places(text, found), wrong, "{text}");
    }
    for (text, wrong) in [
        (
            "store_id = 1 && city_name === '杭州'",
            &["=", "&&", "==="][..],
        ),
        (
            "citi_name == 'x' or stor_id == 1",
            &["citi_name", "stor_id"],
        ),
        ("store_id == '1' and phone == 1", &["'1'", "1"]),
        ("{{ store_id == 1 }}", &["{{"]),
        ("（store_id == 1）", &["（", "）"]),
    ] {
        assert_eq!(places(text, engine.condition(text).err()), wrong, "{text}");
    }
}
