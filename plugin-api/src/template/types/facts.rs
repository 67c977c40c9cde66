//! Facts: what a condition that holds, or does not, says about the paths in it.

use super::super::expression::{Expression, Node};

/// The field, sign and value of a single comparison, also of the last that `and` or `or` joins.
pub(super) fn compared<'e, 'a>(
    test: &'e Expression<'a>,
) -> Option<(&'e Expression<'a>, &'a str, &'e Expression<'a>)> {
    match &test.node {
        Node::Compare(field, others) if others.len() == 1 => {
            let (sign, value) = &others[0];
            Some((field, sign, value))
        }
        Node::And(sides) | Node::Or(sides) => compared(&sides[1]),
        _ => None,
    }
}

/// Paths that are not none if `test` holds, or does not.
pub(super) fn facts(test: &Expression<'_>, holds: bool) -> Vec<String> {
    match &test.node {
        Node::Name(_) | Node::Part(..) if holds => test.path().into_iter().collect(),
        Node::Not(inner) => facts(inner, !holds),
        Node::And(sides) if holds => join(&sides[0], &sides[1], holds),
        Node::Or(sides) if !holds => join(&sides[0], &sides[1], holds),
        Node::Test(inner, called, negated) => match called.name {
            "none" if holds == *negated => inner.path().into_iter().collect(),
            "defined" | "none" | "undefined" => Vec::new(),
            _ if holds != *negated => inner.path().into_iter().collect(),
            _ => Vec::new(),
        },
        Node::Compare(left, others) if others.len() == 1 => {
            let (sign, right) = &others[0];
            let none = matches!(right.node, Node::None);
            let said = match *sign {
                "==" => !none && right.is_literal() && holds || none && !holds,
                "!=" => none && holds || !none && right.is_literal() && !holds,
                ">" | ">=" => right.is_literal() && holds,
                // None comes before everything else.
                "<" | "<=" => right.is_literal() && !holds,
                "in" => {
                    holds
                        && matches!(&right.node, Node::List(items) if items.iter().all(|item| item.is_literal() && !matches!(item.node, Node::None)))
                }
                _ => false,
            };
            left.path().filter(|_| said).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn join(left: &Expression<'_>, right: &Expression<'_>, holds: bool) -> Vec<String> {
    let mut all = facts(left, holds);
    all.extend(facts(right, holds));
    all
}
