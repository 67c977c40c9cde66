//! The API: all of its paths. What each says of itself is all that is to be known of it.

use std::rc::Rc;

use super::parameter;
use super::problem::Kind;
use super::resources::{About, Endpoint, get, post};
use super::shape::{Items, Page};
use super::{
    audit, deliveries, erase, export, failures, filters, jobs, leads, mapping, openapi, orphans,
    plugins, preview, pushes, quarantine, release, reload, sieve, sink, sinks, stats, subject,
    system, tokens, trial, upkeep, wish,
};
use crate::outbox::Role::{Admin, Operator, Viewer};

/// All of it. Of paths that a request may match the first counts.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = about_all();
    all.extend(of_deliveries());
    all.extend(of_leads());
    all.extend(of_jobs());
    all.extend(of_sinks());
    all.extend(of_pushes());
    all.extend(of_the_quarantine());
    all.extend(of_the_outbox());
    all.extend(of_tokens());
    all.extend(of_the_audit_log());
    all
}

/// What is known of all of it.
pub(super) fn abouts() -> impl Iterator<Item = Rc<About>> {
    endpoints().into_iter().map(|endpoint| endpoint.about)
}

fn about_all() -> Vec<Endpoint> {
    vec![
        get(
            "/openapi.json",
            Viewer,
            ("This document", "本接口的 OpenAPI 文档"),
        )
        .command("config openapi")
        .to(openapi::show),
        get(
            "/stats",
            Viewer,
            (
                "How many leads and deliveries there are, by sink and state",
                "客资与投递的数量，按目的地与状态",
            ),
        )
        .gives::<stats::Stats>()
        .command("outbox stats")
        .to(super::show_stats),
        get(
            "/system",
            Viewer,
            (
                "What runs: version, configuration, outbox",
                "正在运行的版本、配置与发件箱",
            ),
        )
        .gives::<system::System>()
        .command("top")
        .to(system::show),
        get(
            "/plugins",
            Viewer,
            (
                "Plugins, their sinks and the processes of those",
                "插件、使用它们的目的地及其进程",
            ),
        )
        .gives::<Items<plugins::Plugin>>()
        .command("plugin list")
        .to(plugins::list),
        post(
            "/reload",
            Operator,
            (
                "Read the configuration's files again, and use what changed",
                "重新读取配置文件并启用改动",
            ),
        )
        .gives::<reload::Told>()
        .refuses([Kind::BadConfiguration, Kind::NotReloaded])
        .command("reload")
        .to(reload::reload),
    ]
}

fn of_deliveries() -> Vec<Endpoint> {
    let page = |most| [parameter::limit(most), parameter::cursor()];
    vec![
        get(
            "/deliveries",
            Viewer,
            ("A page of deliveries, oldest first", "一页投递，最早的在前"),
        )
        .takes(filters::of_deliveries())
        .takes(page(deliveries::MOST))
        .gives::<Page<deliveries::Summary>>()
        .command("outbox deliveries")
        .to(deliveries::list),
        get(
            "/deliveries/{id}",
            Viewer,
            ("A delivery with its attempts", "一条投递及其每次尝试"),
        )
        .gives::<deliveries::Detail>()
        .command("outbox show")
        .to(deliveries::show),
        get(
            "/deliveries/{id}/preview",
            Viewer,
            (
                "What its sink would be sent of it now, and how that differs from the last attempt",
                "现在会向目的地发送什么，与上次尝试有何不同",
            ),
        )
        .takes(parameter::reveal())
        .gives::<preview::Preview>()
        .command("outbox retry")
        .to(preview::show),
        post(
            "/deliveries/{id}/retry",
            Operator,
            ("Try a delivery again, now", "立即重新投递"),
        )
        .takes([parameter::flag("force", "As `force` of the body.")])
        .reads::<deliveries::Force>()
        .gives::<deliveries::Detail>()
        .refuses([Kind::InFlight, Kind::Over, Kind::Newer, Kind::NoSink])
        .command("outbox retry")
        .to(deliveries::retry),
        post(
            "/deliveries/{id}/cancel",
            Operator,
            ("Give a delivery up", "放弃一条投递"),
        )
        .gives::<deliveries::Detail>()
        .refuses([Kind::InFlight, Kind::Over])
        .command("outbox cancel")
        .to(deliveries::cancel),
        post(
            "/deliveries/{id}/done",
            Operator,
            (
                "Note that somebody saw to a delivery by hand",
                "把一条投递记为已人工处理",
            ),
        )
        .reads::<deliveries::ByHand>()
        .gives::<deliveries::Detail>()
        .refuses([Kind::InFlight, Kind::Over])
        .command("outbox done")
        .to(deliveries::done_by_hand),
        get(
            "/failure-groups",
            Viewer,
            (
                "Deliveries that failed alike, in groups, the largest first",
                "失败分组，最大的在前",
            ),
        )
        .takes([
            parameter::text("sink", "Only of this sink."),
            parameter::limit(failures::MOST),
        ])
        .gives::<failures::Groups>()
        .command("outbox failures")
        .to(failures::list),
        get(
            "/orphaned",
            Viewer,
            (
                "A page of deliveries of sinks that are not configured any more",
                "一页目的地已不在配置中的投递",
            ),
        )
        .takes(page(deliveries::MOST))
        .gives::<Page<deliveries::Summary>>()
        .command("outbox orphaned")
        .to(orphans::list),
    ]
}

