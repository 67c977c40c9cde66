//! A sink in a process of its own.
//!
//! Made for a look, it is one process that answers what it is asked. From its first attempt on,
//! or at once in the daemon, a [`Keeper`] keeps the process running.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leadgate_plugin::Secret;

use super::super::mask::Masks;
use super::super::{Call, Connected, Health, Outcome, Step};
use super::children::Children;
use super::fault::Fault;
use super::frame::{Kind, write};
use super::keeper::{Keeper, NotMade};
use super::link::Link;
use super::message::{self, WalkEnd, Walked};

/// A sink in a process of its own. Clones are the same sink.
#[derive(Clone)]
pub struct Sink(Arc<Inner>);

struct Inner {
    keeper: Arc<Keeper>,
    children: Children,
    /// A process that nobody keeps yet.
    look: Mutex<Look>,
}

enum Look {
    Made(Box<Link>),
    /// It failed before there was anybody to keep it.
    Failed(Fault),
    None,
    Kept,
}

impl Sink {
    pub(super) fn new(keeper: Arc<Keeper>, children: Children, made: Result<Link, Fault>) -> Self {
        let look = match made {
            Ok(link) => Look::Made(Box::new(link)),
            Err(fault) => Look::Failed(fault),
        };
        Self(Arc::new(Inner {
            keeper,
            children,
            look: Mutex::new(look),
        }))
    }

    /// Has the process kept from now on. Must be called inside a tokio runtime.
    pub(in crate::plugin) fn keep(&self) {
        let mut look = self.look();
        let first = match std::mem::replace(&mut *look, Look::Kept) {
            Look::Made(link) => Some(Ok(*link)),
            Look::Failed(fault) => Some(Err(fault)),
            Look::None => None,
            Look::Kept => return,
        };
        let keeper = Arc::clone(&self.0.keeper);
        let task = tokio::spawn(Arc::clone(&keeper).run(first));
        self.0.children.add(keeper, task);
    }

    fn look(&self) -> std::sync::MutexGuard<'_, Look> {
        self.0.look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, which takes these secrets of its settings out of whatever its plugin says.
    #[must_use]
    pub fn masking(self, secrets: &[Secret]) -> Self {
        self.0.keeper.voice().open(Arc::new(Masks::new(secrets)));
        self
    }

    /// Makes one attempt.
    pub async fn deliver(&self, call: Call) -> Outcome {
        if !self.is_kept() {
            self.keep();
        }
        self.0.keeper.deliver(call).await
    }

    /// How it is; `None` if nobody can tell.
    pub async fn health(&self) -> Option<Health> {
        self.0.keeper.health().await
    }

    fn is_kept(&self) -> bool {
        matches!(*self.look(), Look::Kept)
    }

    /// What `deliver` would send; `None` if the plugin cannot tell. Blocks.
    pub fn render(&self, call: &Call) -> Result<Option<String>, String> {
        let delivery = message::delivery(call);
        let voice = self.0.keeper.voice();
        voice.hears(Arc::new(call.event.clone()));
        let rendered = self.ask(|link| {
            link.ask(
                "say what it would send",
                voice,
                None,
                |out| write(out, Kind::Render, 0, |out| delivery.write(out)),
                |frame| match frame.kind {
                    Kind::Rendered => {
                        Some(message::read::<Result<Option<String>, String>>(frame.body))
                    }
                    _ => None,
                },
            )
        });
        let hide = |text: String| match voice.masks() {
            Some(masks) => masks.hide(text),
            None => text,
        };
        match rendered {
            Ok(Ok(Ok(text))) => Ok(text.map(hide)),
            Ok(Ok(Err(why))) => Err(hide(why)),
            Ok(Err(broken)) => Err(process_fault(&Fault::Contract(broken))),
            Err(fault) => Err(process_fault(&fault)),
        }
    }

    /// Walks to the destination without a lead and tells each step. Blocks.
    pub fn connect(&self, timeout: Duration, each: &mut dyn FnMut(Step)) -> Connected {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let voice = self.0.keeper.voice();
        let hide = |text: String| match voice.masks() {
            Some(masks) => masks.hide(text),
            None => text,
        };
        let mut tell = |mut step: Step| {
            step.note = hide(step.note);
            each(step);
        };
        let walked = self.ask(|link| {
            link.ask_for(
                timeout,
                "connect",
                voice,
                |out| message::json(out, Kind::Connect, 0, &timeout_ms),
                |frame| match frame.kind {
                    Kind::Step => {
                        if let Ok(step) = message::read::<Walked>(frame.body) {
                            tell(step.into());
                        }
                        None
                    }
                    Kind::Connected => message::read::<WalkEnd>(frame.body).ok(),
                    _ => None,
                },
            )
        });
        match walked {
            Ok(ended) => ended.into(),
            Err(fault) => {
                tell(Step {
                    name: "plugin".to_owned(),
                    ok: false,
                    note: process_fault(&fault),
                    took: Duration::ZERO,
                });
                Connected::Failed
            }
        }
    }

    /// Asks a process that nobody keeps: the one that is there, or one for this question.
    fn ask<T>(&self, ask: impl FnOnce(&mut Link) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut look = self.look();
        if let Look::Made(link) = &mut *look {
            let answer = ask(link);
            if answer.is_err() {
                *look = Look::None;
            }
            return answer;
        }
        drop(look);
        match self.0.keeper.make() {
            Ok(mut link) => ask(&mut link),
            Err(NotMade::Fault(fault)) => Err(fault),
            Err(NotMade::Problems(problems)) => {
                let lines = problems.iter().map(ToString::to_string);
                Err(Fault::Refused(lines.collect::<Vec<_>>().join("; ")))
            }
        }
    }
}

/// A fault as a sentence.
pub(super) fn process_fault(fault: &Fault) -> String {
    format!("the plugin's process {fault}")
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.close();
    }
}
