//! What may be done with which field: all 38 fields against every kind of sign, and what people
//! type by mistake.
#![cfg(feature = "template")]

use leadgate_plugin::Tables;
use leadgate_plugin::template::{Engine, Scope, TemplateError};
use serde_json::{Value, json};

fn schema() -> Vec<(String, bool)> {
    let schema: Value = serde_json::from_str(include_str!("../event.schema.json")).expect("JSON");
    let fields = schema["$defs"]["Lead"]["properties"]
        .as_object()
        .expect("fields");
    fields
        .iter()
        .filter(|(name, _)| *name != "other")
        .map(|(name, field)| (name.clone(), field["type"][0] == "integer"))
        .collect()
}

fn engine() -> Engine {
    Engine::new(Tables::new())
}

fn condition(text: &str) -> Result<(), TemplateError> {
    engine().condition(text).map(drop).map_err(only)
}

fn template(text: &str) -> Result<(), TemplateError> {
    engine()
        .template(text, &Scope::EVENT)
        .map(drop)
        .map_err(only)
}

/// One mistake is told once.
fn only(mistakes: Vec<TemplateError>) -> TemplateError {
    let [only] = mistakes
        .try_into()
        .unwrap_or_else(|more| panic!("told more than once: {more:#?}"));
    only
}

/// Without any field, and with every field.
fn leads() -> [Value; 2] {
    let mut none = json!({"other": {}});
    let mut all = json!({"other": {}});
    for (name, number) in schema() {
        none[&name] = Value::Null;
        all[&name] = if number {
            json!(7)
        } else {
            json!("2021-07-17 23:13:19")
        };
    }
    [none, all]
}

#[test]
fn every_field_goes_with_its_own_kind_and_no_other() {
    let fields = schema();
    assert_eq!(fields.len(), 42);
    // `F` is the field; whether it holds for a number, and for a text.
    let conditions = [
        ("F == 7", true, false),
        ("F == '7'", false, true),
        ("F != 7", true, false),
        ("F != '7'", false, true),
        ("7 == F", true, false),
        ("'7' == F", false, true),
        ("F < 7", true, false),
        ("F >= '7'", false, true),
        ("F < '7'", false, true),
        ("1 < F < 9", true, false),
        ("F in [1, 2]", true, false),
        ("F in ['1', '2']", false, true),
        ("F not in [1, 2]", true, false),
        ("F not in ['1', '2']", false, true),
        ("F in [1, '2']", false, false),
        ("F in '12'", false, true),
        ("F in 7", false, false),
        ("'7' in F", false, true),
        ("7 in F", false, false),
        ("'7' not in F", false, true),
        ("F is none", true, true),
        ("F is not none and F == F", true, true),
        ("F == none", true, true),
        ("F == true", false, false),
        ("F", false, false),
        ("not F", true, true),
        ("F and source == 'shop'", true, true),
        ("source == 'shop' or F == 7", true, false),
        ("F == [7]", false, false),
        ("F is startingwith('7')", false, true),
        ("F is startingwith(7)", false, false),
        ("F is even", true, false),
        ("F is divisibleby(2)", true, false),
        ("F is eq(7)", true, false),
        ("F is eq('7')", false, true),
        ("F is in(['7'])", false, true),
        ("F is true", false, false),
        ("(F | default(0)) == 1", true, true),
        ("(F or 0) == 1", true, true),
        ("lead.F == 7", true, false),
        ("lead['F'] == '7'", false, true),
        ("(F if source == 'shop' else none) == '7'", false, true),
        ("(F | string) == '7'", true, true),
        ("(F | int(0)) == 7", true, true),
        ("(F | int(0)) == '7'", false, false),
        ("(F ~ '') == '7'", true, true),
        ("(F ~ '') == 7", false, false),
        ("(F | length) > 3", false, true),
    ];
    let templates = [
        ("F ~ 'x'", true, true),
        ("F ~ 1", true, true),
        ("F + 'x'", false, true),
        ("F + 1", false, false),
        ("(F or 0) + 1", true, false),
        ("F + 1 if F is not none else none", true, false),
        ("F - 1 if F else 0", true, false),
        ("(F | default(0)) * 2", true, true),
        ("F / 2 if F is not none", true, false),
        ("-(F or 0)", true, false),
        ("F % 2 if F else 0", true, false),
        ("F | upper", false, true),
        ("F | round", false, false),
        ("(F or 0) | round", true, false),
        ("F | abs", true, false),
        ("F | e164", false, true),
        ("F | mask", true, true),
        ("F | sha256", true, true),
        ("F | truncate_bytes(9, '…')", true, true),
        ("F | truncate_bytes('9')", false, false),
        ("F | string", true, true),
        ("F | split(',')", false, true),
        ("F | join(',')", false, true),
        ("F | items", false, false),
        ("F | sum", false, false),
        ("F | fromjson({})", false, true),
        ("F | tojson", true, true),
        ("F | default('无')", true, true),
        ("F | replace('a', 'b')", true, true),
        ("F[:3]", false, true),
        ("F[0]", false, false),
        ("F['x']", false, false),
        ("F.x", false, false),
        ("F.upper()", false, false),
        ("{'a': F} | compact", true, true),
        ("[F, 1]", true, true),
        ("F if F == 7", true, false),
        ("F or '-'", true, true),
    ];
    for (name, number) in &fields {
        for (row, numbers, texts) in conditions {
            let text = row.replace('F', name);
            let found = condition(&text);
            // `F + 1` fails where the field is not said, too.
            assert_eq!(
                found.is_ok(),
                if *number { numbers } else { texts },
                "{text}: {found:?}"
            );
            explained(&text, found.err());
        }
        for (row, numbers, texts) in templates {
            let right = if *number { numbers } else { texts };
            // `F | round` and the like on a number may be none, which is none.
            let right = right || *number && row == "F | round";
            let text = format!("{{{{ {} }}}}", row.replace('F', name));
            let found = template(&text);
            assert_eq!(found.is_ok(), right, "{text}: {found:?}");
            explained(&text, found.err());
            let text = format!("客户 {text}。");
            assert_eq!(template(&text).is_ok(), right, "{text}");
        }
    }
}

