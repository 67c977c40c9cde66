//! Parts: what is done with a plugin in a child process, by the hidden `leadgate plugin-part`.
//!
//! Each part is one function over the [`examiner`](crate::plugin::examiner). It never judges by
//! what a destination did, because there may be none; only by what the ABI promises.

mod abilities;
mod burden;
pub(super) mod child;
mod contract;
mod descriptor;
mod one;
pub(super) mod person;
mod settings;
pub(super) mod told;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::told::{Line, Request, Teller};
use super::super::{FAILED, fail};
use crate::plugin::examiner::{self, Examined, Library};

/// Longest request, in bytes.
const LONGEST: u64 = 64 << 20;

/// What a child may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    Load,
    Descriptor,
    Schema,
    Scan,
    Extensions,
    Settings,
    BadSettings,
    Outcomes,
    Panics,
    Cancel,
    Health,
    Batch,
    Concurrency,
    Once,
    OlderHost,
    Destroy,
    Memory,
    /// One delivery, for `plugin run`.
    One,
}

/// The child's side: what it is asked to do comes on stdin.
pub(super) fn run() -> ExitCode {
    let mut text = Vec::new();
    if let Err(error) = std::io::stdin().take(LONGEST).read_to_end(&mut text) {
        return fail(error, FAILED);
    }
    let request: Request = match serde_json::from_slice(&text) {
        Ok(request) => request,
        Err(error) => return fail(format!("plugin-part: {error}"), FAILED),
    };
    settle();
    match perform(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error, FAILED),
    }
}

/// Ends with its parent, and leaves no memory of a plugin's on disk.
fn settle() {
    use rustix::process::{Resource, Rlimit, Signal, setrlimit};
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    // Each of them is a help, and none a condition.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Data, limit(MEMORY));
}

/// Memory that a child may take, in bytes.
const MEMORY: u64 = 3 << 30;

/// Does what was asked for, here.
pub(super) fn perform(request: &Request) -> std::io::Result<()> {
    let mut teller = Teller::at(&request.told)?;
    let mut given = Subject {
        request,
        teller: &mut teller,
        told: 0,
    };
    let part = match request.part {
        Part::Load => descriptor::load,
        Part::Descriptor => descriptor::descriptor,
        Part::Schema => descriptor::schema,
        Part::Scan => descriptor::scan,
        Part::Extensions => descriptor::extensions,
        Part::Settings => settings::good,
        Part::BadSettings => settings::bad,
        Part::Outcomes => contract::outcomes,
        Part::Panics => contract::panics,
        Part::Cancel => abilities::cancel,
        Part::Health => abilities::health,
        Part::Batch => abilities::batch,
        Part::Concurrency => contract::concurrency,
        Part::Once => contract::once,
        Part::OlderHost => contract::older_host,
        Part::Destroy => burden::destroy,
        Part::Memory => burden::memory,
        Part::One => one::one,
    };
    // What ends a part early was told.
    let _ = part(&mut given);
    given.tell_faults();
    teller.tell(&Line::End);
    Ok(())
}

/// A part ends early once all was told.
#[derive(Debug)]
struct Told;

/// What a part works on.
struct Subject<'a> {
    request: &'a Request,
    teller: &'a mut Teller,
    /// Faults of the examiner's that were told.
    told: usize,
}

impl Subject<'_> {
    /// Loads the library and examines the plugin's descriptor.
    fn open(&mut self) -> Result<Examined, Told> {
        let request = self.request;
        let Some(file) = &request.file else {
            return examiner::linked(&request.name).map_err(|why| self.wrong(why));
        };
        self.teller.step("loading the library", "加载动态库");
        let library = Library::open(file).map_err(|why| self.wrong(why))?;
        self.teller.step("asking for the descriptor", "读取描述符");
        library
            .examine(&request.name)
            .map_err(|why| self.wrong(why))
    }

    fn wrong(&mut self, why: String) -> Told {
        self.teller.tell(&Line::Fault(told::Both::plain(why)));
        Told
    }

    /// Makes a sink of the good settings.
    fn make(
        &mut self,
        examined: &Examined,
        age: examiner::Age,
    ) -> Result<examiner::Instance, Told> {
        self.teller.step("making the sink", "创建目的地");
        let settings = self.request.settings.to_string();
        let made = examined.create(&settings, age).map_err(|answer| {
            let why = settings::reasons(&answer);
            self.teller.fault(
                format!("the sink could not be made: {why}"),
                format!("无法创建目的地：{why}"),
            );
            Told
        });
        self.tell_faults();
        made
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.request.timeout_ms)
    }

    /// Tells what the examiner has found since the last time, and what was logged that must not
    /// be.
    fn tell_faults(&mut self) {
        let faults = examiner::faults();
        for fault in faults.iter().skip(self.told) {
            self.teller.fault(fault.en.as_str(), fault.zh.as_str());
        }
        self.told = faults.len();
        for log in examiner::take_logs() {
            let said = format!("{} {}", log.message, log.fields);
            for found in person::found(&self.request.hidden, said.as_bytes()) {
                self.teller.tell(&Line::Fact(
                    person::LEAK.to_owned(),
                    format!("log: {found}").into(),
                ));
            }
            if self.request.part == Part::One {
                self.teller.tell(&Line::Log {
                    level: log.level,
                    message: log.message,
                    fields: log.fields,
                });
            }
        }
    }
}

/// A folder that others cannot look into.
pub(super) fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("leadgate-plugin-")
        .tempdir()
}
