//! Kinds: what a sink can be that `init` writes, each with what only the merchant knows of it.
//!
//! The presets of the `http` plugin are its own files; the other plugins' examples are
//! `config/`'s, with the questions that they leave open.

use serde::Deserialize;

use crate::lang::Lang;

/// The presets of the `http` plugin: name and file.
const PRESETS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// Other words for kinds, as people type them.
const ALIASES: &[(&str, &str)] = &[
    ("webhook", "standard-webhooks"),
    ("http", "standard-webhooks"),
    ("crm", "standard-webhooks"),
    ("钉钉", "dingtalk-robot"),
    ("飞书", "feishu-bot"),
    ("lark", "feishu-bot"),
    ("多维表格", "feishu-bitable"),
    ("bitable", "feishu-bitable"),
    ("企业微信", "wecom-robot"),
    ("企微", "wecom-robot"),
    ("微信", "wecom-robot"),
    ("wechat", "wecom-robot"),
    ("weixin", "wecom-robot"),
    ("纷享销客", "fxiaoke"),
    ("纷享", "fxiaoke"),
    ("销售易", "xiaoshouyi"),
    ("neocrm", "xiaoshouyi"),
    ("erpnext", "frappe"),
    ("mail", "email"),
    ("e-mail", "email"),
    ("smtp", "email"),
    ("邮件", "email"),
    ("邮箱", "email"),
    ("jsonl", "file"),
    ("文件", "file"),
    ("csv", "spreadsheet"),
    ("excel", "spreadsheet"),
    ("xlsx", "spreadsheet"),
    ("表格", "spreadsheet"),
    ("script", "exec"),
    ("python", "exec"),
    ("program", "exec"),
    ("command", "exec"),
    ("shell", "exec"),
    ("脚本", "exec"),
    ("程序", "exec"),
    ("postgres", "sql"),
    ("postgresql", "sql"),
    ("mysql", "sql"),
    ("mariadb", "sql"),
    ("database", "sql"),
    ("数据库", "sql"),
    ("jetstream", "nats"),
    ("rabbitmq", "amqp"),
    ("rabbit", "amqp"),
];

/// What a sink can be.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// In a few words.
    about: About,
    /// The plugin behind it.
    pub(super) plugin: &'static str,
    /// What is asked for.
    pub(super) needs: Vec<Need>,
    pub(super) source: Source,
}

