//! State: small values that a sink keeps from one run to the next.
//!
//! For what a destination changes about our credentials, such as a refresh token that is good
//! only once. The host stores it sealed like the leads. Only the running daemon has it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::export::StateHandle;
use crate::{Secret, abi};

/// What a sink keeps. Clones are the same state.
#[derive(Clone, Debug)]
pub struct State(Place);

#[derive(Clone, Debug)]
enum Place {
    Host(StateHandle),
    Memory(Arc<Mutex<BTreeMap<String, Secret>>>),
}

/// A value that was not kept; what was there before is there still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotKept {
    /// The key has other letters than `a` to `z`, digits, `_`, `-` and `.`, or more than
    /// [`abi::STATE_KEY_MAX`], or none.
    #[error("not a key under which something can be kept")]
    Key,
    /// It has more than [`abi::STATE_VALUE_MAX`] bytes.
    #[error("the value is too long to be kept")]
    TooLong,
    /// The host did not take it: there are [`abi::STATE_KEYS_MAX`] others, or its store fails.
    #[error("the host did not keep the value")]
    Refused,
}

impl State {
    pub(crate) fn of_host(handle: StateHandle) -> Self {
        Self(Place::Host(handle))
    }

    /// A state that ends with the process, for a sink's own tests.
    pub fn in_memory() -> Self {
        Self(Place::Memory(Arc::default()))
    }

    /// What is kept under `key`.
    pub fn get(&self, key: &str) -> Option<Secret> {
        match &self.0 {
            Place::Host(handle) => handle.get(key),
            Place::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.get(key).cloned()
            }
        }
    }

    /// Keeps `value` under `key`; it is on disk when this returns. Blocks for as long as that
    /// takes: in async code call it on a thread that may block.
    pub fn set(&self, key: &str, value: &Secret) -> Result<(), NotKept> {
        if value.expose().len() > abi::STATE_VALUE_MAX {
            return Err(NotKept::TooLong);
        }
        self.put(key, value)
    }

    /// Forgets what is kept under `key`. Blocks like [`State::set`].
    pub fn forget(&self, key: &str) -> Result<(), NotKept> {
        self.put(key, &Secret::new(""))
    }

    fn put(&self, key: &str, value: &Secret) -> Result<(), NotKept> {
        if !is_key(key) {
            return Err(NotKept::Key);
        }
        match &self.0 {
            Place::Host(handle) => {
                let kept = handle.set(key, value);
                kept.then_some(()).ok_or(NotKept::Refused)
            }
            Place::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if value.expose().is_empty() {
                    kept.remove(key);
                } else if kept.len() >= abi::STATE_KEYS_MAX && !kept.contains_key(key) {
                    return Err(NotKept::Refused);
                } else {
                    kept.insert(key.to_owned(), value.clone());
                }
                Ok(())
            }
        }
    }
}

/// Whether something can be kept under that key.
pub fn is_key(key: &str) -> bool {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    !key.is_empty() && key.len() <= abi::STATE_KEY_MAX && key.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_replaced_forgotten_and_bounded() {
        let state = State::in_memory();
        let get = |key: &str| state.get(key).map(|value| value.expose().to_owned());
        state.set("token", &Secret::new("one")).expect("kept");
        state.set("token", &Secret::new("two")).expect("kept");
        assert_eq!(get("token").as_deref(), Some("two"));
        let long = Secret::new("x".repeat(abi::STATE_VALUE_MAX + 1));
        assert_eq!(state.set("token", &long), Err(NotKept::TooLong));
        assert_eq!(get("token").as_deref(), Some("two"));
        for key in ["", "A", "a b", &"a".repeat(65)] {
            assert_eq!(
                state.set(key, &Secret::new("x")),
                Err(NotKept::Key),
                "{key}"
            );
        }
        for number in 1..abi::STATE_KEYS_MAX {
            state
                .set(&format!("k{number}"), &Secret::new("x"))
                .expect("kept");
        }
        assert_eq!(state.set("more", &Secret::new("x")), Err(NotKept::Refused));
        state.forget("token").expect("forgotten");
        assert_eq!(get("token"), None);
        state
            .set("more", &Secret::new("visible"))
            .expect("there is room again");
        assert!(!format!("{state:?}").contains("visible"), "{state:?}");
    }
}