/// A mistake has its place and, in both languages, what is wrong.
fn explained(text: &str, error: Option<TemplateError>) {
    let Some(error) = error else { return };
    let range = error.range.clone().expect(text);
    assert!(
        text.get(range).is_some_and(|part| !part.is_empty()),
        "{text}"
    );
    assert!(!error.message.is_empty(), "{text}");
    assert_ne!(error.chinese.message, "", "{text}: {error:?}");
    assert_ne!(error.chinese.message, error.message, "{text}");
    assert_eq!(
        error.help.is_empty(),
        error.chinese.help.is_empty(),
        "{text}"
    );
}

#[test]
fn what_check_takes_never_fails_for_what_a_lead_does_not_say() {
    for text in [
        "'安装' in remark",
        "'安装' not in remark",
        "remark in ['a']",
        "not ('安装' in remark and remark is startingwith('x'))",
        "phone > '1'",
        "store_id < 5",
        "(remark | upper) == 'X'",
        "(remark | length) > 3",
        "(remark | replace('a', 'b') | trim) == ''",
        "remark is endingwith('x')",
        "remark is upper",
        "customer_budget is even",
        "(customer_budget | round) == 1",
        "(phone ~ remark) == ''",
        "(phone[:3]) == '135'",
        "'x' in (phone ~ remark | lower)",
        "1 in (extra | fromjson([]))",
        "(name | lower | truncate_bytes(3)) in ['a']",
        "(remark | split(',') | length) > 1",
        "customer_budget is not none and customer_budget * 2 > 5",
        "customer_budget is none or customer_budget * 2 > 5",
        "customer_budget == 3 and 10 - customer_budget > 5",
        "not (customer_budget is none) and customer_budget + 1 == 4",
    ] {
        let condition = engine().condition(text).expect(text);
        for lead in leads() {
            condition.holds(&lead, "shop").expect(text);
        }
    }
    let [none, all] = leads();
    let holds = |text: &str, lead: &Value| {
        let condition = engine().condition(text).expect(text);
        condition.holds(lead, "shop").expect(text)
    };
    assert!(!holds("'安装' in remark", &none));
    assert!(holds("'安装' not in remark", &none));
    assert!(holds("'2021' in remark", &all));
    assert!(!holds("remark is startingwith('N')", &none));
}