fn of_leads() -> Vec<Endpoint> {
    vec![
        get(
            "/leads",
            Viewer,
            ("A page of leads, newest first", "一页客资，最新的在前"),
        )
        .takes(filters::of_leads())
        .takes(sieve::parameters())
        .takes([
            parameter::flag("unrouted", "Only, and all, that no sink ever wanted."),
            parameter::limit(leads::MOST),
            parameter::cursor(),
        ])
        .gives::<Page<leads::Summarized>>()
        .command("leads list")
        .to(leads::list),
        post(
            "/leads/search",
            Viewer,
            ("Leads with a phone or another value", "按手机号等查找客资"),
        )
        .reads::<leads::Search>()
        .gives::<Items<leads::Summarized>>()
        .command("leads find")
        .to(leads::search),
        post(
            "/leads/erase",
            Admin,
            (
                "Erase a lead, or all that is stored of a person",
                "擦除一条客资，或某人的全部数据",
            ),
        )
        .reads::<erase::Wish>()
        .gives::<erase::Answer>()
        .refuses([Kind::BadId])
        .command("leads erase")
        .to(erase::erase),
        post(
            "/leads/export",
            Admin,
            (
                "All that is stored of a lead or a person, for that person",
                "导出一条客资或某人的全部数据，供交给本人",
            ),
        )
        .reads::<subject::Named>()
        .streams("One JSON text, `{leads, quarantined, unread, more, complete}`.")
        .refuses([Kind::BadId])
        .command("leads export")
        .to(export::export),
        get(
            "/leads/{id}",
            Viewer,
            (
                "A lead with its revisions and deliveries, masked",
                "一条客资的各版本与投递，已打码",
            ),
        )
        .takes(parameter::reveal())
        .gives::<leads::One>()
        .command("leads show")
        .to(leads::show),
        get(
            "/leads/{id}/raw",
            Admin,
            ("What was pushed of a lead", "一条客资的原始推送"),
        )
        .takes(parameter::reveal())
        .takes([parameter::number(
            "revision",
            "Which revision; the newest unless asked otherwise.",
        )])
        .gives::<leads::Pushed>()
        .command("leads export")
        .to(leads::raw),
    ]
}

