//! The file of one sink: TOML with comments, secrets left to the environment.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::bilingual::in_language;
use super::interview::parts;
use super::kinds::{Form, Kind, Need, Source, variable};
use crate::config::{CHAT_RATE, CHATS};
use crate::lang::Lang;

/// A sink that was asked for.
pub(super) struct Wanted<'a> {
    pub(super) name: String,
    pub(super) kind: &'a Kind,
    /// What was answered, by the keys of the needs; placeholders stand for the rest.
    pub(super) answers: BTreeMap<String, Answer>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Text(String),
    List(Vec<String>),
}

impl Answer {
    /// As TOML.
    fn quoted(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::List(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| quoted(part)).collect();
                format!("[{}]", parts.join(", "))
            }
        }
    }
}

impl Wanted<'_> {
    /// Where it is written, beside the main file.
    pub(super) fn path(&self) -> String {
        format!("sinks.d/{}.toml", self.name)
    }

    /// Whether its command runs `script`.
    pub(super) fn runs(&self, script: &str) -> bool {
        self.kind.plugin == "exec" && self.text(Lang::En).contains(&quoted(script))
    }

    /// The file's text.
    pub(super) fn text(&self, lang: Lang) -> String {
        let written = lang.pick(
            "written by `leadgate init`, yours to change",
            "由 `leadgate init` 生成，可随意修改",
        );
        let mut text = format!(
            "#:schema ../leadgate.schema.json\n# {} ({})\n# {written}\n\n",
            self.kind.about(lang),
            self.kind.name
        );
        match &self.kind.source {
            Source::Preset { may_sign } => self.settings(*may_sign, lang, &mut text),
            Source::Copy(example) => {
                let mut copy = String::new();
                self.copy(example, &mut copy);
                text.push_str(&in_language(&copy, lang));
            }
        }
        text
    }

    /// Environment variables that the file names.
    pub(super) fn variables(&self) -> Vec<String> {
        let text = self.text(Lang::En);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once("\"env:")?.1.split_once('"'))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    fn settings(&self, may_sign: bool, lang: Lang, text: &mut String) {
        let name = &self.name;
        let mut put = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        put(format!("[sinks.{name}]\nplugin = \"http\""));
        let some = lang.pick("only some leads", "只要其中一部分");
        put(format!(
            "# when = \"purchase_intention is not none and purchase_intention >= 1\"   # {some}"
        ));
        match CHATS.iter().find(|(chat, _)| *chat == self.kind.name) {
            Some((_, messages)) => put(match lang {
                Lang::En => format!(
                    "concurrency = 20   # up to 20 leads share a message\nrate = \"{CHAT_RATE}\"      # of leads; the chat takes about {messages} messages"
                ),
                Lang::ZhCn => format!(
                    "concurrency = 20   # 至多 20 条客资合并为一条消息\nrate = \"{CHAT_RATE}\"      # 客资的速率；该群聊约限 {messages} 条消息"
                ),
            }),
            None => put("# rate = \"20/s\"".to_owned()),
        }
        put(format!(
            "\n[sinks.{name}.settings]\npreset = \"{}\"",
            self.kind.name
        ));
        let (inside, own): (Vec<&Need>, Vec<&Need>) = self
            .kind
            .needs
            .iter()
            .partition(|need| need.step().0.is_some());
        for need in own {
            put(self.need(need, lang));
        }
        if may_sign {
            let when = lang.pick("if it checks signatures:", "启用了签名校验时：");
            put(format!(
                "\n# {when}\n# secret = \"env:{}\"",
                variable(name, "secret")
            ));
        }
        // The steps come last: what follows a list of tables belongs to its last one.
        let mut last = None;
        for need in inside {
            let (step, _) = need.step();
            if let Some(step) = step.filter(|_| step != last) {
                put(format!(
                    "\n[[sinks.{name}.settings.steps]]\nname = {}",
                    quoted(step)
                ));
            }
            last = step;
            put(self.need(need, lang));
        }
    }

    fn need(&self, need: &Need, lang: Lang) -> String {
        let (_, key) = need.step();
        format!(
            "\n# {}{}\n{key} = {}",
            lang.pick("needed: ", "必填："),
            need.help(lang),
            self.value(need)
        )
    }

    /// What was answered, else the example, else the variable that is to hold it.
    fn value(&self, need: &Need) -> String {
        let answer = match (self.answers.get(&need.key), need.example()) {
            (Some(answer), _) => answer.clone(),
            (None, Some(example)) if matches!(need.form, Form::List(_)) => {
                Answer::List(parts(example))
            }
            (None, Some(example)) => Answer::Text(example.to_owned()),
            (None, None) => Answer::Text(format!("env:{}", need.variable(&self.name))),
        };
        answer.quoted()
    }

    /// An example without its head, under the sink's name, with the answers in place of its
    /// values. One that is switched off as a whole is switched on.
    fn copy(&self, example: &str, text: &mut String) {
        // The first paragraph says what to do with the example.
        let (_, body) = example.split_once("\n\n").unwrap_or(("", example));
        let is_off = !body.lines().any(|line| line.starts_with("[sinks."));
        let mut section = "";
        for line in body.lines() {
            // What is switched off has a `#` without a space behind it.
            let line = match line.strip_prefix('#') {
                Some(off) if is_off && !off.starts_with(' ') => off,
                _ => line,
            };
            if line.starts_with('[') {
                section = line.split(']').next().unwrap_or_default();
            }
            let in_settings = section.ends_with(".settings");
            let line = match line.strip_prefix("[sinks.") {
                Some(rest) => {
                    let end = rest.find(['.', ']']).unwrap_or(rest.len());
                    format!("[sinks.{}{}", self.name, &rest[end..])
                }
                None if in_settings => self.answered(line),
                None => line.to_owned(),
            };
            let _ = writeln!(text, "{line}");
        }
    }

    /// The line with the answer to what its key asks for; two sinks must not write into one
    /// file.
    fn answered(&self, line: &str) -> String {
        let Some((key, value)) = line.split_once(" = ") else {
            return line.to_owned();
        };
        if let Some(need) = self.kind.needs.iter().find(|need| need.key == key) {
            let comment = value.rfind(" # ").map_or("", |at| &value[at + 1..]);
            let line = format!("{key} = {}", self.value(need));
            return match comment {
                "" => line,
                // Where it stood, in line with the others.
                comment => {
                    let column = key.len() + 3 + value.len() - comment.len();
                    let line = format!("{line:<0$} ", column.saturating_sub(1));
                    format!("{line}{comment}")
                }
            };
        }
        match value.rsplit_once('.') {
            Some((_, end)) if key == "path" => {
                let extension: String = end
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                format!("path = \"../{}.{extension}\"", self.name)
            }
            _ => line.to_owned(),
        }
    }
}