#[test]
fn none_is_shown_as_nothing_and_flows_through() {
    let engine = engine();
    let [none, _] = leads();
    let event = json!({"lead": none, "labels": {}, "source": "shop"});
    for (text, gives) in [
        ("[{{ remark }}]", json!("[]")),
        ("{{ 'x' ~ remark ~ 'y' }}", json!("xy")),
        ("{{ 'x' + remark }}", json!("x")),
        ("{{ remark | upper }}", json!(null)),
        ("{{ remark | replace('a', 'b') }}!", json!("!")),
        ("{{ remark | string }}", json!(null)),
        ("{{ remark[:2] }}", json!("")),
        ("{{ store_id | string | default('无') }}", json!("无")),
        (
            "{% for word in remark | split(' ') %}{{ word }}{% endfor %}.",
            json!("."),
        ),
        ("{{ remark | tojson }}", json!("null")),
        ("{{ (customer_budget or 0) + 1 }}", json!(1)),
        (
            "{{ remark | truncate_bytes(5) | default('-') }}",
            json!("-"),
        ),
        (
            "{{ customer_appointment | datetime | format('%F') }}",
            json!(null),
        ),
        ("{{ channel | lookup('x') if false else 1 }}", json!(1)),
    ]
    .into_iter()
    .filter(|(text, _)| !text.contains("lookup"))
    {
        let template = engine.template(text, &Scope::EVENT).expect(text);
        let value = template.value(&engine.event(&event, "D")).expect(text);
        assert_eq!(value, gives, "{text}");
    }
}

/// What a mistake says to do, and where.
fn told(error: Option<TemplateError>, text: &str, place: &str, write: &str) {
    let error = error.expect(text);
    assert!(error.help.contains(write), "{text}: {error:?}");
    let same = ["write ", "did you mean "]
        .iter()
        .fold(write, |write, word| write.trim_start_matches(word));
    let same = same
        .trim_end_matches('?')
        .trim_end_matches(" without quotes");
    assert!(
        write == "both" || error.chinese.help.contains(same),
        "{text}: {error:?}"
    );
    let range = error.range.clone().expect(text);
    assert_eq!(text.get(range), Some(place), "{text}: {error:?}");
    explained(text, Some(error));
}

#[test]
fn a_condition_of_the_wrong_kind_says_what_to_type() {
    for (text, place, write) in [
        (
            "store_id == '437763404'",
            "'437763404'",
            "write 437763404 without quotes",
        ),
        ("record_id in ['1', '2']", "'1'", "write 1 without quotes"),
        ("channel != '2'", "'2'", "write 2 without quotes"),
        ("phone == 13567658911", "13567658911", "write '13567658911'"),
        ("13567658911 == phone", "13567658911", "write '13567658911'"),
        (
            "phone in [13567658911]",
            "13567658911",
            "write '13567658911'",
        ),
        ("store_id == phone", "phone", "`phone | int(0)`"),
        (
            "store_id in (437763404)",
            "437763404",
            "`store_id in [437763404]`",
        ),
        ("channel in '1,2,3'", "channel", "`channel in [1, 2, 3]`"),
        (
            "'43' in store_id",
            "store_id",
            "`'43' in (store_id | string)`",
        ),
        (
            "city_name == '杭州' or '上海'",
            "'上海'",
            "`city_name in ['杭州', '上海']`",
        ),
        (
            "city_name != '杭州' and '上海'",
            "'上海'",
            "and city_name != '上海'",
        ),
        ("name", "name", "`name is not none`"),
        ("store_id", "store_id", "`store_id is not none`"),
        (
            "phone.startswith('135')",
            "startswith",
            "`phone is startingwith('135')`",
        ),
        ("remark.contains('安装')", "contains", "`'安装' in remark`"),
        ("remark.includes(name)", "includes", "`name in remark`"),
        (
            "customer_budget + 1 > 3",
            "customer_budget",
            "`(customer_budget or 0)`",
        ),
        ("phone | int > 5", "phone | int", "| int(0)"),
        (
            "100 / (customer_budget or 0) > 5",
            "100 / (customer_budget or 0)",
            "customer_budget",
        ),
        ("gmt_appointment | datetime > '2021'", "'2021'", "format("),
        (
            "name | datetime | epoch_ms > 5",
            "datetime",
            "gmt_appointment",
        ),
    ] {
        told(condition(text).err(), text, place, write);
    }
}

