//! Help in Chinese: what the derived definitions say in English, by command.

use crate::lang::Lang;
use crate::outbox::{DeathReason, StateName};
use crate::source::QUARANTINE_REASONS;
use crate::telemetry::pushes::{PushClass, PushVerdict};
use crate::words::Words;

/// What each command is for, by its path.
pub(super) const ABOUTS: &[(&str, &str)] = &[
    ("run", "运行守护进程"),
    ("check", "检查配置，一次列出所有问题"),
    ("reload", "让运行中的守护进程重新读取配置并启用改动"),
    ("init", "生成带注释的初始配置，可选择目的地"),
    ("demo", "零配置演示：推送、落盘、投递"),
    ("push", "像阿里一样发送已签名的推送"),
    (
        "render",
        "显示哪些目的地接收某条客资，并预览将发送的内容，不真正发送",
    ),
    ("outbox", "查看、修复、校验、备份发件箱"),
    ("outbox stats", "各状态的客资与投递数量"),
    ("outbox deliveries", "列出投递：按结果、目的地、来源与时间"),
    (
        "outbox failures",
        "列出失败分组（同一目的地、规则与原因），最大的在前",
    ),
    ("outbox show", "查看一条投递及其每次尝试"),
    ("outbox retry", "重新投递一条，或许多条"),
    ("outbox cancel", "放弃一条投递，或许多条"),
    (
        "outbox done",
        "把一条投递或许多条记为已送达：有人已人工处理",
    ),
    ("outbox orphaned", "列出目的地已不在配置中的投递"),
    ("leads", "查找客资；导出或擦除某人的全部数据"),
    (
        "leads find",
        "按手机号等查找客资；值放在请求体中，不进入 URL",
    ),
    (
        "leads list",
        "列出客资，可按来源、门店、城市、目的地、状态与时间，最新的在前",
    ),
    ("leads show", "查看一条客资的各版本与投递"),
    ("leads export", "以 JSON 明文输出某人的全部数据，供交给本人"),
    (
        "leads erase",
        "从发件箱及其磁盘上擦除一条客资、某人的全部数据，或许多条客资",
    ),
    (
        "leads replay",
        "把已存储的客资发到某目的地，或把已移除目的地的待办转到另一目的地",
    ),
    ("bulk", "查看、启动、跟踪、停止批量任务"),
    ("bulk list", "列出批量任务，最新的在前"),
    (
        "bulk show",
        "查看一个批量任务：针对什么、进度、为何等待、跳过了哪些及原因",
    ),
    ("bulk start", "启动仅计划的批量任务，或让已取消的从原处继续"),
    ("bulk cancel", "停止一个批量任务；已完成的保持不变"),
    (
        "pushes",
        "查看最近推送的结果与原因；被拒绝的可看签了什么、怎样签的",
    ),
    ("quarantine", "查看、放行或丢弃被隔离的推送"),
    ("quarantine list", "列出隔离区中的推送，最早的在前"),
    (
        "quarantine show",
        "查看隔离区中的一条推送，以及放行后会成为什么",
    ),
    (
        "quarantine release",
        "将隔离的一条或许多推送作为客资放行并投递",
    ),
    ("quarantine discard", "永久删除隔离区中的一条或许多推送"),
    ("sink", "查看、暂停、恢复、测试目的地，或充当一个"),
    ("sink list", "列出目的地及其待投递数量"),
    ("sink pause", "暂停目的地，重启后仍暂停，直到恢复"),
    (
        "sink resume",
        "恢复目的地：结束暂停、熔断等待和对方要求的等待",
    ),
    (
        "sink test",
        "立即向目的地发送一条测试客资（暂停时也可），并显示结果",
    ),
    (
        "sink listen",
        "充当模拟 CRM：在本机接收目的地发来的内容并显示",
    ),
    (
        "top",
        "实时查看客资的接收与投递：目的地、速率、时长、熔断、失败",
    ),
    ("audit", "谁做过什么、谁看过谁的信息：列出、校验、输出"),
    ("audit list", "列出做过的操作，最新的在前"),
    ("audit verify", "校验是否有条目被移除或改动"),
    ("audit export", "以 JSON Lines 输出条目，最早的在前"),
    ("plugin", "目的地可用的插件"),
    (
        "plugin list",
        "列出插件：版本、ABI、来自何处、被哪些目的地使用",
    ),
    (
        "plugin new",
        "生成新插件的项目：可构建、测试通过、可立即投递",
    ),
    (
        "plugin check",
        "按约定检查已构建的插件，每项测试都在独立进程中进行",
    ),
    ("plugin run", "不经守护进程，用已构建的插件投递一条客资"),
    ("token", "建立、列出、撤销人和程序访问 API 的令牌"),
    ("token add", "新建令牌，仅此一次显示"),
    (
        "token list",
        "列出令牌：归谁、角色、何时由谁建立、最近使用、是否撤销",
    ),
    ("token revoke", "撤销令牌，立即生效"),
    ("config", "配置与 API 的描述文件"),
    ("config schema", "输出配置的 JSON Schema"),
    (
        "config openapi",
        "输出运维 API 的 OpenAPI 文档，供编写客户端",
    ),
    ("completions", "输出 shell 补全脚本"),
];

