//! Filters and tests: what they are given, and what they make of it.

use super::super::expression::{Argument, Called, Expression};
use super::super::kind::{Kind, Type};
use super::super::mistake::TemplateError;
use super::super::{filters, kind};
use super::arithmetic::is_number;
use super::{Checked, Types};

impl Types<'_> {
    pub(super) fn filter(&mut self, inner: &Expression<'_>, called: &Called<'_>) -> Checked<Type> {
        let found = self.of(inner)?;
        let mut arguments = Vec::new();
        for argument in &called.arguments {
            arguments.push(self.of(&argument.value)?);
        }
        if matches!(called.name, "default" | "d") {
            let other = arguments.first().map_or(Kind::Text.there(), |first| *first);
            return Ok(Type {
                absent: other.absent,
                ..found.or(other)
            });
        }
        let signature = filters::signature(called.name)
            .or_else(|| kind::of_engine(called.name).map(|(signature, _)| signature));
        let Some(signature) = signature else {
            return Ok(Kind::Any.or_none());
        };
        if found.kind.is_known()
            && !signature.takes.is_empty()
            && !signature.takes.contains(&found.kind)
        {
            return Err(self.cannot_take(inner, found.kind, called, signature.takes));
        }
        self.time(inner, called)?;
        for ((argument, found), wanted) in called
            .arguments
            .iter()
            .zip(&arguments)
            .zip(signature.arguments)
        {
            if argument.name.is_none() && found.kind.is_known() && found.kind != *wanted {
                return Err(self.wrong_argument(&argument.value, found.kind, called, *wanted));
            }
        }
        let gives = match (called.name, signature.gives) {
            ("reverse" | "compact" | "none_if_empty" | "lookup", Kind::Any) => match called.name {
                // A code without a label stays what it is.
                "lookup" if found.kind == Kind::Text => Kind::Text,
                "lookup" => Kind::Any,
                _ => found.kind,
            },
            ("first" | "last", _) if found.kind == Kind::Text => Kind::Text,
            (_, gives) => gives,
        };
        let absent = match called.name {
            "int" | "float" | "bool" | "tojson" | "pprint" => false,
            "e164" | "none_if_empty" | "first" | "last" | "min" | "max" => true,
            _ => found.absent,
        };
        Ok(Type {
            kind: gives,
            absent,
        })
    }

    pub(super) fn cannot_take(
        &self,
        inner: &Expression<'_>,
        found: Kind,
        called: &Called<'_>,
        takes: &[Kind],
    ) -> TemplateError {
        let (shown, name) = (self.shown(inner), called.name);
        let (is_en, is_zh) = found.words();
        let wanted: Vec<_> = takes.iter().map(|kind| kind.words()).collect();
        let en = wanted.iter().map(|(en, _)| *en).collect::<Vec<_>>();
        let zh = wanted.iter().map(|(_, zh)| *zh).collect::<Vec<_>>();
        let error = TemplateError::at(
            &called.range,
            format!(
                "a filter cannot work on this: `{name}` wants {}, `{shown}` is {is_en}",
                en.join(" or ")
            ),
            format!(
                "过滤器用错了：`{name}` 需要{}，`{shown}` 是{is_zh}",
                zh.join("或")
            ),
        );
        let write = match found {
            Kind::Text if takes.contains(&Kind::Number) => format!("`{shown} | int(0) | {name}`"),
            Kind::Text if takes.contains(&Kind::List) => {
                format!("`{shown} | split(\",\") | {name}`")
            }
            Kind::Text if takes.contains(&Kind::Table) => {
                format!("`{shown} | fromjson({{}}) | {name}`")
            }
            Kind::Number if name == "e164" => "`phone | e164`".to_owned(),
            Kind::Number if takes.contains(&Kind::Text) => format!("`{shown} | string | {name}`"),
            Kind::Time if takes.contains(&Kind::Text) => {
                format!("`{shown} | format(\"%F %T\") | {name}`")
            }
            _ => {
                return error.help(
                    format!("leave `| {name}` out"),
                    format!("请去掉 `| {name}`"),
                );
            }
        };
        error.help(format!("write {write}"), format!("请写 {write}"))
    }

    pub(super) fn wrong_argument(
        &self,
        argument: &Expression<'_>,
        found: Kind,
        called: &Called<'_>,
        wanted: Kind,
    ) -> TemplateError {
        let (shown, name) = (self.shown(argument), called.name);
        let ((is_en, is_zh), (wants_en, wants_zh)) = (found.words(), wanted.words());
        let error = TemplateError::at(
            &argument.range,
            format!("a wrong argument: `{name}` wants {wants_en} here, `{shown}` is {is_en}"),
            format!("参数不对：`{name}` 这里需要{wants_zh}，`{shown}` 是{is_zh}"),
        );
        let write = match (wanted, argument.literal()) {
            (Kind::Number, Some(text)) if is_number(text) => text.to_owned(),
            (Kind::Text, None) if argument.is_literal() => format!("'{shown}'"),
            (Kind::Text, None) => format!("`{shown} | string`"),
            _ => return error,
        };
        error.help(format!("write {write}"), format!("请写 {write}"))
    }

    /// Refuses to read a time in a field that holds none.
    pub(super) fn time(&self, inner: &Expression<'_>, called: &Called<'_>) -> Checked<()> {
        if !matches!(called.name, "datetime" | "format" | "epoch_ms") {
            return Ok(());
        }
        let path = inner.path().filter(|path| self.scope.is_no_time(path));
        match path.filter(|path| !self.own.contains(path.as_str())) {
            None => Ok(()),
            Some(path) => Err(TemplateError::at(
                &called.range,
                format!(
                    "this field is no time: `{path}` cannot be read by `{}`",
                    called.name
                ),
                format!("该字段不是时间：`{}` 不能读取 `{path}`", called.name),
            )
            .help(
                "times are gmt_appointment, customer_appointment, gmt_modified and received_at",
                "时间字段有 gmt_appointment、customer_appointment、gmt_modified 和 received_at",
            )),
        }
    }

    pub(super) fn test(&mut self, inner: &Expression<'_>, called: &Called<'_>) -> Checked<Type> {
        let found = self.of(inner)?.kind;
        let mut arguments = Vec::new();
        for Argument { value, .. } in &called.arguments {
            arguments.push((value, self.of(value)?.kind));
        }
        let first = arguments.first().copied();
        let wanted = match called.name {
            "eq" | "equalto" | "ne" | "lt" | "lessthan" | "le" | "gt" | "greaterthan" | "ge" => {
                if let Some((value, kind)) = first {
                    self.same(inner, found, value, kind)?;
                }
                None
            }
            "in" => {
                if let Some((value, kind)) = first {
                    self.contains(inner, found, "in", value, kind)?;
                }
                None
            }
            "even" | "odd" | "divisibleby" => Some(Kind::Number),
            "lower" | "upper" | "startingwith" | "endingwith" => Some(Kind::Text),
            "true" | "false" => Some(Kind::Bool),
            _ => None,
        };
        let Some(wanted) = wanted else {
            return Ok(Kind::Bool.there());
        };
        let (name, shown) = (called.name, self.shown(inner));
        let (wants_en, wants_zh) = wanted.words();
        if found.is_known() && found != wanted {
            let (is_en, is_zh) = found.words();
            let error = TemplateError::at(
                &called.range,
                format!(
                    "a test that never holds: `is {name}` asks {wants_en}, `{shown}` is {is_en}"
                ),
                format!("这个判断永远不成立：`is {name}` 用于{wants_zh}，`{shown}` 是{is_zh}"),
            );
            return Err(match (found, wanted) {
                (Kind::Number, Kind::Text) => error.help(
                    format!("write `({shown} | string) is {name}`"),
                    format!("请写 `({shown} | string) is {name}`"),
                ),
                (Kind::Text, Kind::Number) => error.help(
                    format!("write `({shown} | int(0)) is {name}`"),
                    format!("请写 `({shown} | int(0)) is {name}`"),
                ),
                (_, Kind::Bool) => error.help(
                    format!("write `{shown} is not none`"),
                    format!("请写 `{shown} is not none`"),
                ),
                _ => error,
            });
        }
        match first {
            Some((value, kind)) if kind.is_known() && kind != wanted => {
                Err(self.wrong_argument(value, kind, called, wanted))
            }
            _ => Ok(Kind::Bool.there()),
        }
    }
}
