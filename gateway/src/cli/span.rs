//! Spans: from when until when something is listed, and in which order.

use super::client::Query;

/// From when until when.
#[derive(clap::Args)]
pub(super) struct Times {
    /// Only from then on: a time such as "2026-11-26 10:00:00" or 2026-11-26, which is GMT+8 unless it names another zone (Z, +08:00), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only from before then: a time (GMT+8 unless it names another zone), or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Times {
    /// As parameters of a list.
    pub(super) fn add_to(&self, query: Query) -> Query {
        query
            .with("since", self.since.as_ref())
            .with("until", self.until.as_ref())
    }
}

#[derive(clap::Args)]
pub(super) struct Span {
    #[command(flatten)]
    times: Times,
    /// Which come first: oldest or newest
    #[arg(long, value_name = "ORDER", value_parser = ["oldest", "newest"])]
    order: Option<String>,
}

impl Span {
    /// As parameters of a list.
    pub(super) fn add_to(&self, query: Query) -> Query {
        let query = self.times.add_to(query);
        query.with("order", self.order.as_ref())
    }
}
