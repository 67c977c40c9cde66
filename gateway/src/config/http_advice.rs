//! Advice about `http` sinks: rules that leave a 2xx open, and leads that go in the clear.
//!
//! Warnings only. Of answers it knows what the plugin's README says: the first rule that holds
//! decides, and an answer that rules looked into and did not decide is ambiguous.

use leadgate_plugin::net;
use leadgate_plugin::template::{Condition, Context, Engine, Scope};
use serde_json::{Map, Value, json};

use super::diagnostic::Text;
use super::document::pointer;

/// Names of a rule's condition.
const SCOPE: Scope = Scope::of(&["status", "headers", "body", "text"]);
/// Presets whose own rules leave a 2xx to the built-in ones; the others' end every one.
const OPEN: [&str; 2] = ["standard-webhooks", "espocrm"];
/// What no rule names by chance.
const NUMBER: u64 = 987_654_321;
const WORD: &str = "zyx-987654321";

/// Advice: its code, where, what, and what to do.
pub(super) type Advice = (&'static str, String, Text, Text);

/// All advice about the settings of one sink, whose pointers are into them.
pub(super) fn all(sink: &str, settings: &Value, engine: &Engine) -> Vec<Advice> {
    let mut all = open_answers(sink, settings, engine);
    all.extend(in_the_clear(sink, settings));
    all
}

/// Rules over the body that do not end every 2xx.
fn open_answers(sink: &str, settings: &Value, engine: &Engine) -> Vec<Advice> {
    let preset = settings["preset"].as_str();
    if preset.is_some_and(|preset| !OPEN.contains(&preset)) {
        return Vec::new();
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let shared = list(&settings["classify"]);
    let steps = list(&settings["steps"]);
    let mut cases = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let own = list(&step["classify"]);
        let at = if own.is_empty() {
            "/classify".to_owned()
        } else {
            format!("{}/classify", pointer("/steps", &number.to_string()))
        };
        cases.push((at, [own, shared.clone()].concat()));
    }
    if steps.is_empty() {
        cases.push(("/classify".to_owned(), shared));
    }
    cases.dedup();
    let open = cases.into_iter().filter_map(|(at, rules)| {
        let lack = Rules::new(&rules, engine)?.lack()?;
        let (en, zh, help, help_zh) = match lack {
            Lack::Success => (
                "no rule of `sinks.{sink}` says that a lead was delivered, and its rules look into the answer: every 2xx is ambiguous",
                "`sinks.{sink}` 的规则会查看应答内容，却没有一条判定投递成功：所有 2xx 应答都会按“结果不明”处理",
                "add a rule for success, such as { when = \"body.code == 0\", outcome = \"delivered\" }, or, if only failures are named, as the last one { when = \"status == 200\", outcome = \"delivered\" }",
                "请添加成功规则，如 { when = \"body.code == 0\", outcome = \"delivered\" }；若只列出了失败，请在最后加 { when = \"status == 200\", outcome = \"delivered\" }",
            ),
            Lack::Rest => (
                "the rules of `sinks.{sink}` look into the answer and do not say what any other 2xx means: it is ambiguous",
                "`sinks.{sink}` 的规则会查看应答内容，却没有说明其余 2xx 应答的含义：将按“结果不明”处理",
                "say it in a last rule, such as { when = \"status >= 200 and status < 300\", outcome = \"rejected\" }",
                "请在最后加一条规则，如 { when = \"status >= 200 and status < 300\", outcome = \"rejected\" }",
            ),
        };
        let named = |text: &str| text.replace("{sink}", sink);
        let message = Text::new(named(en), named(zh));
        Some(("config::undecided", at, message, Text::new(help, help_zh)))
    });
    open.collect()
}

/// What rules do not say about a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// When the lead was delivered.
    Success,
    /// What any other answer means.
    Rest,
}

struct Rules(Vec<Rule>);

struct Rule {
    when: Condition,
    written: String,
    delivers: bool,
}

impl Rules {
    /// None if one of them is wrong: that is said elsewhere.
    fn new(given: &[Value], engine: &Engine) -> Option<Self> {
        let rule = |rule: &Value| {
            let written = rule["when"].as_str()?.to_owned();
            Some(Rule {
                when: engine.condition_in(&written, &SCOPE).ok()?,
                written,
                delivers: matches!(rule["outcome"].as_str(), Some("delivered" | "duplicate")),
            })
        };
        let rules: Option<Vec<Rule>> = given.iter().map(rule).collect();
        rules.map(Self)
    }

    fn lack(&self) -> Option<Lack> {
        if !self.0.iter().any(|rule| rule.looks(200)) {
            return None;
        }
        let may_deliver = |rule: &Rule| {
            let status = [200, 201, 202, 204].into_iter();
            let mut status = status;
            rule.delivers && status.any(|status| rule.looks(status) || rule.holds(status, None))
        };
        if !self.0.iter().any(may_deliver) {
            return Some(Lack::Success);
        }
        let decides = |leaf: Value| {
            let body = self.body(&leaf);
            self.0.iter().any(|rule| rule.holds(200, Some(&body)))
        };
        let ends = decides(json!(NUMBER))
            || decides(json!(WORD))
            || (decides(json!(true)) && decides(json!(false)));
        (!ends).then_some(Lack::Rest)
    }

