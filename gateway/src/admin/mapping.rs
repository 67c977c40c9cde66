//! The mapping tester: what a sink would be sent of a lead as it runs, beside what it would be
//! sent by settings that somebody has edited. Nothing is sent and nothing is kept: the files are
//! still what counts.
//!
//! Edited settings are checked as `leadgate check` checks them, and reach nothing that the sink
//! does not reach anyway ([`crate::config::Workbench`]). The plugin makes an instance of them
//! that is asked for this one preview. A template can take any text apart, so no mask behind it
//! holds: of a stored lead, all that says who it is is made up before either side sees it. A lead
//! that was pasted is taken as it is: who pasted it has it.

use actix_web::{HttpRequest, HttpResponse, web};
use leadgate_plugin::template::Engine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::lines::{self, Line};
use super::params::{Body, Params, id};
use super::preview::was_given_before;
use super::problem::{DELIVERY, Kind, LEAD, Problem};
use super::{Admin, deliveries, preview, privacy, reading, reload, sink};
use crate::config::{Edited, Environment, Report, Workbench};
use crate::delivery::Unsent;
use crate::lang::{Lang, Text};
use crate::lead::{Lead, SAMPLE, Tables};
use crate::outbox::{DeliveryId, LeadId, StoredLead};
use crate::plugin::SinkConfig;

/// Largest settings, in bytes.
pub(super) const SETTINGS: usize = 64 << 10;
/// Largest lead that is pasted, in bytes: as large as a push may be.
pub(super) const PUSH: usize = 256 << 10;
/// Largest body: both, and what JSON adds to them.
pub(crate) const ROOM: usize = 2 * (SETTINGS + PUSH);

/// Each makes an instance of a plugin, maybe in a process: others wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(2);

/// What is to be shown.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RenderWish")]
pub(super) struct Asked {
    /// Id of a lead: its newest revision.
    lead: Option<String>,
    /// Id of a delivery, of any sink: the revision that it is of.
    delivery: Option<String>,
    /// A lead as it is pushed, as text. Without any of the three it is the document's sample.
    push: Option<String>,
    /// The table `[sinks.NAME]` as TOML, edited. Without it only what the sink that runs would
    /// send is shown.
    settings: Option<String>,
}

/// What a sink would be sent.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rendered {
    sink: String,
    /// Of the configuration that runs.
    config_revision: Option<String>,
    of: Of,
    /// By the settings that run.
    now: Side,
    /// By those that were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<Side>,
    /// From the one to the other, line by line; not there if one of them cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Vec<Line>>,
    /// The settings that were given, to be put into `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<String>,
    /// The file that has the settings now.
    file: Option<String>,
    /// What is not wrong with the settings and worth a look, as `leadgate check` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_zh: Option<String>,
}

/// Of which lead.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "RenderedOf")]
struct Of {
    kind: OfKind,
    /// Not there for one that is not stored.
    lead: Option<String>,
    revision: Option<u32>,
    delivery: Option<String>,
}

/// What was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RenderedOfKind")]
enum OfKind {
    Lead,
    Delivery,
    Push,
    Sample,
}

/// One of the two.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RenderedSide")]
struct Side {
    /// Whether the sink wants the lead, by its `when`; null if that cannot be told.
    wanted: Option<bool>,
    /// What it would be sent, also if it does not want it.
    request: Option<String>,
    /// Why that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot_zh: Option<String>,
}

/// `POST /sinks/{name}/render`
pub(super) async fn render(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let sink = path.into_inner();
    let asked: Asked = body.json()?;
    asked.is_sound()?;
    admin.configured_sink(&sink)?;
    let turn = TURNS.acquire().await;
    let rendered = reading(&admin, move |admin| {
        let _turn = turn;
        compare(admin, sink, &asked)
    });
    Ok(HttpResponse::Ok().json(rendered.await?))
}

