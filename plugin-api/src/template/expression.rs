//! Expressions: what the tokens of a template say, with the place of each part.
//!
//! minijinja keeps its own tree to itself, and types want one. This reads the same grammar and
//! gives nothing where it cannot follow; then types are not looked at, and nothing else changes.

use std::collections::BTreeSet;
use std::ops::Range;

use super::tokens::{self, Block, Part, Sort, Token};

/// Parts within parts at most.
const DEEPEST: usize = 120;

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

impl<'a> Steps<'a> {
    fn statement(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        let word = reader.word()?;
        match word {
            "if" => self.steps.push(Step::If(reader.or()?)),
            "elif" => self.steps.push(Step::Elif(reader.or()?)),
            "else" => self.steps.push(Step::Else),
            "endif" => self.steps.push(Step::EndIf),
            "endfor" => self.steps.push(Step::EndFor),
            "for" => {
                self.targets(reader)?;
                reader.takes("in").then_some(())?;
                self.steps.push(Step::Each(reader.or()?));
                if reader.takes("if") {
                    self.steps.push(Step::Value(reader.expression()?));
                }
                let _ = reader.takes("recursive");
                self.own.insert("loop");
                self.steps.push(Step::For);
            }
            "set" => {
                self.targets(reader)?;
                if reader.takes("=") {
                    self.values(reader)?;
                } else {
                    self.filters(reader)?;
                }
            }
            "with" => {
                while !reader.ended() {
                    self.targets(reader)?;
                    reader.takes("=").then_some(())?;
                    self.steps.push(Step::Value(reader.expression()?));
                    let _ = reader.takes(",");
                }
            }
            "filter" => self.filters(reader)?,
            "do" | "autoescape" => self.steps.push(Step::Value(reader.expression()?)),
            "macro" => {
                let name = reader.word()?;
                self.own.insert(name);
                self.parameters(reader)?;
            }
            "call" => {
                if reader.sees("(") {
                    self.parameters(reader)?;
                }
                self.own.insert("caller");
                self.steps.push(Step::Value(reader.expression()?));
            }
            _ if word.starts_with("end") => {}
            _ => return None,
        }
        Some(())
    }

    /// Names on the left of `=` or `in`.
    fn targets(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        loop {
            let bracket = reader.takes("(");
            if bracket {
                self.targets(reader)?;
                reader.takes(")").then_some(())?;
            } else {
                let name = reader.word()?;
                self.own.insert(name);
                while reader.takes(".") {
                    reader.word()?;
                }
            }
            if !reader.takes(",") {
                return Some(());
            }
        }
    }

    fn values(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        loop {
            self.steps.push(Step::Value(reader.expression()?));
            if !reader.takes(",") {
                return Some(());
            }
        }
    }

    /// `name(arguments) | name …`: their arguments are values.
    fn filters(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        while !reader.ended() {
            let _ = reader.takes("|");
            let called = reader.called()?;
            let values = called.arguments.into_iter();
            self.steps
                .extend(values.map(|argument| Step::Value(argument.value)));
        }
        Some(())
    }

    fn parameters(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        reader.takes("(").then_some(())?;
        while !reader.takes(")") {
            let name = reader.word()?;
            self.own.insert(name);
            if reader.takes("=") {
                self.steps.push(Step::Value(reader.expression()?));
            }
            let _ = reader.takes(",");
        }
        Some(())
    }
}

struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    depth: usize,
}

