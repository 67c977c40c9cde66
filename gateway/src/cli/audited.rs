//! What is done to a folder without its daemon leaves an entry in the audit log, too.

use std::process::ExitCode;

use super::{FAILED, fail, runtime};
use crate::clock::{Clock, SystemClock};
use crate::outbox::sled::SledOutbox;
use crate::outbox::{Actor, Audit, AuditAction, AuditEvent, Role, Via};

/// Who runs this command, as the system calls them.
pub(super) fn me() -> String {
    std::env::var("USER").unwrap_or_default()
}

/// Keeps an entry; `say` fills in what is known of it.
pub(super) fn record(
    outbox: &SledOutbox,
    action: AuditAction,
    say: impl FnOnce(&mut AuditEvent),
) -> Result<(), ExitCode> {
    let who = Actor {
        name: me(),
        role: Role::Admin,
        via: Via::Offline,
        peer: None,
    };
    let mut event = AuditEvent::new(SystemClock.now(), who, action);
    say(&mut event);
    let runtime = runtime().map_err(|error| fail(error, FAILED))?;
    let kept = runtime.block_on(outbox.record(event));
    kept.map(drop).map_err(|error| fail(error, FAILED))
}
