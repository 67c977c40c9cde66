//! The scanner: finds the named parameters of a statement, and what only looks like one.
//!
//! It knows what quotes and comments are in each dialect, nothing of grammar. What it finds
//! covers the text without gaps, so that a statement can be written anew around its
//! parameters with every other byte as it was.

use std::ops::Range;

/// How quotes and comments are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB, in their default `sql_mode`.
    MySql,
}

/// What a stretch of the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space.
    Space,
    /// A comment.
    Comment,
    /// A keyword, name or number.
    Word,
    /// A text or name in quotes.
    Quoted,
    /// `:name`.
    Parameter,
    /// `$1` or `?`.
    Positional,
    /// `;`.
    Semicolon,
    /// Quotes or a comment that never end.
    Unclosed,
    /// Anything else.
    Other,
}

/// A stretch of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

/// Everything in `text`, in order.
pub(crate) fn scan(dialect: Dialect, text: &str) -> Vec<Token> {
    let mut scanner = Scanner {
        dialect,
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut tokens = Vec::new();
    while scanner.at < scanner.bytes.len() {
        let start = scanner.at;
        let kind = scanner.next(tokens.last());
        tokens.push(Token {
            kind,
            range: start..scanner.at,
        });
    }
    tokens
}

struct Scanner<'a> {
    dialect: Dialect,
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn next(&mut self, before: Option<&Token>) -> Kind {
        use Dialect::{MySql, Postgres};
        let first = self.bytes[self.at];
        match (first, self.peek(1), self.dialect) {
            (b'-', Some(b'-'), MySql) if self.peek(2).is_none_or(|next| next <= b' ') => {
                self.line()
            }
            (b'-', Some(b'-'), Postgres) | (b'#', _, MySql) => self.line(),
            (b'/', Some(b'*'), _) => self.block(),
            (b'\'', _, _) => {
                let escapes = self.dialect == MySql || self.is_escape_prefix(before);
                self.quoted(first, escapes)
            }
            (b'"', _, _) => self.quoted(first, self.dialect == MySql),
            (b'`', _, MySql) => self.quoted(first, false),
            (b'$', Some(digit), Postgres) if digit.is_ascii_digit() => {
                self.at += 1;
                self.skip(|byte| byte.is_ascii_digit());
                Kind::Positional
            }
            (b'$', _, Postgres) => self.dollar_quoted(),
            (b'?', _, MySql) => self.one(Kind::Positional),
            (b';', _, _) => self.one(Kind::Semicolon),
            (b':', Some(b':' | b'='), _) => {
                self.at += 2;
                Kind::Other
            }
            // `a[1:n]` is a slice.
            (b':', Some(next), _)
                if is_name(next)
                    && !next.is_ascii_digit()
                    && before.is_none_or(|token| token.kind != Kind::Word) =>
            {
                self.at += 1;
                self.skip(is_name);
                Kind::Parameter
            }
            _ if first.is_ascii_whitespace() => {
                self.skip(|byte| byte.is_ascii_whitespace());
                Kind::Space
            }
            _ if is_name(first) => {
                self.skip(|byte| is_name(byte) || byte == b'$');
                Kind::Word
            }
            _ => self.one(Kind::Other),
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn one(&mut self, kind: Kind) -> Kind {
        self.at += 1;
        kind
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&which) {
            self.at += 1;
        }
    }

    /// Whether `E` stands right before the quote.
    fn is_escape_prefix(&self, before: Option<&Token>) -> bool {
        before.is_some_and(|token| {
            token.kind == Kind::Word && self.bytes[token.range.clone()].eq_ignore_ascii_case(b"e")
        })
    }

    fn line(&mut self) -> Kind {
        self.skip(|byte| byte != b'\n');
        Kind::Comment
    }

    /// PostgreSQL's comments nest.
    fn block(&mut self) -> Kind {
        self.at += 2;
        let mut depth = 1;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'*', Some(b'/')) => {
                    self.at += 2;
                    depth -= 1;
                    if depth == 0 {
                        return Kind::Comment;
                    }
                }
                (b'/', Some(b'*')) if self.dialect == Dialect::Postgres => {
                    self.at += 2;
                    depth += 1;
                }
                _ => self.at += 1,
            }
        }
        Kind::Unclosed
    }

    /// A doubled quote needs no care: it reads as the end of one text and the start of another.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Kind {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == quote {
                return Kind::Quoted;
            }
            if byte == b'\\' && escapes && self.peek(0).is_some() {
                self.at += 1;
            }
        }
        Kind::Unclosed
    }

    /// `$$…$$` or `$tag$…$tag$`.
    fn dollar_quoted(&mut self) -> Kind {
        let rest = &self.bytes[self.at..];
        let name = rest[1..].iter().take_while(|byte| is_name(**byte)).count();
        if rest.get(1 + name) != Some(&b'$') {
            return self.one(Kind::Other);
        }
        let (tag, body) = rest.split_at(name + 2);
        match body.windows(tag.len()).position(|window| window == tag) {
            Some(end) => {
                self.at += tag.len() + end + tag.len();
                Kind::Quoted
            }
            None => {
                self.at = self.bytes.len();
                Kind::Unclosed
            }
        }
    }
}

