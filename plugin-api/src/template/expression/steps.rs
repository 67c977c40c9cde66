//! Statements of a template: what each block does, and the names that it gives a meaning.

use super::reader::Reader;
use super::{Step, Steps};

impl<'a> Steps<'a> {
    pub(super) fn statement(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
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
    pub(super) fn targets(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
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

    pub(super) fn values(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        loop {
            self.steps.push(Step::Value(reader.expression()?));
            if !reader.takes(",") {
                return Some(());
            }
        }
    }

    /// `name(arguments) | name …`: their arguments are values.
    pub(super) fn filters(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
        while !reader.ended() {
            let _ = reader.takes("|");
            let called = reader.called()?;
            let values = called.arguments.into_iter();
            self.steps
                .extend(values.map(|argument| Step::Value(argument.value)));
        }
        Some(())
    }

    pub(super) fn parameters(&mut self, reader: &mut Reader<'_, 'a>) -> Option<()> {
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
