//! What a library says of itself: that it loads, its descriptor, its schema, its extensions.

use std::path::Path;
use std::time::{Duration, Instant};

use jsonschema::error::ValidationErrorKind;
use leadgate_plugin::abi;
use serde_json::{Value, json};

use super::{Subject, Told};
use crate::plugin::examiner::Library;

/// A library that needs longer to be looked at holds up every start and every `check`.
const SOON: Duration = Duration::from_secs(2);
/// A key that no plugin has.
const UNKNOWN: &str = "leadgate_no_such_setting";

pub(super) fn load(subject: &mut Subject<'_>) -> Result<(), Told> {
    subject.teller.step("loading the library", "加载动态库");
    let file = subject.request.file.as_deref().unwrap_or(Path::new(""));
    match Library::open(file) {
        Ok(_) => Ok(()),
        Err(why) => Err(subject.wrong(why)),
    }
}

pub(super) fn descriptor(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let (version, about) = (examined.version(), examined.about());
    let abi = format!("{}.{}", abi::ABI_MAJOR, examined.minor());
    let teller = &mut *subject.teller;
    if version.trim().is_empty() {
        teller.fault("it has no version", "没有版本号");
    }
    let unknown = examined.flags() & !abi::FLAG_BLOCKING;
    if unknown != 0 {
        teller.note(
            format!("this gateway does not know the flags {unknown:#x}"),
            format!("本网关不认识标志 {unknown:#x}"),
        );
    }
    if examined.minor() < abi::ABI_MINOR {
        teller.note(
            format!(
                "it was built for ABI {abi}; this gateway has 1.{}",
                abi::ABI_MINOR
            ),
            format!("按 ABI {abi} 构建；本网关为 1.{}", abi::ABI_MINOR),
        );
    }
    teller.fact("version", version);
    for (name, about) in ["vendor", "description", "url"].into_iter().zip(about) {
        if !about.is_empty() {
            teller.fact(name, about);
        }
    }
    teller.fact("abi", abi);
    teller.fact("schema", examined.schema());
    Ok(())
}

pub(super) fn scan(subject: &mut Subject<'_>) -> Result<(), Told> {
    let began = Instant::now();
    let examined = subject.open()?;
    let schema = examined.schema();
    let took = began.elapsed();
    let millis = took.as_millis();
    let bytes = schema.len();
    subject.teller.note(
        format!("{millis} ms until the descriptor and {bytes} bytes of schema were there"),
        format!("{millis} 毫秒后得到描述符与 {bytes} 字节的 schema"),
    );
    if took > SOON {
        subject.teller.fault(
            format!("it takes {millis} ms to be looked at: do nothing before `create`"),
            format!("读取它要 {millis} 毫秒：`create` 之前不要做任何事"),
        );
    }
    Ok(())
}

pub(super) fn schema(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let teller = &mut *subject.teller;
    teller.step("reading the schema", "读取 schema");
    let schema: Value = match serde_json::from_str(&examined.schema()) {
        Ok(schema) => schema,
        Err(error) => {
            teller.fault(
                format!("the schema is not JSON: {error}"),
                format!("schema 不是 JSON：{error}"),
            );
            return Err(Told);
        }
    };
    if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
        let at = error.instance_path();
        teller.fault(
            format!("{at}: not JSON Schema 2020-12: {error}"),
            format!("{at}：不是 JSON Schema 2020-12：{error}"),
        );
        return Err(Told);
    }
    let validator = match jsonschema::draft202012::new(&schema) {
        Ok(validator) => validator,
        Err(error) => {
            teller.fault(
                format!("the schema cannot be used: {error}"),
                format!("schema 无法使用：{error}"),
            );
            return Err(Told);
        }
    };
    if validator.is_valid(&json!([])) || validator.is_valid(&json!("text")) {
        teller.fault(
            "the schema takes what is no object: add \"type\": \"object\"",
            "schema 接受非对象：请加上 \"type\": \"object\"",
        );
    }
    let refused = validator
        .iter_errors(&json!({ UNKNOWN: 1 }))
        .any(|error| refuses_unknown(&error));
    if !refused {
        teller.fault(
            "the schema takes keys that it does not name, so a merchant's slip goes unseen: add \"additionalProperties\": false (serde: deny_unknown_fields)",
            "schema 接受未列出的键，商家写错也不会被发现：请加上 \"additionalProperties\": false（serde：deny_unknown_fields）",
        );
    }
    let named = schema["properties"].as_object();
    let undescribed: Vec<&str> = named
        .into_iter()
        .flatten()
        .filter(|(_, property)| property["description"].as_str().is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !undescribed.is_empty() {
        let names = undescribed.join(", ");
        teller.note(
            format!("merchants read descriptions, and these have none: {names}"),
            format!("商家会读说明，而这些没有：{names}"),
        );
    }
    Ok(())
}

/// Whether this says that a key is unknown, in whichever case of the schema.
fn refuses_unknown(error: &jsonschema::ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::UnevaluatedProperties { .. }
        | ValidationErrorKind::PropertyNames { .. }
        | ValidationErrorKind::FalseSchema => true,
        ValidationErrorKind::AnyOf { context } => context.iter().flatten().any(refuses_unknown),
        ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().any(refuses_unknown)
        }
        _ => false,
    }
}

pub(super) fn extensions(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let teller = &mut *subject.teller;
    teller.step("asking for extensions", "询问扩展");
    let mut unknown = vec![
        "leadgate.no-such-extension/1".to_owned(),
        "l".to_owned(),
        "扩展/1".to_owned(),
    ];
    for id in KNOWN {
        // Of another version, of none, and cut off.
        unknown.push(format!("{id}2"));
        unknown.push(id.trim_end_matches('1').to_owned());
        unknown.push(id.trim_end_matches("/1").to_owned());
    }
    for id in &unknown {
        for behind in ["", "\0", "1", "/1 and what does not belong to it"] {
            if examined.has_extension(id, behind) {
                teller.fault(
                    format!("it gives something for the unknown extension `{id}`: compare the whole id, by its length"),
                    format!("对未知扩展 `{id}` 返回了内容：请按长度比较整个 id"),
                );
                break;
            }
        }
    }
    if examined.has_nameless_extension() {
        teller.fault(
            "it gives something for an extension without a name",
            "对没有名字的扩展返回了内容",
        );
    }
    let mut offered = Vec::new();
    for id in KNOWN {
        let plain = examined.has_extension(id, "");
        if plain != examined.has_extension(id, "behind") || plain != examined.has_extension(id, "")
        {
            teller.fault(
                format!("whether it has `{id}` depends on what stands behind the id in memory"),
                format!("是否有 `{id}` 取决于内存中 id 之后的内容"),
            );
        }
        if plain {
            offered.push(id);
        }
    }
    let offered = if offered.is_empty() {
        "-".to_owned()
    } else {
        offered.join(", ")
    };
    teller.note(
        format!("it offers: {offered}"),
        format!("提供的扩展：{offered}"),
    );
    Ok(())
}

/// Extensions that a plugin may have.
const KNOWN: [&str; 4] = [
    abi::CONNECT_ID,
    abi::HEALTH_ID,
    abi::CANCEL_ID,
    abi::BATCH_ID,
];
