//! The soak: a constant load for minutes or hours on the real daemon, with destinations that
//! fail at random, and time that runs faster, so that leads come and go.
//!
//! `cargo run --release -p leadgate-tests --bin soak -- --minutes 10`. At the end nothing may
//! wait, nothing acknowledged may be lost, and memory, disk and descriptors must have stayed
//! as they were; the exit code says whether that holds.

mod books;
mod crm;
mod lead;
mod shop;
mod vitals;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leadgate_tests::{Behaviour, Crm, Daemon, Fault, Setup, free_port, within};

use crate::books::{Book, Pushed, Sink};
use crate::lead::Lead;
use crate::vitals::{Flat, Sample, waiting};

const SAMPLED_EVERY: Duration = Duration::from_secs(10);
/// How long after the load everything may take to be delivered.
const PATIENCE: Duration = Duration::from_mins(5);

/// What must stay flat, and how flat. The backlog of bad times comes and goes, and sled frees
/// its segments late.
const FLAT: [Flat; 3] = [
    Flat {
        name: "RSS, MiB",
        of: |sample| sample.resident_mib,
        factor: 1.15,
        slack: 8.0,
    },
    Flat {
        name: "disk, MiB",
        of: |sample| sample.disk_mib,
        factor: 1.25,
        slack: 8.0,
    },
    Flat {
        name: "descriptors",
        of: |sample| f64::from(sample.descriptors),
        factor: 1.0,
        slack: 24.0,
    },
];

/// How the soak is run.
struct Plan {
    minutes: f64,
    /// Pushes a second.
    rate: f64,
    seed: u64,
}

impl Plan {
    fn of(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self {
            minutes: 10.0,
            rate: 200.0,
            seed: 1,
        };
        while let Some(name) = words.next() {
            let value = words.next().and_then(|value| value.parse::<f64>().ok());
            let value = value.filter(|value| *value > 0.0);
            let value = value.ok_or_else(|| format!("{name} needs a number"))?;
            match name.as_str() {
                "--minutes" => plan.minutes = value,
                "--rate" => plan.rate = value,
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                "--seed" => plan.seed = value as u64,
                _ => return Err("usage: soak [--minutes N] [--rate PER_SECOND] [--seed N]".into()),
            }
        }
        Ok(plan)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// Seconds of the daemon's wall clock in one second. The shortest retention is an hour,
    /// which must be over well before the first half of the run is.
    fn speed(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation)]
        let speed = (480.0 / self.minutes).clamp(1.0, 480.0) as i64;
        speed.max(60)
    }
}

