//! The frame: what stands around every page, and how pages show what the API says.

use std::borrow::{Borrow, Cow};

use super::shown::{self, Markup};
use super::{assets, language};
use crate::admin::Admin;
use crate::clock::Millis;
use crate::lang::{Lang, Text};
use crate::outbox::{Actor, Role};
use crate::words::Words;

/// Where a page stands in the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Leads,
    Deliveries,
    Failures,
    Bulk,
    Quarantine,
    Pushes,
    Audit,
    Tokens,
    System,
    /// In none of them.
    None,
}

impl Place {
    const ALL: [Self; 10] = [
        Self::Overview,
        Self::Leads,
        Self::Deliveries,
        Self::Failures,
        Self::Bulk,
        Self::Quarantine,
        Self::Pushes,
        Self::Audit,
        Self::Tokens,
        Self::System,
    ];

    const fn path(self) -> &'static str {
        match self {
            Self::Overview | Self::None => "/",
            Self::Leads => "/leads",
            Self::Deliveries => "/deliveries",
            Self::Failures => "/failures",
            Self::Bulk => "/bulk",
            Self::Quarantine => "/quarantine",
            Self::Pushes => "/pushes",
            Self::Audit => "/audit",
            Self::Tokens => "/tokens",
            Self::System => "/system",
        }
    }

    /// Who has any use of it.
    const fn role(self) -> Role {
        match self {
            Self::Audit | Self::Tokens => Role::Admin,
            _ => Role::Viewer,
        }
    }

    fn title(self, lang: Lang) -> &'static str {
        match self {
            Self::Overview => lang.pick("Overview", "总览"),
            Self::Leads => lang.pick("Leads", "客资"),
            Self::Deliveries => lang.pick("Deliveries", "投递"),
            Self::Failures => lang.pick("Failures", "失败"),
            Self::Bulk => lang.pick("Bulk jobs", "批量任务"),
            Self::Quarantine => lang.pick("Quarantine", "隔离"),
            Self::Pushes => lang.pick("Pushes", "推送"),
            Self::Audit => lang.pick("Audit", "审计"),
            Self::Tokens => lang.pick("Tokens", "令牌"),
            Self::System => lang.pick("System", "系统"),
            Self::None => "",
        }
    }
}

/// What was done, and how to undo it.
#[derive(Clone, Debug)]
pub(super) struct Flash {
    /// What was done.
    pub(super) done: Text,
    /// How to undo it.
    pub(super) undo: Text,
}

impl Flash {
    pub(super) fn new(done: impl Into<Text>, undo: impl Into<Text>) -> Self {
        Self {
            done: done.into(),
            undo: undo.into(),
        }
    }
}

/// A link to a place.
pub(super) struct Link {
    pub(super) path: &'static str,
    pub(super) title: &'static str,
    pub(super) is_here: bool,
    /// How much there waits for a person; 0 is not shown.
    pub(super) waiting: u64,
}

/// What stands around a page.
pub(super) struct Frame {
    lang: Lang,
    now: Millis,
    place: Place,
    pub(super) links: Vec<Link>,
    pub(super) style: String,
    pub(super) script: String,
    /// What every form carries; empty for who did not come in.
    pub(super) csrf: String,
    /// Who is in.
    actor: Option<Actor>,
    flash: Option<Flash>,
}

#[expect(clippy::unused_self, reason = "pages show things by their frame")]
impl Frame {
    /// For who did not come in.
    pub(super) fn new(lang: Lang, place: Place, now: Millis) -> Self {
        Self {
            lang,
            now,
            place,
            links: Vec::new(),
            style: assets::style(),
            script: assets::script(),
            csrf: String::new(),
            actor: None,
            flash: None,
        }
    }

    /// For a session.
    pub(super) fn of(mut self, admin: &Admin, csrf: &str, actor: Actor) -> Self {
        let totals = admin.outbox.totals();
        let dead = totals
            .sinks
            .values()
            .map(crate::outbox::SinkTotals::dead_letters);
        let dead = dead.sum();
        let link = |place: Place| Link {
            path: place.path(),
            title: place.title(self.lang),
            is_here: place == self.place,
            waiting: match place {
                Place::Failures => dead,
                Place::Quarantine => totals.in_quarantine,
                _ => 0,
            },
        };
        let places = Place::ALL.into_iter();
        let places = places.filter(|place| actor.role >= place.role());
        self.links = places.map(link).collect();
        csrf.clone_into(&mut self.csrf);
        self.actor = Some(actor);
        if self.now == 0 {
            self.now = admin.clock.now();
        }
        self
    }

    /// With what was done.
    pub(super) fn saying(mut self, flash: Option<Flash>) -> Self {
        self.flash = flash;
        self
    }