/// A text as TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::kinds;
    use super::*;
    use crate::config::{Catalogue, Environment, load};
    use crate::plugin::Plugins;

    const MAIN: &str = include_str!("../../../../config/leadgate.toml");

    fn wanted<'a>(kind: &'a Kind, name: &str) -> Wanted<'a> {
        Wanted {
            name: name.to_owned(),
            kind,
            answers: BTreeMap::new(),
        }
    }

    /// Code and message of every error that check finds in a written configuration.
    fn said(text: &str, environment: &Environment<'_>) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("leadgate.toml");
        for (path, text) in [
            ("leadgate.toml", MAIN),
            ("sinks.d/sink.toml", text),
            // What the kind `exec` says to put beside it.
            ("sinks.d/erp.py", ""),
            ("outbox.key", &*crate::seal::OutboxKey::generate().to_text()),
            ("secrets/admin-token", "t0ken-of-an-operator"),
        ] {
            super::super::write_new(&folder.path().join(path), text, false).expect("writes");
        }
        let mut plugins = Plugins::builtin().expect("built in");
        let (_, report) = load(&main, environment, &mut plugins);
        report.json(Lang::En)["problems"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|one| one["severity"] == "error")
            .map(|one| {
                let code = one["code"].as_str().unwrap_or_default();
                (code.to_owned(), one["message"].to_string())
            })
            .collect()
    }

    /// What check says of placeholders, which are there until somebody answers.
    fn is_placeholder((code, _): &(String, String)) -> bool {
        code == "config::placeholder"
    }

    #[test]
    fn check_accepts_the_file_of_every_kind_but_for_variables_that_are_not_set() {
        let plugins = Plugins::builtin().expect("built in");
        for kind in kinds::all() {
            // A name that begins with a digit makes variables all the same.
            let wanted = wanted(&kind, "1st-crm_2");
            let set = Environment::of(|name| {
                let value = match name {
                    "LEADGATE_DATA" | "LEADGATE_ARCHIVE" | "LEADGATE_SPREADSHEET" => return None,
                    name if name.ends_with("_URL") => match kind.plugin {
                        "sql" => "postgres://leads:t0psecret@127.0.0.1/shop",
                        "amqp" => "amqps://leads:t0psecret@rabbit.shop.cn/shop",
                        _ => "https://crm.shop.cn/hook",
                    },
                    _ => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                };
                Some(value.to_owned())
            });
            for lang in [Lang::En, Lang::ZhCn] {
                let text = wanted.text(lang);
                let mut found = said(&text, &set);
                found.retain(|one| !is_placeholder(one));
                if plugins.left_out().iter().any(|name| name == kind.plugin) {
                    let codes: Vec<_> = found.iter().map(|(code, _)| code.as_str()).collect();
                    assert_eq!(codes, ["config::unknown_plugin"], "{}\n{text}", kind.name);
                } else {
                    assert_eq!(found, [], "{}\n{text}", kind.name);
                }
            }
            let mut found = said(&wanted.text(Lang::En), &Environment::of(|_| None));
            found.retain(|one| !is_placeholder(one) && one.0 != "config::unknown_plugin");
            let mut variables = wanted.variables();
            variables.push("TMALL_APP_SECRET".to_owned());
            let different: std::collections::BTreeSet<_> = variables.iter().collect();
            assert_eq!(
                different.len(),
                variables.len(),
                "{}: {variables:?}",
                kind.name
            );
            for name in &variables {
                assert!(
                    !name.starts_with(|first: char| first.is_ascii_digit()),
                    "{name}"
                );
            }
            for (code, message) in &found {
                assert_eq!(code, "config::unresolved", "{}: {message}", kind.name);
                let named = variables.iter().any(|name| message.contains(name.as_str()));
                assert!(named, "{}: {message}", kind.name);
            }
            assert_eq!(found.len(), variables.len(), "{}", kind.name);
        }
    }

    #[test]
    fn answers_take_the_place_of_placeholders_and_are_quoted() {
        let kinds = kinds::all();
        let frappe = kinds
            .iter()
            .find(|kind| kind.name == "frappe")
            .expect("one");
        let mut wanted = wanted(frappe, "crm");
        assert_eq!(wanted.variables(), ["CRM_VALUE"]);
        let answer = "https://crm.example/\"x\"\n";
        let text = Answer::Text(answer.to_owned());
        wanted.answers.insert("url".to_owned(), text);
        let read: toml::Table = wanted.text(Lang::En).parse().expect("TOML");
        assert_eq!(
            read["sinks"]["crm"]["settings"]["url"].as_str(),
            Some(answer)
        );
    }

    #[test]
    fn what_a_step_needs_is_written_behind_all_else() {
        let kinds = kinds::all();
        let name = |kind: &&Kind| kind.name == "xiaoshouyi";
        let kind = kinds.iter().find(name).expect("one");
        let text = wanted(kind, "crm").text(Lang::ZhCn);
        let read: toml::Table = text.parse().expect("TOML");
        let settings = &read["sinks"]["crm"]["settings"];
        let username = settings["auth"]["username"].as_str();
        assert_eq!(username, Some("env:CRM_USERNAME"));
        let steps = settings["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 1, "{text}");
        assert_eq!(steps[0]["name"].as_str(), Some("create"));
        let kind = steps[0]["body"]["data"]["entityType"].as_str();
        assert_eq!(kind, Some("env:CRM_ENTITYTYPE"));
    }

    #[test]
    fn chats_have_a_rate_and_can_be_signed() {
        let kinds = kinds::all();
        let text = |name: &str| {
            let kind = kinds.iter().find(|kind| kind.name == name).expect("one");
            wanted(kind, "group").text(Lang::En)
        };
        assert!(text("feishu-bot").contains("rate = \"10/s\""));
        assert!(text("dingtalk-robot").contains("# secret = \"env:GROUP_SECRET\""));
        assert!(!text("slack").contains("secret ="), "{}", text("slack"));
        assert!(text("spreadsheet").contains("path = \"../group.csv\""));
        assert!(text("email").contains("\npassword = \"env:GROUP_PASSWORD\""));
        assert!(text("email").contains("\nto = [\"sales@shop.example\"]"));
        // What is an example in an example stays one.
        assert!(text("kafka").contains("\n#key = "), "{}", text("kafka"));
    }
}
