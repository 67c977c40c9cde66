//! Selection: the targets of a job, page by page, and what of a page is left out and why.
//!
//! What a filter or a condition does not want is no target and is not spoken of; what is wanted
//! and cannot be treated is skipped with its reason.

use super::Reread;
use crate::clock::Millis;
use crate::outbox::{
    Arrival, BulkAction, BulkPlan, LeadId, Listed, Outbox, Paged, Population, Skip, Skipped, State,
    StoredQuarantinedPush, Target, Unavailable,
};
use crate::route::When;

/// Fields by which a person can be reached.
pub const REACH: [&str; 3] = ["phone", "taobao_nick", "openid"];

/// A page of targets.
#[derive(Default)]
pub struct Selected {
    /// Those that are to be treated.
    pub targets: Vec<Target<Arrival>>,
    /// Those that cannot be.
    pub skipped: Vec<Skipped>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// Reads a page of at most `limit`. `made_at` is when the job was planned. Reads the disk.
pub fn select(
    outbox: &dyn Outbox,
    reread: &Reread,
    (plan, made_at): (&BulkPlan, Millis),
    when: Option<&When>,
    after: Option<&str>,
    limit: usize,
) -> Result<Selected, Unavailable> {
    let of = match &plan.over {
        Population::Deliveries(filter) => Paged::Deliveries(filter),
        Population::Leads(_) => Paged::Leads,
        Population::Quarantine(_) => Paged::Quarantine,
    };
    if after.is_some_and(|after| !outbox.continues(of, after)) {
        // The list would begin anew, and what was done be done again.
        return Err(Unavailable(
            "where the job was is not known to this version; plan it again".to_owned(),
        ));
    }
    let mut selected = Selected::default();
    match &plan.over {
        Population::Deliveries(filter) => {
            let page = outbox.deliveries(filter, after, limit)?;
            for listed in page.items {
                let verdict = of_delivery(outbox, plan, made_at, when, &listed)?;
                selected.take(Target::Delivery(listed.id), verdict);
            }
            selected.next = page.next;
        }
        Population::Leads(filter) => {
            let page = outbox.leads(filter, after, limit)?;
            for lead in page.items {
                let verdict = met(outbox, when, lead, 0)?;
                selected.take(Target::Lead(lead), verdict);
            }
            selected.next = page.next;
        }
        Population::Quarantine(filter) => {
            let page = outbox.quarantined_pushes(after, limit)?;
            for push in page.items.iter().filter(|push| filter.passes(push)) {
                selected.push(reread, plan, when, push);
            }
            selected.next = page.next;
        }
    }
    Ok(selected)
}

/// Whether anybody could be reached by it.
pub fn is_reachable(arrival: &Arrival) -> bool {
    use serde_json::Value;
    let lead: Value = serde_json::from_str(&arrival.lead).unwrap_or_default();
    REACH.iter().any(|field| match &lead[*field] {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    })
}

/// What is said of something that a filter takes.
#[derive(Clone, Copy)]
enum Verdict {
    /// It is a target.
    Take,
    /// It is none.
    Pass,
    /// It cannot be treated.
    Skip(Skip),
}

impl Selected {
    fn take(&mut self, target: Target<Arrival>, verdict: Verdict) {
        match verdict {
            Verdict::Take => self.targets.push(target),
            Verdict::Pass => {}
            Verdict::Skip(why) => self.skipped.push(Skipped {
                id: target.id(),
                why,
            }),
        }
    }

    fn push(
        &mut self,
        reread: &Reread,
        plan: &BulkPlan,
        when: Option<&When>,
        push: &StoredQuarantinedPush,
    ) {
        let release = match plan.action {
            BulkAction::Release { force } => Some(force),
            _ => None,
        };
        let arrival = if release.is_some() || when.is_some() {
            reread(push)
        } else {
            None
        };
        let meets = when.map(|when| {
            let arrival = arrival.as_ref();
            arrival.and_then(|arrival| when.holds(&arrival.lead, &push.source))
        });
        let verdict = match meets {
            Some(None) => Verdict::Skip(Skip::Condition),
            Some(Some(false)) => Verdict::Pass,
            None | Some(Some(true)) => Verdict::Take,
        };
        let target = match (release, arrival) {
            (None, _) => return self.take(Target::Push(push.id), verdict),
            (Some(force), Some(arrival)) if force || is_reachable(&arrival) => {
                return self.take(Target::Read(push.id, arrival), verdict);
            }
            (Some(_), Some(_)) => Skip::Unreachable,
            (Some(_), None) => Skip::Unread,
        };
        let verdict = match verdict {
            Verdict::Take => Verdict::Skip(target),
            other => other,
        };
        self.take(Target::Push(push.id), verdict);
    }
}

fn of_delivery(
    outbox: &dyn Outbox,
    plan: &BulkPlan,
    made_at: Millis,
    when: Option<&When>,
    listed: &Listed,
) -> Result<Verdict, Unavailable> {
    let delivery = &listed.delivery;
    let verdict = met(outbox, when, delivery.lead, delivery.revision)?;
    let died_again = matches!(delivery.state, State::Dead { at, .. } if at > made_at);
    Ok(match verdict {
        Verdict::Take if plan.action == BulkAction::Retry && died_again => {
            Verdict::Skip(Skip::DiedAgain)
        }
        verdict => verdict,
    })
}

/// Whether the lead meets the condition.
fn met(
    outbox: &dyn Outbox,
    when: Option<&When>,
    lead: LeadId,
    revision: u32,
) -> Result<Verdict, Unavailable> {
    let Some(when) = when else {
        return Ok(Verdict::Take);
    };
    let lead = match outbox.lead(lead, revision) {
        Ok(Some(lead)) => lead,
        Ok(None) => return Ok(Verdict::Skip(Skip::Gone)),
        // One that is damaged must not keep the others; a store that cannot be read must.
        Err(_) if outbox.counts().is_ok() => return Ok(Verdict::Skip(Skip::Damaged)),
        Err(error) => return Err(error),
    };
    Ok(match when.holds(&lead.lead, &lead.source) {
        Some(true) => Verdict::Take,
        Some(false) => Verdict::Pass,
        None => Verdict::Skip(Skip::Condition),
    })
}
