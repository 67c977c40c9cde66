//! The arrival: a verified push as the outbox takes it, with the sinks that want it.
//!
//! Used for pushes as they come, and for those that a person releases from quarantine.

use std::sync::Arc;

use crate::lead::Lead;
use crate::lead::Tables;
use crate::outbox::{Arrival, Find, FindBy};
use crate::route::Routes;
use crate::source::Push;

/// Makes the arrival of a push received at `received_at`.
pub fn arrival(push: Push, routes: &Routes, tables: &Tables, received_at: i64) -> Arrival {
    let lead = &push.lead;
    Arrival {
        routes: routes.of(&push.source, lead),
        finds: finds(lead),
        source: Arc::from(push.source.as_str()),
        received_at,
        identity: push.identity.key,
        stable: push.identity.stable,
        content: lead.content_hash(),
        modified_at: lead.modified_at(),
        request_id: push.request_id,
        method: push.method,
        // JSON is UTF-8 by construction and `raw` is text by contract: nothing is replaced.
        lead: String::from_utf8_lossy(&lead.json()).into_owned(),
        labels: serde_json::to_string(&lead.labels(tables)).unwrap_or_else(|_| "{}".to_owned()),
        raw: String::from_utf8_lossy(&push.raw).into_owned(),
        original: push.original.map(|body| body.to_vec()),
    }
}

fn finds(lead: &Lead) -> Vec<Find> {
    let record_id = lead.record_id.map(|id| id.to_string());
    let record_id = record_id.or_else(|| Some(lead.other.get("record_id")?.as_str().to_owned()));
    [
        (FindBy::Phone, lead.phone.as_deref()),
        (FindBy::RecordId, record_id.as_deref()),
        (FindBy::OrderNum, lead.order_num.as_deref()),
        (FindBy::Nick, lead.taobao_nick.as_deref()),
        (FindBy::Openid, lead.openid.as_deref()),
        (FindBy::PhoneEnd, lead.phone.as_deref()),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some(Find::new(field, value?)))
    .filter(|find| !find.value.is_empty())
    .collect()
}
