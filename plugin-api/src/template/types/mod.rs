//! Types: mistakes that would silently never hold, or fail for every lead, found before one
//! comes.
//!
//! Knows what the lead's fields hold ([`Scope::type_of`]), and follows that through signs,
//! tests and filters. Of what it does not know it claims nothing.

mod arithmetic;
mod called;
mod compare;
mod facts;
mod parts;

use std::collections::BTreeSet;

use self::facts::{compared, facts};
use super::expression::{Expression, Node, Step, Steps};
use super::kind::{Kind, Type};
use super::mistake::TemplateError;
use super::scope::Scope;

type Checked<T> = Result<T, TemplateError>;

/// What is wrong with the types of a condition.
pub(super) fn check_condition(
    text: &str,
    read: &Expression<'_>,
    scope: &Scope,
) -> Vec<TemplateError> {
    let own = BTreeSet::new();
    let mut types = Types::new(text, scope, &own);
    let checked = types.decides(read).and_then(|()| types.bare(read));
    types.found.extend(checked.err());
    types.found
}

/// What is wrong with the types of a template: of each of its expressions, as far as one can be
/// followed.
pub(super) fn check_template(text: &str, steps: &Steps<'_>, scope: &Scope) -> Vec<TemplateError> {
    let mut types = Types::new(text, scope, &steps.own);
    // What is known before each `if` that is open; `None` for a `for`.
    let mut open: Vec<Option<Open>> = Vec::new();
    for step in &steps.steps {
        let checked = match step {
            Step::Value(value) => types.of(value).map(drop),
            Step::Each(value) => types.each(value),
            Step::If(test) | Step::Elif(test) => {
                if matches!(step, Step::Elif(_)) {
                    types.turn(open.last());
                }
                types.decides(test)
            }
            Step::For | Step::Else | Step::EndIf | Step::EndFor => Ok(()),
        };
        types.found.extend(checked.err());
        match step {
            Step::Value(_) | Step::Each(_) => {}
            Step::For => open.push(None),
            Step::If(test) => {
                let before = types.known.clone();
                let otherwise = facts(test, false);
                types.known.extend(facts(test, true));
                open.push(Some(Open { before, otherwise }));
            }
            Step::Elif(test) => {
                if let Some(Some(last)) = open.last_mut() {
                    last.otherwise.extend(facts(test, false));
                }
                types.known.extend(facts(test, true));
            }
            Step::Else => types.turn(open.last()),
            Step::EndIf | Step::EndFor => {
                if let Some(Some(last)) = open.pop() {
                    types.known = last.before;
                }
            }
        }
    }
    types.found
}

struct Open {
    before: Vec<String>,
    /// What is known where its tests did not hold.
    otherwise: Vec<String>,
}

struct Types<'a> {
    text: &'a str,
    scope: &'a Scope,
    /// Names that the template gives a meaning.
    own: &'a BTreeSet<&'a str>,
    /// Paths that are surely not none here.
    known: Vec<String>,
    /// Mistakes that do not keep the rest from being looked at.
    found: Vec<TemplateError>,
}

impl<'a> Types<'a> {
    fn new(text: &'a str, scope: &'a Scope, own: &'a BTreeSet<&'a str>) -> Self {
        Self {
            text,
            scope,
            own,
            known: Vec::new(),
            found: Vec::new(),
        }
    }

    /// In another branch of an `if`.
    fn turn(&mut self, open: Option<&Option<Open>>) {
        if let Some(Some(open)) = open {
            self.known.clone_from(&open.before);
            self.known.extend(open.otherwise.iter().cloned());
        }
    }

    /// Runs `then` with more that is known.
    fn knowing<T>(&mut self, more: Vec<String>, then: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.known.len();
        self.known.extend(more);
        let result = then(self);
        self.known.truncate(before);
        result
    }

    /// As it is written, if that is short.
    fn shown(&self, part: &Expression<'_>) -> String {
        let text = self.text.get(part.range.clone()).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() > 40 {
            let short: String = text.chars().take(39).collect();
            return format!("{short}…");
        }
        text
    }

    /// What a value is.
    fn of(&mut self, value: &Expression<'_>) -> Checked<Type> {
        Ok(match &value.node {
            Node::None => Kind::None.or_none(),
            Node::Bool => Kind::Bool.there(),
            Node::Number => Kind::Number.there(),
            Node::Text(_) => Kind::Text.there(),
            Node::Name(_) | Node::Part(..) => self.path(value)?,
            Node::List(items) => {
                for item in items {
                    self.of(item)?;
                }
                Kind::List.there()
            }
            Node::Table(entries) => {
                for (key, value) in entries {
                    self.of(key)?;
                    self.of(value)?;
                }
                Kind::Table.there()
            }
            Node::Not(inner) => {
                self.decides(inner)?;
                Kind::Bool.there()
            }
            Node::Minus(inner) => {
                let found = self.of(inner)?;
                self.number(inner, found, "-", &inner.range)?;
                Kind::Number.there()
            }
            Node::And(sides) | Node::Or(sides) => {
                let [left, right] = &**sides;
                let first = self.of(left)?;
                let and = matches!(value.node, Node::And(_));
                let second = self.knowing(facts(left, and), |types| types.of(right))?;
                let either = first.or(second);
                Type {
                    absent: second.absent || and && first.absent,
                    ..either
                }
            }
            Node::Math(sign, at, sides) => self.math(sign, at, &sides[0], &sides[1])?,
            Node::Compare(first, others) => {
                let mut left = &**first;
                for (sign, right) in others {
                    self.compare(left, sign, right)?;
                    left = right;
                }
                Kind::Bool.there()
            }
            Node::If {
                value,
                test,
                otherwise,
            } => {
                self.decides(test)?;
                let first = self.knowing(facts(test, true), |types| types.of(value))?;
                match otherwise {
                    None => Kind::Any.or_none(),
                    Some(otherwise) => {
                        let more = facts(test, false);
                        first.or(self.knowing(more, |types| types.of(otherwise))?)
                    }
                }
            }
            Node::Filter(inner, called) => self.filter(inner, called)?,
            Node::Test(inner, called, _) => self.test(inner, called)?,
            Node::Item(inner, index) => self.item(inner, index)?,
            Node::Slice(inner, bounds) => self.slice(inner, bounds)?,
            Node::Call(inner, arguments) => self.call(inner, arguments)?,
        })
    }

