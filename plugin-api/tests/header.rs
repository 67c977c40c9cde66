//! The header, the Rust side and `abi.md` are one contract: every C and C++ compiler says the same
//! sizes and offsets as the Rust one, and none of the three knows a struct or an extension that
//! the others do not.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::process::Command;

use leadgate_plugin::abi;

const HEADER: &str = include_str!("../include/leadgate_plugin.h");
const RUST: &str = include_str!("../src/abi.rs");
const PAGE: &str = include_str!("../abi.md");

macro_rules! layout {
    ($rust:ident, $c:literal, [$($field:ident),*]) => {
        ($c, size_of::<abi::$rust>(), vec![$((stringify!($field), offset_of!(abi::$rust, $field))),*])
    };
}

type Layout = (&'static str, usize, Vec<(&'static str, usize)>);

/// All structs of the ABI.
fn structs() -> Vec<Layout> {
    vec![
        layout!(Bytes, "lg_bytes", [ptr, len]),
        layout!(
            Host,
            "lg_host",
            [struct_size, abi_minor, ctx, log, get_extension]
        ),
        layout!(State, "lg_state", [struct_size, reserved, get, set]),
        layout!(Launcher, "lg_launcher", [struct_size, reserved, program]),
        layout!(Connect, "lg_connect", [struct_size, reserved, connect]),
        layout!(Step, "lg_step", [struct_size, result, took_ms, name, note]),
        layout!(
            Config,
            "lg_config",
            [struct_size, reserved, sink, settings, tables]
        ),
        layout!(
            Report,
            "lg_report",
            [struct_size, reserved, ctx, problem, problem_at]
        ),
        layout!(
            Delivery,
            "lg_delivery",
            [
                struct_size,
                attempt,
                timeout_ms,
                id,
                event,
                trace_id,
                journal,
                keep,
                keep_ctx
            ]
        ),
        layout!(
            Outcome,
            "lg_outcome",
            [
                struct_size,
                kind,
                retry_after_ms,
                receipt,
                reason,
                rule,
                request,
                response
            ]
        ),
        layout!(
            Plugin,
            "lg_plugin",
            [
                magic,
                abi_major,
                abi_minor,
                struct_size,
                flags,
                name,
                version,
                settings_schema,
                check,
                create,
                deliver,
                render,
                destroy,
                get_extension,
                vendor,
                description,
                url
            ]
        ),
        layout!(Health, "lg_health", [struct_size, reserved, health]),
        layout!(Cancel, "lg_cancel", [struct_size, reserved, cancel]),
        layout!(Batch, "lg_batch", [struct_size, max, deliver_batch]),
    ]
}

