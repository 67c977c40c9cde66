//! The step record: which recipients of a delivery have its letter.
//!
//! The gateway keeps it with the delivery. An attempt that follows one in which the server took
//! the letter for some only goes to the others, so that nobody gets it twice. Addresses are
//! kept as short hashes bound to the delivery.

use lettre::Address;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Recipients that fit into what the gateway keeps of a delivery.
const MOST: usize = 200;
/// Bytes of a hash: two recipients of one letter never share them by chance.
const LENGTH: usize = 6;

/// Who is done.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    /// Those who have the letter.
    taken: Vec<String>,
    /// Those whom the server refused for good when others took it.
    refused: Vec<String>,
}

impl StepRecord {
    /// What was kept in earlier attempts. `None` if that cannot be read: then nobody knows who
    /// has the letter.
    pub(crate) fn read(kept: &str) -> Option<Self> {
        if kept.is_empty() {
            return Some(Self::default());
        }
        serde_json::from_str(kept).ok()
    }

    /// How many are refused for good.
    pub(crate) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Whether nobody has the letter yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Those of `recipients` who wait for the letter.
    pub(crate) fn waiting(&self, delivery: &str, recipients: &[Address]) -> Vec<Address> {
        let is_done = |one: &&Address| {
            let hash = hash(delivery, one);
            self.taken.contains(&hash) || self.refused.contains(&hash)
        };
        recipients
            .iter()
            .filter(|one| !is_done(one))
            .cloned()
            .collect()
    }

    /// Whether `more` recipients can be kept, too.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.taken.len() + self.refused.len() + more <= MOST
    }

    pub(crate) fn add<'a>(
        &mut self,
        delivery: &str,
        taken: impl IntoIterator<Item = &'a Address>,
        refused: impl IntoIterator<Item = &'a Address>,
    ) {
        let hashes = |one| hash(delivery, one);
        self.taken.extend(taken.into_iter().map(hashes));
        self.refused.extend(refused.into_iter().map(hashes));
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn hash(delivery: &str, address: &Address) -> String {
    let address: &str = address.as_ref();
    let digest = Sha256::digest(format!("{delivery}\n{address}"));
    leadgate_plugin::hex(&digest[..LENGTH])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_step_record_fits_what_the_gateway_keeps() {
        let addresses: Vec<Address> = (0..MOST)
            .map(|number| format!("a{number}@x.example").parse().expect("an address"))
            .collect();
        let mut record = StepRecord::default();
        assert!(record.has_room(MOST));
        record.add("d", &addresses, []);
        assert!(!record.has_room(1));
        assert!(record.text().len() <= 4096, "{}", record.text().len());
        assert!(!record.text().contains("example"));
        let read = StepRecord::read(&record.text()).expect("reads");
        assert_eq!(read, record);
        assert!(read.waiting("d", &addresses).is_empty());
        assert_eq!(read.waiting("another", &addresses).len(), MOST);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        assert_eq!(StepRecord::read(""), Some(StepRecord::default()));
        assert_eq!(StepRecord::read("{\"taken\":[\"0"), None);
    }
}
