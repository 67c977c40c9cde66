//! Parts: items and slices of a value, and methods, which no value has.

use super::super::expression::{Argument, Expression, Node};
use super::super::kind::{Kind, Type};
use super::super::methods;
use super::super::mistake::TemplateError;
use super::{Checked, Types};

impl Types<'_> {
    pub(super) fn item(&mut self, inner: &Expression<'_>, index: &Expression<'_>) -> Checked<Type> {
        let (found, key) = (self.of(inner)?.kind, self.of(index)?.kind);
        let shown = self.shown(inner);
        let (en, zh) = found.words();
        match (found, key) {
            (Kind::Text, Kind::Any) => Ok(Kind::Text.or_none()),
            (Kind::Text, Kind::Number) => {
                let at = self.shown(index);
                let write = match at.parse::<u32>().map(|at| at.saturating_add(1)) {
                    Ok(1) => format!("{shown}[:1]"),
                    Ok(next) => format!("{shown}[{at}:{next}]"),
                    Err(_) => format!("{shown}[-1:]"),
                };
                Err(TemplateError::at(
                    &index.range,
                    format!("a place in a text fails where the text is shorter: `{shown}` is {en}"),
                    format!("文本较短时按位置取字会出错：`{shown}` 是{zh}"),
                )
                .help(format!("write `{write}`"), format!("请写 `{write}`")))
            }
            (Kind::Number | Kind::Bool | Kind::Time | Kind::Text, _) => {
                let error = TemplateError::at(
                    &index.range,
                    format!("one value has no parts: `{shown}` is {en}"),
                    format!("单个值没有下级：`{shown}` 是{zh}"),
                );
                Err(match found {
                    Kind::Text => error.help(
                        format!("JSON in a text is read by `({shown} | fromjson({{}}))`"),
                        format!("文本中的 JSON 用 `({shown} | fromjson({{}}))` 读取"),
                    ),
                    _ => error.help(
                        format!("`({shown} | string)` makes text of it"),
                        format!("`({shown} | string)` 可把它变成文本"),
                    ),
                })
            }
            _ => Ok(match (inner.path().as_deref(), index.literal()) {
                // `lead['phone']` is `phone`.
                (Some("lead"), Some(field)) => self.scope.type_of(field),
                _ => Kind::Any.or_none(),
            }),
        }
    }

    pub(super) fn slice(
        &mut self,
        inner: &Expression<'_>,
        bounds: &[Expression<'_>],
    ) -> Checked<Type> {
        let found = self.of(inner)?;
        for bound in bounds {
            let kind = self.of(bound)?;
            self.number(bound, kind, ":", &bound.range)?;
        }
        match found.kind {
            Kind::Number | Kind::Bool | Kind::Time => {
                let shown = self.shown(inner);
                let (en, zh) = found.kind.words();
                Err(TemplateError::at(
                    &inner.range,
                    format!("only text and lists can be cut: `{shown}` is {en}"),
                    format!("只能截取文本或列表：`{shown}` 是{zh}"),
                )
                .help(
                    format!("write `({shown} | string)[…]`"),
                    format!("请写 `({shown} | string)[…]`"),
                ))
            }
            kind => Ok(Type {
                kind,
                // None gives an empty list.
                absent: found.absent,
            }),
        }
    }

    pub(super) fn call(
        &mut self,
        inner: &Expression<'_>,
        arguments: &[Argument<'_>],
    ) -> Checked<Type> {
        for argument in arguments {
            self.of(&argument.value)?;
        }
        let Node::Part(of, method, at) = &inner.node else {
            return Ok(Kind::Any.or_none());
        };
        if let Node::Name(name) = of.node
            && self.own.contains(name)
        {
            return Ok(Kind::Any.or_none());
        }
        self.of(of)?;
        let given: Vec<_> = arguments
            .iter()
            .map(|argument| self.shown(&argument.value))
            .collect();
        Err(methods::refuse(&self.shown(of), method, &given, at))
    }
}