    /// Who is in, with what they may do; nobody where no token was asked for.
    pub(super) fn who(&self) -> Option<(&str, &'static str)> {
        let actor = self.actor.as_ref()?;
        let role = match actor.role {
            Role::Viewer => self.lang.pick("viewer", "查看者"),
            Role::Operator => self.lang.pick("operator", "操作员"),
            Role::Admin => self.lang.pick("admin", "管理员"),
        };
        (actor.name != Actor::LOCAL).then_some((&actor.name, role))
    }

    /// Whether who is in may decide about deliveries, sinks and the quarantine.
    pub(super) fn may_operate(&self) -> bool {
        self.may(Role::Operator)
    }

    /// Whether who is in may see who a lead is, and erase.
    pub(super) fn may_reveal(&self) -> bool {
        self.may(Role::Admin)
    }

    fn may(&self, role: Role) -> bool {
        self.actor.as_ref().is_some_and(|actor| actor.role >= role)
    }

    /// The page's language, as HTML names it.
    pub(super) fn tag(&self) -> &'static str {
        language::tag(self.lang)
    }

    /// The title of where the page stands.
    pub(super) fn title(&self) -> &'static str {
        self.place.title(self.lang)
    }

    /// What was done, and how to undo it.
    pub(super) fn said(&self) -> Option<(&str, &str)> {
        let flash = self.flash.as_ref()?;
        Some((flash.done.pick(self.lang), flash.undo.pick(self.lang)))
    }

    /// A time.
    pub(super) fn time(&self, at: impl AsRef<str>) -> Markup {
        shown::time(at.as_ref(), self.now)
    }

    /// How long ago, with the time.
    pub(super) fn ago(&self, at: impl AsRef<str>) -> Markup {
        shown::ago(self.lang, at.as_ref(), self.now)
    }

    /// How long.
    pub(super) fn seconds(&self, seconds: impl Borrow<u64>) -> String {
        shown::seconds(self.lang, *seconds.borrow())
    }

    /// A count.
    pub(super) fn count(&self, count: impl Borrow<u64>) -> String {
        shown::count(*count.borrow())
    }

    /// Bytes.
    pub(super) fn bytes(&self, bytes: impl Borrow<u64>) -> String {
        shown::bytes(*bytes.borrow())
    }

    /// Text that anybody may have written.
    pub(super) fn text(&self, text: impl AsRef<str>) -> Markup {
        shown::text(self.lang, text.as_ref())
    }

    /// The same in one line, cut where it is long: for where nothing can be opened.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Markup {
        shown::line(text.as_ref())
    }

    /// Text of several lines that anybody may have written.
    pub(super) fn block(&self, text: impl AsRef<str>) -> Markup {
        shown::block(self.lang, text.as_ref())
    }

    /// Text to be copied, whole: it is taken by one click.
    pub(super) fn copied(&self, text: impl AsRef<str>) -> Markup {
        shown::copied(text.as_ref())
    }

    /// An id, whole.
    pub(super) fn id(&self, id: &str) -> Markup {
        shown::id(id)
    }

    /// A word with a colour.
    pub(super) fn tagged(&self, word: impl AsRef<str>, tone: &str) -> Markup {
        shown::chip(word.as_ref(), tone)
    }

    /// The state of a delivery.
    pub(super) fn state(&self, code: &str) -> Markup {
        self.chip(Words::State, code, shown::tone_of_state(code))
    }

    /// How an attempt ended.
    pub(super) fn outcome(&self, code: &str) -> Markup {
        self.chip(Words::Outcome, code, shown::tone_of_outcome(code))
    }

    /// A code in words.
    pub(super) fn word(&self, words: Words, code: &str) -> String {
        shown::word(self.lang, words, code)
    }

    /// Why a delivery is a dead letter.
    pub(super) fn death(&self, code: &str) -> String {
        self.word(Words::Death, code)
    }

    /// Which rule ended an attempt.
    pub(super) fn rule(&self, code: &str) -> String {
        // A rule is a name: it is not spelt otherwise.
        Words::Rule.of(self.lang, code).into_owned()
    }

    /// What an attempt says.
    pub(super) fn reason(&self, text: impl AsRef<str>) -> Markup {
        let text: Cow<'_, str> = Words::Reason.of(self.lang, text.as_ref());
        self.text(&text)
    }

    /// Why a bulk job left something as it is.
    pub(super) fn skip(&self, code: &str) -> String {
        self.word(Words::Skip, code)
    }

    /// What a sink was given.
    pub(super) fn given(&self, code: &str) -> String {
        self.word(Words::Given, code)
    }

    fn chip(&self, words: Words, code: &str, tone: &str) -> Markup {
        shown::chip(&self.word(words, code), tone)
    }
}
