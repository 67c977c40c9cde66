//! The `file` sink: appends each event, or what a template makes of it, to a file as one line
//! of JSON.
//!
//! A lead is delivered only after its line is on disk. Deliveries that come together share
//! one sync. The file is rotated by size; a line torn by a crash is closed off, so that it
//! never swallows the next one.

mod log;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use leadgate_plugin::template::{Engine, Tree};
use leadgate_plugin::{ByteSize, Delivery, Host, Outcome, Problem, Problems, Sink};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::log::Log;

/// Lines that may wait for the writer.
const QUEUE: usize = 256;

/// Settings of the `file` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file to append to. Its folder must exist.
    pub path: PathBuf,
    /// Size at which the file is renamed to `PATH.1` and a new one begun; never if absent.
    pub rotate: Option<ByteSize>,
    /// Rotated files to keep: `PATH.1` is the newest. Default 10.
    #[schemars(range(min = 1, max = 1000))]
    pub keep: Option<u32>,
    /// What a line holds: a table whose texts are templates over the lead. The whole event if absent.
    pub line: Option<serde_json::Value>,
}

/// A line to write, and whom to tell.
type Line = (Vec<u8>, oneshot::Sender<std::io::Result<()>>);

/// The sink: a queue to the one thread that writes.
pub struct FileSink {
    lines: mpsc::Sender<Line>,
    path: PathBuf,
    template: Option<Tree>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Sink for FileSink {
    type Settings = Settings;

    fn check(settings: &Settings, host: &Host) -> Problems {
        let folder = match settings.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => std::path::Path::new("."),
        };
        let mut problems = Problems::default();
        if !folder.is_dir() {
            let message = format!("the folder {} does not exist", folder.display());
            problems.push(
                Problem::at("/path", message).help("make it, owned by the user that runs leadgate"),
            );
        }
        if settings.rotate.is_some_and(|size| size.0 < 1024) {
            problems.push(Problem::at(
                "/rotate",
                "less than 1KiB would rotate at every lead",
            ));
        }
        if let Err(found) = template(settings, host) {
            problems.extend(found);
        }
        problems
    }

    fn new(settings: Settings, host: Host) -> Result<Self, Problems> {
        Self::check(&settings, &host).or(())?;
        let path = settings.path.clone();
        let template = template(&settings, &host)?;
        let log = Log::new(
            settings.path,
            settings.rotate.map(|size| size.0),
            settings.keep.unwrap_or(10),
        );
        let (lines, queue) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("leadgate-file".to_owned())
            .spawn(move || write(log, queue))
            .map_err(|error| Problem::at("", format!("no thread for the writer: {error}")))?;
        Ok(Self {
            lines,
            path,
            template,
            writer: Mutex::new(Some(writer)),
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let line = match self.line(delivery) {
            Ok(line) => line,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let (told, done) = oneshot::channel();
        if self.lines.send((line, told)).await.is_err() {
            return Outcome::retry(None, "the writer has ended").rule("writer");
        }
        let request = format!("append to {}", self.path.display());
        match done.await {
            Ok(Ok(())) => Outcome::delivered("").rule("synced").request(request),
            // Nothing was promised: a line that made it to disk after all is repeated with
            // the same delivery id.
            Ok(Err(error)) => Outcome::retry(None, error.to_string())
                .rule("io")
                .request(request),
            Err(_) => Outcome::retry(None, "the writer has ended")
                .rule("writer")
                .request(request),
        }
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let line = String::from_utf8_lossy(&self.line(delivery)?)
            .trim_end()
            .to_owned();
        Ok(Some(format!("append to {}:\n{line}", self.path.display())))
    }
}

impl FileSink {
    fn line(&self, delivery: &Delivery) -> Result<Vec<u8>, Problem> {
        let Some(template) = &self.template else {
            return Ok(line(delivery.event_bytes()));
        };
        let event = serde_json::from_slice(delivery.event_bytes())
            .map_err(|_| Problem::at("", "the event is not JSON"))?;
        let filled = template
            .render(&event, delivery.id())
            .map_err(|error| error.into_problem("/line"))?;
        Ok(line(filled.to_string().as_bytes()))
    }
}

fn template(settings: &Settings, host: &Host) -> Result<Option<Tree>, Problems> {
    let Some(line) = &settings.line else {
        return Ok(None);
    };
    Engine::new(host.tables().clone())
        .tree(line)
        .map(Some)
        .map_err(|errors| {
            let problems = errors.into_iter().map(|error| error.into_problem("/line"));
            problems.collect()
        })
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // Closing the queue ends the writer after what is in it.
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.lines, closed));
        if let Ok(mut writer) = self.writer.lock()
            && let Some(writer) = writer.take()
        {
            let _ = writer.join();
        }
    }
}

