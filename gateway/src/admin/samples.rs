//! Samples: the first targets of a bulk job as a person looks at them before it is started.
//!
//! What would be sent is shown as the sink would be sent it now; of the rest what lists show.
//! Nothing in them says who it is.

use serde_json::{Value, json};

use super::problem::{LEAD, Problem, QUARANTINED};
use super::{Admin, deliveries, leads, preview, quarantine};
use crate::outbox::{BulkAction, DeliveryId, LeadId, QuarantineId, Target};

/// One target; where it cannot be read, its id and why. Reads the disk, and may ask a plugin.
pub(super) fn sample(admin: &Admin, action: &BulkAction, target: &Target<()>) -> Value {
    let (kind, shown) = match target {
        Target::Delivery(id) => ("delivery", of_delivery(admin, action, *id)),
        Target::Lead(id) => ("lead", of_lead(admin, action, *id)),
        Target::Push(id) | Target::Read(id, ()) => ("quarantined", of_push(admin, *id)),
    };
    let mut shown = shown.unwrap_or_else(|problem| {
        let (cannot, cannot_zh) = problem.both();
        json!({ "cannot": cannot, "cannot_zh": cannot_zh })
    });
    // Its id stands under what it is.
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
