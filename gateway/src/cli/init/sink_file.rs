//! The file of one sink: TOML with comments, secrets left to the environment.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::kinds::{Kind, Need, Preset, Source, variable};
use crate::config::{CHAT_RATE, CHATS};

/// A sink that was asked for.
pub(super) struct Wanted<'a> {
    pub(super) name: String,
    pub(super) kind: &'a Kind,
    /// What was answered, by the keys of the needs; placeholders stand for the rest.
    pub(super) answers: BTreeMap<String, String>,
}

impl Wanted<'_> {
    /// Where it is written, beside the main file.
    pub(super) fn path(&self) -> String {
        format!("sinks.d/{}.toml", self.name)
    }

    /// The file's text.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "#:schema ../leadgate.schema.json\n# {} ({})\n# 由 leadgate init 生成，可随意修改 · written by leadgate init, yours to change\n\n",
            self.kind.what, self.kind.name
        );
        match &self.kind.source {
            Source::Preset(preset) => self.settings(preset, &mut text),
            Source::Copy(example) => self.copy(example, &mut text),
        }
        text
    }

    /// Environment variables that the file names.
    pub(super) fn variables(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once("\"env:")?.1.split_once('"'))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    fn settings(&self, preset: &Preset, text: &mut String) {
        let name = &self.name;
        let mut put = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        put(format!("[sinks.{name}]\nplugin = \"http\""));
        put(
            "# when = \"purchase_intention is not none and purchase_intention >= 1\"   # 只要其中一部分 · only some leads"
                .to_owned(),
        );
        match CHATS.iter().find(|(chat, _)| *chat == self.kind.name) {
            Some((_, messages)) => put(format!(
                "concurrency = 20   # 至多 20 条客资合并为一条消息 · up to 20 leads share a message\nrate = \"{CHAT_RATE}\"      # 客资的速率；该群聊约限 {messages} 条消息 · of leads; the chat takes about {messages} messages"
            )),
            None => put("# rate = \"20/s\"".to_owned()),
        }
        put(format!(
            "\n[sinks.{name}.settings]\npreset = \"{}\"",
            self.kind.name
        ));
        let (inside, own): (Vec<&Need>, Vec<&Need>) = preset
            .needs
            .iter()
            .partition(|need| need.step().0.is_some());
        for need in own {
            put(self.need(need));
        }
        if preset.may_sign() {
            put(format!(
                "\n# 启用了签名校验时 · if it checks signatures:\n# secret = \"env:{}\"",
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
            put(self.need(need));
        }
    }

    fn need(&self, need: &Need) -> String {
        let value = match (self.answers.get(&need.key), need.example()) {
            (Some(answer), _) => answer.clone(),
            (None, Some(example)) => example.to_owned(),
            (None, None) => format!("env:{}", need.variable(&self.name)),
        };
        let (_, key) = need.step();
        format!(
            "\n# 必填 · needed: {}\n{key} = {}",
            need.help,
            quoted(&value)
        )
    }

    /// An example without its head, switched on, under the sink's name.
    fn copy(&self, example: &str, text: &mut String) {
        let is_head =
            |line: &&str| line.is_empty() || line.starts_with("# ") || line.starts_with("#:");
        for line in example.lines().skip_while(is_head) {
            // What is switched off has a `#` without a space behind it.
            let line = match line.strip_prefix('#') {
                Some(off) if !off.starts_with(' ') => off,
                _ => line,
            };
            let line = match line.strip_prefix("[sinks.") {
                Some(rest) => {
                    let end = rest.find(['.', ']']).unwrap_or(rest.len());
                    format!("[sinks.{}{}", self.name, &rest[end..])
                }
                None => self.with_path(line),
            };
            let _ = writeln!(text, "{line}");
        }
    }

    /// Two sinks must not write into one file.
    fn with_path(&self, line: &str) -> String {
        match line
            .strip_prefix("path = ")
            .and_then(|path| path.rsplit_once('.'))
        {
            Some((_, end)) => {
                let extension: String = end
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                format!("path = \"../{}.{extension}\"", self.name)
            }
            None => line.to_owned(),
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
    use crate::config::{Environment, load};
    use crate::lang::Lang;
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
    fn said(wanted: &Wanted<'_>, environment: &Environment<'_>) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("leadgate.toml");
        std::fs::create_dir(folder.path().join("sinks.d")).expect("makes");
        std::fs::write(&main, MAIN).expect("writes");
        let key = crate::seal::OutboxKey::generate().to_text();
        super::super::write_new(&folder.path().join("outbox.key"), &key, false).expect("writes");
        std::fs::write(folder.path().join(wanted.path()), wanted.text()).expect("writes");
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

    #[test]
    fn check_accepts_the_file_of_every_kind_but_for_variables_that_are_not_set() {
        for kind in kinds::all() {
            let wanted = wanted(&kind, "my-crm_2");
            let set = Environment::of(|name| {
                let value = match name {
                    "LEADGATE_DATA" => return None,
                    name if name.ends_with("_URL") => "https://crm.example/hook",
                    _ => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                };
                Some(value.to_owned())
            });
            assert_eq!(said(&wanted, &set), [], "{}\n{}", kind.name, wanted.text());
            let found = said(&wanted, &Environment::of(|_| None));
            let mut variables = wanted.variables();
            variables.push("TMALL_APP_SECRET".to_owned());
            let different: std::collections::BTreeSet<_> = variables.iter().collect();
            assert_eq!(
                different.len(),
                variables.len(),
                "{}: {variables:?}",
                kind.name
            );
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
        wanted.answers.insert("url".to_owned(), answer.to_owned());
        let read: toml::Table = wanted.text().parse().expect("TOML");
        assert_eq!(
            read["sinks"]["crm"]["settings"]["url"].as_str(),
            Some(answer)
        );
    }

    #[test]
    fn what_a_step_needs_is_written_behind_all_else() {
        let preset = "[settings]\nsign.kind = \"x\"\n[[needs]]\nkey = \"steps.make.body.kind\"\nhelp = \"a\"\n\
                      [[needs]]\nkey = \"steps.make.url\"\nhelp = \"b\"\n[[needs]]\nkey = \"auth.token\"\nhelp = \"c\"\n";
        let kind = Kind {
            name: "steps",
            what: String::new(),
            source: Source::Preset(toml::from_str(preset).expect("a preset")),
        };
        let text = wanted(&kind, "crm").text();
        let read: toml::Table = text.parse().expect("TOML");
        let settings = &read["sinks"]["crm"]["settings"];
        assert_eq!(settings["auth"]["token"].as_str(), Some("env:CRM_TOKEN"));
        let steps = settings["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 1, "{text}");
        assert_eq!(steps[0]["name"].as_str(), Some("make"));
        assert_eq!(steps[0]["body"]["kind"].as_str(), Some("env:CRM_KIND"));
        assert_eq!(steps[0]["url"].as_str(), Some("env:CRM_URL"));
    }

    #[test]
    fn chats_have_a_rate_and_can_be_signed() {
        let kinds = kinds::all();
        let text = |name: &str| {
            let kind = kinds.iter().find(|kind| kind.name == name).expect("one");
            wanted(kind, "group").text()
        };
        assert!(text("feishu-bot").contains("rate = \"10/s\""));
        assert!(text("dingtalk-robot").contains("# secret = \"env:GROUP_SECRET\""));
        assert!(!text("slack").contains("secret ="), "{}", text("slack"));
        assert!(text("spreadsheet").contains("path = \"../group.csv\""));
        assert!(text("email").contains("\npassword = \"env:SMTP_PASSWORD\""));
    }
}
