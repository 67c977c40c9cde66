//! Length: how much of a list is asked for.

#[derive(clap::Args)]
pub(super) struct Length {
    /// How many at most [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// All of them, however many
    #[arg(long, conflicts_with = "limit")]
    pub(super) all: bool,
}

impl Length {
    /// The `limit` of one request, where a page has at most so many.
    pub(super) fn limit(&self, page: u32) -> Option<u32> {
        if self.all { Some(page) } else { self.limit }
    }
}