/// What the arguments of operators' commands are, by command and name.
pub(super) const ARGUMENTS: &[(&str, &str, &str)] = &[
    ("token add", "name", "归谁，如 wang 或 crm-report"),
    (
        "token add",
        "role",
        "允许做什么：viewer 只看，且看不到姓名与手机号；operator 还可重试、取消、暂停、放行；admin 还可显示个人信息、导出、擦除、建立令牌",
    ),
    ("token revoke", "name", "归谁"),
    ("leads replay", "to", "投递到哪个目的地"),
    (
        "leads replay",
        "from_orphaned",
        "不是客资，而是该目的地（已不在配置中）等待投递的和死信",
    ),
    (
        "leads replay",
        "only_undelivered",
        "只发该目的地还没有收到过的；不加则已送达的也会再次发送",
    ),
    (
        "leads replay",
        "regardless",
        "目的地自己的 when 不要的也发送",
    ),
    (
        "sink pause",
        "note",
        "暂停原因，留给之后查看的人；最多 200 字",
    ),
    ("init", "folder", "写到哪个文件夹"),
    (
        "init",
        "sinks",
        "要生成的目的地，如 crm=salesforce；可重复。只写类型时名字相同",
    ),
    (
        "init",
        "yes",
        "不询问；未给 --sink 时客资发到本机的 `leadgate sink listen`",
    ),
    ("init", "force", "覆盖已有文件，但绝不覆盖密钥与令牌"),
    ("render", "sink", "目的地的名字；不写则只显示哪些目的地接收"),
    (
        "render",
        "lead",
        "客资文件，格式与天猫推送相同 [默认：文档中的示例]",
    ),
    ("render", "source", "视为来自哪个来源 [默认：第一个]"),
    (
        "render",
        "id",
        "守护进程中已存储的客资编号；守护进程会记录此操作",
    ),
    ("sink listen", "port", "本机端口；0 表示任选空闲端口"),
    (
        "sink listen",
        "secret",
        "目的地签名所用的密钥，用于校验：env:NAME、file:PATH 或 whsec_… 本身",
    ),
    (
        "sink listen",
        "fail",
        "以此状态码应答，看目的地如何处理失败",
    ),
    ("sink listen", "after", "先正常接收多少条客资"),
    ("sink listen", "count", "接收多少条客资后结束"),
    (
        "sink listen",
        "reveal",
        "显示完整的姓名、手机号以及整个请求体",
    ),
    ("top", "interval", "每隔多少秒查看一次，1 到 60"),
    ("plugin new", "name", "插件的名字，如 my-erp"),
    ("plugin new", "lang", "用哪种语言编写：rust、c 或 python"),
    ("plugin new", "folder", "要创建的文件夹 [默认：与名字相同]"),
    ("plugin check", "file", "动态库，或 exec 插件所用的程序"),
    ("plugin check", "name", "其中插件的名字 [默认：唯一的那个]"),
    (
        "plugin check",
        "settings",
        "含正确设置的 TOML 或 JSON 文件；会向其中的目的地发送上万条测试客资 [默认：由 schema 得出]",
    ),
    ("plugin check", "only_failed", "只显示未通过的"),
    (
        "plugin check",
        "in_process",
        "在本进程中进行，供调试器使用：一旦崩溃即结束",
    ),
    ("plugin run", "file", "动态库，或 exec 插件所用的程序"),
    (
        "plugin run",
        "settings",
        "含目的地设置的 TOML 或 JSON 文件 [默认：无]",
    ),
    (
        "plugin run",
        "lead",
        "客资文件，格式与天猫推送相同 [默认：文档中的示例]",
    ),
    ("plugin run", "name", "其中插件的名字 [默认：唯一的那个]"),
    (
        "plugin run",
        "timeout",
        "一次尝试最长多久，如 10s [默认：30s]",
    ),
    ("audit list", "who", "只看该人或该令牌的操作"),
    (
        "audit list",
        "action",
        "只看该操作，如 leads.reveal，或某一类，如 leads",
    ),
    ("audit list", "result", "只看该结果"),
    ("audit list", "since", "只看此时间及之后的，{time}"),
    ("audit list", "until", "只看此时间之前的，{time}"),
    ("audit export", "who", "只输出该人或该令牌的操作"),
    (
        "audit export",
        "action",
        "只输出该操作，如 leads.reveal，或某一类，如 leads",
    ),
    ("audit export", "result", "只输出该结果"),
    ("audit export", "since", "只输出此时间及之后的，{time}"),
    ("audit export", "until", "只输出此时间之前的，{time}"),
    ("outbox deliveries", "sink", "只看该目的地"),
    ("outbox deliveries", "state", "只看该状态：{states}"),
    ("outbox deliveries", "source", "只看该来源的客资"),
    ("outbox deliveries", "reason", "只看该原因的死信：{deaths}"),
    (
        "outbox deliveries",
        "rule",
        "只看因该规则失败的，如 timeout",
    ),
    (
        "outbox deliveries",
        "group",
        "只看该失败分组，编号见 `outbox failures`",
    ),
    (
        "outbox deliveries",
        "orphaned",
        "只看目的地已不在配置中、尚未了结的",
    ),
    (
        "outbox deliveries",
        "since",
        "只看此时间及之后创建的，{time}",
    ),
    ("outbox deliveries", "until", "只看此时间之前创建的，{time}"),
    ("outbox failures", "sink", "只看该目的地"),
    ("outbox deliveries", "limit", "最多多少条 [默认：50]"),
    ("outbox deliveries", "all", "全部列出"),
    ("outbox show", "id", "投递编号"),
    ("outbox retry", "id", "投递编号"),
    (
        "outbox retry",
        "force",
        "即使已送达或已被替代也重新投递：对方可能收到两次",
    ),
    ("outbox cancel", "id", "投递编号"),
    ("outbox done", "id", "投递编号"),
    (
        "outbox done",
        "note",
        "如何处理的（必填），会记入该投递；不要写个人信息",
    ),
    ("outbox orphaned", "limit", "最多多少条 [默认：50]"),
    ("outbox orphaned", "all", "全部列出"),
    (
        "check",
        "connect",
        "同时连接每个目的地（不发送客资）：域名、连接、TLS、登录",
    ),
    ("leads list", "seller_id", "只看该商家的客资"),
    ("leads list", "store_id", "只看该门店的客资"),
    (
        "leads list",
        "city",
        "只看该城市的客资：城市编码，或城市名称的开头",
    ),
    ("leads list", "sink", "只看投往该目的地的客资"),
    (
        "leads list",
        "state",
        "只看有投递处于该状态的客资；与 --sink 同用时指投往该目的地的投递",
    ),
    ("leads list", "unrouted", "只列出没有目的地要的客资"),
    (
        "leads find",
        "phone",
        "手机号，写法不限，或其后四位；用 - 从标准输入读取，不留在命令历史中",
    ),
    (
        "leads find",
        "record_id",
        "天猫客资 ID；用 - 从标准输入读取",
    ),
    ("leads find", "order_num", "预约订单号；用 - 从标准输入读取"),
    ("leads find", "nick", "淘宝昵称；用 - 从标准输入读取"),
    ("leads find", "openid", "淘宝加密 ID；用 - 从标准输入读取"),
    ("leads show", "reveal", "显示个人信息；守护进程会记录此操作"),
    ("leads export", "id", "一条客资，按其编号"),
    (
        "leads export",
        "phone",
        "该手机号的人的全部数据，写法不限；用 - 则询问，或从标准输入读取，不留在命令历史中",
    ),
    (
        "leads export",
        "record_id",
        "该天猫客资 ID 的全部；用 - 从标准输入读取",
    ),
    (
        "leads export",
        "order_num",
        "该预约订单号的全部；用 - 从标准输入读取",
    ),
    (
        "leads export",
        "nick",
        "该淘宝昵称的全部；用 - 从标准输入读取",
    ),
    (
        "leads export",
        "openid",
        "该淘宝加密 ID 的全部；用 - 从标准输入读取",
    ),
    ("leads erase", "id", "一条客资，按其编号"),
    (
        "leads erase",
        "phone",
        "该手机号的人的全部数据，写法不限；用 - 则询问，或从标准输入读取，不留在命令历史中",
    ),
    (
        "leads erase",
        "record_id",
        "该天猫客资 ID 的全部；用 - 从标准输入读取",
    ),
    (
        "leads erase",
        "order_num",
        "该预约订单号的全部；用 - 从标准输入读取",
    ),
    (
        "leads erase",
        "nick",
        "该淘宝昵称的全部；用 - 从标准输入读取",
    ),
    (
        "leads erase",
        "openid",
        "该淘宝加密 ID 的全部；用 - 从标准输入读取",
    ),
    ("leads erase", "dry_run", "只显示将擦除什么"),
    ("leads erase", "source", "该来源的全部"),
    ("leads erase", "since", "此时间及之后首次接收的全部，{time}"),
    ("leads erase", "until", "此时间之前首次接收的全部，{time}"),
    (
        "leads erase",
        "when",
        "满足此条件的全部，写法同目的地的 when",
    ),
    (
        "pushes",
        "number",
        "只看这一条；若签名不对，显示签了什么、怎样签的",
    ),
    ("pushes", "verdict", "只看该结果：{verdicts}"),
    ("pushes", "class", "只看该类结果：{classes}"),
    ("pushes", "source", "只看该来源"),
    ("pushes", "limit", "最多多少条，不超过 200 [默认：50]"),
    ("quarantine list", "reason", "只看该原因：{reasons}"),
    ("quarantine list", "source", "只看该来源"),
    ("quarantine list", "since", "只看此时间及之后接收的，{time}"),
    ("quarantine list", "until", "只看此时间之前接收的，{time}"),
    (
        "quarantine show",
        "reveal",
        "显示推送内容；守护进程会记录此操作",
    ),
    ("outbox salvage", "to", "新发件箱的目录：须为空或不存在"),
    (
        "outbox backup",
        "to",
        "要写的文件，须不存在；或目录（新目录以 / 结尾），只复制上次备份之后新增的内容",
    ),
    ("outbox restore", "from", "备份：文件或目录"),
    ("outbox restore", "to", "新发件箱的目录：须为空或不存在"),
    (
        "outbox restore",
        "paused",
        "所有目的地启动后均为暂停，确认之前不投递任何内容",
    ),
    ("outbox import", "file", "导出的文件，或用 - 从标准输入读取"),
    (
        "demo",
        "once",
        "第一条客资后即停止；仅当替身确实收到时退出码为 0",
    ),
    ("demo", "port", "接收推送的端口 [默认：8080，被占用则任选]"),
    (
        "push",
        "url",
        "推送到哪里，如 http://127.0.0.1:8080/tmall/leads",
    ),
    ("push", "app_key", "以 app_key 发送"),
    (
        "push",
        "secret",
        "签名密钥：env:NAME、file:PATH，或密钥本身（他人可在进程列表中看到）",
    ),
    ("push", "method", "以 method 发送 [默认：不发送]"),
    (
        "push",
        "lead",
        "客资文件，原样发送，无论是否有效 [默认：文档中的示例]",
    ),
    (
        "push",
        "count",
        "推送多少次；多于一次时各有自己的 record_id，从客资的开始递增",
    ),
    ("push", "record_id", "第一次推送的客资 ID [默认：客资中的]"),
    (
        "push",
        "rate",
        "每秒最多开始多少次推送，如 20 或 20/s、600/min、1000/h [默认：不限]",
    ),
    ("push", "concurrency", "同时进行的推送数"),
    ("quarantine release", "id", "隔离推送的编号"),
    (
        "quarantine release",
        "force",
        "连同无法联系到任何人的推送一起放行",
    ),
    ("quarantine discard", "id", "隔离推送的编号"),
];

