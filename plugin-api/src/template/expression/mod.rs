//! Expressions: what the tokens of a template say, with the place of each part.
//!
//! minijinja keeps its own tree to itself, and types want one. This reads the same grammar and
//! gives nothing where it cannot follow; then types are not looked at, and nothing else changes.

mod reader;
mod steps;

use std::collections::BTreeSet;
use std::ops::Range;

use self::reader::Reader;
use super::tokens::{self, Block, Part};

/// A part of a text that has a value.
#[derive(Debug)]
pub(super) struct Expression<'a> {
    pub(super) range: Range<usize>,
    pub(super) node: Node<'a>,
}

/// What gives the value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool,
    Number,
    /// What is between the quotes, as written.
    Text(&'a str),
    Name(&'a str),
    List(Vec<Expression<'a>>),
    Table(Vec<(Expression<'a>, Expression<'a>)>),
    Not(Box<Expression<'a>>),
    Minus(Box<Expression<'a>>),
    And(Box<[Expression<'a>; 2]>),
    Or(Box<[Expression<'a>; 2]>),
    /// `+ - ~ * / // % **`, with its place.
    Math(&'a str, Range<usize>, Box<[Expression<'a>; 2]>),
    /// `== != < <= > >= in not in` between neighbours.
    Compare(Box<Expression<'a>>, Vec<(&'a str, Expression<'a>)>),
    If {
        value: Box<Expression<'a>>,
        test: Box<Expression<'a>>,
        otherwise: Option<Box<Expression<'a>>>,
    },
    Filter(Box<Expression<'a>>, Called<'a>),
    /// `is`, and whether it is `is not`.
    Test(Box<Expression<'a>>, Called<'a>, bool),
    Part(Box<Expression<'a>>, &'a str, Range<usize>),
    Item(Box<Expression<'a>>, Box<Expression<'a>>),
    Slice(Box<Expression<'a>>, Vec<Expression<'a>>),
    Call(Box<Expression<'a>>, Vec<Argument<'a>>),
}

/// A filter or test with its arguments.
#[derive(Debug)]
pub(super) struct Called<'a> {
    pub(super) name: &'a str,
    pub(super) range: Range<usize>,
    /// Behind its opening bracket, if it has one.
    pub(super) bracket: Option<usize>,
    pub(super) arguments: Vec<Argument<'a>>,
}

/// An argument.
#[derive(Debug)]
pub(super) struct Argument<'a> {
    /// `name=`, if it is given so; a splat has an empty one.
    pub(super) name: Option<&'a str>,
    pub(super) value: Expression<'a>,
}

/// What a template does, one after the other.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A value that is shown or kept.
    Value(Expression<'a>),
    /// A value that is gone through.
    Each(Expression<'a>),
    If(Expression<'a>),
    Elif(Expression<'a>),
    Else,
    EndIf,
    /// The beginning and end of `for`, whose `else` is no `if`'s.
    For,
    EndFor,
}

/// A template as steps.
#[derive(Debug, Default)]
pub(super) struct Steps<'a> {
    pub(super) steps: Vec<Step<'a>>,
    /// Names that the template itself gives a meaning.
    pub(super) own: BTreeSet<&'a str>,
}

/// Reads a lone expression.
pub(super) fn of_condition(text: &str) -> Option<Expression<'_>> {
    let tokens = tokens::of_expression(text)?;
    let mut reader = Reader::new(&tokens);
    let read = reader.expression()?;
    reader.ended().then_some(read)
}

/// The whole part of a condition or template that `range` is in: minijinja shows of `a | upper`
/// the filter alone.
pub(super) fn whole(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    if let Some(read) = of_condition(text) {
        return read.around(range);
    }
    let read = of_template(text)?;
    read.steps.iter().find_map(|step| match step {
        Step::Value(value) | Step::Each(value) | Step::If(value) | Step::Elif(value) => {
            value.around(range)
        }
        Step::Else | Step::EndIf | Step::For | Step::EndFor => None,
    })
}

/// Reads a template.
pub(super) fn of_template(text: &str) -> Option<Steps<'_>> {
    let mut steps = Steps::default();
    for part in tokens::of_template(text)? {
        let (block, tokens) = match part {
            Part::Plain(_) => continue,
            Part::Block(block, tokens) => (block, tokens),
        };
        let mut reader = Reader::new(&tokens);
        match block {
            Block::Value => steps.steps.push(Step::Value(reader.expression()?)),
            Block::Statement => steps.statement(&mut reader)?,
        }
        if !reader.ended() {
            return None;
        }
    }
    Some(steps)
}

fn with<'e, 'a>(
    inner: &'e Expression<'a>,
    arguments: &'e [Argument<'a>],
) -> Vec<&'e Expression<'a>> {
    let arguments = arguments.iter().map(|argument| &argument.value);
    std::iter::once(inner).chain(arguments).collect()
}

impl<'a> Expression<'a> {
    /// The smallest part that `range` is in.
    fn around(&self, range: &Range<usize>) -> Option<Range<usize>> {
        if range.start < self.range.start || range.end > self.range.end {
            return None;
        }
        let deeper = self.parts().into_iter().find_map(|part| part.around(range));
        deeper.or_else(|| Some(self.range.clone()))
    }

    /// What it is made of.
    fn parts(&self) -> Vec<&Self> {
        match &self.node {
            Node::None | Node::Bool | Node::Number | Node::Text(_) | Node::Name(_) => Vec::new(),
            Node::List(items) => items.iter().collect(),
            Node::Table(entries) => entries
                .iter()
                .flat_map(|(key, value)| [key, value])
                .collect(),
            Node::Not(inner) | Node::Minus(inner) | Node::Part(inner, ..) => vec![inner],
            Node::And(sides) | Node::Or(sides) | Node::Math(_, _, sides) => sides.iter().collect(),
            Node::Compare(first, others) => std::iter::once(&**first)
                .chain(others.iter().map(|(_, other)| other))
                .collect(),
            Node::If {
                value,
                test,
                otherwise,
            } => [value, test]
                .into_iter()
                .chain(otherwise)
                .map(|part| &**part)
                .collect(),
            Node::Filter(inner, called) | Node::Test(inner, called, _) => {
                with(inner, &called.arguments)
            }
            Node::Call(inner, arguments) => with(inner, arguments),
            Node::Item(inner, index) => vec![inner, index],
            Node::Slice(inner, bounds) => std::iter::once(&**inner).chain(bounds).collect(),
        }
    }

    /// A name with what is behind its dots, such as `lead.phone`, without that `lead.`.
    pub(super) fn path(&self) -> Option<String> {
        match &self.node {
            Node::Name(name) => Some((*name).to_owned()),
            Node::Part(of, part, _) => {
                let of = of.path()?;
                Some(if of == "lead" {
                    (*part).to_owned()
                } else {
                    format!("{of}.{part}")
                })
            }
            _ => None,
        }
    }

    /// The text, if it is one that is written out without escapes.
    pub(super) fn literal(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) if !text.contains('\\') => Some(text),
            _ => None,
        }
    }

    /// Whether it is written out and not made of a lead.
    pub(super) fn is_literal(&self) -> bool {
        match &self.node {
            Node::None | Node::Bool | Node::Number | Node::Text(_) => true,
            Node::Minus(value) => value.is_literal(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_those_of_the_text() {
        let text = "客户 {{ (name ~ 'x') | f(1, k=phone) is even }}";
        let steps = of_template(text).expect("reads");
        let Step::Value(Expression {
            node: Node::Test(filtered, test, false),
            range,
        }) = &steps.steps[0]
        else {
            panic!("{steps:?}");
        };
        assert_eq!(&text[range.clone()], "(name ~ 'x') | f(1, k=phone) is even");
        assert_eq!(&text[test.range.clone()], "even");
        let Node::Filter(joined, filter) = &filtered.node else {
            panic!("{filtered:?}");
        };
        assert_eq!(&text[joined.range.clone()], "name ~ 'x'");
        assert_eq!(filter.arguments[1].name, Some("k"));
        assert_eq!(filter.arguments[1].value.path().as_deref(), Some("phone"));
    }

    proptest! {
        /// Whatever minijinja takes is understood, or types would silently not be looked at.
        #[test]
        fn what_the_engine_takes_is_read(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                " ", "a", "b.c", "lead.x", "1", "-2", "1.5", "'t'", "\"q\"", "[1, 'a']", "(1, 2)", "(a)", "{'k': a}",
                "==", "!=", "<", ">=", " in ", " not in ", " and ", " or ", " not ", "+", "-", "~", "*", "//", "%", "**",
                "|upper", "|f(1, k=2)", " is none ", " is not even ", " is startingwith 'x' ", " if ", " else ", "[0]",
                "[1:2]", "[:3]", ".d", "(", ")", "f(a, *b)", "none", "true",
            ]), 1..9)) {
            let text = parts.concat();
            if Environment::new().compile_expression(&text).is_ok() {
                prop_assert!(of_condition(&text).is_some(), "{}", text);
            }
            let template = format!("{{% if {text} %}}{{{{ {text} }}}}{{% endif %}}");
            if Environment::new().template_from_str(&template).is_ok() {
                prop_assert!(of_template(&template).is_some(), "{}", template);
            }
        }
    }
}
