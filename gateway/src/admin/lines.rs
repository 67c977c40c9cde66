//! Lines: how one text differs from another, line by line, as a person reads it.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

/// Pairs of lines that are compared at most; larger texts are shown as wholly changed.
const MOST: usize = 4_000_000;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LineChange")]
pub(super) enum Kind {
    Same,
    Removed,
    Added,
}

/// A line of two texts.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DifferenceLine")]
pub(super) struct Line {
    change: Kind,
    text: String,
}

/// All lines of `before` and `now`, those that were removed before those that came in their place.
pub(super) fn between(before: &str, now: &str) -> Vec<Line> {
    let (before, now): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let mut lines = Vec::with_capacity(now.len());
    let mut add = |change, text: &str| {
        let text = text.to_owned();
        lines.push(Line { change, text });
    };
    let (mut from, mut to) = (0, 0);
    let same = common(&before, &now);
    for (at, other) in same.into_iter().chain([(before.len(), now.len())]) {
        for removed in &before[from..at] {
            add(Kind::Removed, removed);
        }
        for added in &now[to..other] {
            add(Kind::Added, added);
        }
        if let Some(same) = now.get(other) {
            add(Kind::Same, same);
        }
        (from, to) = (at + 1, other + 1);
    }
    lines
}

/// Pairs of lines that are the same, as many as there can be in this order.
fn common(before: &[&str], now: &[&str]) -> Vec<(usize, usize)> {
    let head = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    let (left, right) = (&before[head..], &now[head..]);
    let ends = left.iter().rev().zip(right.iter().rev());
    let tail = ends.take_while(|(a, b)| a == b).count();
    let (left, right) = (&left[..left.len() - tail], &right[..right.len() - tail]);
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|at| (at, at)).collect();
    if left.len().saturating_mul(right.len()) <= MOST {
        pairs.extend(
            longest(left, right)
                .into_iter()
                .map(|(a, b)| (head + a, head + b)),
        );
    }
    let tail_of = |all: &[&str]| -> Range<usize> { all.len() - tail..all.len() };
    pairs.extend(tail_of(before).zip(tail_of(now)));
    pairs
}

/// The longest common run of lines, by the lengths of those of all ends.
fn longest(left: &[&str], right: &[&str]) -> Vec<(usize, usize)> {
    let width = right.len() + 1;
    let mut lengths = vec![0_u32; (left.len() + 1) * width];
    for a in (0..left.len()).rev() {
        for b in (0..right.len()).rev() {
            lengths[a * width + b] = if left[a] == right[b] {
                lengths[(a + 1) * width + b + 1] + 1
            } else {
                lengths[(a + 1) * width + b].max(lengths[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut pairs = Vec::new();
    while a < left.len() && b < right.len() {
        if left[a] == right[b] {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if lengths[(a + 1) * width + b] >= lengths[a * width + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, now: &str) -> String {
        let lines = between(before, now);
        let sign = |line: &Line| match line.change {
            Kind::Same => ' ',
            Kind::Removed => '-',
            Kind::Added => '+',
        };
        let lines = lines.iter();
        let lines: Vec<String> = lines
            .map(|line| format!("{}{}\n", sign(line), line.text))
            .collect();
        lines.concat()
    }

    #[test]
    fn what_was_renamed_stands_beside_what_it_was() {
        assert_eq!(
            shown(
                "POST x\n\n{\n a: 1,\n b: 2\n}",
                "POST x\n\n{\n c: 1,\n b: 2\n}"
            ),
            " POST x\n \n {\n- a: 1,\n+ c: 1,\n  b: 2\n }\n"
        );
        assert_eq!(shown("a\nb\nc", "a\nc"), " a\n-b\n c\n");
        assert_eq!(shown("a\nc", "a\nb\nc\nd"), " a\n+b\n c\n+d\n");
        assert_eq!(shown("", "a"), "+a\n");
        assert_eq!(shown("a\nb", "b\na"), "-a\n b\n+a\n");
        assert_eq!(shown("a\na", "a"), " a\n-a\n");
    }

    #[test]
    fn texts_too_large_to_compare_are_shown_whole() {
        let numbered = |lines: std::ops::Range<u32>| {
            let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
            lines.concat()
        };
        let (before, now) = (numbered(0..2_100), numbered(1..2_101));
        let lines = between(&before, &now);
        assert_eq!(lines.len(), 4_200);
    }
}
