//! Fallbacks: which sinks get the dead letters of which, and whether that ever ends.

use std::collections::{BTreeMap, BTreeSet};

/// Circles in `next` (sink → its fallback), each once, as the names on the way round with the
/// first one repeated at the end.
pub(super) fn circles<'a>(next: &BTreeMap<&'a str, &'a str>) -> Vec<Vec<&'a str>> {
    let mut over = BTreeSet::new();
    let mut circles = Vec::new();
    for start in next.keys() {
        let mut way: Vec<&str> = Vec::new();
        let mut at = *start;
        // Each sink has at most one fallback, so each is walked through once.
        while over.insert(at) {
            way.push(at);
            match next.get(at) {
                Some(fallback) => at = fallback,
                None => break,
            }
        }
        if let Some(first) = way.iter().position(|name| *name == at)
            && next.contains_key(at)
        {
            let mut circle = way.split_off(first);
            circle.push(at);
            circles.push(circle);
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Vec<Vec<&'static str>> {
        circles(&pairs.iter().copied().collect())
    }

    #[test]
    fn a_chain_is_no_circle() {
        assert!(of(&[]).is_empty());
        assert!(of(&[("a", "b"), ("b", "c"), ("d", "b"), ("e", "gone")]).is_empty());
    }

    #[test]
    fn a_circle_is_found_once_also_from_outside_of_it() {
        assert_eq!(of(&[("a", "a")]), [["a", "a"]]);
        assert_eq!(
            of(&[("a", "c"), ("b", "c"), ("c", "d"), ("d", "b")]),
            [["c", "d", "b", "c"]]
        );
        assert_eq!(
            of(&[("a", "b"), ("b", "a"), ("x", "y"), ("y", "x")]).len(),
            2
        );
    }
}