/// Which of many, by the commands that take them alike.
const MANY: &[(&[&str], &str, &str)] = &[
    (OF_DELIVERIES, "sink", "该目的地的全部"),
    (
        OF_DELIVERIES,
        "state",
        "该状态的全部：pending、retrying、behind、dead [默认：dead]",
    ),
    (OF_DELIVERIES, "source", "只限该来源的客资"),
    (OF_DELIVERIES, "reason", "只限该原因的死信：{deaths}"),
    (OF_DELIVERIES, "rule", "只限因该规则失败的，如 timeout"),
    (
        OF_DELIVERIES,
        "group",
        "只限该失败分组，编号见 `outbox failures`",
    ),
    (OF_DELIVERIES, "since", "只限此时间及之后创建的，{time}"),
    (OF_DELIVERIES, "until", "只限此时间之前创建的，{time}"),
    (OF_PUSHES, "reason", "该原因的全部：{reasons}"),
    (OF_PUSHES, "source", "该来源的全部"),
    (OF_PUSHES, "since", "此时间及之后接收的全部，{time}"),
    (OF_PUSHES, "until", "此时间之前接收的全部，{time}"),
];

/// Commands over many deliveries.
const OF_DELIVERIES: &[&str] = &["outbox retry", "outbox cancel", "outbox done"];
/// Commands over many pushes in quarantine.
const OF_PUSHES: &[&str] = &["quarantine release", "quarantine discard"];