    /// A body that has whatever the rules ask for, each with this value.
    fn body(&self, leaf: &Value) -> Value {
        let mut body = json!({});
        for rule in &self.0 {
            for path in paths(&rule.written) {
                put(&mut body, &path, leaf);
            }
        }
        body
    }
}

impl Rule {
    /// Whether it looks into an answer of this status.
    fn looks(&self, status: u16) -> bool {
        let (context, asked) = context(status, None).watched();
        let _ = self.when.meets(&context);
        let asked = asked.take();
        asked.contains("body") || asked.contains("text")
    }

    fn holds(&self, status: u16, body: Option<&Value>) -> bool {
        self.when.meets(&context(status, body)).unwrap_or(false)
    }
}

fn context(status: u16, body: Option<&Value>) -> Context {
    let mut names = Map::new();
    names.insert("status".to_owned(), json!(status));
    names.insert("headers".to_owned(), json!({}));
    if let Some(body) = body {
        names.insert("body".to_owned(), body.clone());
        names.insert("text".to_owned(), json!(WORD));
    }
    Context::of(&names)
}

/// What a condition asks `body` for, such as `data`, `0`, `code`.
fn paths(written: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, name) in written.match_indices("body") {
        let before = written[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || "_.'\"".contains(letter)) {
            continue;
        }
        let mut rest = &written[at + name.len()..];
        let mut path = Vec::new();
        loop {
            if let Some(behind) = rest.strip_prefix('.') {
                let end = behind
                    .find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
                    .unwrap_or(behind.len());
                path.push(behind[..end].to_owned());
                rest = &behind[end..];
            } else if let Some((key, behind)) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                path.push(key.trim_matches(['\'', '"', ' ']).to_owned());
                rest = behind;
            } else {
                break;
            }
        }
        path.retain(|step| !step.is_empty());
        if !path.is_empty() {
            paths.push(path);
        }
    }
    paths
}

/// Puts `leaf` at `path`, unless there is more below it already.
fn put(body: &mut Value, path: &[String], leaf: &Value) {
    let Some((step, rest)) = path.split_first() else {
        if !body.is_object() && !body.is_array() {
            *body = leaf.clone();
        }
        return;
    };
    // A list of one: rules ask for its first entry.
    if step.parse::<usize>().is_ok() {
        if !body.is_array() {
            *body = json!([null]);
        }
        put(&mut body[0], rest, leaf);
    } else {
        if !body.is_object() {
            *body = json!({});
        }
        put(&mut body[step.as_str()], rest, leaf);
    }
}

/// Leads and credentials that go over plain HTTP to another machine.
fn in_the_clear(sink: &str, settings: &Value) -> Vec<Advice> {
    let mut urls = vec!["/url".to_owned(), "/auth/token_url".to_owned()];
    let steps = settings["steps"].as_array().map_or(0, Vec::len);
    urls.extend((0..steps).map(|number| format!("/steps/{number}/url")));
    let plain = urls.into_iter().filter_map(|at| {
        let host = plain_host(settings.pointer(&at)?.as_str()?)?;
        let (what, zh) = match at.as_str() {
            "/auth/token_url" => ("its credentials", "凭据"),
            _ if proves(settings) => ("leads and its credentials", "客资和凭据"),
            _ => ("leads", "客资"),
        };
        let message = Text::new(
            format!("`sinks.{sink}` sends {what} to {host} without encryption: whoever stands in between can read them"),
            format!("`sinks.{sink}` 以明文把{zh}发往 {host}：途经的任何人都能读取"),
        );
        let help = Text::new(
            "use https://, or a tunnel that ends on this machine",
            "请使用 https://，或经由终止于本机的加密隧道",
        );
        Some(("config::plain_http", at, message, help))
    });
    plain.collect()
}

/// Whether requests carry something that proves who sends.
fn proves(settings: &Value) -> bool {
    ["auth", "secret", "sign"]
        .iter()
        .any(|key| !settings[*key].is_null())
}

