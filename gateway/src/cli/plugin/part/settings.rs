//! Settings: good ones are taken, bad ones refused with a reason and a place.

use leadgate_plugin::abi;
use serde_json::{Value, json};

use super::{Subject, Told};
use crate::plugin::examiner::{Age, Answer, Examined};

/// A key that no plugin has.
const UNKNOWN: &str = "leadgate_no_such_setting";
/// Changed settings that are tried, at most.
const MOST: usize = 200;

/// Why settings were refused, on one line.
pub(super) fn reasons(answer: &Answer) -> String {
    let said: Vec<String> = answer
        .problems
        .iter()
        .map(|(path, message, _)| {
            let (english, _) = leadgate_plugin::languages(message);
            match path.as_str() {
                "" => english.to_owned(),
                path => format!("{path}: {english}"),
            }
        })
        .collect();
    match (said.is_empty(), answer.code) {
        (false, _) => said.join("; "),
        (true, abi::PANICKED) => "it panicked".to_owned(),
        (true, code) => format!("code {code}, without a reason"),
    }
}

/// What check and create say to settings; the sink that was made is destroyed.
fn answers(examined: &Examined, settings: &Value) -> Vec<(&'static str, Answer)> {
    let settings = settings.to_string();
    let mut answers = Vec::new();
    if let Some(answer) = examined.check(&settings, Age::Current) {
        answers.push(("check", answer));
    }
    let created = match examined.create(&settings, Age::Current) {
        Ok(instance) => {
            instance.destroy(&[]);
            Answer {
                code: abi::OK,
                ..Answer::default()
            }
        }
        Err(answer) => answer,
    };
    answers.push(("create", created));
    answers
}

pub(super) fn good(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let settings = &subject.request.settings;
    let made_up = subject.request.made_up;
    subject
        .teller
        .step("giving it good settings", "给出正确的设置");
    if settings.is_null() {
        subject.teller.skip(
            "no good settings could be made from the schema; give some with --settings FILE",
            "无法由 schema 得出正确的设置；请用 --settings FILE 给出",
        );
        return Err(Told);
    }
    for (function, answer) in answers(&examined, settings) {
        if answer.code == abi::OK && answer.problems.is_empty() {
            continue;
        }
        let why = reasons(&answer);
        if made_up && answer.code == abi::FAILED && !answer.problems.is_empty() {
            subject.teller.skip(
                format!("the settings made up from the schema are refused ({why}); give good ones with --settings FILE"),
                format!("由 schema 得出的设置被拒绝（{why}）；请用 --settings FILE 给出正确的"),
            );
            return Err(Told);
        }
        subject.teller.fault(
            format!("{function} refuses good settings: {why}"),
            format!("{function} 拒绝了正确的设置：{why}"),
        );
    }
    if made_up {
        subject.teller.note(
            "made up from the schema; better ones: --settings FILE",
            "由 schema 得出；可用 --settings FILE 给出更好的",
        );
    }
    Ok(())
}

/// Settings with one thing changed.
struct Changed {
    what: String,
    settings: Value,
    /// Whether the change makes them wrong whatever the plugin is.
    is_wrong: bool,
}

pub(super) fn bad(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let schema: Value = serde_json::from_str(&examined.schema()).unwrap_or_default();
    let Ok(validator) = jsonschema::draft202012::new(&schema) else {
        subject
            .teller
            .fault("the schema cannot be used", "schema 无法使用");
        return Err(Told);
    };
    let mut tried = 0;
    for Changed {
        what,
        settings,
        is_wrong,
    } in changed(&schema, &subject.request.settings)
    {
        tried += 1;
        let by_schema = !validator.is_valid(&settings);
        // What the schema refuses never reaches a plugin.
        if by_schema {
            continue;
        }
        subject
            .teller
            .step(&format!("giving it {what}"), &format!("给出：{what}"));
        let mut refused = false;
        for (function, answer) in answers(&examined, &settings) {
            refused |= answer.code != abi::OK;
            faults(subject, function, &what, &answer, &settings);
        }
        if is_wrong && !refused {
            subject.teller.fault(
                format!("{what} is taken by the schema and by the plugin"),
                format!("{what}：schema 与插件都接受"),
            );
        }
        subject.tell_faults();
    }
    subject.teller.note(
        format!("{tried} changed settings were tried"),
        format!("试了 {tried} 种改动"),
    );
    Ok(())
}