fn of_jobs() -> Vec<Endpoint> {
    vec![
        get(
            "/bulk",
            Viewer,
            ("Bulk jobs, newest first", "批量任务，最新的在前"),
        )
        .gives::<Items<jobs::Job>>()
        .command("bulk list")
        .to(jobs::list),
        post(
            "/bulk",
            Operator,
            (
                "Plan a bulk job, which does nothing until it is started",
                "计划一个批量任务，启动前不做任何事",
            ),
        )
        .reads::<wish::Wish>()
        .gives::<jobs::One>()
        .refuses([Kind::Busy, Kind::NoSink, Kind::NotFound, Kind::RoleTooLow])
        .command("leads replay")
        .to(jobs::plan),
        get(
            "/bulk/{id}",
            Viewer,
            ("A bulk job and how far it is", "一个批量任务及其进度"),
        )
        .gives::<jobs::One>()
        .command("bulk show")
        .to(jobs::show),
        post(
            "/bulk/{id}/start",
            Operator,
            (
                "Start a bulk job, or let a cancelled one go on",
                "启动批量任务，或让已取消的继续",
            ),
        )
        .reads::<jobs::Signed>()
        .gives::<jobs::One>()
        .refuses([Kind::Over, Kind::NoSink, Kind::RoleTooLow])
        .command("bulk start")
        .to(jobs::start),
        post(
            "/bulk/{id}/cancel",
            Operator,
            ("Stop a bulk job", "停止批量任务"),
        )
        .reads::<jobs::Signed>()
        .gives::<jobs::One>()
        .refuses([Kind::Over])
        .command("bulk cancel")
        .to(jobs::cancel),
    ]
}

fn of_sinks() -> Vec<Endpoint> {
    vec![
        get(
            "/sinks",
            Viewer,
            ("Sinks, and how each does", "目的地及其状态"),
        )
        .gives::<sinks::All>()
        .command("sink list")
        .to(sinks::list),
        get(
            "/sinks/{name}",
            Viewer,
            (
                "A sink: how it does, and what is set of it",
                "一个目的地：状态与各项设置",
            ),
        )
        .gives::<sink::Detail>()
        .command("sink show")
        .to(sink::show),
        get(
            "/sinks/{name}/settings",
            Operator,
            (
                "How a sink stands in the configuration's files, without secrets",
                "目的地在配置文件中的写法，不含密钥",
            ),
        )
        .gives::<sink::AsWritten>()
        .refuses([Kind::NoSink, Kind::NotReloaded])
        .command("sink settings")
        .to(sink::settings),
        post(
            "/sinks/{name}/render",
            Operator,
            (
                "What a sink would be sent of a lead, also by edited settings; nothing is sent or saved",
                "会向目的地发送什么，可试用修改后的设置；不发送、不保存",
            ),
        )
        .looks()
        .reads::<mapping::Asked>()
        .with_room(mapping::ROOM)
        .gives::<mapping::Rendered>()
        .refuses([Kind::NoSink, Kind::BadConfiguration, Kind::NotReloaded, Kind::BadId])
        .command("sink render")
        .to(mapping::render),
        post(
            "/sinks/{name}/pause",
            Operator,
            ("Pause a sink, over restarts", "暂停目的地，重启后仍暂停"),
        )
        .reads::<sinks::Asked>()
        .gives::<sinks::Standing>()
        .command("sink pause")
        .to(sinks::pause),
        post(
            "/sinks/{name}/resume",
            Operator,
            (
                "End a sink's pause, its breaker and the destination's wait",
                "结束目的地的暂停、熔断与对方要求的等待",
            ),
        )
        .gives::<sinks::Resumed>()
        .refuses([Kind::NoSink])
        .command("sink resume")
        .to(sinks::resume),
        post(
            "/sinks/{name}/test",
            Operator,
            ("Send a sink a test lead", "向目的地发送一条测试客资"),
        )
        .gives::<trial::Trial>()
        .refuses([Kind::NoSink, Kind::Busy])
        .command("sink test")
        .to(trial::test),
    ]
}

fn of_pushes() -> Vec<Endpoint> {
    vec![
        get(
            "/pushes",
            Viewer,
            (
                "The last pushes, taken and refused, the newest first, and what to do about each",
                "最近的推送（收下的与拒绝的），最新的在前，并说明如何处理",
            ),
        )
        .takes(pushes::parameters())
        .gives::<pushes::List>()
        .command("pushes")
        .to(pushes::list),
        get(
            "/pushes/{number}",
            Viewer,
            (
                "One of the last pushes; of a wrong signature what was signed and how, without the secret",
                "最近的一条推送；若签名不对，说明签了什么、怎样签的，不含密钥",
            ),
        )
        .gives::<pushes::One>()
        .command("pushes")
        .to(pushes::show),
    ]
}