/// Letters beyond ASCII are parts of names as well.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(dialect: Dialect, text: &str, kind: Kind) -> Vec<&str> {
        let tokens = scan(dialect, text).into_iter();
        tokens
            .filter(|token| token.kind == kind)
            .map(|token| &text[token.range])
            .collect()
    }

    #[test]
    fn parameters_are_found_where_values_may_stand() {
        for dialect in [Dialect::Postgres, Dialect::MySql] {
            for (text, expected) in [
                ("values (:a,:b_2, f(:c))", &[":a", ":b_2", ":c"][..]),
                ("set a=:a where b>=:b", &[":a", ":b"]),
                ("select :姓名 as x", &[":姓名"]),
                ("':a' = :b", &[":b"]),
                ("'it''s :a' = :b", &[":b"]),
                ("/* :a */ :b -- :c\n:d", &[":b", ":d"]),
                ("x[1:n] 12:30", &[]),
                ("@a := :b", &[":b"]),
                (": :1 :", &[]),
            ] {
                let parameters = found(dialect, text, Kind::Parameter);
                assert_eq!(parameters, expected, "{dialect:?} {text}");
            }
        }
    }

    #[test]
    fn each_dialect_has_its_own_quotes_and_comments() {
        use Dialect::{MySql, Postgres};
        for (dialect, text, expected) in [
            (Postgres, ":a::text || x::date", &[":a"][..]),
            (Postgres, r"'\' || :a || E'\' :b' || :c", &[":a", ":c"]),
            (Postgres, "$$ :a $$ $x$ :b $$ $x$ :c", &[":c"]),
            (Postgres, "\":a\" # :b", &[":b"]),
            (Postgres, "/* /* */ :a */ :b", &[":b"]),
            (Postgres, "1--:a\n", &[]),
            (Postgres, "a$b$ :c", &[":c"]),
            (MySql, r#"'\' :a' ":b" `:c` :d"#, &[":d"]),
            (MySql, "# :a\n:b", &[":b"]),
            (MySql, "/* /* */ :a", &[":a"]),
            (MySql, "1--:a\n", &[":a"]),
            (MySql, "$$ :a $$", &[":a"]),
        ] {
            let parameters = found(dialect, text, Kind::Parameter);
            assert_eq!(parameters, expected, "{dialect:?} {text}");
        }
    }

    #[test]
    fn positions_and_what_never_ends_are_told_apart() {
        use Dialect::{MySql, Postgres};
        assert_eq!(
            found(Postgres, "($1, $12, $, a$1)", Kind::Positional),
            ["$1", "$12"]
        );
        assert_eq!(found(MySql, "(?, '?', $1)", Kind::Positional), ["?"]);
        assert_eq!(found(Postgres, "a ? b", Kind::Positional), [""; 0]);
        for (dialect, text) in [
            (Postgres, "select 'a"),
            (Postgres, "select $x$ $$"),
            (Postgres, "/* /* */"),
            (MySql, r"select 'a\'"),
            (MySql, "select `a"),
        ] {
            assert_eq!(found(dialect, text, Kind::Unclosed).len(), 1, "{text}");
        }
    }

    fn dialect() -> impl Strategy<Value = Dialect> {
        prop_oneof![Just(Dialect::Postgres), Just(Dialect::MySql)]
    }

    proptest! {
        #[test]
        fn any_text_is_covered_without_gaps(
            dialect in dialect(),
            text in r#"([ -~]|[$:'"`;\\/*#-]|\n|杭){0,40}"#,
        ) {
            let mut end = 0;
            for token in scan(dialect, &text) {
                prop_assert_eq!(token.range.start, end);
                prop_assert!(text.get(token.range.clone()).is_some(), "on borders of letters");
                end = token.range.end;
            }
            prop_assert_eq!(end, text.len());
        }

        #[test]
        fn nothing_in_a_literal_is_a_parameter(dialect in dialect(), text in "[^'\\\\]{0,20}") {
            let quoted = format!("select '{text}', :a");
            let parameters = found(dialect, &quoted, Kind::Parameter);
            prop_assert_eq!(parameters, [":a"]);
        }
    }
}