    fn path(&mut self, value: &Expression<'_>) -> Checked<Type> {
        let Some(path) = value.path() else {
            if let Node::Part(inner, ..) = &value.node {
                self.of(inner)?;
            }
            return Ok(Kind::Any.or_none());
        };
        let written = self.text.get(value.range.clone()).unwrap_or_default();
        let root = written.split(['.', ' ', '\n']).next().unwrap_or_default();
        if self.own.contains(root) {
            return Ok(Kind::Any.or_none());
        }
        let found = self.scope.type_of(&path);
        Ok(Type {
            absent: found.absent && !self.known.contains(&path),
            ..found
        })
    }

    /// A value that decides something: `when`, `if`, `not`, and what `and` and `or` join there.
    fn decides(&mut self, test: &Expression<'_>) -> Checked<()> {
        match &test.node {
            Node::And(sides) | Node::Or(sides) => {
                let [left, right] = &**sides;
                let checked = self.decides(left);
                self.found.extend(checked.err());
                let and = matches!(test.node, Node::And(_));
                self.knowing(facts(left, and), |types| types.decides(right))?;
                let alone = [right, left]
                    .into_iter()
                    .find(|side| matches!(side.node, Node::Number | Node::Text(_)));
                match alone {
                    None => Ok(()),
                    Some(alone) => Err(self.alone(alone, left, and)),
                }
            }
            Node::Not(inner) => self.decides(inner),
            _ => self.of(test).map(drop),
        }
    }

    /// `city_name == 'a' or 'b'`
    fn alone(&self, alone: &Expression<'_>, left: &Expression<'_>, and: bool) -> TemplateError {
        let shown = self.shown(alone);
        let error = TemplateError::at(
            &alone.range,
            format!(
                "a value that stands alone decides nothing: `{shown}` is compared with nothing"
            ),
            format!("单独的值不是条件：`{shown}` 没有与任何字段比较"),
        );
        let (joint, first) = (if and { "and" } else { "or" }, compared(left));
        match first {
            Some((field, sign, value)) if !and && sign == "==" => {
                let (field, value) = (self.shown(field), self.shown(value));
                let write = format!("{field} in [{value}, {shown}]");
                error.help(format!("write `{write}`"), format!("请写 `{write}`"))
            }
            Some((field, sign, _)) => {
                let write = format!("{joint} {} {sign} {shown}", self.shown(field));
                error.help(format!("write `… {write}`"), format!("请写 `… {write}`"))
            }
            None => error.help(
                format!("write a whole comparison on both sides of `{joint}`"),
                format!("`{joint}` 两边都要写完整的比较"),
            ),
        }
    }

    /// A condition that is no more than a value.
    fn bare(&mut self, read: &Expression<'_>) -> Checked<()> {
        if matches!(read.node, Node::And(_) | Node::Or(_) | Node::Not(_)) {
            return Ok(());
        }
        let found = self.of(read)?.kind;
        if matches!(found, Kind::Any | Kind::Bool) {
            return Ok(());
        }
        let shown = self.shown(read);
        let (en, zh) = found.words();
        let error = TemplateError::at(
            &read.range,
            format!("this is a value and no condition: `{shown}` is {en}"),
            format!("这是值，不是条件：`{shown}` 是{zh}"),
        );
        let write = match (found, read.is_literal()) {
            (_, true) => "store_id == 437763404".to_owned(),
            (Kind::Text, _) => format!("{shown} is not none`, or `{shown} == '…'"),
            (Kind::Number, _) => format!("{shown} is not none`, or `{shown} == 1"),
            _ => format!("{shown} | length > 0"),
        };
        let zh = write.replace("`, or `", "` 或 `");
        Err(error.help(format!("write `{write}`"), format!("请写 `{zh}`")))
    }

    fn each(&mut self, value: &Expression<'_>) -> Checked<()> {
        let found = self.of(value)?;
        if matches!(
            found.kind,
            Kind::Number | Kind::Bool | Kind::Time | Kind::Text
        ) {
            let shown = self.shown(value);
            let (en, zh) = found.kind.words();
            return Err(TemplateError::at(
                &value.range,
                format!("`for` goes through a list: `{shown}` is {en}"),
                format!("`for` 只能遍历列表：`{shown}` 是{zh}"),
            )
            .help(
                format!("`{shown} | split(\",\")` makes a list of a text"),
                format!("`{shown} | split(\",\")` 可把文本分成列表"),
            ));
        }
        Ok(())
    }
}