/// The command tree with its help in Chinese.
pub(super) fn in_chinese(command: clap::Command) -> clap::Command {
    let command = command.about("接收天猫推送的客资，可靠落盘，再投递到您配置的目的地");
    let command = ABOUTS
        .iter()
        .copied()
        .fold(command, |command, (path, about)| {
            at(command, path, |command| command.about(about))
        });
    let command = command.mut_subcommand("outbox", super::upkeep::localized);
    let command = command.mut_subcommand("init", |init| {
        init.after_help(super::init::kinds_help(Lang::ZhCn))
    });
    let command = ["sink pause", "sink resume"]
        .into_iter()
        .fold(command, |command, path| {
            let after = "守护进程停止时也可使用：直接写入 outbox.path 目录。";
            at(command, path, |command| command.after_help(after))
        });
    let command = everywhere(command);
    let many = MANY
        .iter()
        .flat_map(|(paths, argument, help)| paths.iter().map(|path| (*path, *argument, *help)));
    many.chain(ARGUMENTS.iter().copied())
        .fold(command, |command, (path, argument, help)| {
            at(command, path, |command| {
                command.mut_arg(argument, |arg| arg.help(with_words(help)))
            })
        })
}

/// Arguments that mean the same in every command that has them.
const EVERYWHERE: &[(&str, &str)] = &[
    (
        "config",
        "配置文件 [默认：$LEADGATE_CONFIG、./leadgate.toml、/etc/leadgate/leadgate.toml]",
    ),
    ("lang", "消息语言：en 或 zh-CN [默认：取自环境]"),
    ("json", "输出机器可读的 JSON"),
    (
        "url",
        "守护进程 API 的地址，如 http://127.0.0.1:8081 [默认：取自配置]",
    ),
    ("token_env", "存放令牌的环境变量名 [默认：取自配置]"),
    ("rate", "每秒最多多少条"),
    ("note", "原因，留给之后查看的人；不要写个人信息"),
    ("detach", "不等待其结束；进度见 `leadgate bulk show`"),
    ("follow", "持续显示进度，直到结束"),
    ("when", "只要满足此条件的客资，写法同目的地的 when"),
    ("limit", "最多多少条 [默认：50]"),
    ("all", "全部列出，不论多少"),
    ("id", "编号"),
    ("token_file", "存放令牌的文件"),
    ("name", "目的地的名字"),
    ("reason", "只看该原因：{reasons}"),
    ("source", "只看该来源"),
    ("since", "只看此时间及之后接收的，{time}"),
    ("until", "只看此时间之前接收的，{time}"),
    ("order", "哪些在前：oldest 最早的，newest 最新的"),
    ("reveal", "显示个人信息；守护进程会记录此操作"),
    ("yes", "不再询问"),
    ("force", "仍然执行"),
    ("shell", "哪种 shell"),
];

