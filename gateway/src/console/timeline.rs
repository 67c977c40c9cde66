//! Timeline: what happened to a lead, the earliest first: its revisions, each attempt at each sink,
//! and how each delivery ended.

use super::deliveries::{Attempt, Detail, Summary};
use super::desk::{Desk, read};
use super::shown;
use crate::admin::Problem;

/// Deliveries whose attempts are read for one page.
const MOST: usize = 40;

/// Something that happened.
pub(super) struct Event {
    pub(super) at: String,
    /// Its colour.
    pub(super) tone: &'static str,
    pub(super) what: What,
}

/// What it was.
pub(super) enum What {
    /// A revision came, which changed these fields.
    Came { revision: u32, changed: Vec<String> },
    /// A sink was tried.
    Tried { of: Of, attempt: Attempt },
    /// A delivery ended.
    Ended {
        of: Of,
        state: String,
        reason: Option<String>,
    },
}

/// Which delivery.
pub(super) struct Of {
    pub(super) id: String,
    pub(super) sink: String,
    pub(super) revision: u32,
}

impl Of {
    fn new(one: &Summary) -> Self {
        Self {
            id: one.id.clone(),
            sink: one.sink.clone(),
            revision: one.revision,
        }
    }
}

/// All that happened to a lead of these revisions and deliveries. Of very many deliveries the
/// attempts of the newest alone.
pub(super) async fn of(
    desk: &Desk,
    revisions: Vec<(u32, String, Vec<String>)>,
    deliveries: &[Summary],
) -> Result<Vec<Event>, Problem> {
    let came = revisions.into_iter().map(|(revision, at, changed)| Event {
        at,
        tone: "still",
        what: What::Came { revision, changed },
    });
    let mut events: Vec<Event> = came.collect();
    for one in deliveries.iter().rev().take(MOST) {
        if one.attempts > 0 || one.ended_at.is_some() {
            let detail: Detail = read(desk.api.delivery(&one.id, "").await?)?;
            events.extend(detail.history.into_iter().map(|attempt| Event {
                at: attempt.started_at.clone(),
                tone: shown::tone_of_outcome(&attempt.outcome),
                what: What::Tried {
                    of: Of::new(one),
                    attempt,
                },
            }));
        }
        events.extend(one.ended_at.clone().map(|at| Event {
            at,
            tone: shown::tone_of_state(&one.state),
            what: What::Ended {
                of: Of::new(one),
                state: one.state.clone(),
                reason: one.reason.clone(),
            },
        }));
    }
    // Of one format, so they sort as texts; what came at once stays in its order.
    events.sort_by(|one, other| one.at.cmp(&other.at));
    Ok(events)
}
