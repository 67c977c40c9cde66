//! Access: who works on the store, what they may do, and how they came.
//!
//! Roles are ordered: whoever may do more may do all that those below may. Names are stable: they
//! stand in JSON, in the journal and in scripts.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look, at nothing that says who a lead is.
    Viewer,
    /// And decide about deliveries, sinks and the quarantine.
    Operator,
    /// And see who a lead is, export, erase, copy the store, and make tokens.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// By which way somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The API over the network.
    Api,
    /// The console's pages.
    Console,
    /// The socket on this machine.
    Socket,
    /// A command that works on a store that nobody runs.
    Offline,
    /// A signal to the daemon.
    Signal,
    /// A bulk job that they had started.
    Job,
}

impl Via {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Api,
        Self::Console,
        Self::Socket,
        Self::Offline,
        Self::Signal,
        Self::Job,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Console => "console",
            Self::Socket => "socket",
            Self::Offline => "offline",
            Self::Signal => "signal",
            Self::Job => "job",
        }
    }
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name of their token; [`Actor::ADMIN`] for that of the configuration, `uid:N` for a
    /// user of this machine.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// How they came.
    pub via: Via,
    /// From which address, if from one.
    pub peer: Option<IpAddr>,
}

impl Actor {
    /// Whoever has the token of the configuration.
    pub const ADMIN: &'static str = "admin";
    /// Whoever asks from this machine where no token is needed.
    pub const LOCAL: &'static str = "local";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_all_that_those_below_it_may() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in Role::ALL {
            assert_eq!(Role::named(role.as_str()), Some(role));
            assert_eq!(serde_json::json!(role), role.as_str());
        }
        assert_eq!(Role::named("root"), None);
    }
}