#[test]
fn sizes_and_offsets_are_the_same_in_c_and_in_rust() {
    let constants = [
        ("LG_MAGIC", abi::MAGIC),
        ("LG_ABI_MAJOR", abi::ABI_MAJOR.into()),
        ("LG_ABI_MINOR", abi::ABI_MINOR.into()),
        ("LG_JOURNAL_MAX", abi::JOURNAL_MAX as u64),
        ("LG_STATE_KEY_MAX", abi::STATE_KEY_MAX as u64),
        ("LG_STATE_VALUE_MAX", abi::STATE_VALUE_MAX as u64),
        ("LG_STATE_KEYS_MAX", abi::STATE_KEYS_MAX as u64),
        ("LG_BATCH_MAX", abi::BATCH_MAX as u64),
        ("LG_HEALTH_OK", abi::HEALTH_OK.into()),
        ("LG_HEALTH_DEGRADED", abi::HEALTH_DEGRADED.into()),
        ("LG_HEALTH_FAILED", abi::HEALTH_FAILED.into()),
        ("LG_FLAG_BLOCKING", abi::FLAG_BLOCKING.into()),
        ("LG_LOG_ERROR", abi::LOG_ERROR.into()),
        ("LG_LOG_WARN", abi::LOG_WARN.into()),
        ("LG_LOG_INFO", abi::LOG_INFO.into()),
        ("LG_LOG_DEBUG", abi::LOG_DEBUG.into()),
        ("LG_OUTCOME_DELIVERED", abi::OUTCOME_DELIVERED.into()),
        ("LG_OUTCOME_DUPLICATE", abi::OUTCOME_DUPLICATE.into()),
        ("LG_OUTCOME_RETRY", abi::OUTCOME_RETRY.into()),
        ("LG_OUTCOME_THROTTLED", abi::OUTCOME_THROTTLED.into()),
        ("LG_OUTCOME_REAUTH", abi::OUTCOME_REAUTH.into()),
        ("LG_OUTCOME_REJECTED", abi::OUTCOME_REJECTED.into()),
        ("LG_OUTCOME_AMBIGUOUS", abi::OUTCOME_AMBIGUOUS.into()),
    ];
    // An assertion that C99 has as well.
    let mut program = String::from("#include \"leadgate_plugin.h\"\n");
    let mut count = 0;
    let mut check = |condition: String| {
        count += 1;
        let _ = writeln!(
            program,
            "typedef char check_{count}[({condition}) ? 1 : -1];"
        );
    };
    for (name, size, fields) in structs() {
        check(format!("sizeof({name}) == {size}"));
        for (field, offset) in fields {
            check(format!("offsetof({name}, {field}) == {offset}"));
        }
    }
    for (name, value) in constants {
        check(format!("{name} == UINT64_C({value})"));
    }
    let codes = [
        ("LG_OK", abi::OK),
        ("LG_FAILED", abi::FAILED),
        ("LG_PANICKED", abi::PANICKED),
        ("LG_UNSUPPORTED", abi::UNSUPPORTED),
    ];
    for (name, value) in codes {
        check(format!("{name} == {value}"));
    }
    for (name, id) in [
        ("LG_STATE_ID", abi::STATE_ID),
        ("LG_LAUNCHER_ID", abi::LAUNCHER_ID),
        ("LG_CONNECT_ID", abi::CONNECT_ID),
        ("LG_HEALTH_ID", abi::HEALTH_ID),
        ("LG_CANCEL_ID", abi::CANCEL_ID),
        ("LG_BATCH_ID", abi::BATCH_ID),
    ] {
        check(format!("sizeof({name}) == {}", id.len() + 1));
        // What a text holds is no constant to every compiler.
        let defined = format!("#define {name} \"{id}\"");
        assert!(HEADER.contains(&defined), "{defined}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    // And that one which does not hold is noticed.
    for (name, program, good) in [
        ("layout", program.clone(), true),
        (
            "wrong",
            program + "typedef char wrong[sizeof(lg_plugin) == 1 ? 1 : -1];\n",
            false,
        ),
    ] {
        let mut said = 0;
        for (compilers, language, standards, extension) in LANGUAGES {
            let file = folder.path().join(format!("{name}.{extension}"));
            std::fs::write(&file, &program).expect("writes");
            for (compiler, standard) in compilers
                .iter()
                .flat_map(|one| standards.iter().map(move |standard| (one, standard)))
            {
                let Some((compiled, why)) = compile(compiler, language, standard, &file) else {
                    continue;
                };
                assert_eq!(compiled, good, "{compiler} {standard}: {why}");
                said += 1;
            }
        }
        assert!(said >= 4, "a C and a C++ compiler, each by two standards");
    }
}

type Language = (
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
    &'static str,
);

/// Compilers of each language, and the standards to go by.
const LANGUAGES: [Language; 2] = [
    (&["gcc", "clang"], "c", &["c99", "c11"], "c"),
    (&["g++", "clang++"], "c++", &["c++11", "c++17"], "cc"),
];

/// Whether it takes the file without a word, and what it says; `None` without such a compiler.
/// Rust needs one of C itself; `LEADGATE_TEST_COMPILERS` in the environment demands all.
fn compile(
    compiler: &str,
    language: &str,
    standard: &str,
    file: &std::path::Path,
) -> Option<(bool, String)> {
    let output = Command::new(compiler)
        .args(["-x", language])
        .arg(format!("-std={standard}"))
        .args([
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(file)
        .output();
    match output {
        Ok(output) => Some((
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
        Err(error) => {
            let demanded = std::env::var_os("LEADGATE_TEST_COMPILERS").is_some();
            assert!(!demanded, "{compiler}: {error}");
            None
        }
    }
}

/// What stands between `before` and `after` wherever `before` is followed by it on its line.
fn found<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    let lines = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(before)?;
        rest.split_once(after).map(|(name, _)| name)
    });
    lines.collect()
}

#[test]
fn the_header_the_rust_side_and_the_page_know_the_same_structs_and_extensions() {
    let ids = found(RUST, "_ID: &str = \"", "\"");
    assert!(ids.len() >= 6, "{ids:?}");
    assert_eq!(found(HEADER, "_ID \"", "\""), ids, "header");
    let listed = found(PAGE, "| `leadgate.", "` |");
    let listed: Vec<_> = listed.iter().map(|id| format!("leadgate.{id}")).collect();
    assert_eq!(listed, ids.iter().copied().collect::<Vec<_>>(), "abi.md");

    let rust = found(RUST, "pub struct ", " {");
    let table = structs();
    let tested: BTreeSet<_> = table.iter().map(|(name, ..)| *name).collect();
    assert_eq!(tested.len(), rust.len(), "all of {rust:?} are tested");
    let header = found(HEADER, "typedef struct ", " {");
    assert_eq!(header, tested, "header");
    for (name, size, _) in &table {
        let row = PAGE
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let cells: Vec<_> = row.unwrap_or_default().split('|').map(str::trim).collect();
        let [_, _, in_rust, _, bytes, ..] = cells[..] else {
            panic!("abi.md has no row of {name}");
        };
        assert!(
            rust.contains(in_rust.trim_matches('`')),
            "{name}: {in_rust}"
        );
        assert_eq!(bytes, size.to_string(), "{name} in abi.md");
    }
    let newest = format!("| {}.{} |", abi::ABI_MAJOR, abi::ABI_MINOR);
    let last = PAGE.lines().rfind(|line| line.starts_with('|'));
    assert!(last.is_some_and(|row| row.starts_with(&newest)), "{last:?}");
}

/// Each function of the header says in one form what it demands.
#[test]
fn every_function_of_the_header_says_thread_order_blocking_and_ownership() {
    let mut comment = String::new();
    let mut functions = 0;
    let mut open = false;
    for line in HEADER.lines() {
        let text = line.trim();
        if text.starts_with("/*") {
            comment.clear();
            open = true;
        }
        if open {
            comment.push_str(text);
            comment.push('\n');
            open = !text.ends_with("*/");
            continue;
        }
        if !text.contains("(*") {
            continue;
        }
        functions += 1;
        let mut rest = comment.as_str();
        let whose = ["The plugin's. ", "The host's. ", "The caller's "];
        assert!(
            whose.iter().any(|who| rest.contains(who)),
            "{text}\n{comment}"
        );
        for part in [
            "* Thread:    ",
            "* Called:    ",
            "* Blocks:    ",
            "* Ownership: ",
        ] {
            let Some((_, behind)) = rest.split_once(part) else {
                panic!("{part} is missing, or not in its place: {text}\n{comment}");
            };
            rest = behind;
        }
        comment.clear();
    }
    assert_eq!(functions, 21, "all of them were seen");
}
