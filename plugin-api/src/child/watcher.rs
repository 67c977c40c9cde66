//! The watcher: one thread that starts all children and notices when each ends.
//!
//! A child's parent-death signal fires when the thread that started it ends, so this one lives
//! as long as the process. It waits on a descriptor of each child (pidfd), kills what is left of
//! its group, and only then asks how it ended: up to there its id is nobody else's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::Exit;
use super::command::Life;

/// A child that was started.
pub(super) struct Started {
    pub(super) life: Arc<Life>,
    pub(super) input: Option<OwnedFd>,
    pub(super) output: Option<OwnedFd>,
    pub(super) error: Option<OwnedFd>,
}

struct Request {
    command: Command,
    reply: SyncSender<io::Result<Started>>,
}

/// How the watcher is asked.
struct Door {
    requests: Sender<Request>,
    bell: Arc<OwnedFd>,
}

static DOOR: OnceLock<Result<Door, String>> = OnceLock::new();

/// Has the watcher start a child.
pub(super) fn start(command: Command) -> io::Result<Started> {
    let door = DOOR.get_or_init(|| open().map_err(|error| error.to_string()));
    let door = door.as_ref().map_err(|why| io::Error::other(why.clone()))?;
    let gone = || io::Error::other("the thread that starts programs has ended");
    let (reply, replied) = sync_channel(1);
    let request = Request { command, reply };
    door.requests.send(request).map_err(|_| gone())?;
    rustix::io::write(&*door.bell, &1_u64.to_ne_bytes())?;
    replied.recv().map_err(|_| gone())?
}

fn open() -> io::Result<Door> {
    let (requests, asked) = channel();
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let heard = Arc::clone(&bell);
    std::thread::Builder::new()
        .name("leadgate-watch".to_owned())
        .spawn(move || run(&asked, &heard))?;
    Ok(Door { requests, bell })
}

struct Watched {
    child: std::process::Child,
    pidfd: OwnedFd,
    life: Arc<Life>,
}

fn run(asked: &Receiver<Request>, bell: &OwnedFd) {
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        let mut polled = vec![PollFd::new(bell, PollFlags::IN)];
        polled.extend(
            watched
                .iter()
                .map(|one| PollFd::from_borrowed_fd(one.pidfd.as_fd(), PollFlags::IN)),
        );
        if poll(&mut polled, None).is_err() {
            // Interrupted: look again.
            continue;
        }
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        if ready.next() == Some(true) {
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
        watched.retain_mut(|one| {
            let ended = ready.next() == Some(true);
            if ended {
                one.life
                    .end(|| one.child.wait().map_or(Exit::Unknown, Exit::from));
            }
            !ended
        });
        while let Ok(Request { command, reply }) = asked.try_recv() {
            let started = spawn(command).map(|(one, started)| {
                watched.push(one);
                started
            });
            // Whoever asked waits for this.
            let _ = reply.send(started);
        }
    }
}

fn spawn(mut command: Command) -> io::Result<(Watched, Started)> {
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process without an id"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
        // It cannot be watched, so it must not be: not reaped yet, so the id is its own.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = child.wait();
    })?;
    let life = Life::new(pid);
    let started = Started {
        life: Arc::clone(&life),
        input: child.stdin.take().map(OwnedFd::from),
        output: child.stdout.take().map(OwnedFd::from),
        error: child.stderr.take().map(OwnedFd::from),
    };
    Ok((Watched { child, pidfd, life }, started))
}