#[test]
fn signs_and_words_of_elsewhere_are_named_with_what_to_type() {
    for (text, place, write) in [
        ("store_id ＝＝ 1", "＝＝", "`==`"),
        ("store_id == １", "１", "`1`"),
        ("store_id in [1，2]", "，", "`,`"),
        ("city_name == “杭州”", "“杭州”", "`'杭州'`"),
        ("city_name == ‘杭州’", "‘杭州’", "`'杭州'`"),
        ("city_name == 「杭州」", "「杭州」", "`'杭州'`"),
        ("city_name == '杭州”", "'", "`'杭州'`"),
        ("store_id\u{3000}== 1", "\u{3000}", ""),
        ("store_id\u{a0}== 1", "\u{a0}", ""),
        ("store_id = 1", "=", "`==`"),
        ("store_id === 1", "===", "`==`"),
        ("store_id !== 1", "!==", "`!=`"),
        ("store_id <> 1", "<>", "`!=`"),
        ("store_id == 1 && channel == 2", "&&", "`and`"),
        ("store_id == 1 || channel == 2", "||", "`or`"),
        ("!store_id", "!", "`not `"),
        ("store_id == 1 AND channel == 2", "AND", "`and`"),
        ("store_id == 1 OR channel == 2", "OR", "`or`"),
        ("NOT store_id", "NOT", "`not`"),
        ("$json.phone == '1'", "$json.phone", "`phone`"),
        ("$.phone == '1'", "$.phone", "`phone`"),
        ("remark == null", "null", "`none`"),
        ("remark is null", "null", "`is none`"),
        ("remark is not null", "null", "none"),
        ("remark != nil", "nil", "`none`"),
        ("remark == undefined", "undefined", "`none`"),
        ("remark contains '安装'", "contains", "`'安装' in remark`"),
        ("remark like '%安装%'", "like", "`'安装' in remark`"),
        ("store_id eq 1", "eq", "`==`"),
        ("city_name == 杭州", "杭州", "`'杭州'`"),
        ("城市 == '杭州'", "城市", "did you mean `city_name`?"),
        ("手机号 == '1'", "手机号", "did you mean `phone`?"),
        ("mobile == '1'", "mobile", "did you mean `phone`?"),
        ("lead.手机号 == '1'", "手机号", "did you mean `phone`?"),
        ("(store_id == 1", "(", "both"),
        ("store_id == 1)", ")", "both"),
        ("store_id == 1; channel == 2", ";", "`and`"),
        ("{{ store_id == 1 }}", "{{", "`store_id == 1`"),
        ("{% if store_id == 1 %}", "{%", "`store_id == 1`"),
        ("labels.channel == 'x'", "labels", "lookup('channel')"),
        ("store_id == `1`", "`1`", "1"),
    ] {
        told(condition(text).err(), text, place, write);
    }
    for (text, place, write) in [
        ("｛｛ name ｝｝", "｛｛ name ｝｝", "`{{ name }}`"),
        ("客户｛｛ 姓名 ｝｝", "｛｛ 姓名 ｝｝", "`{{ name }}`"),
        ("{｛ name ｝}", "{｛ name ｝}", "`{{ name }}`"),
        ("客户 {name}", "{name}", "`{{ name }}`"),
        ("客户 { name }", "{ name }", "`{{ name }}`"),
        ("客户 {姓名} {{ phone }}", "{姓名}", "`{{ name }}`"),
        ("#{phone}", "{phone}", "`{{ phone }}`"),
        ("客户 %name%", "%name%", "`{{ name }}`"),
        ("{{{name}}}", "{{{name}}}", "`{{ name }}`"),
        ("{{ {name} }}", "{{ {name} }}", "`{{ name }}`"),
        ("$json.phone", "$json.phone", "`{{ phone }}`"),
        ("电话 $phone", "$phone", "`{{ phone }}`"),
        ("{{ $json.phone }}", "$json.phone", "`phone`"),
        ("{{ name", "{{", "`}}`"),
        ("{{ name }", "{{", "`{{ name }}`"),
        ("客户 name }}", "name }}", "`{{ name }}`"),
        ("客户 {name}}", "{name}}", "`{{ name }}`"),
        ("{% if store_id = 1 %}x{% endif %}", "=", "`==`"),
        ("{{ name ｜ upper }}", "｜", "`|`"),
        ("{{ 姓名 }}", "姓名", "did you mean `name`?"),
        ("{{ name || '无' }}", "||", "`or`"),
        ("{{ store_id == '1' }}", "'1'", "write 1 without quotes"),
        ("{{ 'x' * name }}", "*", "`~`"),
        ("{{ name.upper() }}", "upper", "`name | upper`"),
        ("{{ name + 1 }}", "+", "`name ~ 1`"),
        ("{{ phone | round }}", "round", "`phone | int(0) | round`"),
        ("{{ store_id | e164 }}", "e164", "`phone | e164`"),
        ("{{ name | uppercase }}", "uppercase", "`| upper`"),
        ("{{ name[0] }}", "0", "`name[:1]`"),
        ("{{ name.length }}", "name.length", "`name | length`"),
    ] {
        told(template(text).err(), text, place, write);
    }
}