/// What its file is made from.
pub(super) enum Source {
    /// A preset of the `http` plugin, and whether requests can be signed with a secret that it
    /// does without.
    Preset { may_sign: bool },
    /// A file of `config/`.
    Copy(&'static str),
}

/// A preset's file, as far as `init` reads it.
#[derive(Deserialize)]
struct Preset {
    about: About,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    settings: toml::Table,
}

/// A few words in both languages.
#[derive(Clone, Deserialize)]
struct About {
    en: String,
    zh: String,
}

/// What only the merchant knows.
#[derive(Clone, Deserialize)]
pub(super) struct Need {
    /// Its keys, with dots.
    pub(super) key: String,
    help: String,
    help_zh: String,
    #[serde(skip)]
    pub(super) form: Form,
}

/// What is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// A text, or a secret if the help shows no example.
    #[default]
    Any,
    /// A text.
    Text(&'static str),
    /// Several, with commas between them.
    List(&'static str),
    /// A secret: the variable that holds it.
    Secret,
}

/// A sink of another plugin: its name, plugin, what it is in both languages, the file to copy,
/// and what is asked for: key, form, and the question in both languages.
struct Other {
    name: &'static str,
    plugin: &'static str,
    about: [&'static str; 2],
    file: &'static str,
    asks: &'static [(&'static str, Form, &'static str, &'static str)],
}

const OTHERS: [Other; 8] = [
    Other {
        name: "email",
        plugin: "email",
        about: ["e-mail, a message for each lead", "电子邮件，每条客资一封"],
        file: include_str!("../../../../config/sinks.d/email.toml"),
        asks: &[
            (
                "host",
                Form::Text("smtp.exmail.qq.com"),
                "the mail server that sends (SMTP)",
                "发信服务器（SMTP）",
            ),
            (
                "username",
                Form::Text("leads@shop.example"),
                "who logs in there",
                "登录用户名",
            ),
            (
                "password",
                Form::Secret,
                "the password, or what the server calls an authorization code",
                "登录密码或授权码",
            ),
            (
                "from",
                Form::Text("leads@shop.example"),
                "who the messages are from; most servers want the user's own address",
                "发件人；多数服务器要求与登录用户一致",
            ),
            (
                "to",
                Form::List("sales@shop.example"),
                "who gets them; several with commas",
                "收件人；多个以逗号分隔",
            ),
        ],
    },
    Other {
        name: "file",
        plugin: "file",
        about: [
            "a local file, one lead a line as JSON",
            "本地文件，每条客资一行 JSON",
        ],
        file: include_str!("../../../../config/sinks.d/archive.toml"),
        asks: &[],
    },
    Other {
        name: "spreadsheet",
        plugin: "file",
        about: [
            "a CSV file for each day, for Excel",
            "CSV 表格，每天一个文件，可用 Excel 打开",
        ],
        file: include_str!("../../../../config/sinks.d/examples/spreadsheet.toml"),
        asks: &[],
    },
    Other {
        name: "exec",
        plugin: "exec",
        about: [
            "a program of your own, in any language (JSON lines)",
            "自己的程序，任何语言（JSON 行）",
        ],
        file: include_str!("../../../../config/sinks.d/examples/exec.toml"),
        asks: &[(
            "command",
            Form::List("python3, erp.py"),
            "the program and its arguments, with commas; a script lies beside the file",
            "程序及其参数，以逗号分隔；脚本与配置文件放在一起",
        )],
    },
    Other {
        name: "sql",
        plugin: "sql",
        about: ["a table in PostgreSQL or MySQL", "PostgreSQL 或 MySQL 的表"],
        file: include_str!("../../../../config/sinks.d/examples/sql.toml"),
        asks: &[(
            "url",
            Form::Secret,
            "postgres://USER:PASSWORD@HOST/DATABASE, or mysql://…",
            "postgres://用户:密码@主机/库，或 mysql://…",
        )],
    },
    Other {
        name: "nats",
        plugin: "nats",
        about: ["a NATS JetStream stream", "NATS JetStream"],
        file: include_str!("../../../../config/sinks.d/examples/nats.toml"),
        asks: &[
            (
                "servers",
                Form::List("tls://nats.shop.example:4222"),
                "addresses of the servers; several with commas",
                "服务器地址；多个以逗号分隔",
            ),
            (
                "subject",
                Form::Text("leads.{{ store_id | default('none') }}"),
                "the subject; a stream must be bound to it",
                "主题；须有流绑定",
            ),
            ("user", Form::Text("leadgate"), "who logs in", "用户名"),
            ("password", Form::Secret, "the password", "密码"),
        ],
    },
    Other {
        name: "amqp",
        plugin: "amqp",
        about: [
            "a RabbitMQ exchange (AMQP 0-9-1)",
            "RabbitMQ 交换机（AMQP 0-9-1）",
        ],
        file: include_str!("../../../../config/sinks.d/examples/amqp.toml"),
        asks: &[
            (
                "url",
                Form::Secret,
                "amqps://USER:PASSWORD@HOST/VHOST",
                "amqps://用户:密码@主机/VHOST",
            ),
            (
                "exchange",
                Form::Text("leads"),
                "the exchange, which must be there",
                "交换机，须已存在",
            ),
            (
                "routing_key",
                Form::Text("leads.{{ store_id }}"),
                "the routing key; a queue must be bound for it",
                "路由键；须有队列绑定",
            ),
        ],
    },
    Other {
        name: "kafka",
        plugin: "kafka",
        about: ["a Kafka topic", "Kafka 主题"],
        file: include_str!("../../../../config/sinks.d/examples/kafka.toml"),
        asks: &[
            (
                "brokers",
                Form::List("127.0.0.1:9092"),
                "addresses of the brokers; several with commas",
                "broker 地址；多个以逗号分隔",
            ),
            (
                "topic",
                Form::Text("leads"),
                "the topic, which must be there",
                "主题，须已存在",
            ),
        ],
    },
];

impl Kind {
    pub(super) fn about(&self, lang: Lang) -> &str {
        lang.pick(&self.about.en, &self.about.zh)
    }
}

impl Need {
    pub(super) fn help(&self, lang: Lang) -> &str {
        lang.pick(&self.help, &self.help_zh)
    }