fn of_the_quarantine() -> Vec<Endpoint> {
    vec![
        get(
            "/quarantine",
            Viewer,
            (
                "A page of pushes that were kept aside, oldest first",
                "一页被隔离的推送，最早的在前",
            ),
        )
        .takes(quarantine::parameters())
        .gives::<quarantine::List>()
        .command("quarantine list")
        .to(quarantine::list),
        get(
            "/quarantine/{id}",
            Viewer,
            (
                "A push in quarantine, and the lead it would be",
                "一条隔离推送，以及放行后的客资",
            ),
        )
        .takes(parameter::reveal())
        .gives::<quarantine::One>()
        .command("quarantine show")
        .to(quarantine::show),
        post(
            "/quarantine/{id}/release",
            Operator,
            (
                "Take a push out of quarantine as the lead it is",
                "将一条隔离推送作为客资放行",
            ),
        )
        .reads::<release::One>()
        .gives::<release::Released>()
        .refuses([Kind::NoSource, Kind::Unreachable, Kind::Overloaded])
        .command("quarantine release")
        .to(release::release),
        post(
            "/quarantine/{id}/discard",
            Operator,
            (
                "Remove a push from quarantine for good",
                "永久删除一条隔离推送",
            ),
        )
        .gives::<release::Discarded>()
        .command("quarantine discard")
        .to(release::discard),
    ]
}

fn of_the_outbox() -> Vec<Endpoint> {
    vec![
        post(
            "/outbox/backup",
            Admin,
            ("A backup of the outbox", "备份发件箱"),
        )
        .reads::<upkeep::Earlier>()
        .streams("The backup, for `leadgate outbox restore`.")
        .refuses([Kind::Busy])
        .with_room(upkeep::MAX_HAVE)
        .command("outbox backup")
        .to(upkeep::backup),
        post(
            "/outbox/export",
            Admin,
            (
                "All leads and quarantined pushes, in the clear",
                "明文导出全部客资与隔离推送",
            ),
        )
        .streams("JSON lines: a header, then leads and quarantined pushes.")
        .command("outbox export")
        .to(upkeep::export),
        post(
            "/outbox/rekey",
            Admin,
            (
                "Seal some of what is stored with the current key",
                "用当前密钥重新加密一部分",
            ),
        )
        .reads::<upkeep::Step>()
        .gives::<upkeep::Rekeyed>()
        .command("outbox rekey")
        .to(upkeep::rekey),
    ]
}

fn of_tokens() -> Vec<Endpoint> {
    vec![
        get(
            "/tokens",
            Admin,
            (
                "Tokens with their roles and when each was used last",
                "令牌、角色与最近使用时间",
            ),
        )
        .gives::<Items<tokens::Shown>>()
        .command("token list")
        .to(tokens::list),
        post(
            "/tokens",
            Admin,
            (
                "Make a token, which is shown this once",
                "新建令牌，仅此一次显示",
            ),
        )
        .reads::<tokens::Wish>()
        .gives::<tokens::NewToken>()
        .refuses([Kind::Taken, Kind::TooMany])
        .command("token add")
        .to(tokens::add),
        post(
            "/tokens/{name}/revoke",
            Admin,
            ("Let nobody in by a token any more", "撤销令牌，立即生效"),
        )
        .gives::<tokens::Revoked>()
        .command("token revoke")
        .to(tokens::revoke),
    ]
}

fn of_the_audit_log() -> Vec<Endpoint> {
    vec![
        get(
            "/audit",
            Admin,
            (
                "A page of the audit log, newest first: who did what, and who looked at whom",
                "一页审计日志，最新的在前：谁做了什么、谁查看了谁",
            ),
        )
        .takes(audit::filters())
        .takes([parameter::limit(audit::MOST), parameter::cursor()])
        .gives::<Page<audit::Shown>>()
        .command("audit list")
        .to(audit::list),
        get(
            "/audit/verify",
            Admin,
            (
                "Whether no entry of the audit log was removed or changed",
                "审计日志的条目是否被删除或改动",
            ),
        )
        .gives::<audit::Verified>()
        .command("audit verify")
        .to(audit::verify),
        get(
            "/audit/export",
            Admin,
            (
                "The audit log as JSON lines, oldest first",
                "以 JSON 行输出审计日志，最早的在前",
            ),
        )
        .takes(audit::filters())
        .streams("An entry a line.")
        .command("audit export")
        .to(audit::export),
    ]
}
