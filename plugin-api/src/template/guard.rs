//! Guards: what keeps a field that a lead does not say from making the whole template fail.
//!
//! minijinja refuses `'x' in none` and joins none as `None`. Nobody wants a dead letter, or that
//! word at a customer, for a lead without a remark. So before a text is compiled, hidden filters
//! are put around what may be none; errors are shown at their places in the text as written.

use std::ops::Range;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::expression::{self, Argument, Called, Expression, Node, Step, Steps};
use super::kind;

/// None, and what else nothing can be in, as an empty list.
const NOTHING: &str = "__nothing";
/// None as an empty text.
const EMPTY: &str = "__empty";
/// A filter that none does not reach.
const PASS: &str = "__pass";

/// A text as it is compiled.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    written: String,
    compiled: String,
    /// Places of the compiled text that are not written, and what they stand for, in order.
    edits: Vec<(Range<usize>, Range<usize>)>,
}

impl Guarded {
    /// `written` with `wanted` texts in place of ranges.
    fn new(written: &str, mut wanted: Vec<(Range<usize>, String)>) -> Self {
        // At one place the order is that of the walk.
        wanted.sort_by_key(|(range, _)| range.start);
        let mut compiled = String::with_capacity(written.len() + 32);
        let mut edits = Vec::new();
        let mut at = 0;
        for (range, text) in wanted {
            compiled.push_str(written.get(at..range.start).unwrap_or_default());
            let start = compiled.len();
            compiled.push_str(&text);
            edits.push((start..compiled.len(), range.clone()));
            at = range.end;
        }
        compiled.push_str(written.get(at..).unwrap_or_default());
        Self {
            written: written.to_owned(),
            compiled,
            edits,
        }
    }

    /// As it is written.
    pub(super) fn plain(written: &str) -> Self {
        Self::new(written, Vec::new())
    }

    /// A condition.
    pub(super) fn condition(written: &str, read: Option<&Expression<'_>>) -> Self {
        let mut edits = Edits::default();
        if let Some(read) = read {
            edits.expression(read);
        }
        Self::new(written, edits.0)
    }

    /// A template.
    pub(super) fn template(written: &str, read: Option<&Steps<'_>>) -> Self {
        let mut edits = Edits::default();
        for step in read.map(|read| &read.steps).into_iter().flatten() {
            match step {
                Step::Value(value) | Step::If(value) | Step::Elif(value) => edits.expression(value),
                Step::Each(value) => edits.around(value, NOTHING),
                Step::Else | Step::EndIf | Step::For | Step::EndFor => {}
            }
        }
        Self::new(written, edits.0)
    }

    /// The part of the written text at `range`, which is one whole expression, put between
    /// `before` and `behind`.
    pub(super) fn within(mut self, range: &Range<usize>, before: &str, behind: &str) -> Self {
        let (start, end) = (self.compiled_at(range.start), self.compiled_end(range.end));
        let inside = self.compiled.get(start..end).unwrap_or_default();
        self.compiled = format!("{before}{inside}{behind}");
        let move_to = |at: usize| (at + before.len()).saturating_sub(start);
        for (compiled, _) in &mut self.edits {
            *compiled = move_to(compiled.start)..move_to(compiled.end);
        }
        // What is before stands for the beginning.
        self.edits
            .insert(0, (0..before.len(), range.start..range.start));
        self
    }

    pub(super) fn text(&self) -> &str {
        &self.compiled
    }

    /// Where its one expression is, in the written text.
    pub(super) fn expression(&self) -> Option<Range<usize>> {
        let (_, of) = self.edits.first()?;
        let rest = self.written.get(of.start..)?;
        let end = rest.trim_end().trim_end_matches(['}', '-', '+']).trim_end();
        let start = of.start + rest.len() - rest.trim_start().len();
        (start < of.start + end.len()).then(|| start..of.start + end.len())
    }

