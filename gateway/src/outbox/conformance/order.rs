//! Promise 9: lists are in the order of time, across sinks and states.

use super::engine::Engine;
use super::failures::fill;
use super::pushes::all;
use super::subject::Subject;
use crate::outbox::{Filter, Operations};

pub(super) async fn lists_are_in_the_order_of_time_whatever_is_in_them<E: Engine>() {
    let outbox = Subject::<E>::new();
    fill(&outbox).await;
    let mut filters = vec![Filter::default()];
    filters.extend(["crm", "mail"].map(|sink| Filter {
        sink: Some(sink.to_owned()),
        ..Filter::default()
    }));
    filters.push(Filter {
        rule: Some("answer".to_owned()),
        ..Filter::default()
    });
    for filter in filters {
        let ids = |newest_first| -> Vec<_> {
            let filter = Filter {
                newest_first,
                ..filter.clone()
            };
            let all = all(|after| outbox.deliveries(&filter, after, 2).expect("reads"));
            all.into_iter().map(|one| one.id).collect()
        };
        let (oldest, mut newest) = (ids(false), ids(true));
        assert!(oldest.is_sorted(), "{filter:?}");
        newest.reverse();
        assert_eq!(oldest, newest, "{filter:?}");
    }
}
