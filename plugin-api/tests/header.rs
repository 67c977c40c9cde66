//! The header and the Rust side are one contract: the C compiler says the same sizes and
//! offsets as the Rust one.

use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::process::Command;

use leadgate_plugin::abi;

const HEADER: &str = include_str!("../include/leadgate_plugin.h");

macro_rules! layout {
    ($rust:ident, $c:literal, [$($field:ident),*]) => {
        ($c, size_of::<abi::$rust>(), vec![$((stringify!($field), offset_of!(abi::$rust, $field))),*])
    };
}

#[test]
fn sizes_and_offsets_are_the_same_in_c_and_in_rust() {
    let structs = [
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
    ];
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
    let mut program = String::from("#include \"leadgate_plugin.h\"\n");
    let mut check = |condition: String| {
        let _ = writeln!(
            program,
            "_Static_assert({condition}, \"{}\");",
            condition.replace('"', "")
        );
    };
    for (name, size, fields) in &structs {
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
    let file = folder.path().join("layout.c");
    std::fs::write(&file, program).expect("writes");
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-fsyntax-only",
            "-I",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(&file)
        .output()
        .expect("a C compiler, which Rust needs as well");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
