//! Types: mistakes that would silently never hold, or fail for every lead, found before one
//! comes.
//!
//! Knows what the lead's fields hold ([`Scope::type_of`]), and follows that through signs,
//! tests and filters. Of what it does not know it claims nothing.

use std::collections::BTreeSet;
use std::ops::Range;

use super::expression::{Argument, Called, Expression, Node, Step, Steps};
use super::kind::{Kind, Type};
use super::mistake::TemplateError;
use super::scope::Scope;
use super::{filters, kind, methods};

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

    fn compare(
        &mut self,
        left: &Expression<'_>,
        sign: &str,
        right: &Expression<'_>,
    ) -> Checked<()> {
        let first = self.of(left)?;
        let second = self.of(right)?;
        if matches!(sign, "in" | "not in") {
            return self.contains(left, first.kind, sign, right, second.kind);
        }
        self.same(left, first.kind, right, second.kind)
    }

    /// Refuses a compare of what is never equal.
    fn same(
        &self,
        left: &Expression<'_>,
        first: Kind,
        right: &Expression<'_>,
        second: Kind,
    ) -> Checked<()> {
        if first == second || !first.is_known() || !second.is_known() {
            return Ok(());
        }
        // What is written out is what was mistaken; else the right side is.
        let (field, holds, value, is) = if left.is_literal() && !right.is_literal() {
            (right, second, left, first)
        } else {
            (left, first, right, second)
        };
        let ((holds_en, holds_zh), (is_en, is_zh)) = (holds.words(), is.words());
        let (field_shown, value_shown) = (self.shown(field), self.shown(value));
        let error = TemplateError::at(
            &value.range,
            format!(
                "{holds_en} is compared with {is_en}: `{field_shown}` is {holds_en}, `{value_shown}` is {is_en}"
            ),
            format!(
                "{holds_zh}与{is_zh}不能比较：`{field_shown}` 是{holds_zh}，`{value_shown}` 是{is_zh}"
            ),
        );
        let write = |write: String| (format!("write {write}"), format!("请写 {write}"));
        let (en, zh) = match (holds, is) {
            (Kind::Number, Kind::Text) => match value
                .literal()
                .map(str::trim)
                .filter(|text| is_number(text))
            {
                Some(number) => (
                    format!("write {number} without quotes"),
                    format!("数字不加引号，请写 {number}"),
                ),
                None if value.is_literal() => (
                    format!(
                        "`{field_shown}` holds a number; compare it with one, such as 437763404"
                    ),
                    format!("`{field_shown}` 的值是数字，请与数字比较，例如 437763404"),
                ),
                None => write(format!("`{value_shown} | int(0)`")),
            },
            (Kind::Text, Kind::Number) if value.is_literal() => write(format!("'{value_shown}'")),
            (Kind::Text, Kind::Number) => write(format!("`{value_shown} | string`")),
            (_, Kind::List) => write(format!("`{field_shown} in {value_shown}`")),
            (Kind::List, _) => write(format!("`{value_shown} in {field_shown}`")),
            (Kind::Time, _) => write(format!("`{field_shown} | format(\"%F %T\")`")),
            (_, Kind::Time) => write(format!("`{value_shown} | format(\"%F %T\")`")),
            (_, Kind::Bool) => write(format!("`{field_shown} is not none`")),
            _ => (String::new(), String::new()),
        };
        Err(error.help(en, zh))
    }

    /// `in` and `not in`.
    fn contains(
        &mut self,
        left: &Expression<'_>,
        first: Kind,
        sign: &str,
        right: &Expression<'_>,
        second: Kind,
    ) -> Checked<()> {
        if let Node::List(items) = &right.node {
            for item in items {
                let kind = self.of(item)?.kind;
                self.same(left, first, item, kind)?;
            }
            return Ok(());
        }
        let (left_shown, right_shown) = (self.shown(left), self.shown(right));
        let (first_words, second_words) = (first.words(), second.words());
        match second {
            Kind::Any | Kind::List | Kind::Table => Ok(()),
            Kind::Text if matches!(first, Kind::Text | Kind::Any | Kind::None) => Ok(()),
            Kind::Text => {
                let error = TemplateError::at(
                    &left.range,
                    format!(
                        "text is looked for in text: `{left_shown}` is {}",
                        first_words.0
                    ),
                    format!("只能在文本中查找文本：`{left_shown}` 是{}", first_words.1),
                );
                let write = match right.literal() {
                    _ if left.is_literal() => format!("'{left_shown}'"),
                    Some(list) => {
                        let inside: Vec<_> = list.split([',', '，', ' ']).collect();
                        format!("`{left_shown} {sign} [{}]`", inside.join(", "))
                    }
                    None => format!("`{left_shown} | string`"),
                };
                Err(error.help(format!("write {write}"), format!("请写 {write}")))
            }
            Kind::None | Kind::Bool | Kind::Number | Kind::Time => {
                let error = TemplateError::at(
                    &right.range,
                    format!(
                        "`{sign}` looks into a list or a text: `{right_shown}` is {}",
                        second_words.0
                    ),
                    format!(
                        "`{sign}` 只能用于列表或文本：`{right_shown}` 是{}",
                        second_words.1
                    ),
                );
                let write = if right.is_literal() {
                    format!("`{left_shown} {sign} [{right_shown}]`")
                } else if first == Kind::Text {
                    format!("`{left_shown} {sign} ({right_shown} | string)`")
                } else {
                    let equal = if sign == "in" { "==" } else { "!=" };
                    format!("`{left_shown} {equal} {right_shown}`")
                };
                Err(error.help(format!("write {write}"), format!("请写 {write}")))
            }
        }
    }

    fn math(
        &mut self,
        sign: &str,
        at: &Range<usize>,
        left: &Expression<'_>,
        right: &Expression<'_>,
    ) -> Checked<Type> {
        let (first, second) = (self.of(left)?, self.of(right)?);
        if sign == "~" {
            return Ok(Kind::Text.there());
        }
        let (kinds, texts) = (
            [first.kind, second.kind],
            [left, right].map(|side| self.shown(side)),
        );
        if sign == "+" {
            match kinds {
                [Kind::Text, Kind::Text] | [Kind::List, Kind::List] => {
                    return Ok(kinds[0].there());
                }
                [Kind::Text, _] | [_, Kind::Text] if kinds.iter().all(|kind| kind.is_known()) => {
                    let write = format!("{} ~ {}", texts[0], texts[1]);
                    let other = usize::from(kinds[0] == Kind::Text);
                    let (en, zh) = kinds[other].words();
                    let shown = &texts[other];
                    return Err(TemplateError::at(
                        at,
                        format!("`+` cannot join text with {en}: `{shown}` is {en}"),
                        format!("`+` 不能连接文本与{zh}：`{shown}` 是{zh}"),
                    )
                    .help(
                        format!("`~` joins: write `{write}`"),
                        format!("请用 `~` 连接：`{write}`"),
                    ));
                }
                _ => {}
            }
        }
        for (side, found) in [(left, first), (right, second)] {
            self.number(side, found, sign, at)?;
        }
        let kind = if kinds == [Kind::Number; 2] {
            Kind::Number
        } else {
            Kind::Any
        };
        Ok(kind.there())
    }

    /// Refuses what is no number, or may be none, where a number is reckoned with.
    fn number(
        &self,
        value: &Expression<'_>,
        found: Type,
        sign: &str,
        at: &Range<usize>,
    ) -> Checked<()> {
        let shown = self.shown(value);
        match found.kind {
            Kind::Any => Ok(()),
            Kind::List if sign == "*" => Ok(()),
            Kind::Number if !found.absent => Ok(()),
            Kind::Number => Err(TemplateError::at(
                &value.range,
                format!("`{sign}` fails for a lead that does not say `{shown}`"),
                format!("没有 `{shown}` 的客资会使 `{sign}` 出错"),
            )
            .help(
                format!("write `({shown} or 0)`, or ask `{shown} is not none` before"),
                format!("请写 `({shown} or 0)`，或先判断 `{shown} is not none`"),
            )),
            Kind::None | Kind::Bool | Kind::Text | Kind::Time | Kind::Table | Kind::List => {
                let (en, zh) = found.kind.words();
                let error = TemplateError::at(
                    at,
                    format!("`{sign}` reckons with numbers: `{shown}` is {en}"),
                    format!("`{sign}` 只能计算数字：`{shown}` 是{zh}"),
                );
                Err(match (found.kind, value.literal()) {
                    (Kind::Text, Some(text)) if is_number(text) => error.help(
                        format!("write {text} without quotes"),
                        format!("数字不加引号，请写 {text}"),
                    ),
                    (Kind::Text, None) => error.help(
                        format!("`({shown} | int(0))` makes a number of it; `~` joins texts"),
                        format!("`({shown} | int(0))` 可把它变成数字；连接文本用 `~`"),
                    ),
                    (Kind::Text, Some(_)) => error.help("`~` joins texts", "连接文本用 `~`"),
                    (Kind::Time, _) => error.help(
                        format!("`({shown} | epoch_ms)` makes a number of it"),
                        format!("`({shown} | epoch_ms)` 可把它变成数字"),
                    ),
                    _ => error,
                })
            }
        }
    }

    fn filter(&mut self, inner: &Expression<'_>, called: &Called<'_>) -> Checked<Type> {
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

    fn cannot_take(
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

    fn wrong_argument(
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
    fn time(&self, inner: &Expression<'_>, called: &Called<'_>) -> Checked<()> {
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

    fn test(&mut self, inner: &Expression<'_>, called: &Called<'_>) -> Checked<Type> {
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

    fn item(&mut self, inner: &Expression<'_>, index: &Expression<'_>) -> Checked<Type> {
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

    fn slice(&mut self, inner: &Expression<'_>, bounds: &[Expression<'_>]) -> Checked<Type> {
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

    fn call(&mut self, inner: &Expression<'_>, arguments: &[Argument<'_>]) -> Checked<Type> {
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

fn is_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches('-');
    !digits.is_empty()
        && digits.len() <= 18
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        // A phone with a leading zero, or a code such as 007, is text.
        && (digits == "0" || !digits.starts_with('0'))
}

/// The field, sign and value of a single comparison, also of the last that `and` or `or` joins.
fn compared<'e, 'a>(
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
fn facts(test: &Expression<'_>, holds: bool) -> Vec<String> {
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
