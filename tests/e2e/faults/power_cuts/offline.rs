//! Power cuts while a command works on the store of a daemon that does not run: one that seals
//! all records with another key, one that makes the index anew.
//!
//! Whatever was cut off is begun again by running the command again.

use std::path::Path;

use leadgate_tests::{Behaviour, Crm, Daemon, Load, Setup, Trace, output, output_of, times, until};

use super::{Run, setup};

/// Leads in the store.
const LEADS: usize = 120;
/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 20;
const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

/// A store with leads, whose daemon has stopped; and how long its trace is.
struct Stopped {
    prompt: Crm,
    late: Crm,
    daemon: Daemon,
    acknowledged: std::collections::BTreeMap<u64, u64>,
    began: u64,
}

impl Stopped {
    fn of(outbox: &str) -> Self {
        let (prompt, late) = (Crm::start(), Crm::start());
        late.behave(Behaviour::Refuse(503, ""));
        let setup = Setup {
            outbox: outbox.to_owned(),
            ..setup(&prompt, &late)
        };
        let mut daemon = Daemon::start(setup.recorded());
        let trace = daemon.trace();
        let load = Load::noting(&daemon.shop(), move || Trace::length(&trace));
        until("some are acknowledged", || load.count() >= LEADS);
        let acknowledged = load.stop();
        assert_eq!(daemon.terminate(), Some(0));
        let began = Trace::length(&daemon.trace());
        Self {
            prompt,
            late,
            daemon,
            acknowledged,
            began,
        }
    }

    /// Records what a command does; the run, and the moments in it at which to cut.
    fn record(self, args: &[&str]) -> (Run, Vec<usize>) {
        let store = self.daemon.folder().join("store");
        let done = self.daemon.recorded(&store, args);
        assert_eq!(done.status.code(), Some(0), "{}", output_of(&done));
        let run = Run::of(self.prompt, self.late, &self.daemon, self.acknowledged);
        let within = run.trace.records_within(self.began)..run.trace.len();
        let cuts = run.trace.steps(within, CUTS * times());
        (run, cuts)
    }
}

/// Writes the daemon's configuration in `folder` with other lines for the outbox's key.
fn with_key(folder: &Path, key: &str, to: &Path) {
    let text = std::fs::read_to_string(folder.join("leadgate.toml")).expect("reads");
    let lines = text.lines().map(|line| {
        if line.starts_with("key = ") {
            format!("key = {key}\n")
        } else {
            format!("{line}\n")
        }
    });
    std::fs::write(to, lines.collect::<String>()).expect("writes");
}

fn rekey(config: &Path) {
    let config = config.to_str().expect("text");
    let done = output(&["outbox", "rekey", "--config", config], &[]);
    assert_eq!(done.status.code(), Some(0), "{}", output_of(&done));
}

#[test]
fn after_a_power_cut_while_all_is_sealed_with_another_key_the_command_goes_on_where_it_was() {
    let both = format!("[\"{NEW}\", \"{OLD}\"]");
    let stopped = Stopped::of(&format!("key = \"{OLD}\"\n"));
    let folder = stopped.daemon.folder();
    with_key(folder, &both, &folder.join("leadgate.toml"));
    let (mut run, cuts) = stopped.record(&["outbox", "rekey"]);
    assert!(cuts.len() >= CUTS, "{cuts:?}");
    // From now on nobody has the old key: what is still sealed with it cannot be read.
    run.outbox = format!("key = \"{NEW}\"\n");
    run.cut_and(cuts, &|folder| {
        let config = folder.join("both.toml");
        with_key(folder, &both, &config);
        rekey(&config);
    });
}

#[test]
fn after_a_power_cut_while_all_is_sealed_with_another_key_the_daemon_reads_what_either_sealed() {
    let both = format!("[\"{NEW}\", \"{OLD}\"]");
    let stopped = Stopped::of(&format!("key = \"{OLD}\"\n"));
    let folder = stopped.daemon.folder();
    with_key(folder, &both, &folder.join("leadgate.toml"));
    let (mut run, cuts) = stopped.record(&["outbox", "rekey"]);
    run.outbox = format!("key = {both}\n");
    run.cut(cuts.into_iter().step_by(3));
}

#[test]
fn after_a_power_cut_while_the_index_is_made_anew_by_hand_every_acknowledged_lead_is_there() {
    let (run, cuts) = Stopped::of("").record(&["outbox", "rebuild"]);
    run.cut(cuts);
}
