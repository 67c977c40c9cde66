//! Samples: the first targets of a bulk job as a person looks at them before it is started.
//!
//! What would be sent is shown as the sink would be sent it now; of the rest what lists show.
//! Nothing in them says who it is.

use std::time::Duration;

use serde_json::{Value, json};

use super::problem::{LEAD, Problem, QUARANTINED};
use super::{Admin, deliveries, leads, preview, quarantine};
use crate::outbox::{BulkAction, DeliveryId, LeadId, QuarantineId, Target};

/// How long plugins are asked for one plan: a plan is a page, whatever a plugin does.
const PATIENCE: Duration = Duration::from_secs(2);

/// All of them, the last ones with their ids alone if a plugin takes its time. Reads the disk, and
/// may ask a plugin.
pub(super) fn all(admin: &Admin, action: &BulkAction, targets: &[Target<()>]) -> Vec<Value> {
    let began = admin.clock.monotonic();
    let each = targets.iter().map(|target| {
        if admin.clock.monotonic().saturating_sub(began) < PATIENCE {
            return sample(admin, action, target);
        }
        named(
            target,
            json!({
                "cannot": "the plugin of this sink takes too long to say it",
                "cannot_zh": "该目的地的插件响应太慢",
            }),
        )
    });
    each.collect()
}

/// One target; where it cannot be read, its id and why.
fn sample(admin: &Admin, action: &BulkAction, target: &Target<()>) -> Value {
    let shown = match target {
        Target::Delivery(id) => of_delivery(admin, action, *id),
        Target::Lead(id) => of_lead(admin, action, *id),
        Target::Push(id) | Target::Read(id, ()) => of_push(admin, *id),
    };
    let shown = shown.unwrap_or_else(|problem| {
        let (cannot, cannot_zh) = problem.both();
        json!({ "cannot": cannot, "cannot_zh": cannot_zh })
    });
    named(target, shown)
}

/// With its id under what it is.
fn named(target: &Target<()>, mut shown: Value) -> Value {
    let kind = match target {
        Target::Delivery(_) => "delivery",
        Target::Lead(_) => "lead",
        Target::Push(_) | Target::Read(..) => "quarantined",
    };
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("id");
    }
    shown[kind] = target.id().to_string().into();
    shown
}

fn of_delivery(admin: &Admin, action: &BulkAction, id: DeliveryId) -> Result<Value, Problem> {
    let found = deliveries::find(admin, id)?;
    let sink = match action {
        BulkAction::Retry => &found.delivery.sink,
        BulkAction::Move { to } => to,
        _ => return Ok(json!(deliveries::Summary::from(&found))),
    };
    Ok(json!(preview::of_delivery(admin, &found, sink, false)?))
}

fn of_lead(admin: &Admin, action: &BulkAction, id: LeadId) -> Result<Value, Problem> {
    if let BulkAction::Replay { to, .. } = action {
        return Ok(json!(preview::of_lead(admin, id, to)?));
    }
    let lead = leads::in_short(admin, id)?;
    lead.map(|lead| json!(lead))
        .ok_or_else(|| Problem::no_such(LEAD, id))
}

fn of_push(admin: &Admin, id: QuarantineId) -> Result<Value, Problem> {
    let push = quarantine::in_short(admin, id)?;
    push.ok_or_else(|| Problem::no_such(QUARANTINED, id))
}