/// The host of an `http://` URL, if it is another machine.
fn plain_host(url: &str) -> Option<&str> {
    let scheme = url.get(..7)?;
    if !scheme.eq_ignore_ascii_case("http://") {
        return None;
    }
    let authority = url[7..].split(['/', '?', '#']).next()?;
    let place = authority.rsplit('@').next()?;
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => place.split(':').next()?,
    };
    (!host.is_empty() && !net::is_loopback(host)).then_some(host)
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;

    use super::*;

    fn codes(settings: &Value) -> Vec<(&'static str, String)> {
        let engine = Engine::new(Tables::new());
        let all = all("crm", settings, &engine).into_iter();
        all.map(|(code, at, ..)| (code, at)).collect()
    }

    fn lack(rules: &Value) -> Option<Lack> {
        let engine = Engine::new(Tables::new());
        let rules = rules.as_array().expect("a list");
        Rules::new(rules, &engine).expect("good rules").lack()
    }

    #[test]
    fn rules_that_leave_a_2xx_open_are_found() {
        let rule = |when: &str, outcome: &str| json!({"when": when, "outcome": outcome});
        let good = rule("status == 200 and body.code == 0", "delivered");
        for (rules, expected) in [
            (json!([good]), Some(Lack::Rest)),
            (
                json!([good, rule("body.code == 7", "throttled")]),
                Some(Lack::Rest),
            ),
            (json!([good, rule("body.code != 0", "rejected")]), None),
            (json!([good, rule("status == 200", "rejected")]), None),
            (
                json!([good, rule("status >= 200 and status < 300", "ambiguous")]),
                None,
            ),
            (
                json!([rule("body.code != 0", "rejected")]),
                Some(Lack::Success),
            ),
            (
                json!([
                    rule("body.code != 0", "rejected"),
                    rule("status == 200", "delivered")
                ]),
                None,
            ),
            (
                json!([
                    rule("body.ok == true", "delivered"),
                    rule("body.ok == false", "rejected")
                ]),
                None,
            ),
            (
                json!([
                    rule("body.ok", "delivered"),
                    rule("not body.ok", "rejected")
                ]),
                None,
            ),
            (
                json!([rule("body.data[0].code == 'SUCCESS'", "delivered")]),
                Some(Lack::Rest),
            ),
            (
                json!([
                    rule("body.data[0]['code'] == 'SUCCESS'", "delivered"),
                    rule("body.data[0].code != 'x'", "rejected")
                ]),
                None,
            ),
            (json!([rule("text == 'ok'", "delivered")]), Some(Lack::Rest)),
            (
                json!([
                    rule("text == 'ok'", "delivered"),
                    rule("text != 'ok'", "rejected")
                ]),
                None,
            ),
            // These ask nothing of a 2xx.
            (
                json!([rule("status == 409 and body.code == 7", "duplicate")]),
                None,
            ),
            (json!([rule("status == 409", "duplicate")]), None),
            (json!([]), None),
        ] {
            assert_eq!(lack(&rules), expected, "{rules}");
        }
    }

    #[test]
    fn each_step_and_presets_that_end_nothing_are_looked_at() {
        let open = json!([{"when": "body.code == 0", "outcome": "delivered"}]);
        let rest = json!([{"when": "status == 200", "outcome": "ambiguous"}]);
        let at = |place: &str| vec![("config::undecided", place.to_owned())];
        let url = "https://crm.example";
        assert_eq!(
            codes(&json!({"url": url, "classify": open})),
            at("/classify")
        );
        let steps = json!({"url": url, "steps": [{"name": "a"}, {"name": "b", "classify": open}]});
        assert_eq!(codes(&steps), at("/steps/1/classify"));
        let ended =
            json!({"url": url, "classify": rest, "steps": [{"name": "b", "classify": open}]});
        assert_eq!(codes(&ended), []);
        let preset = |name: &str| json!({"preset": name, "url": url, "classify": open});
        assert_eq!(codes(&preset("standard-webhooks")), at("/classify"));
        assert_eq!(codes(&preset("feishu-bot")), []);
    }

    #[test]
    fn plain_http_to_another_machine_is_said_and_loopback_is_fine() {
        let found = |settings: Value| {
            let engine = Engine::new(Tables::new());
            let all = all("crm", &settings, &engine).into_iter();
            all.map(|(_, at, message, _)| format!("{at}: {}", message.pick(crate::lang::Lang::En)))
                .collect::<Vec<_>>()
        };
        for url in [
            "https://crm.example/x",
            "http://127.0.0.1:80/x",
            "http://localhost",
            "http://[::1]:8/",
            "/path",
        ] {
            assert_eq!(found(json!({"url": url})), Vec::<String>::new(), "{url}");
        }
        let said = "`sinks.crm` sends leads to 192.168.1.7 without encryption: whoever stands in between can read them";
        assert_eq!(
            found(json!({"url": "HTTP://192.168.1.7:8080/x"})),
            [format!("/url: {said}")]
        );
        let both = found(json!({
            "url": "http://crm.lan/x?key=t0p", "secret": "x",
            "auth": {"token_url": "http://crm.lan/token"},
            "steps": [{"url": "http://other.lan"}],
        }));
        let places: Vec<_> = both
            .iter()
            .filter_map(|one| one.split(": ").next())
            .collect();
        assert_eq!(places, ["/url", "/auth/token_url", "/steps/0/url"]);
        assert!(
            both[0].contains("leads and its credentials to crm.lan "),
            "{both:?}"
        );
        assert!(!both.concat().contains("t0p"));
    }
}
