//! The `file` sink: appends each event, or what templates make of it, to a file, as a line of
//! JSON or a row of CSV.
//!
//! A lead is delivered only after its line is on disk. Deliveries that come together share
//! one sync. A new file is begun by size, by day and for other columns; what a crash tore is
//! closed off, so that it never swallows the next line.

mod csv;
mod head;
mod heal;
mod log;
mod rotation;
mod settings;
mod writer;

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use leadgate_plugin::template::{Engine, Tree};
use leadgate_plugin::{Delivery, Host, Outcome, Problem, Problems, Sink};
use serde_json::Value;

pub use crate::settings::{Column, Format, Rotate, Settings};

use crate::csv::Table;
use crate::head::Head;
use crate::log::Log;
use crate::rotation::Rotation;
use crate::writer::{Ended, Writer};

/// Whose days are meant if nobody says so: the platform's.
const ZONE: &str = "Asia/Shanghai";
/// Files kept if nobody says how many: a year of days, or so many of a size.
const KEEP_DAYS: u32 = 366;
const KEEP: u32 = 10;

/// The sink: a queue to the one thread that writes.
pub struct FileSink {
    path: PathBuf,
    shape: Shape,
    writer: Writer,
}

/// What a line is made of.
enum Shape {
    Event,
    Line(Box<Tree>),
    Row(Box<Table>),
}

impl Sink for FileSink {
    type Settings = Settings;

    fn check(settings: &Settings, host: &Host) -> Problems {
        let mut problems = Problems::default();
        let folder = rotation::folder(&settings.path);
        if !folder.is_dir() {
            let message = format!("the folder {} does not exist", folder.display());
            problems.push(
                Problem::at("/path", message).help("make it, owned by the user that runs leadgate"),
            );
        }
        if let Err(found) = shape(settings, host) {
            problems.extend(found);
        }
        if let Err(found) = rotation(settings) {
            problems.extend(found);
        }
        problems
    }