impl<'t, 'a> Reader<'t, 'a> {
    fn new(tokens: &'t [Token<'a>]) -> Self {
        Self {
            tokens,
            at: 0,
            depth: 0,
        }
    }

    fn ended(&self) -> bool {
        self.at == self.tokens.len()
    }

    fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at)
    }

    /// Whether a word or sign is next; a text never is.
    fn sees(&self, text: &str) -> bool {
        self.peek()
            .is_some_and(|token| token.sort != Sort::Text && token.text == text)
    }

    fn takes(&mut self, text: &str) -> bool {
        let sees = self.sees(text);
        self.at += usize::from(sees);
        sees
    }

    fn word(&mut self) -> Option<&'a str> {
        let token = self.peek().filter(|token| token.sort == Sort::Word)?;
        self.at += 1;
        Some(token.text)
    }

    /// What was read from `start` on.
    fn made(&self, start: usize, node: Node<'a>) -> Expression<'a> {
        let end = self.at.checked_sub(1).map_or(start, |last| {
            self.tokens.get(last).map_or(start, |token| token.range.end)
        });
        Expression {
            range: start..end.max(start),
            node,
        }
    }

    fn start(&self) -> usize {
        self.peek().map_or(0, |token| token.range.start)
    }

    fn expression(&mut self) -> Option<Expression<'a>> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let start = self.start();
        let mut value = self.or()?;
        while self.takes("if") {
            let test = Box::new(self.or()?);
            let otherwise = if self.takes("else") {
                Some(Box::new(self.expression()?))
            } else {
                None
            };
            let node = Node::If {
                value: Box::new(value),
                test,
                otherwise,
            };
            value = self.made(start, node);
        }
        self.depth -= 1;
        Some(value)
    }

    fn or(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let mut left = self.and()?;
        while self.takes("or") {
            let right = self.and()?;
            left = self.made(start, Node::Or(Box::new([left, right])));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let mut left = self.not()?;
        while self.takes("and") {
            let right = self.not()?;
            left = self.made(start, Node::And(Box::new([left, right])));
        }
        Some(left)
    }

    fn not(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let mut times = 0_usize;
        while self.takes("not") {
            times += 1;
        }
        let mut value = self.compare()?;
        for _ in 0..times.min(DEEPEST) {
            value = self.made(start, Node::Not(Box::new(value)));
        }
        Some(value)
    }

    fn compare(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let first = self.math(0)?;
        let mut others = Vec::new();
        loop {
            let sign = match self.peek() {
                Some(token) if token.sort != Sort::Text => token.text,
                _ => break,
            };
            let sign = match sign {
                "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" => sign,
                "not"
                    if self
                        .tokens
                        .get(self.at + 1)
                        .is_some_and(|next| next.text == "in") =>
                {
                    self.at += 1;
                    "not in"
                }
                _ => break,
            };
            self.at += 1;
            others.push((sign, self.math(0)?));
        }
        if others.is_empty() {
            return Some(first);
        }
        Some(self.made(start, Node::Compare(Box::new(first), others)))
    }

    /// From the weakest signs to the strongest.
    fn math(&mut self, level: usize) -> Option<Expression<'a>> {
        const LEVELS: [&[&str]; 4] = [&["+", "-"], &["~"], &["*", "/", "//", "%"], &["**"]];
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let start = self.start();
        let mut left = self.math(level + 1)?;
        while let Some(token) = self
            .peek()
            .filter(|token| token.sort == Sort::Sign && signs.contains(&token.text))
        {
            self.at += 1;
            let right = self.math(level + 1)?;
            let node = Node::Math(token.text, token.range.clone(), Box::new([left, right]));
            left = self.made(start, node);
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let mut value = self.signed()?;
        loop {
            if self.takes("|") {
                let called = self.called()?;
                value = self.made(start, Node::Filter(Box::new(value), called));
            } else if self.takes("is") {
                let negated = self.takes("not");
                let mut called = self.name()?;
                called.arguments = if self.sees("(") {
                    self.arguments()?
                } else if self.peek().is_some_and(begins_an_argument) {
                    let value = self.signed()?;
                    vec![Argument { name: None, value }]
                } else {
                    Vec::new()
                };
                value = self.made(start, Node::Test(Box::new(value), called, negated));
            } else {
                return Some(value);
            }
        }
    }

    /// A primary value with its sign, parts and calls.
    fn signed(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        if self.takes("-") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return None;
            }
            let value = self.signed()?;
            self.depth -= 1;
            return Some(self.made(start, Node::Minus(Box::new(value))));
        }
        let mut value = self.primary()?;
        loop {
            if self.takes(".") {
                let token = self.peek()?;
                self.at += 1;
                let node = match token.sort {
                    Sort::Word => Node::Part(Box::new(value), token.text, token.range.clone()),
                    Sort::Number => {
                        let index = Expression {
                            range: token.range.clone(),
                            node: Node::Number,
                        };
                        Node::Item(Box::new(value), Box::new(index))
                    }
                    Sort::Text | Sort::Sign => return None,
                };
                value = self.made(start, node);
            } else if self.takes("[") {
                let node = self.item(value)?;
                value = self.made(start, node);
            } else if self.sees("(") {
                let arguments = self.arguments()?;
                value = self.made(start, Node::Call(Box::new(value), arguments));
            } else {
                return Some(value);
            }
        }
    }

    fn item(&mut self, value: Expression<'a>) -> Option<Node<'a>> {
        let mut bounds = Vec::new();
        let mut slice = false;
        while !self.takes("]") {
            if self.takes(":") {
                slice = true;
            } else {
                bounds.push(self.expression()?);
            }
        }
        if slice {
            return Some(Node::Slice(Box::new(value), bounds));
        }
        let index = bounds.pop().filter(|_| bounds.is_empty())?;
        Some(Node::Item(Box::new(value), Box::new(index)))
    }

    /// The name of a filter or test; one with dots in it is none that there is.
    fn name(&mut self) -> Option<Called<'a>> {
        let mut range = self.peek()?.range.clone();
        let mut name = self.word()?;
        while self.takes(".") {
            name = "";
            range.end = self.peek()?.range.end;
            self.word()?;
        }
        Some(Called {
            name,
            range,
            bracket: None,
            arguments: Vec::new(),
        })
    }

    fn called(&mut self) -> Option<Called<'a>> {
        let mut called = self.name()?;
        if self.sees("(") {
            called.bracket = self.peek().map(|bracket| bracket.range.end);
            called.arguments = self.arguments()?;
        }
        Some(called)
    }

    fn arguments(&mut self) -> Option<Vec<Argument<'a>>> {
        self.takes("(").then_some(())?;
        let mut arguments = Vec::new();
        while !self.takes(")") {
            let name = match (self.peek()?, self.tokens.get(self.at + 1)) {
                (word, Some(next)) if word.sort == Sort::Word && next.text == "=" => {
                    self.at += 2;
                    Some(word.text)
                }
                (sign, _) if matches!(sign.text, "*" | "**") => {
                    self.at += 1;
                    Some("")
                }
                _ => None,
            };
            let value = self.expression()?;
            arguments.push(Argument { name, value });
            if !self.takes(",") && !self.sees(")") {
                return None;
            }
        }
        Some(arguments)
    }

    fn primary(&mut self) -> Option<Expression<'a>> {
        let token = self.peek()?;
        let start = token.range.start;
        self.at += 1;
        let node = match (token.sort, token.text) {
            (Sort::Word, "true" | "True" | "false" | "False") => Node::Bool,
            (Sort::Word, "none" | "None") => Node::None,
            (Sort::Word, name) => Node::Name(name),
            (Sort::Number, _) => Node::Number,
            (Sort::Text, text) => {
                // Texts side by side are one.
                while self.peek().is_some_and(|next| next.sort == Sort::Text) {
                    self.at += 1;
                }
                Node::Text(&text[1..text.len() - 1])
            }
            (Sort::Sign, "(") => return self.bracket(start),
            (Sort::Sign, "[") => Node::List(self.items("]")?),
            (Sort::Sign, "{") => {
                let mut entries = Vec::new();
                while !self.takes("}") {
                    let key = self.expression()?;
                    self.takes(":").then_some(())?;
                    entries.push((key, self.expression()?));
                    if !self.takes(",") && !self.sees("}") {
                        return None;
                    }
                }
                Node::Table(entries)
            }
            (Sort::Sign, _) => return None,
        };
        Some(self.made(start, node))
    }

    fn items(&mut self, closing: &str) -> Option<Vec<Expression<'a>>> {
        let mut items = Vec::new();
        while !self.takes(closing) {
            items.push(self.expression()?);
            if !self.takes(",") && !self.sees(closing) {
                return None;
            }
        }
        Some(items)
    }

    /// What is in brackets: one value, or several, which are a list that does not change.
    fn bracket(&mut self, start: usize) -> Option<Expression<'a>> {
        if self.takes(")") {
            return Some(self.made(start, Node::List(Vec::new())));
        }
        let first = self.expression()?;
        if self.takes(")") {
            return Some(first);
        }
        self.takes(",").then_some(())?;
        let mut items = vec![first];
        items.extend(self.items(")")?);
        Some(self.made(start, Node::List(items)))
    }
}

fn with<'e, 'a>(
    inner: &'e Expression<'a>,
    arguments: &'e [Argument<'a>],
) -> Vec<&'e Expression<'a>> {
    let arguments = arguments.iter().map(|argument| &argument.value);
    std::iter::once(inner).chain(arguments).collect()
}

/// Whether a test's argument without brackets begins here.
fn begins_an_argument(token: &Token<'_>) -> bool {
    match token.sort {
        Sort::Word => !matches!(token.text, "and" | "or" | "else" | "is"),
        Sort::Number | Sort::Text => true,
        Sort::Sign => matches!(token.text, "+" | "-" | "[" | "{"),
    }
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
