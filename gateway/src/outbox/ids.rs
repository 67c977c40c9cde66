//! Ids: what leads, deliveries and quarantined pushes are called.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Millis;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}
id! {
    /// A lead, over all of its revisions. A UUIDv7: sorts by the time of the first push.
    LeadId
}
id! {
    /// One lead revision for one sink, over all of its attempts. A UUIDv7.
    DeliveryId
}
id! {
    /// A quarantined push for a person. A UUIDv7.
    QuarantineId
}

id! {
    /// A bulk job. A UUIDv7.
    JobId
}

id! {
    /// A token of the API. A UUIDv7.
    TokenId
}

/// Names a failure group of a sink: a keyed hash of the rule and the normalised reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FailureGroupId(pub [u8; 8]);

/// When an id was made.
pub fn made_at(id: Uuid) -> Millis {
    Millis::try_from(id.as_u128() >> 80).unwrap_or(Millis::MAX)
}