fn everywhere(command: clap::Command) -> clap::Command {
    let command = EVERYWHERE
        .iter()
        .copied()
        .fold(command, |command, (id, help)| {
            if command.get_arguments().any(|arg| arg.get_id() == id) {
                command.mut_arg(id, |arg| arg.help(with_words(help)))
            } else {
                command
            }
        });
    command.mut_subcommands(everywhere)
}

/// How a time is written.
const TIME: &str =
    "如 2026-11-26 或 \"2026-11-26 10:00:00\"（未写时区 Z、+08:00 等即为东八区）或 2h（多久以前）";

/// A help text with the codes that a filter takes, and what they are called in tables.
fn with_words(help: &'static str) -> String {
    let states = Words::State.listed(&StateName::ALL.map(StateName::as_str));
    let reasons = Words::Quarantine.listed(&QUARANTINE_REASONS);
    let deaths = Words::Death.listed(&DeathReason::ALL.map(DeathReason::as_str));
    let verdicts = Words::Push.listed(&PushVerdict::ALL.map(PushVerdict::as_str));
    let classes = Words::Pushes.listed(&PushClass::ALL.map(PushClass::as_str));
    help.replace("{states}", &states)
        .replace("{verdicts}", &verdicts)
        .replace("{classes}", &classes)
        .replace("{reasons}", &reasons)
        .replace("{deaths}", &deaths)
        .replace("{time}", TIME)
}