fn main() -> ExitCode {
    let plan = match Plan::of(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    if run(&plan) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(plan: &Plan) -> bool {
    let crm_address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (crm_book, mirror_book) = (Arc::new(Book::default()), Arc::new(Book::default()));
    let book = Arc::clone(&mirror_book);
    let mirror_at = SocketAddr::from(([127, 0, 0, 1], 0));
    let mirror = Crm::with_clerk(mirror_at, move |received| {
        let behaviour = Behaviour::Take;
        crm::enter(&book, received, &behaviour);
        behaviour
    });
    let mut daemon = Daemon::start(setup(crm_address, mirror.address()));
    println!(
        "{} minutes, {} pushes/s, the daemon's clock runs {} times as fast, seed {}",
        plan.minutes,
        plan.rate,
        plan.speed(),
        plan.seed
    );
    let pushed = Book::<Pushed>::default();
    let (stop, end) = (AtomicBool::new(false), AtomicBool::new(false));
    let next = AtomicU64::new(1);
    let shop = daemon.shop();
    let (samples, settled) = std::thread::scope(|scope| {
        scope.spawn(|| crm::live(crm_address, plan.seed, &crm_book, &stop, &end));
        scope.spawn(|| hurry(&daemon, plan.speed(), &end));
        let pushers: Vec<_> = (0..shop::THREADS)
            .map(|thread| {
                let rate = plan.rate / f64::from(shop::THREADS);
                let seed = plan.seed << 8 | u64::from(thread);
                let (shop, next, pushed, stop) = (&shop, &next, &pushed, &stop);
                scope.spawn(move || shop::push(shop, rate, seed, next, pushed, stop))
            })
            .collect();
        let samples = observe(&daemon, plan.length());
        stop.store(true, Ordering::SeqCst);
        for pusher in pushers {
            pusher.join().expect("a pusher does not panic");
        }
        let began = Instant::now();
        let settled = within(PATIENCE, || {
            std::thread::sleep(Duration::from_millis(200));
            waiting(&daemon) == 0
        });
        println!(
            "after the load {} deliveries wait, {:.0} s later",
            waiting(&daemon),
            began.elapsed().as_secs_f64()
        );
        end.store(true, Ordering::SeqCst);
        (samples, settled)
    });
    let dead = dead_letters(&daemon, "crm");
    println!("stats {}", daemon.stats()["leads"]);
    let stopped = daemon.terminate();
    println!("stopped with {stopped:?}");
    let file = read_file(daemon.folder());
    let nothing_lost = audit(&pushed, &dead, &crm_book.open(), &mirror_book.open(), &file);
    // The cache and the store fill up first.
    let warm = samples.get(samples.len() / 4..).unwrap_or_default();
    let mut flat = true;
    for one in FLAT.iter().filter(|_| warm.len() >= 4) {
        flat &= one.holds(warm);
    }
    let passed = settled && nothing_lost && flat && stopped == Some(0);
    println!("{}", if passed { "passed" } else { "FAILED" });
    passed
}

/// An unreliable CRM that wants the newest revision, a reliable one and a file that want each.
fn setup(crm: SocketAddr, mirror: SocketAddr) -> Setup {
    let http = |name: &str, address: SocketAddr, more: &str| {
        format!(
            "[sinks.{name}]\nplugin = \"http\"\ntimeout = \"2s\"\nconcurrency = 32\n{more}\
             retry = {{ first = \"30s\", max = \"2m\", max_attempts = 1000000, max_age = \"300d\" }}\n\
             breaker = {{ failures = 20, wait = \"1s\", max = \"4s\" }}\n\
             [sinks.{name}.settings]\npreset = \"standard-webhooks\"\nurl = \"http://{address}/leads\"\n\
             secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
        )
    };
    let file = "[sinks.archive]\nplugin = \"file\"\non_update = \"each\"\n\
                [sinks.archive.settings]\npath = \"@FOLDER@/archive\"\nrotate = \"32MiB\"\nkeep = 1000\n";
    Setup {
        outbox: "retention = \"1h\"\nretention_dead = \"300d\"\n".to_owned(),
        source: "kind = \"tmall\"\npath = \"/tmall/leads\"\n\
                 app_secret = [\"e2e-app-secret\"]\ntimestamp_tolerance = \"off\"\n"
            .to_owned(),
        rest: http("crm", crm, "") + &http("mirror", mirror, "on_update = \"each\"\n") + file,
        level: "error",
        ..Setup::default()
    }
    .under_shim()
}

/// Lets the daemon's clock run `speed` times as fast.
fn hurry(daemon: &Daemon, speed: i64, end: &AtomicBool) {
    let began = Instant::now();
    while !end.load(Ordering::SeqCst) {
        let passed = i64::try_from(began.elapsed().as_secs()).expect("not for ever");
        daemon.inject(Fault::Clock(passed * (speed - 1)));
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn observe(daemon: &Daemon, length: Duration) -> Vec<Sample> {
    let began = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    while began.elapsed() < length {
        std::thread::sleep(SAMPLED_EVERY.min(length.saturating_sub(began.elapsed())));
        let sample = Sample::take(daemon, began.elapsed());
        sample.print();
        samples.push(sample);
    }
    samples
}

/// Ids of the dead letters of a sink, by the daemon's own account.
fn dead_letters(daemon: &Daemon, sink: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/deliveries?sink={sink}&state=dead&limit=500{cursor}");
        let page = daemon.admin(&path).json();
        let items = page["items"].as_array().expect("a page of deliveries");
        ids.extend(
            items
                .iter()
                .filter_map(|item| Some(item["id"].as_str()?.to_owned())),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

/// What the file sink wrote, rotated files and all.
fn read_file(folder: &Path) -> Sink {
    let mut sink = Sink::default();
    let entries = std::fs::read_dir(folder).expect("reads").flatten();
    for entry in entries {
        if !entry.file_name().to_string_lossy().starts_with("archive") {
            continue;
        }
        let file = std::fs::File::open(entry.path()).expect("opens");
        for line in std::io::BufReader::new(file).lines() {
            match Lead::of_event(&line.expect("a line")) {
                Some(lead) => *sink.taken.entry(lead).or_default() += 1,
                None => sink.damaged += 1,
            }
        }
    }
    sink
}

/// Compares the books; whether nothing is lost or damaged.
fn audit(
    pushed: &Book<Pushed>,
    dead: &BTreeSet<String>,
    crm: &Sink,
    mirror: &Sink,
    file: &Sink,
) -> bool {
    let pushed = pushed.open();
    println!(
        "acknowledged {} (and {} duplicates), failed {}",
        pushed.acknowledged.len(),
        pushed.duplicates,
        pushed.failed
    );
    let none = BTreeSet::new();
    let mut sound = !pushed.acknowledged.is_empty();
    for (name, sink, dead, newest) in [
        ("crm", crm, dead, true),
        ("mirror", mirror, &none, false),
        ("archive", file, &none, false),
    ] {
        let lost = sink.lost(&pushed.acknowledged, dead, newest);
        let unexplained = dead.iter().filter(|id| !sink.refused.contains_key(*id));
        let unexplained = unexplained.count();
        println!(
            "{name:<8} took {} (repeated {}), dead letters {}, unexplained {unexplained}, damaged {}, lost {}",
            sink.taken.len(),
            sink.repeated(),
            dead.len(),
            sink.damaged,
            lost.len()
        );
        if let Some(lead) = lost.first() {
            println!("         the first that is lost: {lead:?}");
        }
        sound &= lost.is_empty() && unexplained == 0 && sink.damaged == 0;
    }
    sound
}
