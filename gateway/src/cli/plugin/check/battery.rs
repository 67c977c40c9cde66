//! The battery: its tests in their order, with their titles and limits.

use std::time::Duration;

use super::super::part::Part;
use super::super::part::told::Both;

/// One test.
pub(super) struct Test {
    /// Stable, for programs.
    pub(super) id: &'static str,
    pub(super) en: &'static str,
    pub(super) zh: &'static str,
    pub(super) part: Part,
    pub(super) limit: Duration,
    pub(super) needs_settings: bool,
}

impl Test {
    pub(super) fn title(&self) -> Both {
        Both::new(self.en, self.zh)
    }
}

const fn test(
    id: &'static str,
    part: Part,
    seconds: u64,
    en: &'static str,
    zh: &'static str,
) -> Test {
    Test {
        id,
        en,
        zh,
        part,
        limit: Duration::from_secs(seconds),
        needs_settings: false,
    }
}

const fn delivering(
    id: &'static str,
    part: Part,
    seconds: u64,
    en: &'static str,
    zh: &'static str,
) -> Test {
    Test {
        needs_settings: true,
        ..test(id, part, seconds, en, zh)
    }
}

/// Whether a test says something of a program; the others are about the library that is between
/// it and the gateway, and that is leadgate's own.
pub(super) fn is_for_programs(part: Part) -> bool {
    matches!(
        part,
        Part::Settings | Part::Outcomes | Part::Concurrency | Part::Once | Part::Memory
    )
}

/// Looked at from outside.
pub(super) const FILE: Test = test(
    "file",
    Part::Load,
    0,
    "nobody else may change the file, its folders and links",
    "他人无法改动该文件、所在文件夹与链接",
);
/// As above.
pub(super) const SYMBOLS: Test = test(
    "symbols",
    Part::Load,
    0,
    "exports its descriptor's function",
    "导出描述符函数",
);

/// What is done in children.
pub(super) const BATTERY: &[Test] = &[
    test(
        "load",
        Part::Load,
        20,
        "loads with all that it needs",
        "连同依赖一起加载",
    ),
    test(
        "descriptor",
        Part::Descriptor,
        10,
        "has a descriptor that fits this gateway",
        "描述符与本网关相符",
    ),
    test(
        "schema",
        Part::Schema,
        20,
        "its schema is JSON Schema 2020-12 and refuses unknown keys",
        "schema 为 JSON Schema 2020-12，且拒绝未知的键",
    ),
    test(
        "scan",
        Part::Scan,
        20,
        "can be looked at soon",
        "可以很快读取",
    ),
    test(
        "extensions",
        Part::Extensions,
        20,
        "knows extensions by their whole id",
        "按完整 id 识别扩展",
    ),
    delivering(
        "settings",
        Part::Settings,
        30,
        "takes good settings",
        "接受正确的设置",
    ),
    delivering(
        "bad-settings",
        Part::BadSettings,
        60,
        "refuses bad settings, and says where and why",
        "拒绝错误的设置，并指明位置与原因",
    ),
    delivering(
        "outcomes",
        Part::Outcomes,
        120,
        "ends each attempt readably",
        "每次尝试都有可读的结果",
    ),
    delivering(
        "panics",
        Part::Panics,
        120,
        "survives unreadable events; no panic crosses",
        "遇到无法读取的事件也不崩溃，panic 不越界",
    ),
    delivering(
        "cancel",
        Part::Cancel,
        60,
        "gives up an attempt when asked",
        "按要求放弃尝试",
    ),
    delivering(
        "batch",
        Part::Batch,
        60,
        "takes several in one call",
        "一次调用可收多条",
    ),
    delivering(
        "health",
        Part::Health,
        30,
        "says how a sink is",
        "能说明目的地的状况",
    ),
    delivering(
        "concurrency",
        Part::Concurrency,
        60,
        "takes many attempts at once",
        "可同时进行多次尝试",
    ),
    delivering(
        "once",
        Part::Once,
        60,
        "completes each attempt once, and none after destroy",
        "每次尝试只完成一次，销毁后不再完成",
    ),
    delivering(
        "older-host",
        Part::OlderHost,
        60,
        "reads no struct beyond its size",
        "不读取结构体大小之外的内容",
    ),
    delivering(
        "destroy",
        Part::Destroy,
        60,
        "leaves no threads and descriptors behind",
        "不遗留线程与描述符",
    ),
    delivering(
        "memory",
        Part::Memory,
        120,
        "delivers 10,000 without growing",
        "投递 10,000 次内存不增长",
    ),
];

/// Judged over all of them.
pub(super) const OUTPUTS: &[Test] = &[
    test(
        "stdout",
        Part::Load,
        0,
        "writes nothing to stdout",
        "不向 stdout 写任何内容",
    ),
    test(
        "privacy",
        Part::Load,
        0,
        "says nothing of the customer, and no secret",
        "输出中没有客户信息与密钥",
    ),
];
