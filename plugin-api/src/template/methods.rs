//! Methods: what other languages call on a text, and what does it here.

use std::ops::Range;

use super::mistake::TemplateError;

/// Refuses `of.method(arguments)`: values have no methods.
pub(super) fn refuse(
    of: &str,
    method: &str,
    arguments: &[String],
    at: &Range<usize>,
) -> TemplateError {
    let error = TemplateError::at(
        at,
        format!("values have no methods: there is no `.{method}(…)`"),
        format!("值没有方法：不能写 `.{method}(…)`"),
    );
    match write(of, method, arguments) {
        Some(write) => error.help(format!("write `{write}`"), format!("请写 `{write}`")),
        None => error.help(
            "what changes a value is a filter, such as `| upper`; what asks it is a test, such as `is startingwith(…)`",
            "改变值用过滤器，例如 `| upper`；判断值用 `is`，例如 `is startingwith(…)`",
        ),
    }
}

/// What says the same as `of.method(arguments)`, or `of.method`, here.
pub(super) fn write(of: &str, method: &str, arguments: &[String]) -> Option<String> {
    let first = arguments.first().map_or("'…'", String::as_str);
    let all = if arguments.is_empty() {
        String::new()
    } else {
        format!("({})", arguments.join(", "))
    };
    Some(match method.to_ascii_lowercase().as_str() {
        "upper" | "touppercase" | "toupper" => format!("{of} | upper"),
        "lower" | "tolowercase" | "tolower" => format!("{of} | lower"),
        "capitalize" | "title" => format!("{of} | {method}"),
        "strip" | "trim" => format!("{of} | trim"),
        "length" | "len" | "size" | "count" => format!("{of} | length"),
        "tostring" | "str" => format!("{of} | string"),
        "toint" | "parseint" | "tonumber" => format!("{of} | int(0)"),
        "replace" | "replaceall" if arguments.len() > 1 => format!("{of} | replace{all}"),
        "split" => format!("{of} | split{all}"),
        "join" => format!("{first} | join({of})"),
        "startswith" | "hasprefix" => format!("{of} is startingwith({first})"),
        "endswith" | "hassuffix" => format!("{of} is endingwith({first})"),
        "contains" | "includes" | "indexof" | "find" | "has" => format!("{first} in {of}"),
        "substring" | "substr" | "slice" => match arguments {
            [from, to, ..] => format!("{of}[{from}:{to}]"),
            [from] => format!("{of}[{from}:]"),
            [] => format!("{of}[0:4]"),
        },
        "isempty" => format!("not {of}"),
        "get" => format!("{of}[{first}]"),
        "items" | "keys" | "values" => format!("{of} | items"),
        "format" | "strftime" => format!("{of} | format({first})"),
        _ => return None,
    })
}
