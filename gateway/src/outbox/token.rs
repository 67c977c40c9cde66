//! Tokens: the names by which people and programs use the API, each with a role.
//!
//! Of a token its hash alone is kept: whoever reads the store has none. A token is 256 random bits,
//! which nobody finds by trying, so a fast hash is right for it; a slow one is for what people
//! choose.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::access::Role;
use crate::clock::Millis;

/// Tokens kept at most, revoked ones among them.
pub const TOKENS_KEPT: usize = 100;
/// Letters of a name, at most.
pub const TOKEN_NAME: usize = 64;
/// How long a use is not noted again on disk: it costs a sync.
pub const USE_NOTED: Millis = 3_600_000;

/// What a token is known by. Two are compared in constant time.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of what somebody gave as a token.
    pub fn of(text: &str) -> Self {
        Self(*blake3::hash(text.as_bytes()).as_bytes())
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(..)")
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Whose it is: of those that are not revoked each has another name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// What it is known by.
    pub hash: TokenHash,
    /// When it was made.
    pub made_at: Millis,
    /// By whom.
    pub by: String,
    /// When it was used last, to the hour.
    pub last_used: Option<Millis>,
    /// Since when nobody is let in by it.
    pub revoked_at: Option<Millis>,
}

impl Token {
    /// One that was just made.
    pub fn new(name: &str, role: Role, hash: TokenHash, by: &str, now: Millis) -> Self {
        Self {
            name: name.to_owned(),
            role,
            hash,
            made_at: now,
            by: by.to_owned(),
            last_used: None,
            revoked_at: None,
        }
    }

    /// Whether it lets anybody in.
    pub const fn is_valid(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Whether a use at that time is to be noted.
    pub fn notes(&self, at: Millis) -> bool {
        self.is_valid()
            && self
                .last_used
                .is_none_or(|last| at.saturating_sub(last) >= USE_NOTED)
    }
}

/// What became of a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAdded {
    /// It is kept.
    Done,
    /// There is one of that name, which is not revoked.
    Taken,
    /// As many are kept as may be, and none of them is revoked.
    Full,
}
