//! Limits: privileges that are given up, and how much a child may take.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::{Inhabitant, Sandbox, SandboxReport};

/// No program that is started from here gains privileges, and those of root are given up.
pub(super) fn privileges(report: &mut SandboxReport) {
    match set_no_new_privs(true) {
        Ok(()) => report.on("no_new_privs", ""),
        Err(error) => report.unavailable("no_new_privs", error.to_string()),
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    match set_capabilities(None, none) {
        Ok(()) => report.on("no_capabilities", ""),
        Err(error) => report.unavailable("no_capabilities", error.to_string()),
    }
}

pub(super) fn set(sandbox: &Sandbox, inhabitant: Inhabitant, report: &mut SandboxReport) {
    // A core dump is a file with all leads that were in memory.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    limit(report, "no_core_dumps", Resource::Core, Some(0));
    // Not the address space: allocators reserve far more of it than they ever use.
    let memory = sandbox.memory.map(|memory| match inhabitant {
        Inhabitant::ThisProgram => memory.saturating_add(taken().unwrap_or(0)),
        Inhabitant::Another => memory,
    });
    limit(report, "memory", Resource::Data, memory);
    limit(report, "descriptors", Resource::Nofile, sandbox.descriptors);
    limit(report, "processes", Resource::Nproc, sandbox.processes);
}

fn limit(report: &mut SandboxReport, name: &str, resource: Resource, most: Option<u64>) {
    let Some(most) = most else {
        return report.off(name);
    };
    // Never more than we may have ourselves.
    let maximum = rustix::process::getrlimit(resource).maximum;
    let most = maximum.map_or(most, |maximum| most.min(maximum));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    match setrlimit(resource, limit) {
        Ok(()) => report.on(name, most.to_string()),
        Err(error) => report.unavailable(name, error.to_string()),
    }
}

/// Writable memory of this process in bytes, as the limit counts it.
fn taken() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmData:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