/// JSON as one line. It has no raw line breaks; a sender's are escaped already.
fn line(event: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> = event
        .iter()
        .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
        .collect();
    line.push(b'\n');
    line
}

/// Writes until the queue is closed: all lines that have gathered, then one sync.
fn write(mut log: Log, mut queue: mpsc::Receiver<Line>) {
    let mut group = Vec::with_capacity(QUEUE);
    while queue.blocking_recv_many(&mut group, QUEUE) > 0 {
        let (lines, told): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let written = log.append(&lines);
        let error = written
            .as_ref()
            .err()
            .map(|error| Arc::new((error.kind(), error.to_string())));
        for one in told {
            let result = match &error {
                None => Ok(()),
                Some(error) => Err(std::io::Error::new(error.0, error.1.clone())),
            };
            // Whoever stopped waiting has recorded a timeout.
            let _ = one.send(result);
        }
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_file, FileSink);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(path: PathBuf) -> Settings {
        Settings {
            path,
            rotate: None,
            keep: None,
            line: None,
        }
    }

    fn host() -> Host {
        Host::detached("log", leadgate_plugin::Tables::new())
    }

    fn delivery(number: u32) -> Delivery {
        Delivery::new(
            format!("d{number}"),
            1,
            Duration::from_secs(5),
            format!("{{\"n\":{number}}}"),
        )
    }

    #[tokio::test]
    async fn deliveries_that_come_together_are_all_written_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.jsonl");
        let sink = FileSink::new(settings(path.clone()), host()).expect("valid");
        let deliveries: Vec<_> = (0..100).map(delivery).collect();
        let outcomes =
            futures_util::future::join_all(deliveries.iter().map(|one| sink.deliver(one))).await;
        assert!(
            outcomes.iter().all(|outcome| outcome.rule == "synced"),
            "{outcomes:?}"
        );
        let text = std::fs::read_to_string(&path).expect("written");
        let mut lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 100);
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 100);
    }

    #[tokio::test]
    async fn a_full_disk_is_a_retry_that_says_so() {
        let settings = settings("/dev/full".into());
        let sink = FileSink::new(settings, host()).expect("valid");
        let outcome = sink.deliver(&delivery(1)).await;
        assert!(
            matches!(outcome.ending, leadgate_plugin::Ending::Retry { .. }),
            "{outcome:?}"
        );
        assert!(outcome.reason.contains("No space left"), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_template_makes_the_line_and_what_it_cannot_make_is_a_dead_letter() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.jsonl");
        let mut settings = settings(path.clone());
        settings.line = Some(serde_json::json!({"n": "{{ other.n }}", "ref": "{{ delivery_id }}"}));
        let sink = FileSink::new(settings.clone(), host()).expect("valid");
        let event = |other| {
            Delivery::new(
                "d1",
                1,
                Duration::from_secs(5),
                format!("{{\"lead\":{{\"other\":{other}}}}}"),
            )
        };
        assert_eq!(sink.deliver(&event("{\"n\":7}")).await.rule, "synced");
        let text = std::fs::read_to_string(&path).expect("written");
        assert_eq!(text, "{\"n\":7,\"ref\":\"d1\"}\n");
        let outcome = sink.deliver(&event("{}")).await;
        assert_eq!(outcome.ending, leadgate_plugin::Ending::Rejected);
        assert_eq!(
            outcome.reason,
            "settings.line.n: there is no such value for this lead"
        );
        settings.line = Some(serde_json::json!({"n": "{{ nmae }}"}));
        let problems = FileSink::check(&settings, &host());
        let places: Vec<_> = problems
            .into_iter()
            .map(|one| (one.path, one.range))
            .collect();
        assert_eq!(places, [("/line/n".to_owned(), Some(3..7))]);
    }

    #[test]
    fn a_missing_folder_is_a_problem_of_the_path() {
        let problems = FileSink::check(&settings("/nowhere/at/all/leads.jsonl".into()), &host());
        let paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["/path"]);
    }

    #[test]
    fn line_breaks_never_split_a_line() {
        assert_eq!(line(b"{\n}"), b"{ }\n");
    }
}
