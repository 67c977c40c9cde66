//! The parts of a sink: its settings once they are understood. All that is wrong with them is
//! found at once.

use std::net::IpAddr;

use leadgate_plugin::template::{self, Context, Engine, Scope, Template};
use leadgate_plugin::{Delivery, Host, Problem, Problems, Secret, net};
use serde_json::Value;

use crate::mailbox::{self, Mailbox, Slot};
use crate::redact::Redactor;
use crate::server::Server;
use crate::settings::{Lang, Settings, Tls};
use crate::trust::Way;

const SUBJECT_ZH: &str = r#"{{ "客资更新" if event == "lead.updated" else "新客资" }}：{{ name | default("未留姓名", true) }}{% if city_name %}（{{ city_name }}）{% endif %}"#;
const SUBJECT_EN: &str = r#"{{ "Lead updated" if event == "lead.updated" else "New lead" }}: {{ name | default("no name", true) }}{% if city_name %} ({{ city_name }}){% endif %}"#;
const TEXT_ZH: &str = include_str!("texts/zh-CN.txt");
const TEXT_EN: &str = include_str!("texts/en.txt");

/// What every letter has in common.
pub struct Parts {
    engine: Engine,
    pub(crate) server: Server,
    pub(crate) from: Mailbox,
    pub(crate) reply_to: Option<Slot>,
    pub(crate) to: Vec<Slot>,
    pub(crate) cc: Vec<Slot>,
    pub(crate) bcc: Vec<Slot>,
    pub(crate) subject: Template,
    pub(crate) text: Template,
    pub(crate) html: Option<Template>,
    /// Who logs in and by what.
    hidden: Vec<Secret>,
}

impl Parts {
    pub(crate) fn new(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let engine = Engine::new(host.tables().clone());
        let mut reader = Reader {
            engine: &engine,
            problems: Problems::default(),
        };
        reader.host(settings);
        reader.login(settings);
        let from = reader.take(mailbox::fixed(&settings.from, "/from"));
        let reply_to = settings.reply_to.as_ref().map(|text| {
            let slot = Slot::new(text, "/reply_to".to_owned(), &engine);
            reader.take(slot)
        });
        let to = reader.slots(&settings.to, "/to");
        let cc = reader.slots(&settings.cc, "/cc");
        let bcc = reader.slots(&settings.bcc, "/bcc");
        if settings.to.is_empty() && settings.cc.is_empty() && settings.bcc.is_empty() {
            let problem = Problem::at("/to", "nobody would get the mail");
            reader
                .problems
                .push(problem.help("to = [\"sales@shop.example\"]"));
        }
        let (subject, text) = match settings.lang {
            Lang::Chinese => (SUBJECT_ZH, TEXT_ZH),
            Lang::English => (SUBJECT_EN, TEXT_EN),
        };
        let subject = settings.subject.as_deref().unwrap_or(subject);
        let subject = reader.template(subject, "/subject", &engine);
        let text = settings.text.as_deref().unwrap_or(text);
        let text = reader.template(text, "/text", &engine);
        let html = settings.html.as_ref().map(|html| {
            let escaping = engine.clone().html();
            reader.template(html, "/html", &escaping)
        });
        let way = reader.take(Way::new(settings));
        let problems = reader.problems;
        let parts = (|| {
            let from = from?;
            Some(Self {
                server: Server::new(settings, way?, from.address.domain()),
                from,
                // An entry that was given and is wrong has left its problem.
                reply_to: reply_to.flatten(),
                to,
                cc,
                bcc,
                subject: subject?,
                text: text?,
                html: html.flatten(),
                hidden: hidden(settings),
                engine,
            })
        })();
        match parts {
            Some(parts) => problems.into_result(parts),
            None => Err(problems),
        }
    }

    pub(crate) fn context(&self, event: &Value, delivery: &Delivery) -> Context {
        self.engine.event(event, delivery.id())
    }

    /// Hides what the settings, `event` and its recipients say about people.
    pub(crate) fn redactor(
        &self,
        event: &Value,
        recipients: impl Iterator<Item = String>,
    ) -> Redactor {
        let own = self.hidden.iter().map(|own| own.expose().to_owned());
        Redactor::new(event, own.chain(recipients))
    }
}

struct Reader<'a> {
    engine: &'a Engine,
    problems: Problems,
}

impl Reader<'_> {
    fn take<T>(&mut self, read: Result<T, impl Into<Problems>>) -> Option<T> {
        self.problems.keep(read)
    }

    fn slots(&mut self, texts: &[String], at: &str) -> Vec<Slot> {
        let mut slots = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let slot = Slot::new(text, format!("{at}/{number}"), self.engine);
            slots.extend(self.take(slot));
        }
        slots
    }

    fn template(&mut self, text: &str, at: &str, engine: &Engine) -> Option<Template> {
        let template = engine.template(text, &Scope::EVENT);
        self.take(template.map_err(|mistakes| template::problems(mistakes, at)))
    }

    fn host(&mut self, settings: &Settings) {
        let host = settings.host.as_str();
        let name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        if host.parse::<IpAddr>().is_err() && (host.is_empty() || !host.chars().all(name)) {
            let problem = Problem::at("/host", "not the name or address of a server");
            let help = "only the name, such as \"smtp.shop.example\"; the port is `port`";
            self.problems.push(problem.help(help));
        } else if settings.tls == Tls::None && !net::is_loopback(host) {
            let problem = Problem::at(
                "/tls",
                "mail with leads in it must not cross a network unencrypted",
            );
            let help = "\"none\" is for a server on this machine; use \"tls\" or \"starttls\"";
            self.problems.push(problem.help(help));
        }
    }

    fn login(&mut self, settings: &Settings) {
        let problem = match (&settings.username, &settings.password) {
            (Some(_), None) => Problem::at("/username", "a user without `password`")
                .help("password = \"env:SMTP_PASSWORD\""),
            (None, Some(_)) => Problem::at("/password", "a password without `username`"),
            _ => return,
        };
        self.problems.push(problem);
    }
}

fn hidden(settings: &Settings) -> Vec<Secret> {
    let user = settings.username.iter().flat_map(|user| with_local(user));
    let user = user.map(Secret::new);
    user.chain(settings.password.clone()).collect()
}

/// An address, and what stands before its `@`: servers say either.
pub(crate) fn with_local(address: &str) -> Vec<String> {
    let local = address.rsplit_once('@').map(|(local, _)| local.to_owned());
    std::iter::once(address.to_owned()).chain(local).collect()
}
