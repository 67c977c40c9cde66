//! A sink: one configured instance of a plugin, and what it can be asked beside attempts.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicIsize;
use std::time::Duration;

use leadgate_plugin::export::read_up_to;
use leadgate_plugin::{Health, Secret, abi};

use super::super::mask::Masks;
use super::super::{Call, Connected, Step};
use super::batch::Collector;
use super::conductor::Conductor;
use super::create::unexplained;
use super::descriptor::Functions;
use super::extension;
use super::host::Origin;
use super::loan::Loan;
use super::{text, unwinding_ends_here};

/// So long an operator waits for what a plugin says of its health.
const PATIENCE: Duration = Duration::from_secs(1);

/// One configured instance of a plugin. Clones are the same instance.
#[derive(Clone)]
pub struct Sink {
    pub(super) instance: Arc<Instance>,
    pub(super) origin: &'static Origin,
    pub(super) masks: Arc<Masks>,
}

pub(super) struct Instance {
    pub(super) at: *mut c_void,
    pub(super) functions: Functions,
    /// Whether it is called only where blocking is allowed.
    pub(super) blocking: bool,
    /// Of a plugin that takes batches.
    pub(super) collector: Option<Collector>,
    /// The same, where attempts are begun on threads that may block.
    pub(super) conductor: Option<Arc<Conductor>>,
    /// Held while it is asked how it is.
    asked: Arc<tokio::sync::Mutex<()>>,
    /// Attempts that timed out and that the plugin has not completed since.
    pub(super) abandoned: AtomicIsize,
}

// SAFETY: the ABI demands that a sink may be used from any thread, several at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// What `create` of a plugin with these functions has made.
    pub(super) fn new(at: *mut c_void, functions: Functions, blocking: bool) -> Self {
        Self {
            at,
            functions,
            blocking,
            collector: functions.more.batch.map(|batch| Collector::new(batch.max)),
            conductor: functions
                .more
                .batch
                .map(|batch| Arc::new(Conductor::new(batch.max))),
            asked: Arc::default(),
            abandoned: AtomicIsize::new(0),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: every open call holds a reference, so all attempts are done.
        unsafe { (self.functions.destroy)(self.at) }
    }
}

impl Sink {
    /// The same, which takes these secrets of its settings out of whatever its plugin says.
    #[must_use]
    pub fn masking(mut self, secrets: &[Secret]) -> Self {
        self.masks = Arc::new(Masks::new(secrets));
        let _ = self.origin.masks.set(Arc::clone(&self.masks));
        self
    }

    /// What `deliver` would send; `None` if the plugin cannot tell.
    pub fn render(&self, call: Call) -> Result<Option<String>, String> {
        let Some(render) = self.instance.functions.render else {
            return Ok(None);
        };
        let lent = Loan::new(call, 0, Arc::clone(&self.instance));
        let mut text = String::new();
        // SAFETY: everything lives until `render` returns.
        let code = unsafe {
            render(
                self.instance.at,
                lent.delivery(),
                take_text,
                (&raw mut text).cast(),
            )
        };
        let text = self.masks.hide(text);
        if code == abi::OK {
            Ok(Some(text))
        } else if text.is_empty() {
            Err(unexplained(code, "the plugin gave no reason").message)
        } else {
            Err(text)
        }
    }

    /// How it is, by what its plugin says; `None` if that cannot tell.
    pub async fn health(&self) -> Option<Health> {
        let health = self.instance.functions.more.health?;
        let instance = Arc::clone(&self.instance);
        let asking = async {
            // One at a time, as the ABI promises; also if an earlier one hangs.
            let turn = Arc::clone(&instance.asked).lock_owned().await;
            if !instance.blocking {
                return ask(health, &instance);
            }
            let asked = tokio::task::spawn_blocking(move || {
                let said = ask(health, &instance);
                drop(turn);
                said
            });
            asked.await.unwrap_or_else(|_| silent())
        };
        let said = tokio::time::timeout(PATIENCE, asking).await;
        Some(match said.unwrap_or_else(|_| silent()) {
            Health::Degraded(why) => Health::Degraded(self.masks.hide(why)),
            Health::Failed(why) => Health::Failed(self.masks.hide(why)),
            other => other,
        })
    }

    /// The same on this thread, which may block, and without taking secrets out.
    pub(in crate::plugin) fn health_here(&self) -> Option<Health> {
        let health = self.instance.functions.more.health?;
        let _turn = self.instance.asked.blocking_lock();
        Some(ask(health, &self.instance))
    }

    /// Walks to the destination without a lead and tells each step. Blocks, at most for about
    /// `timeout` if the plugin keeps to it.
    pub fn connect(&self, timeout: Duration, each: &mut dyn FnMut(Step)) -> Connected {
        let Some(connect) = self.instance.functions.more.connect else {
            return Connected::Unsupported;
        };
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut hiding = |step: Step| {
            each(Step {
                note: self.masks.hide(step.note),
                ..step
            });
        };
        let mut each: &mut dyn FnMut(Step) = &mut hiding;
        // SAFETY: everything lives until `connect` returns.
        let code = unsafe {
            connect(
                self.instance.at,
                timeout_ms,
                take_step,
                (&raw mut each).cast(),
            )
        };
        match code {
            abi::OK => Connected::Ok,
            abi::UNSUPPORTED => Connected::Unsupported,
            abi::PANICKED => Connected::Panicked,
            _ => Connected::Failed,
        }
    }
}

/// Asks a sink how it is. A plugin that does not answer is not well.
fn ask(health: extension::Health, instance: &Instance) -> Health {
    let mut said: Option<Health> = None;
    // SAFETY: the sink is alive, and `said` outlives the call.
    unsafe { health(instance.at, take_health, (&raw mut said).cast()) };
    said.unwrap_or_else(silent)
}

fn silent() -> Health {
    Health::Failed("the plugin does not say how it is".to_owned())
}

unsafe extern "C" fn take_health(ctx: *mut c_void, health: u32, why: abi::Bytes) {
    unwinding_ends_here("health", || {
        // SAFETY: `ctx` is what `ask` that is running lends; the text is valid until we return.
        let (said, why) = unsafe { (&mut *ctx.cast::<Option<Health>>(), text(why, 1024)) };
        *said = Some(match health {
            abi::HEALTH_OK => Health::Ok,
            abi::HEALTH_DEGRADED => Health::Degraded(why),
            _ => Health::Failed(why),
        });
    });
}

pub(super) unsafe extern "C" fn take_step(ctx: *mut c_void, step: *const abi::Step) {
    unwinding_ends_here("step", || {
        let known = abi::Step {
            struct_size: 0,
            result: abi::FAILED,
            took_ms: 0,
            name: abi::Bytes::EMPTY,
            note: abi::Bytes::EMPTY,
        };
        // SAFETY: `ctx` is the function of the `connect` that is running, and the step is
        // valid until we return, as large as it says.
        unsafe {
            let each = &mut *ctx.cast::<&mut dyn FnMut(Step)>();
            let step = read_up_to(step, (&raw const (*step).struct_size).read(), known);
            each(Step {
                name: text(step.name, 32),
                ok: step.result == abi::OK,
                note: text(step.note, 1024),
                took: Duration::from_millis(step.took_ms),
            });
        }
    });
}

unsafe extern "C" fn take_text(ctx: *mut c_void, bytes: abi::Bytes) {
    unwinding_ends_here("text", || {
        // SAFETY: `ctx` is the string of the `render` that is running on this thread.
        let into = unsafe { &mut *ctx.cast::<String>() };
        // SAFETY: valid until we return.
        *into = unsafe { text(bytes, 1 << 20) };
    });
}
