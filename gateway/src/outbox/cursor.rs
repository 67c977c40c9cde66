//! Cursors: which list one belongs to.

use super::Filter;

/// A list that is read page by page.
#[derive(Clone, Copy, Debug)]
pub enum Paged<'a> {
    /// [`super::Operations::leads`]
    Leads,
    /// [`super::Operations::unrouted`]
    Unrouted,
    /// [`super::Operations::quarantined_pushes`]
    Quarantine,
    /// [`super::Operations::deliveries`] that pass a filter.
    Deliveries(&'a Filter),
    /// [`super::Maintenance::rekey`], which goes through everything.
    Rekey,
}
