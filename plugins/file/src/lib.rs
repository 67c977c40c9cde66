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
mod opened;
mod rotation;
mod settings;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use leadgate_plugin::template::{Engine, Tree};
use leadgate_plugin::{Delivery, Host, Outcome, Probe, Problem, Problems, Sink, Stop};

pub use crate::settings::{Column, Delimiter, Format, Rotate, Settings};

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

/// The settings, understood.
pub struct Parts {
    path: PathBuf,
    shape: Shape,
    log: Log,
}

/// What a line is made of.
enum Shape {
    Event,
    Line(Box<Tree>),
    Row(Box<Table>),
}

impl Sink for FileSink {
    type Settings = Settings;

    type Parts = Parts;

    fn prepare(settings: &Settings, host: &Host) -> Result<Parts, Problems> {
        let mut problems = Problems::default();
        let folder = rotation::folder(&settings.path);
        if settings.path.is_dir() {
            let message = format!("{} is a folder, not a file", settings.path.display());
            let example = settings.path.join("leads.jsonl");
            let help = format!("name a file in it, such as {}", example.display());
            problems.push(Problem::at("/path", message).help(help));
        } else if !folder.is_dir() {
            let message = format!("the folder {} does not exist", folder.display());
            problems.push(
                Problem::at("/path", message).help("make it, owned by the user that runs leadgate"),
            );
        }
        let shape = problems.keep(shape(settings, host));
        let rotation = problems.keep(rotation(settings));
        let (Some(shape), Some(rotation)) = (shape, rotation) else {
            return Err(problems);
        };
        let head = match &shape {
            Shape::Row(table) => Head::new(table.header(), settings.bom),
            Shape::Event | Shape::Line(_) => Head::default(),
        };
        let path = settings.path.clone();
        problems.into_result(Parts {
            log: Log::new(path.clone(), settings.format, head, rotation),
            path,
            shape,
        })
    }

    fn new(parts: Parts, _: Host) -> Result<Self, Problems> {
        let writer = Writer::start(parts.log, Timestamp::now)
            .map_err(|error| Problem::at("", format!("no thread for the writer: {error}")))?;
        Ok(Self {
            path: parts.path,
            shape: parts.shape,
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

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        let path = self.path.clone();
        let trying = tokio::task::spawn_blocking(move || writable(&path));
        probe
            .step("folder", async {
                trying.await.unwrap_or_else(|error| Err(error.to_string()))
            })
            .await
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
                    .render(&delivery.json()?, delivery.id())
                    .map_err(|error| error.into_problem("/line"))?;
                Ok(line(filled.to_string().as_bytes()))
            }
        }
    }
}

/// Whether lines could be appended: by a file beside it that is gone at once, and, if it is
/// there, by opening it.
fn writable(path: &Path) -> Result<(), String> {
    let folder = rotation::folder(path);
    let why = |at: &Path, error: std::io::Error| format!("{}: {error}", at.display());
    let trial = folder.join(format!(".leadgate-check-{}", std::process::id()));
    let mut options = File::options();
    options.write(true).create_new(true);
    options.open(&trial).map_err(|error| why(folder, error))?;
    std::fs::remove_file(&trial).map_err(|error| why(&trial, error))?;
    if path.exists() {
        let opened = File::options().append(true).open(path);
        opened.map_err(|error| why(path, error))?;
    }
    Ok(())
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
            let delimited = settings.delimiter != Delimiter::default();
            misplaced(delimited, "delimiter", "csv");
        }
        Format::Csv => misplaced(settings.line.is_some(), "line", "jsonl"),
    }
    let made = match (settings.format, &settings.line) {
        (Format::Csv, _) => Table::new(&settings.columns, settings.delimiter, host)
            .map(|table| Shape::Row(Box::new(table))),
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
        Ok(shape) => problems.into_result(shape),
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
    problems.into_result(Rotation {
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