#[test]
fn text_that_only_looks_like_a_template_is_left_alone() {
    for text in [
        "{\"name\": 1}",
        "{\"a\":{\"name\":\"x\"}}",
        "{'name': 'x'}",
        "{}",
        "{ }",
        "body { color: red }",
        "{nobody}",
        "100% name",
        "100%",
        "a%20b%20c",
        "$5",
        "$${name}",
        "{{ {'name': name} }}",
        "{{ {'a': {'b': name}} | tojson }}",
        "{\"a\": {\"b\": \"{{ name }}\"}}",
        "{% raw %}{name}{% endraw %}",
        "{{ '{name}' }}",
        "{{ '｛｛ name ｝｝' }}",
        "电话：{{ phone }}（{{ city_name }}），“{{ name }}”",
        "<name>{{ name }}</name>",
        "{{ '=' ~ name }}&&||",
        "（{{ name }}）　＝",
    ] {
        template(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }
    // Names of a plugin's own are not a lead's.
    let scope = Scope::of(&["body"]);
    engine()
        .template("{name}", &scope)
        .map(drop)
        .expect("says nothing of a lead");
}

#[test]
fn what_is_known_of_a_plugins_names_is_looked_at_too() {
    let scope = Scope::of(&["status", "body", "text"]).holding(&["status"], &["text"]);
    let check = |text: &str| engine().condition_in(text, &scope).map(drop).map_err(only);
    for good in [
        "status == 200 and body.code == 0",
        "body.code in [200, '200']",
        "'x' in text",
        "body.items | length > 0",
        "body",
        "body.ok and not body.error",
        "status in [200, 201]",
        "body[0] is integer",
    ] {
        check(good).unwrap_or_else(|error| panic!("{good}: {error:?}"));
    }
    for bad in [
        "status == '200'",
        "status in ['200']",
        "text == 1",
        "body.code == 0 or '0'",
        "body.code = 0",
        "body.msg.contains('ok')",
        "status",
    ] {
        explained(bad, check(bad).err());
        assert!(check(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_failure_for_one_lead_names_the_field_and_the_remedy() {
    let condition = engine().condition("other.vip > 3").expect("compiles");
    let error = condition
        .holds(&json!({"other": {}}), "shop")
        .expect_err("no such value");
    assert!(error.message.contains("other.vip"), "{error}");
    assert!(error.message.contains("| default(…)"), "{error}");
}

#[test]
fn the_reference_says_what_is_wrong_and_what_is_right() {
    let reference = include_str!("../TEMPLATES.md");
    let below = reference
        .split_once("| written | wrong because | write |\n|---|---|---|\n")
        .expect("the table is there")
        .1;
    let rows: Vec<_> = below
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 8);
    for row in rows {
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let code = |cell: &str| {
            let code = cell.split('`').nth(1).expect(&row);
            code.replace('\u{1}', "|")
        };
        let (wrong, right) = (code(cells[0]), code(cells[2]));
        let check = |text: &str| {
            let is_condition = condition(&right).is_ok();
            if is_condition {
                condition(text)
            } else {
                template(&format!("{{{{ {text} }}}}"))
            }
        };
        check(&right).unwrap_or_else(|error| panic!("{right}: {error:?}"));
        let error = check(&wrong).expect_err(&wrong);
        assert!(!error.help.is_empty(), "{wrong}: {error:?}");
        assert_ne!(error.chinese.help, error.help, "{wrong}");
    }
    for (name, number) in schema() {
        let numbers = reference
            .split_once("These are numbers: ")
            .and_then(|(_, rest)| rest.split_once(';'))
            .expect("they are listed")
            .0;
        assert_eq!(numbers.contains(&format!("`{name}`")), number, "{name}");
    }
}
