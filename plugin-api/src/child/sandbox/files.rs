//! Files, ports and signals: what a child reaches, by the kernel's Landlock.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};

use super::{Sandbox, SandboxReport};

/// The rights that are known and were tested here; a newer kernel has all of them.
const KNOWN: ABI = ABI::V7;
/// The first ABI that can hold back connections.
const NETWORK: i32 = 4;
/// The first ABI that can hold back signals.
const SIGNALS: i32 = 6;

/// What any program reads: libraries, names, time, certificates, and what says how many
/// processors there are. Nothing of other processes, nothing of the merchant's.
const READ: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/share",
    "/nix/store",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/vm/overcommit_memory",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
];
/// What any program may write.
const WRITE: &[&str] = &["/dev/null"];

pub(super) fn restrict(sandbox: &Sandbox, report: &mut SandboxReport) {
    let mut absent = Vec::new();
    match enter(sandbox, &mut absent) {
        Ok(status) => tell(sandbox, &status, &absent, report),
        Err(error) => {
            let why = error.to_string();
            for (name, wanted) in wanted(sandbox) {
                if wanted {
                    report.unavailable(name, why.clone());
                } else {
                    report.off(name);
                }
            }
        }
    }
}

fn wanted(sandbox: &Sandbox) -> [(&'static str, bool); 3] {
    [
        ("files", sandbox.files),
        ("network", sandbox.connect.is_some()),
        ("signals", true),
    ]
}

fn enter(sandbox: &Sandbox, absent: &mut Vec<String>) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    if sandbox.files {
        rules = rules.handle_access(AccessFs::from_all(KNOWN))?;
    }
    if sandbox.connect.is_some() {
        rules = rules.handle_access(AccessNet::from_all(KNOWN))?;
    }
    // No signal to a process outside, such as the one that started us, and no connection to
    // sockets of theirs that have no file.
    rules = rules.scope(Scope::from_all(KNOWN))?;
    let mut rules = rules.create()?;
    if sandbox.files {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute);
        for path in READ {
            allow(&mut rules, Path::new(path), read)?;
        }
        for path in WRITE {
            allow(&mut rules, Path::new(path), read | AccessFs::WriteFile)?;
        }
        for (paths, access) in [
            (&sandbox.read, read),
            (&sandbox.write, write),
            (&sandbox.execute, read | AccessFs::Execute),
        ] {
            for path in paths {
                if !allow(&mut rules, path, access)? {
                    absent.push(path.display().to_string());
                }
            }
        }
    }
    for port in sandbox.connect.iter().flatten() {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    rules.restrict_self()
}

/// Whether it is there to be allowed. A file gets those rights that a file can have.
fn allow(
    rules: &mut RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<bool, RulesetError> {
    let Ok(opened) = PathFd::new(path) else {
        return Ok(false);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(KNOWN)
    };
    rules.add_rule(PathBeneath::new(opened, access))?;
    Ok(true)
}

fn tell(
    sandbox: &Sandbox,
    status: &RestrictionStatus,
    absent: &[String],
    report: &mut SandboxReport,
) {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        LandlockStatus::NotEnabled => 0,
        LandlockStatus::NotImplemented => -1,
    };
    let lacking = |needed: i32| match abi {
        -1 => "this kernel has no Landlock".to_owned(),
        0 => "this kernel's Landlock is not switched on".to_owned(),
        abi => format!("this kernel's Landlock has ABI {abi}, that needs {needed}"),
    };
    for (name, wanted) in wanted(sandbox) {
        let needed = match name {
            "files" => 1,
            "network" => NETWORK,
            _ => SIGNALS,
        };
        if !wanted {
            report.off(name);
        } else if abi < needed {
            report.unavailable(name, lacking(needed));
        } else {
            let mut note = format!("Landlock ABI {abi}");
            if name == "files" && !absent.is_empty() {
                note = format!("{note}; not there: {}", absent.join(", "));
            }
            if name == "network" {
                note.push_str("; TCP only, UDP is not held back");
            }
            report.on(name, note);
        }
    }
}
