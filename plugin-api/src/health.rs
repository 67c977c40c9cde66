//! Health: how a sink is, beyond how its attempts end.

/// How a sink is.
///
/// ```
/// use leadgate_plugin::Health;
/// let health = Health::Degraded("the token ends in two days; renew it".to_owned());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It does what it should.
    #[default]
    Ok,
    /// It works, and a person should look: why, in short. Never personal data. At most 1 KiB is
    /// kept.
    Degraded(String),
    /// It does not work: why, in short. Never personal data. At most 1 KiB is kept.
    Failed(String),
}

impl Health {
    /// Its stable name in JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
        }
    }

    /// Why; empty if it is well.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Ok => "",
            Self::Degraded(why) | Self::Failed(why) => why,
        }
    }
}