impl Asked {
    fn is_sound(&self) -> Result<(), Problem> {
        let given = [&self.lead, &self.delivery, &self.push];
        if given.into_iter().flatten().count() > 1 {
            return Err(Problem::new(
                Kind::BadBody,
                (
                    "give one of `lead`, `delivery` and `push`, or none for the sample lead",
                    "`lead`、`delivery`、`push` 只能给一个；都不给则使用示例客资",
                ),
            ));
        }
        let too_large = [
            (&self.settings, "settings", SETTINGS),
            (&self.push, "push", PUSH),
        ];
        for (text, name, most) in too_large {
            if text.as_ref().is_some_and(|text| text.len() > most) {
                let most = most >> 10;
                return Err(Problem::new(
                    Kind::TooLarge,
                    (
                        format!("`{name}` has more than {most} KiB"),
                        format!("`{name}` 超过 {most} KiB"),
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// A lead that is shown.
struct Shown {
    of: Of,
    id: DeliveryId,
    lead: StoredLead,
    update: bool,
}

impl Shown {
    fn find(admin: &Admin, sink: &str, asked: &Asked) -> Result<Self, Problem> {
        if let Some(text) = &asked.delivery {
            let found = deliveries::find(admin, DeliveryId(id(text, DELIVERY)?))?;
            let delivery = found.delivery;
            let lead = admin.outbox.lead(delivery.lead, delivery.revision)?;
            let lead = lead.ok_or_else(|| Problem::no_such(LEAD, delivery.lead))?;
            let mut shown = Self::stored(admin, sink, lead, OfKind::Delivery)?;
            shown.id = found.id;
            shown.of.delivery = Some(found.id.to_string());
            return Ok(shown);
        }
        if let Some(text) = &asked.lead {
            let wanted = LeadId(id(text, LEAD)?);
            let lead = admin.outbox.lead(wanted, 0)?;
            let lead = lead.ok_or_else(|| Problem::no_such(LEAD, wanted))?;
            return Self::stored(admin, sink, lead, OfKind::Lead);
        }
        let kind = match asked.push {
            Some(_) => OfKind::Push,
            None => OfKind::Sample,
        };
        let push = asked.push.as_deref().unwrap_or(SAMPLE);
        Self::pushed(admin, push, kind)
    }

    fn stored(admin: &Admin, sink: &str, lead: StoredLead, kind: OfKind) -> Result<Self, Problem> {
        Ok(Self {
            of: Of {
                kind,
                lead: Some(lead.id.to_string()),
                revision: Some(lead.revision),
                delivery: None,
            },
            id: DeliveryId(Uuid::now_v7()),
            update: was_given_before(admin, &lead, sink)?,
            lead: StoredLead {
                lead: privacy::made_up(&lead.lead),
                labels: privacy::labels(&lead.labels).to_string(),
                raw: privacy::made_up(&lead.raw),
                original: None,
                ..lead
            },
        })
    }

    /// One that nobody has stored: as it would be if it came now.
    fn pushed(admin: &Admin, push: &str, kind: OfKind) -> Result<Self, Problem> {
        // What the reader says of it may quote it.
        let lead = Lead::parse_json(push).map_err(|_| {
            let detail = (
                "`push` is no lead: give the JSON that Tmall pushes, an object with the lead's fields",
                "`push` 不是客资：请给出天猫推送的 JSON，即含客资字段的对象",
            );
            Problem::new(Kind::BadBody, detail)
        })?;
        let configured = admin.configured.get();
        let labels = serde_json::json!(lead.labels(&configured.tables));
        Ok(Self {
            of: Of {
                kind,
                lead: None,
                revision: None,
                delivery: None,
            },
            id: DeliveryId(Uuid::now_v7()),
            lead: StoredLead {
                id: LeadId(Uuid::now_v7()),
                revision: 1,
                source: configured.source().to_owned(),
                received_at: admin.clock.now(),
                lead: String::from_utf8_lossy(&lead.json()).into_owned(),
                labels: labels.to_string(),
                raw: push.to_owned(),
                original: None,
            },
            update: false,
        })
    }

    fn unsent(&self) -> Unsent<'_> {
        Unsent {
            id: self.id,
            lead: &self.lead,
            update: self.update,
            step_record: "",
        }
    }

    fn wanted(&self, when: Option<&str>, tables: &Tables) -> Option<bool> {
        let Some(when) = when else { return Some(true) };
        let lead: Value = serde_json::from_str(&self.lead.lead).ok()?;
        let engine = Engine::new(tables.clone());
        let condition = engine.condition(when).ok()?;
        condition.holds(&lead, &self.lead.source).ok()
    }
}

impl Side {
    fn of(wanted: Option<bool>, rendered: &Result<String, Text>) -> Self {
        let (cannot, cannot_zh) = rendered.as_ref().err().map(Text::both).unzip();
        Self {
            wanted,
            request: rendered.as_ref().ok().cloned(),
            cannot,
            cannot_zh,
        }
    }
}

/// Reads the disk, and asks plugins.
fn compare(admin: &Admin, sink: String, asked: &Asked) -> Result<Rendered, Problem> {
    let shown = Shown::find(admin, &sink, asked)?;
    let configured = admin.configured.get();
    // It was there when this was asked for.
    let runs = configured.sinks.get(&sink);
    let runs = runs.ok_or_else(|| Problem::no_such(("sink", "目的地"), &sink))?;
    let now = preview::render(admin, &sink, &shown.unsent());
    let wanted = shown.wanted(runs.when.as_deref(), &configured.tables);
    let file = runs
        .written
        .as_ref()
        .map(|written| written.file().display());
    let mut rendered = Rendered {
        config_revision: configured.revision.as_ref().map(|one| one.hash.clone()),
        of: shown.of.clone(),
        now: Side::of(wanted, &now),
        edited: None,
        difference: None,
        settings: None,
        file: file.map(|file| file.to_string()),
        report: None,
        report_zh: None,
        sink,
    };
    let Some(settings) = &asked.settings else {
        return Ok(rendered);
    };
    let (edited, report, text) = by_edited(admin, &rendered.sink, settings, &shown)?;
    let wanted = shown.wanted(edited.sink.when.as_deref(), &configured.tables);
    rendered.edited = Some(Side::of(wanted, &text));
    if let (Ok(now), Ok(text)) = (&now, &text) {
        rendered.difference = Some(lines::between(now, text));
    }
    rendered.settings = Some(format!("{}\n", settings.replace("\r\n", "\n").trim_end()));
    if !report.diagnostics().is_empty() {
        rendered.report = Some(report.render(Lang::En, false));
        rendered.report_zh = Some(report.render(Lang::ZhCn, false));
    }
    Ok(rendered)
}

/// What would be sent by `settings`, or why that cannot be said.
fn by_edited(
    admin: &Admin,
    name: &str,
    settings: &str,
    shown: &Shown,
) -> Result<(Edited, Report, Result<String, Text>), Problem> {
    let configured = admin.configured.get();
    let runs = configured.sinks.get(name);
    let Some(written) = runs.and_then(|runs| runs.written.as_ref()) else {
        return Err(sink::not_known());
    };
    let bench = Workbench {
        sink: name,
        written,
        sinks: configured.sinks.keys().cloned().collect(),
        tables: &configured.tables,
        catalogue: &configured.catalogue,
    };
    let (edited, mut report) = bench.read(settings, &Environment::process());
    let Some(edited) = edited else {
        return Err(wrong(&report));
    };
    let of = SinkConfig {
        name,
        settings: &edited.sink.settings,
        tables: &configured.tables,
    };
    let plugin = configured.catalogue.get(&edited.sink.plugin);
    let made = plugin.map(|plugin| plugin.create(&of));
    let text = match made {
        Some(Ok(made)) => match made.masking(&edited.secrets).render(shown.unsent().call()) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(preview::cannot_show()),
            Err(why) => Err(Text::plain(why)),
        },
        Some(Err(problems)) => {
            bench.refused(&edited, problems, &mut report);
            return Err(wrong(&report));
        }
        None => Err(preview::cannot_show()),
    };
    Ok((edited, report, text))
}

fn wrong(report: &Report) -> Problem {
    let told = |lang: Lang| {
        let summary = report.summary(lang);
        lang.pick(
            format!("the edited settings cannot be used: {summary}"),
            format!("修改后的设置无法使用：{summary}"),
        )
    };
    reload::refused(report, Text::new(told(Lang::En), told(Lang::ZhCn)))
}
