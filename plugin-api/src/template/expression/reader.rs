//! The reader: an expression from its tokens, by minijinja's grammar.

use super::super::tokens::{Sort, Token};
use super::{Argument, Called, Expression, Node};

/// Parts within parts at most.
const DEEPEST: usize = 120;

pub(super) struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    depth: usize,
}

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn new(tokens: &'t [Token<'a>]) -> Self {
        Self {
            tokens,
            at: 0,
            depth: 0,
        }
    }

    pub(super) fn ended(&self) -> bool {
        self.at == self.tokens.len()
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at)
    }

    /// Whether a word or sign is next; a text never is.
    pub(super) fn sees(&self, text: &str) -> bool {
        self.peek()
            .is_some_and(|token| token.sort != Sort::Text && token.text == text)
    }

    pub(super) fn takes(&mut self, text: &str) -> bool {
        let sees = self.sees(text);
        self.at += usize::from(sees);
        sees
    }

    pub(super) fn word(&mut self) -> Option<&'a str> {
        let token = self.peek().filter(|token| token.sort == Sort::Word)?;
        self.at += 1;
        Some(token.text)
    }

    /// What was read from `start` on.
    pub(super) fn made(&self, start: usize, node: Node<'a>) -> Expression<'a> {
        let end = self.at.checked_sub(1).map_or(start, |last| {
            self.tokens.get(last).map_or(start, |token| token.range.end)
        });
        Expression {
            range: start..end.max(start),
            node,
        }
    }

    pub(super) fn start(&self) -> usize {
        self.peek().map_or(0, |token| token.range.start)
    }

    pub(super) fn expression(&mut self) -> Option<Expression<'a>> {
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

    pub(super) fn or(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let mut left = self.and()?;
        while self.takes("or") {
            let right = self.and()?;
            left = self.made(start, Node::Or(Box::new([left, right])));
        }
        Some(left)
    }

    pub(super) fn and(&mut self) -> Option<Expression<'a>> {
        let start = self.start();
        let mut left = self.not()?;
        while self.takes("and") {
            let right = self.not()?;
            left = self.made(start, Node::And(Box::new([left, right])));
        }
        Some(left)
    }

    pub(super) fn not(&mut self) -> Option<Expression<'a>> {
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

    pub(super) fn compare(&mut self) -> Option<Expression<'a>> {
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
    pub(super) fn math(&mut self, level: usize) -> Option<Expression<'a>> {
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

    pub(super) fn unary(&mut self) -> Option<Expression<'a>> {
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
    pub(super) fn signed(&mut self) -> Option<Expression<'a>> {
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

    pub(super) fn item(&mut self, value: Expression<'a>) -> Option<Node<'a>> {
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
    pub(super) fn name(&mut self) -> Option<Called<'a>> {
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

    pub(super) fn called(&mut self) -> Option<Called<'a>> {
        let mut called = self.name()?;
        if self.sees("(") {
            called.bracket = self.peek().map(|bracket| bracket.range.end);
            called.arguments = self.arguments()?;
        }
        Some(called)
    }

    pub(super) fn arguments(&mut self) -> Option<Vec<Argument<'a>>> {
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

    pub(super) fn primary(&mut self) -> Option<Expression<'a>> {
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

    pub(super) fn items(&mut self, closing: &str) -> Option<Vec<Expression<'a>>> {
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
    pub(super) fn bracket(&mut self, start: usize) -> Option<Expression<'a>> {
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

/// Whether a test's argument without brackets begins here.
fn begins_an_argument(token: &Token<'_>) -> bool {
    match token.sort {
        Sort::Word => !matches!(token.text, "and" | "or" | "else" | "is"),
        Sort::Number | Sort::Text => true,
        Sort::Sign => matches!(token.text, "+" | "-" | "[" | "{"),
    }
}