    fn compiled_at(&self, written: usize) -> usize {
        let mut moved = 0_isize;
        for (compiled, of) in &self.edits {
            if of.start >= written {
                break;
            }
            moved = compiled.end.cast_signed() - of.end.cast_signed();
        }
        written.saturating_add_signed(moved)
    }

    fn compiled_end(&self, written: usize) -> usize {
        let mut moved = 0_isize;
        for (compiled, of) in &self.edits {
            if of.end > written {
                break;
            }
            moved = compiled.end.cast_signed() - of.end.cast_signed();
        }
        written.saturating_add_signed(moved)
    }

    /// Where in the written text a place of the compiled one is.
    fn place(&self, at: usize) -> usize {
        let mut moved = 0_isize;
        for (compiled, of) in &self.edits {
            if at < compiled.start {
                break;
            }
            if at < compiled.end {
                return of.start;
            }
            moved = compiled.end.cast_signed() - of.end.cast_signed();
        }
        at.saturating_add_signed(-moved)
    }

    /// The same for a range, if it can be shown.
    pub(super) fn written_at(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let written = self.place(range.start)..self.place(range.end).min(self.written.len());
        self.written.get(written.clone()).map(|_| written)
    }

    /// The whole expression that a range is in.
    pub(super) fn whole(&self, range: Range<usize>) -> Range<usize> {
        expression::whole(&self.written, &range).unwrap_or(range)
    }

    /// What is written there, in short.
    pub(super) fn shown(&self, range: &Range<usize>) -> String {
        let text = self.written.get(range.clone()).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() > 60 {
            return format!("{}…", text.chars().take(59).collect::<String>());
        }
        text
    }
}

#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts `filter` behind `value`, unless it is written out, and guards what is in it.
    fn around(&mut self, value: &Expression<'_>, filter: &str) {
        self.between(value, "(", &format!(")|{filter}"));
    }

    fn between(&mut self, value: &Expression<'_>, before: &str, behind: &str) {
        let made = matches!(
            value.node,
            Node::List(_) | Node::Table(_) | Node::Math("~", ..)
        );
        if made || value.is_literal() {
            return self.expression(value);
        }
        let Range { start, end } = value.range;
        self.0.push((start..start, before.to_owned()));
        self.expression(value);
        self.0.push((end..end, behind.to_owned()));
    }

    fn arguments(&mut self, arguments: &[Argument<'_>]) {
        for argument in arguments {
            self.expression(&argument.value);
        }
    }

    /// What encloses begins before what is in it, and ends behind.
    fn expression(&mut self, read: &Expression<'_>) {
        match &read.node {
            Node::None | Node::Bool | Node::Number | Node::Text(_) | Node::Name(_) => {}
            Node::List(items) => items.iter().for_each(|item| self.expression(item)),
            Node::Table(entries) => {
                for (key, value) in entries {
                    self.expression(key);
                    self.expression(value);
                }
            }
            Node::Not(inner) | Node::Minus(inner) | Node::Part(inner, ..) => {
                self.expression(inner);
            }
            Node::And(sides) | Node::Or(sides) => {
                sides.iter().for_each(|side| self.expression(side));
            }
            Node::Math(sign, _, sides) => {
                let texts = sides.iter().any(|side| matches!(side.node, Node::Text(_)));
                for side in sides.iter() {
                    if *sign == "~" || *sign == "+" && texts {
                        self.around(side, EMPTY);
                    } else {
                        self.expression(side);
                    }
                }
            }
            Node::Compare(first, others) => {
                self.expression(first);
                for (sign, other) in others {
                    if matches!(*sign, "in" | "not in") {
                        self.around(other, NOTHING);
                    } else {
                        self.expression(other);
                    }
                }
            }
            Node::If {
                value,
                test,
                otherwise,
            } => {
                self.expression(value);
                self.expression(test);
                if let Some(otherwise) = otherwise {
                    self.expression(otherwise);
                }
            }
            Node::Filter(inner, called) => {
                self.expression(inner);
                self.filter(called);
            }
            Node::Test(inner, called, _) => {
                if matches!(called.name, "startingwith" | "endingwith") {
                    self.around(inner, EMPTY);
                } else {
                    self.expression(inner);
                }
                self.arguments(&called.arguments);
            }
            Node::Item(inner, index) => {
                self.expression(inner);
                self.expression(index);
            }
            Node::Slice(inner, bounds) => {
                self.between(inner, "((", &format!(")|{EMPTY})"));
                bounds.iter().for_each(|bound| self.expression(bound));
            }
            Node::Call(inner, arguments) => {
                self.expression(inner);
                self.arguments(arguments);
            }
        }
    }

    fn filter(&mut self, called: &Called<'_>) {
        let guarded = kind::of_engine(called.name).is_some_and(|(_, guarded)| guarded);
        if guarded {
            let (name, range) = (called.name, called.range.clone());
            if let Some(end) = called.bracket {
                let more = if called.arguments.is_empty() {
                    ""
                } else {
                    ", "
                };
                self.0
                    .push((range.start..end, format!("{PASS}('{name}'{more}")));
            } else {
                self.0.push((range, format!("{PASS}('{name}')")));
            }
        }
        self.arguments(&called.arguments);
    }
}

