//! Reports: which parts of a sandbox hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which parts of a sandbox hold, and why the others do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// In the order in which they were entered.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `files`, `network`, `system_calls` and so on; stable.
    pub name: String,
    /// Whether it holds.
    pub state: State,
    /// What holds in particular, or why it does not.
    pub note: String,
}

/// Whether a part of a sandbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    On,
    /// Nobody wanted it.
    Off,
    /// This kernel does not have it, or refused it.
    Unavailable,
}

impl State {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unavailable => "unavailable",
        }
    }
}

impl SandboxReport {
    /// The part of that name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Whether all that was wanted holds.
    pub fn is_whole(&self) -> bool {
        self.missing().next().is_none()
    }

    /// What was wanted and does not hold.
    pub fn missing(&self) -> impl Iterator<Item = &Part> {
        let parts = self.parts.iter();
        parts.filter(|part| part.state == State::Unavailable)
    }

    pub(super) fn on(&mut self, name: &str, note: impl Into<String>) {
        self.add(name, State::On, note);
    }

    pub(super) fn off(&mut self, name: &str) {
        self.add(name, State::Off, "");
    }

    pub(super) fn unavailable(&mut self, name: &str, why: impl Into<String>) {
        self.add(name, State::Unavailable, why);
    }

    fn add(&mut self, name: &str, state: State, note: impl Into<String>) {
        self.parts.push(Part {
            name: name.to_owned(),
            state,
            note: note.into(),
        });
    }
}

impl fmt::Display for SandboxReport {
    /// `files on, network off, signals unavailable (the kernel's Landlock has ABI 4, …)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{} {}", part.name, part.state.as_str())?;
            if part.state == State::Unavailable {
                write!(formatter, " ({})", part.note)?;
            }
        }
        Ok(())
    }
}
