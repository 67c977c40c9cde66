//! The lead (客资): its normal form, identity, content hash and labels.

/// A lead in its normal form.
#[derive(Clone, Debug)]
pub struct Lead {}

/// Who a lead is, across pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Key of the dedup index.
    pub key: [u8; 32],
    /// `false` if there was no `record_id` and the content had to stand in for it.
    pub stable: bool,
}