/// What is wrong with how settings were refused.
fn faults(
    subject: &mut Subject<'_>,
    function: &str,
    what: &str,
    answer: &Answer,
    settings: &Value,
) {
    let teller = &mut *subject.teller;
    match answer.code {
        abi::OK => return,
        abi::FAILED => {}
        abi::PANICKED => {
            teller.fault(
                format!("{what}: {function} panicked"),
                format!("{what}：{function} 发生 panic"),
            );
            return;
        }
        code => teller.fault(
            format!("{what}: {function} gave {code}, which is no answer"),
            format!("{what}：{function} 返回 {code}，不是有效的答复"),
        ),
    }
    if answer
        .problems
        .iter()
        .all(|(_, message, _)| message.trim().is_empty())
    {
        teller.fault(
            format!("{what}: {function} refused without a reason"),
            format!("{what}：{function} 拒绝而没有说明原因"),
        );
    }
    for (path, _, _) in &answer.problems {
        if !is_place(path, settings) {
            teller.fault(
                format!("{what}: `{path}` is no JSON pointer into the settings"),
                format!("{what}：`{path}` 不是指向设置的 JSON pointer"),
            );
        }
    }
}

/// Whether a pointer leads to something, or to what could be added to something.
fn is_place(path: &str, settings: &Value) -> bool {
    if path.is_empty() {
        return true;
    }
    let Some((above, _)) = path.rsplit_once('/') else {
        return false;
    };
    settings
        .pointer(above)
        .is_some_and(|value| value.is_object() || value.is_array())
}

fn changed(schema: &Value, good: &Value) -> Vec<Changed> {
    let empty = json!({});
    let good = if good.is_object() { good } else { &empty };
    let with = |key: &str, value: Value| {
        let mut settings = good.clone();
        settings[key] = value;
        settings
    };
    let mut all = vec![Changed {
        what: format!("the unknown key `{UNKNOWN}`"),
        settings: with(UNKNOWN, json!(1)),
        is_wrong: true,
    }];
    for key in schema["required"].as_array().into_iter().flatten() {
        let Some(key) = key.as_str() else { continue };
        let mut settings = good.clone();
        if let Value::Object(settings) = &mut settings {
            settings.remove(key);
        }
        all.push(Changed {
            what: format!("no `{key}`"),
            settings,
            is_wrong: true,
        });
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let odd = [
            json!(""),
            json!("\u{0}"),
            json!("{{ nonsense"),
            json!("长".repeat(10_000)),
            json!(0),
            json!(-1),
            json!(i64::MAX),
            json!(1.5e300),
            json!([]),
            json!({}),
            json!(null),
        ];
        for value in odd {
            let kind = match &value {
                Value::String(text) if text.is_empty() => "an empty text".to_owned(),
                Value::String(text) if text.len() > 100 => "a very long text".to_owned(),
                other => other.to_string(),
            };
            all.push(Changed {
                what: format!("`{key}` = {kind}"),
                settings: with(key, value),
                is_wrong: false,
            });
        }
        // Of a declared type anything of another is wrong.
        if let Some(kind) = property["type"].as_str() {
            let other = if kind == "boolean" {
                json!(7)
            } else {
                json!(true)
            };
            all.push(Changed {
                what: format!("`{key}` of another type"),
                settings: with(key, other),
                is_wrong: true,
            });
        }
    }
    all.truncate(MOST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_is_there_or_could_be() {
        let settings = json!({"headers": {"a": 1}, "url": "x"});
        for (path, is) in [
            ("", true),
            ("/url", true),
            ("/missing", true),
            ("/headers/b", true),
            ("url", false),
            ("/url/deeper", false),
            ("/no/such", false),
        ] {
            assert_eq!(is_place(path, &settings), is, "{path}");
        }
    }

    #[test]
    fn each_required_key_is_left_out_once_and_each_type_is_got_wrong() {
        let schema = json!({
            "type": "object",
            "required": ["url"],
            "properties": {"url": {"type": "string"}, "on": {"type": "boolean"}},
            "additionalProperties": false,
        });
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let good = json!({"url": "x", "on": true});
        let wrong: Vec<_> = changed(&schema, &good)
            .into_iter()
            .filter(|one| one.is_wrong)
            .collect();
        assert_eq!(wrong.len(), 4);
        for one in wrong {
            assert!(!validator.is_valid(&one.settings), "{}", one.what);
        }
    }
}