    /// What is taken for an answer if there is none, unless it is a secret.
    pub(super) fn example(&self) -> Option<&str> {
        match self.form {
            Form::Text(example) | Form::List(example) => Some(example),
            Form::Secret => None,
            Form::Any => {
                let opening = format!("{} = \"", self.key);
                let (_, value) = self.help.split_once(&opening)?;
                let (value, _) = value.split_once('"')?;
                (!value.starts_with("env:") && !value.contains('…')).then_some(value)
            }
        }
    }

    /// The environment variable that holds it for `sink`.
    pub(super) fn variable(&self, sink: &str) -> String {
        variable(sink, self.key.rsplit('.').next().unwrap_or_default())
    }

    /// The step that it is in, if it is in one, and its keys there.
    pub(super) fn step(&self) -> (Option<&str>, &str) {
        let inside = self.key.strip_prefix("steps.");
        match inside.and_then(|inside| inside.split_once('.')) {
            Some((step, key)) => (Some(step), key),
            None => (None, &self.key),
        }
    }
}

/// `crm` and `token` → `CRM_TOKEN`; a name that a shell can export.
pub(super) fn variable(sink: &str, key: &str) -> String {
    let letters = format!("{sink}_{key}").to_ascii_uppercase();
    let name = letters.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("SINK_{name}")
    } else {
        name
    }
}

/// All of them.
pub(super) fn all() -> Vec<Kind> {
    let presets = PRESETS.iter().map(|(name, text)| {
        let Preset {
            about,
            needs,
            settings,
        } = toml::from_str(text).expect("every preset is read by a test");
        let may_sign =
            settings.contains_key("sign") && needs.iter().all(|need| need.key != "secret");
        Kind {
            name,
            about,
            plugin: "http",
            needs,
            source: Source::Preset { may_sign },
        }
    });
    let others = OTHERS.iter().map(|other| Kind {
        name: other.name,
        about: About {
            en: other.about[0].to_owned(),
            zh: other.about[1].to_owned(),
        },
        plugin: other.plugin,
        needs: other
            .asks
            .iter()
            .map(|(key, form, en, zh)| Need {
                key: (*key).to_owned(),
                help: (*en).to_owned(),
                help_zh: (*zh).to_owned(),
                form: *form,
            })
            .collect(),
        source: Source::Copy(other.file),
    });
    presets.chain(others).collect()
}

/// The kind called `name`; the error has a guess, or all of them.
pub(super) fn named<'k>(name: &str, kinds: &'k [Kind], lang: Lang) -> Result<&'k Kind, String> {
    if let Some(kind) = kinds.iter().find(|kind| kind.name == name) {
        return Ok(kind);
    }
    let guesses: Vec<_> = guesses(name, kinds)
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let unknown = lang.pick("there is no kind", "没有这种类型");
    Err(if guesses.is_empty() {
        let all: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
        let all = all.join(", ");
        match lang {
            Lang::En => format!("{unknown} `{name}`; there are: {all}"),
            Lang::ZhCn => format!("{unknown} `{name}`；可选：{all}"),
        }
    } else {
        match lang {
            Lang::En => format!("{unknown} `{name}`; did you mean {}?", guesses.join(" or ")),
            Lang::ZhCn => format!("{unknown} `{name}`；是不是 {}？", guesses.join(" 或 ")),
        }
    })
}