/// Changes the command at a path of one or two names.
fn at(
    command: clap::Command,
    path: &str,
    change: impl FnOnce(clap::Command) -> clap::Command,
) -> clap::Command {
    match path.split_once(' ') {
        None => command.mut_subcommand(path, change),
        Some((noun, verb)) => {
            command.mut_subcommand(noun, |command| command.mut_subcommand(verb, change))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn arguments_are_chinese(command: &clap::Command) {
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.chars().any(|letter| letter >= '\u{4e00}'),
                "{} {}: {help}",
                command.get_name(),
                arg.get_id()
            );
            assert!(!help.contains('{'), "{help}");
        }
        command.get_subcommands().for_each(arguments_are_chinese);
    }

    #[test]
    fn filters_list_their_codes_with_the_words_of_the_tables() {
        let help = with_words("只看该状态：{states}；{reasons}");
        for part in ["in_flight（投递中）", "dead（死信）", "stale（时间戳过期）"] {
            assert!(help.contains(part), "{help}");
        }
    }

    #[test]
    fn every_command_is_described_in_chinese() {
        let is_chinese = |command: &clap::Command| {
            let about = command.get_about().map(ToString::to_string);
            about.is_some_and(|about| about.chars().any(|letter| letter >= '\u{4e00}'))
        };
        let tree = in_chinese(super::super::Cli::command());
        arguments_are_chinese(&tree);
        for noun in tree.get_subcommands() {
            assert!(is_chinese(noun), "{}", noun.get_name());
            for verb in noun.get_subcommands() {
                assert!(is_chinese(verb), "{} {}", noun.get_name(), verb.get_name());
            }
        }
    }
}