/// Adds the hidden filters.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter(NOTHING, |value: Value| match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number => Value::from(Vec::<Value>::new()),
        _ => value,
    });
    environment.add_filter(EMPTY, |value: Value| match value.kind() {
        ValueKind::None => Value::from(""),
        _ => value,
    });
    environment.add_filter(PASS, |state: &mut State<'_, '_>, given: Rest<Value>| {
        let Rest(mut given) = given;
        let name = if given.len() > 1 {
            given.remove(1)
        } else {
            Value::from("")
        };
        if given.first().is_some_and(Value::is_none) {
            return Ok::<_, Error>(Value::from(()));
        }
        state.apply_filter(name.as_str().unwrap_or_default(), &given)
    });
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            return Ok(());
        }
        minijinja::escape_formatter(out, state, value)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Guarded {
        Guarded::condition(text, expression::of_condition(text).as_ref())
    }

    #[test]
    fn guards_stand_around_what_may_be_none_and_nowhere_else() {
        for (written, guarded) in [
            ("'x' in remark", "'x' in (remark)|__nothing"),
            ("a not in [1, 2]", "a not in [1, 2]"),
            ("a == 1 and 'x' in b.c", "a == 1 and 'x' in (b.c)|__nothing"),
            ("'x' ~ a ~ b", "'x' ~ (a)|__empty ~ (b)|__empty"),
            ("'x' in (a ~ b)", "'x' in ((a)|__empty ~ (b)|__empty)"),
            ("a + 'x'", "(a)|__empty + 'x'"),
            ("a | upper", "a | __pass('upper')"),
            (
                "a|replace('x', b ~ c)|mask",
                "a|__pass('replace', 'x', (b)|__empty ~ (c)|__empty)|mask",
            ),
            ("a | length() > 1", "a | __pass('length') > 1"),
            ("a[1:]", "((a)|__empty)[1:]"),
            ("a is startingwith('x')", "(a)|__empty is startingwith('x')"),
            ("1 in (a | items)", "1 in ((a | __pass('items'))|__nothing)"),
        ] {
            assert_eq!(compiled(written).text(), guarded, "{written}");
        }
    }

    #[test]
    fn places_lead_back_to_what_was_written() {
        let written = "x == 1 and '杭' in remark and y | upper == 'Z'";
        let guarded = compiled(written).within(&(0..written.len()), "{% if (", ") %}");
        for word in ["x", "'杭'", "remark", "and y", "'Z'"] {
            let at = guarded.text().find(word).expect(word);
            let range = guarded.written_at(&(at..at + word.len())).expect(word);
            assert_eq!(&written[range], word);
        }
    }
}