/// What somebody who wrote `name` may have meant: what it is called otherwise, what begins or
/// goes on with it, else what is spelt nearly so.
fn guesses(name: &str, kinds: &[Kind]) -> Vec<&'static str> {
    let name = name.trim().to_lowercase();
    if let Some((_, kind)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return vec![kind];
    }
    let names = kinds.iter().map(|kind| kind.name);
    let part = |known: &&str| {
        name.chars().count() > 2 && (known.contains(&*name) || name.contains(*known))
    };
    let parts: Vec<_> = names.clone().filter(part).collect();
    if !parts.is_empty() {
        return parts;
    }
    names
        .chain(ALIASES.iter().map(|(alias, _)| *alias))
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .min()
        .filter(|(distance, known)| {
            *distance <= 1 + known.len() / 4 && *distance < known.chars().count()
        })
        .map(|(_, known)| {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == known);
            alias.map_or(known, |(_, kind)| kind)
        })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CHATS, Catalogue};
    use crate::plugin::Plugins;

    #[test]
    fn there_is_a_kind_for_every_preset_that_the_plugin_takes() {
        let schema = Plugins::builtin()
            .expect("built in")
            .schema("http")
            .expect("a schema");
        let taken = schema["properties"]["preset"]["anyOf"][0]["oneOf"].as_array();
        let mut taken: Vec<_> = taken
            .expect("presets")
            .iter()
            .filter_map(|one| one["const"].as_str())
            .collect();
        taken.sort_unstable();
        let known: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, taken);
        assert!(CHATS.iter().all(|(chat, _)| known.contains(chat)));
    }

    #[test]
    fn every_plugin_of_ours_can_be_chosen_and_everything_is_said_in_chinese() {
        let plugins = Plugins::builtin().expect("built in");
        let kinds = all();
        for plugin in [plugins.names(), plugins.left_out()].concat() {
            assert!(kinds.iter().any(|kind| kind.plugin == plugin), "{plugin}");
        }
        // Names of products and keys stay as they are.
        for kind in &kinds {
            assert!(!kind.about(Lang::En).is_empty() && !kind.about(Lang::ZhCn).is_empty());
            for need in &kind.needs {
                assert!(
                    !need.help(Lang::En).is_empty(),
                    "{} {}",
                    kind.name,
                    need.key
                );
                assert_ne!(need.help(Lang::En), need.help(Lang::ZhCn), "{}", kind.name);
            }
        }
    }

    #[test]
    fn an_example_is_what_the_help_shows_and_never_a_secret() {
        let need = |key: &str, help: &str| Need {
            key: key.to_owned(),
            help: help.to_owned(),
            help_zh: String::new(),
            form: Form::Any,
        };
        let url = need(
            "url",
            "your site, as url = \"https://crm.example/{{ id }}\"",
        );
        assert_eq!(url.example(), Some("https://crm.example/{{ id }}"));
        assert_eq!(
            need("auth.token", "as auth.token = \"env:NAME\"").example(),
            None
        );
        assert_eq!(need("url", "who has it can write").example(), None);
        assert_eq!(url.variable("my-crm"), "MY_CRM_URL");
        let inside = need("steps.create.body.kind", "as GET … lists them");
        assert_eq!(inside.variable("crm"), "CRM_KIND");
        assert_eq!(inside.step(), (Some("create"), "body.kind"));
        assert_eq!(url.step(), (None, "url"));
    }

    #[test]
    fn every_variable_is_one_that_a_shell_can_export() {
        for (sink, key, name) in [
            ("1st-shop", "url", "SINK_1ST_SHOP_URL"),
            ("9", "x-fs-ea", "SINK_9_X_FS_EA"),
            ("crm", "token", "CRM_TOKEN"),
        ] {
            assert_eq!(variable(sink, key), name);
        }
    }

    #[test]
    fn what_people_type_is_guessed() {
        let kinds = all();
        for (typed, guess) in [
            ("dingtalk", "`dingtalk-robot`?"),
            ("DingTalk", "`dingtalk-robot`?"),
            ("钉钉", "`dingtalk-robot`?"),
            ("feishu", "`feishu-bitable` or `feishu-bot`?"),
            ("slak", "`slack`?"),
            ("mysql", "`sql`?"),
            ("kafka-topic", "`kafka`?"),
            ("rabitmq", "`amqp`?"),
            ("excel", "`spreadsheet`?"),
            ("nothing-like-it", "there are: dingtalk-robot, "),
        ] {
            let said = named(typed, &kinds, Lang::En).err().expect("no kind");
            assert!(said.contains(guess), "{typed}: {said}");
        }
        for (alias, kind) in ALIASES {
            assert!(kinds.iter().any(|known| known.name == *kind), "{alias}");
        }
    }
}