    fn new(settings: Settings, host: Host) -> Result<Self, Problems> {
        Self::check(&settings, &host).or(())?;
        let shape = shape(&settings, &host)?;
        let head = match &shape {
            Shape::Row(table) => Head::new(table.header(), settings.bom),
            Shape::Event | Shape::Line(_) => Head::default(),
        };
        let rotation = rotation(&settings)?;
        let path = settings.path.clone();
        let log = Log::new(settings.path, settings.format, head, rotation);
        let writer = Writer::start(log, Timestamp::now)
            .map_err(|error| Problem::at("", format!("no thread for the writer: {error}")))?;
        Ok(Self {
            path,
            shape,
            writer,
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let line = match self.line(delivery) {
            Ok(line) => line,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let outcome = match self.writer.append(line).await {
            Ok(Ok(())) => Outcome::delivered("").rule("synced"),
            // Nothing was promised: a line that made it to disk after all is repeated with
            // the same delivery id.
            Ok(Err(error)) => Outcome::retry(None, error.to_string()).rule("io"),
            Err(Ended) => Outcome::retry(None, "the writer has ended").rule("writer"),
        };
        outcome.request(format!("append to {}", self.path.display()))
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let mut text = match &self.shape {
            Shape::Row(table) => table.header().to_vec(),
            Shape::Event | Shape::Line(_) => Vec::new(),
        };
        text.extend(self.line(delivery)?);
        let text = String::from_utf8_lossy(&text);
        Ok(Some(format!(
            "append to {}:\n{}",
            self.path.display(),
            text.trim_end().replace('\r', "")
        )))
    }
}

impl FileSink {
    fn line(&self, delivery: &Delivery) -> Result<Vec<u8>, Problem> {
        match &self.shape {
            Shape::Event => Ok(line(delivery.event_bytes())),
            Shape::Row(table) => table.row(delivery),
            Shape::Line(tree) => {
                let filled = tree
                    .render(&event(delivery)?, delivery.id())
                    .map_err(|error| error.into_problem("/line"))?;
                Ok(line(filled.to_string().as_bytes()))
            }
        }
    }
}

/// The event, parsed.
fn event(delivery: &Delivery) -> Result<Value, Problem> {
    serde_json::from_slice(delivery.event_bytes())
        .map_err(|_| Problem::at("", "the event is not JSON"))
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

fn shape(settings: &Settings, host: &Host) -> Result<Shape, Problems> {
    let mut problems = Problems::default();
    let mut misplaced = |wrong: bool, key: &str, format: &str| {
        if wrong {
            let message = format!("`{key}` is for format = \"{format}\"");
            let help = format!("remove it, or set format = \"{format}\"");
            problems.push(Problem::at(format!("/{key}"), message).help(help));
        }
    };
    match settings.format {
        Format::Jsonl => {
            misplaced(!settings.columns.is_empty(), "columns", "csv");
            misplaced(settings.bom, "bom", "csv");
        }
        Format::Csv => misplaced(settings.line.is_some(), "line", "jsonl"),
    }
    let made = match (settings.format, &settings.line) {
        (Format::Csv, _) => {
            Table::new(&settings.columns, host).map(|table| Shape::Row(Box::new(table)))
        }
        (Format::Jsonl, None) => Ok(Shape::Event),
        (Format::Jsonl, Some(line)) => Engine::new(host.tables().clone())
            .tree(line)
            .map(|tree| Shape::Line(Box::new(tree)))
            .map_err(|errors| {
                let problems = errors.into_iter().map(|error| error.into_problem("/line"));
                problems.collect()
            }),
    };
    match made {
        Ok(shape) => problems.or(shape),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}

fn rotation(settings: &Settings) -> Result<Rotation, Problems> {
    let mut problems = Problems::default();
    let Rotate { daily, size } = settings.rotate.unwrap_or(Rotate {
        daily: false,
        size: None,
    });
    if settings.rotate.is_some() && !daily && size.is_none() {
        let problem = Problem::at("/rotate", "neither a day nor a size ends the file");
        problems.push(problem.help("rotate = { daily = true, size = \"100MiB\" }"));
    }
    if size.is_some_and(|size| size.0 < 1024) {
        let message = "less than 1KiB would rotate at every lead";
        problems.push(Problem::at("/rotate", message).help("such as \"100MiB\""));
    }
    let name = settings.timezone.as_deref();
    if name.is_some() && !daily {
        let problem = Problem::at("/timezone", "it says when a day ends, and none does");
        problems.push(problem.help("remove it, or set rotate = \"daily\""));
    }
    let daily = daily.then(|| zone(name.unwrap_or(ZONE))).transpose();
    let daily = daily.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let usual = if daily.is_some() { KEEP_DAYS } else { KEEP };
    problems.or(Rotation {
        size: size.map(|size| size.0),
        daily,
        keep: settings.keep.unwrap_or(usual),
    })
}

fn zone(name: &str) -> Result<TimeZone, Problem> {
    TimeZone::get(name).map_err(|_| {
        let nearest = jiff::tz::db()
            .available()
            .map(|known| {
                let known = known.to_string();
                (strsim::damerau_levenshtein(name, &known), known)
            })
            .min()
            .filter(|(distance, _)| *distance <= 1 + name.len() / 4);
        let help = match nearest {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => "zones are named as \"Asia/Shanghai\" or \"UTC\"".to_owned(),
        };
        Problem::at("/timezone", "unknown time zone").help(help)
    })
}

leadgate_plugin::export_sink!(leadgate_plugin_file, FileSink);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(path: PathBuf) -> Settings {
        Settings {
            path,
            ..Settings::default()
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

    fn places(settings: &Settings) -> Vec<(String, String)> {
        FileSink::check(settings, &host())
            .into_iter()
            .map(|one| (one.path, one.help))
            .collect()
    }

    #[tokio::test]
    async fn a_row_has_the_columns_in_their_order_and_keeps_what_a_lead_says_as_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leads.csv");
        let settings = serde_json::json!({
            "path": path, "format": "csv", "bom": true, "columns": [
                {"name": "手机", "value": "{{ phone_e164 }}"},
                {"name": "姓名", "value": "{{ name }}"},
                {"name": "门店", "value": "{{ store_id }}"},
                {"name": "备注", "value": "{{ other.note }}"},
            ],
        });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let sink = FileSink::new(settings, host()).expect("valid");
        let event = |other: &str| {
            let lead = format!(
                "{{\"phone_e164\":\"+8613567658911\",\"name\":\"=张,三\",\"store_id\":7,\"other\":{other}}}"
            );
            let event = format!("{{\"lead\":{lead}}}");
            Delivery::new("d1", 1, Duration::from_secs(5), event)
        };
        let written = event("{\"note\":null}");
        assert_eq!(sink.deliver(&written).await.rule, "synced");
        let text = std::fs::read_to_string(&path).expect("written");
        let row = "+8613567658911,\"'=张,三\",7,";
        assert_eq!(text, format!("\u{feff}手机,姓名,门店,备注\r\n{row}\r\n"));
        let shown = sink.render(&written).expect("renders").expect("a text");
        assert_eq!(
            shown,
            format!("append to {}:\n手机,姓名,门店,备注\n{row}", path.display())
        );
        let outcome = sink.deliver(&event("{}")).await;
        assert_eq!(outcome.ending, leadgate_plugin::Ending::Rejected);
        assert_eq!(
            outcome.reason,
            "settings.columns.3.value: there is no such value for this lead"
        );
    }

    #[tokio::test]
    async fn a_full_disk_is_a_retry_for_csv_as_well() {
        let settings = Settings {
            format: Format::Csv,
            columns: vec![Column {
                name: "n".to_owned(),
                value: "{{ delivery_id }}".to_owned(),
            }],
            ..settings("/dev/full".into())
        };
        let sink = FileSink::new(settings, host()).expect("valid");
        let outcome = sink.deliver(&delivery(1)).await;
        assert!(
            matches!(outcome.ending, leadgate_plugin::Ending::Retry { .. }),
            "{outcome:?}"
        );
        assert!(outcome.reason.contains("No space left"), "{outcome:?}");
    }

    #[test]
    fn rotation_is_a_word_a_size_or_both() {
        let read = |rotate: serde_json::Value| {
            let settings = serde_json::json!({"path": "/tmp/leads", "rotate": rotate});
            serde_json::from_value::<Settings>(settings).map(|settings| {
                rotation(&settings)
                    .map(|rotation| (rotation.daily.is_some(), rotation.size, rotation.keep))
            })
        };
        let good = |rotate| read(rotate).expect("reads").expect("valid");
        assert_eq!(good("daily".into()), (true, None, 366));
        assert_eq!(good("2KiB".into()), (false, Some(2048), 10));
        let both = serde_json::json!({"daily": true, "size": "2KiB"});
        assert_eq!(good(both), (true, Some(2048), 366));
        assert!(read("weekly".into()).is_err());
        assert!(read(serde_json::json!({"hourly": true})).is_err());
        assert!(read(serde_json::json!({})).expect("reads").is_err());
        assert!(read("1KiB".into()).expect("reads").is_ok());
        assert!(read("1000B".into()).expect("reads").is_err());
    }

    #[test]
    fn settings_that_do_not_go_together_are_all_found() {
        let mut wrong = Settings {
            bom: true,
            columns: vec![Column {
                name: "n".to_owned(),
                value: "{{ name }}".to_owned(),
            }],
            timezone: Some("Asia/Shanghai".to_owned()),
            ..settings("/tmp/leads".into())
        };
        let found: Vec<_> = places(&wrong).into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["/columns", "/bom", "/timezone"]);
        wrong.format = Format::Csv;
        wrong.line = Some(serde_json::json!({}));
        wrong.rotate = Some(Rotate {
            daily: true,
            size: None,
        });
        wrong.timezone = Some("Asia/Shangai".to_owned());
        let found = places(&wrong);
        assert_eq!(found[0].0, "/line");
        let guess = ("/timezone", "did you mean `Asia/Shanghai`?");
        assert_eq!((found[1].0.as_str(), found[1].1.as_str()), guess);
        assert_eq!(found.len(), 2);
    }
}
