//! System calls that no plugin needs and that would lead out of the sandbox: refused by the
//! kernel's seccomp, as if the user were not permitted.
//!
//! A list of what is refused, not of what is allowed: a library of another hand may use any of
//! the rest, and a call that a new libc makes must not end it.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::{Sandbox, SandboxReport};

/// Refused whatever their arguments are.
const REFUSED: &[i64] = &[
    // Other processes: their memory, descriptors and execution.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Out of the process group, by which what was started is ended.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Namespaces, mounts and roots.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The kernel and the machine.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    // Keys that all processes of a user share.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // It does what other calls do, without them being looked at.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// New namespaces, by flags of `clone`.
const NAMESPACES: [u64; 7] = [
    0x0002_0000, // mounts
    0x0200_0000, // control groups
    0x0400_0000, // host names
    0x0800_0000, // System V
    0x1000_0000, // users
    0x2000_0000, // processes
    0x4000_0000, // network
];

/// Requests of `ioctl` that type into a terminal.
const TYPING: [u64; 2] = [0x5412, 0x541C];
const PR_SET_PDEATHSIG: u64 = 1;
const SOCK_RAW: u64 = 3;
const SOCK_TYPE: u64 = 0xf;
/// The families of sockets that a plugin may open: IPv4, IPv6, and files if it may.
const INET: u64 = 2;
const INET6: u64 = 10;
const UNIX: u64 = 1;

/// The same calls by the numbers of x32, which a kernel may have beside.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

pub(super) fn refuse(sandbox: &Sandbox, report: &mut SandboxReport) {
    let name = "system_calls";
    if !sandbox.system_calls {
        return report.off(name);
    }
    let entered = programs(sandbox)
        .map_err(|error| error.to_string())
        .and_then(|programs| {
            programs.iter().try_for_each(|program| {
                seccompiler::apply_filter(program).map_err(|error| error.to_string())
            })
        });
    match entered {
        Ok(()) => report.on(name, format!("{} refused", REFUSED.len())),
        Err(error) => report.unavailable(name, error),
    }
}

fn programs(sandbox: &Sandbox) -> Result<Vec<BpfProgram>, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let is = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in REFUSED {
        refused.insert(*call, Vec::new());
        #[cfg(target_arch = "x86_64")]
        refused.insert(*call | X32, Vec::new());
    }
    let mut foreign = vec![
        is(0, SeccompCmpOp::Ne, INET)?,
        is(0, SeccompCmpOp::Ne, INET6)?,
    ];
    if sandbox.unix_sockets {
        foreign.push(is(0, SeccompCmpOp::Ne, UNIX)?);
    }
    let raw = vec![is(1, SeccompCmpOp::MaskedEq(SOCK_TYPE), SOCK_RAW)?];
    let mut conditional = vec![
        (
            libc::SYS_socket,
            vec![SeccompRule::new(foreign)?, SeccompRule::new(raw)?],
        ),
        (
            libc::SYS_prctl,
            vec![SeccompRule::new(vec![is(
                0,
                SeccompCmpOp::Eq,
                PR_SET_PDEATHSIG,
            )?])?],
        ),
        // The limits of another process.
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Ne, 0)?])?],
        ),
    ];
    let rule = |argument, operator, value| SeccompRule::new(vec![is(argument, operator, value)?]);
    let typing = TYPING.map(|request| rule(1, SeccompCmpOp::Eq, request));
    conditional.push((
        libc::SYS_ioctl,
        typing.into_iter().collect::<Result<_, _>>()?,
    ));
    let namespaces = NAMESPACES.map(|flag| rule(0, SeccompCmpOp::MaskedEq(flag), flag));
    conditional.push((
        libc::SYS_clone,
        namespaces.into_iter().collect::<Result<_, _>>()?,
    ));
    refused.extend(conditional);
    let not_permitted = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let refusing = SeccompFilter::new(refused, SeccompAction::Allow, not_permitted, architecture)?;
    // What it would do stands where no filter sees it; every libc then does it by `clone`.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let not_there = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let hiding = SeccompFilter::new(unknown, SeccompAction::Allow, not_there, architecture)?;
    Ok(vec![refusing.try_into()?, hiding.try_into()?])
}
