//! Kinds: what a value is, as far as it is known before any lead comes.

/// What a value is when it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not known.
    Any,
    /// Nothing else than none.
    None,
    Bool,
    Number,
    Text,
    /// What `datetime` gives.
    Time,
    List,
    Table,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    /// Whether it may be none.
    pub(super) absent: bool,
}

impl Kind {
    /// Always there.
    pub(super) const fn there(self) -> Type {
        Type {
            kind: self,
            absent: false,
        }
    }

    /// None for a lead that does not say it.
    pub(super) const fn or_none(self) -> Type {
        Type {
            kind: self,
            absent: true,
        }
    }

    /// Whether it can be told from others: of the rest nothing is claimed.
    pub(super) fn is_known(self) -> bool {
        !matches!(self, Self::Any | Self::None)
    }

    /// In a sentence, in English and Chinese.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Any => ("a value", "值"),
            Self::None => ("none", "none"),
            Self::Bool => ("true or false", "真假值"),
            Self::Number => ("a number", "数字"),
            Self::Text => ("text", "文本"),
            Self::Time => ("a time", "时间"),
            Self::List => ("a list", "列表"),
            Self::Table => ("a table", "表"),
        }
    }
}

impl Type {
    /// What is one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        let kind = match (self.kind, other.kind) {
            (one, other) if one == other => one,
            (Kind::None, other) => other,
            (one, Kind::None) => one,
            _ => Kind::Any,
        };
        Self {
            kind,
            absent: self.absent || other.absent,
        }
    }
}

/// What a filter takes and gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    /// Kinds that it can work on; empty for any.
    pub(super) takes: &'static [Kind],
    /// What it gives; [`Kind::Any`] if that depends.
    pub(super) gives: Kind,
    /// Kinds of its arguments, as far as they matter.
    pub(super) arguments: &'static [Kind],
}

/// Kinds that have a text.
pub(super) const WRITTEN: &[Kind] = &[Kind::Text, Kind::Number, Kind::Time];
/// Kinds that `datetime` reads.
pub(super) const DATED: &[Kind] = &[Kind::Text, Kind::Number, Kind::Time];
const MANY: &[Kind] = &[Kind::List, Kind::Table];
const LONG: &[Kind] = &[Kind::Text, Kind::List, Kind::Table];

/// The signature of a filter that minijinja brings, and whether none must not reach it:
/// it would fail, or show `None`.
#[expect(
    clippy::match_same_arms,
    reason = "one line a filter, so that each can be found"
)]
pub(super) fn of_engine(filter: &str) -> Option<(Signature, bool)> {
    use Kind::{Any, List, Number, Table, Text};
    let (takes, gives, arguments, guarded): (&[Kind], Kind, &[Kind], bool) = match filter {
        "abs" => (&[Number], Number, &[], true),
        "attr" => (&[Table], Any, &[], false),
        "batch" => (MANY, List, &[Number], true),
        "bool" => (&[], Kind::Bool, &[], false),
        "capitalize" => (&[Text], Text, &[], true),
        "chain" | "zip" => (MANY, List, &[], false),
        "count" | "length" => (LONG, Number, &[], true),
        "d" | "default" => (&[], Any, &[], false),
        "dictsort" | "items" => (&[Table], List, &[], true),
        "e" | "escape" | "safe" | "string" => (&[], Text, &[], true),
        "first" | "last" => (LONG, Any, &[], true),
        "float" | "int" => (&[Text, Number, Kind::Bool], Number, &[], false),
        "groupby" | "map" | "reject" | "rejectattr" | "select" | "selectattr" => {
            (MANY, List, &[], true)
        }
        "indent" => (WRITTEN, Text, &[Number], true),
        "join" => (LONG, Text, &[Text], true),
        "lines" => (&[Text], List, &[], true),
        "list" => (LONG, List, &[], true),
        "lower" | "title" | "upper" => (&[Text], Text, &[], true),
        "max" | "min" => (MANY, Any, &[], true),
        "pprint" | "tojson" => (&[], Text, &[], false),
        "replace" => (WRITTEN, Text, &[], true),
        "reverse" => (LONG, Any, &[], true),
        "round" => (&[Number], Number, &[Number], true),
        "slice" => (MANY, List, &[Number], true),
        "sort" | "unique" => (MANY, List, &[], true),
        "split" => (&[Text], List, &[Text], true),
        "sum" => (MANY, Number, &[], true),
        "trim" => (WRITTEN, Text, &[], true),
        _ => return None,
    };
    Some((
        Signature {
            takes,
            gives,
            arguments,
        },
        guarded,
    ))
}
