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

/// Bytes of pushes that are released in one step, about: a step is written as one.
const BYTES: usize = 1 << 20;

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

/// Reads a page of at most `limit`, and of pushes of at most about a megabyte. `made_at` is when the job was planned. Reads the disk.
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
            let page = outbox.deliveries_each(filter, after, limit)?;
            for listed in page.items {
                let (id, verdict) = match listed {
                    Ok(listed) => (
                        listed.id,
                        of_delivery(outbox, plan, made_at, when, &listed)?,
                    ),
                    Err(id) => (id, Verdict::Skip(Skip::Damaged)),
                };
                selected.take(Target::Delivery(id), verdict);
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
            let (mut after, mut bytes) = (after.map(str::to_owned), 0);
            for _ in 0..limit {
                // One by one: each is followed by a place where the next page may begin.
                let page = outbox.quarantined_ids(after.as_deref(), 1)?;
                for id in page.items {
                    match whole(outbox, outbox.quarantined_push(id))? {
                        Ok(Some(push)) if filter.passes(&push) => {
                            bytes += push.body.len() + push.query.len();
                            selected.push(reread, plan, when, &push);
                        }
                        Ok(_) => {}
                        Err(Damaged) => {
                            selected.take(Target::Push(id), Verdict::Skip(Skip::Damaged));
                        }
                    }
                }
                selected.next.clone_from(&page.next);
                after = page.next;
                if after.is_none() || bytes >= BYTES {
                    break;
                }
            }
        }
    }
    Ok(selected)
}

/// What is stored of one thing cannot be read.
struct Damaged;

/// What was read, if it is not damaged: that must not keep the others. A store that cannot be read
/// must.
fn whole<T>(
    outbox: &dyn Outbox,
    read: Result<T, Unavailable>,
) -> Result<Result<T, Damaged>, Unavailable> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(_) if outbox.counts().is_ok() => Ok(Err(Damaged)),
        Err(error) => Err(error),
    }
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
    let lead = match whole(outbox, outbox.lead(lead, revision))? {
        Ok(Some(lead)) => lead,
        Ok(None) => return Ok(Verdict::Skip(Skip::Gone)),
        Err(Damaged) => return Ok(Verdict::Skip(Skip::Damaged)),
    };
    Ok(match when.holds(&lead.lead, &lead.source) {
        Some(true) => Verdict::Take,
        Some(false) => Verdict::Pass,
        None => Verdict::Skip(Skip::Condition),
    })
}
