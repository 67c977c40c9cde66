//! Cursors: which list one belongs to.

use super::Filter;

/// A list that is read page by page.
#[derive(Clone, Copy, Debug)]
pub enum Paged<'a> {
    /// [`super::Outbox::leads`]
    Leads,
    /// [`super::Outbox::unrouted`]
    Unrouted,
    /// [`super::Outbox::quarantined_pushes`]
    Quarantine,
    /// [`super::Outbox::deliveries`] that pass a filter.
    Deliveries(&'a Filter),
    /// [`super::Outbox::rekey`], which goes through everything.
    Rekey,
}
