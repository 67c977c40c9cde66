//! `leadgate outbox export` and `import`: JSON lines.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::super::{FAILED, Global, audited, client, fail, out, runtime};
use super::target::{self, Daemon, Store, configuration};
use super::{plain_text, print_counts};
use crate::admin::Disclosed;
use crate::outbox::{
    AuditAction, AuditResult, EXPORT_VERSION, ExportHeader, Exported, Imported, Maintenance, sled,
};

/// Lines stored in one commit.
const LINES: usize = 200;

pub(super) fn export(global: &Global, target: &client::Target) -> Result<ExitCode, ExitCode> {
    let place = target::find(global, target)?;
    errln!("{}", plain_text(global.lang()));
    match place {
        Store::Daemon(daemon) => {
            let runtime = runtime().map_err(|error| fail(error, FAILED))?;
            let (path, nothing) = ("/outbox/export", serde_json::json!({}));
            runtime.block_on(fetch(global, &daemon, path, &nothing))?;
        }
        Store::Folder(config) => {
            let outbox = target::open(&config, &[])?;
            audited::record(&outbox, AuditAction::OutboxExport, |event| {
                event.result = AuditResult::Begun;
            })?;
            let mut out = BufWriter::new(out::Data);
            let done = crate::admin::write_export(&outbox, &mut out, &mut Disclosed::default());
            let done = done.and_then(|()| Ok(out.flush()?));
            outbox.close();
            // What became of stdout is said at the end, if there is anything to say.
            if out::is_read() {
                done.map_err(|error| fail(error, FAILED))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes of the end of a stream that are looked at.
const END: usize = 64;

/// Prints what `/api/v1` and `path` streams, as it comes. The last bytes of it come back, if
/// anybody read them.
pub(in crate::cli) async fn fetch(
    global: &Global,
    daemon: &Daemon,
    path: &str,
    body: &Value,
) -> Result<Vec<u8>, ExitCode> {
    let path = format!("/api/v1{path}");
    let mut response = daemon.post(global, &path, body).await?;
    let mut end = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| fail(client::innermost(&error), FAILED))?
    {
        out::raw(&piece);
        if !out::is_read() {
            return Ok(Vec::new());
        }
        end.extend_from_slice(&piece[piece.len().saturating_sub(END)..]);
        end.drain(..end.len().saturating_sub(END));
    }
    Ok(end)
}

pub(super) fn import(global: &Global, file: &Path) -> Result<ExitCode, ExitCode> {
    let config = configuration(global)?;
    let mut lines = source(file).map_err(|error| fail(error, FAILED))?;
    // Once through before anything is stored: every line must be readable.
    let mut sinks = BTreeSet::new();
    let header = each(&mut lines, |line| {
        if let Exported::Lead(lead) = line {
            sinks.extend(lead.deliveries.into_iter().map(|one| one.delivery.sink));
        }
        Ok(())
    })
    .map_err(|error| fail(error, FAILED))?;
    let outbox = &config.outbox;
    sled::adopt(&outbox.path, &outbox.keys, &header).map_err(|error| fail(error, FAILED))?;
    let sinks: Vec<String> = sinks.into_iter().collect();
    let outbox = target::open(&config, &sinks)?;
    let mut done = Imported::default();
    let mut some = Vec::new();
    let mut store = |some: &mut Vec<Exported>| -> io::Result<()> {
        let more = outbox
            .load(std::mem::take(some))
            .map_err(io::Error::other)?;
        done.leads += more.leads;
        done.leads_known += more.leads_known;
        done.deliveries += more.deliveries;
        done.quarantined += more.quarantined;
        done.quarantined_known += more.quarantined_known;
        done.audit += more.audit;
        done.audit_known += more.audit_known;
        Ok(())
    };
    let stored = each(&mut lines, |line| {
        some.push(line);
        if some.len() == LINES {
            store(&mut some)
        } else {
            Ok(())
        }
    });
    let stored = stored.and_then(|_| store(&mut some));
    let noted = audited::record(&outbox, AuditAction::OutboxImport, |event| {
        event.count = Some(done.leads + done.quarantined);
        if stored.is_err() {
            event.result = AuditResult::Failed("broken-off".to_owned());
        }
    });
    outbox.close();
    stored.map_err(|error| fail(error, FAILED))?;
    noted?;
    print_counts(global, &done);
    Ok(ExitCode::SUCCESS)
}

/// The file, or standard input put into a file without a name, so that it can be read twice.
fn source(file: &Path) -> io::Result<BufReader<File>> {
    if file.as_os_str() != "-" {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        return Ok(BufReader::new(File::open(file).map_err(named)?));
    }
    let mut copy = tempfile::tempfile()?;
    io::copy(&mut io::stdin().lock(), &mut copy)?;
    Ok(BufReader::new(copy))
}

/// Gives every line behind the first to `each`.
fn each(
    lines: &mut BufReader<File>,
    mut each: impl FnMut(Exported) -> io::Result<()>,
) -> io::Result<ExportHeader> {
    lines.rewind()?;
    let mut header: Option<ExportHeader> = None;
    for (number, line) in lines.lines().enumerate() {
        let line = line?;
        let bad = |why: String| io::Error::other(format!("line {}: {why}", number + 1));
        match &header {
            None => {
                let first: ExportHeader = serde_json::from_str(&line)
                    .map_err(|_| bad("this is no export of leadgate".to_owned()))?;
                if !(1..=EXPORT_VERSION).contains(&first.leadgate_export) {
                    let version = first.leadgate_export;
                    return Err(bad(format!(
                        "exports of version {version} are unknown, this leadgate reads up to version {EXPORT_VERSION}"
                    )));
                }
                header = Some(first);
            }
            Some(_) if line.is_empty() => {}
            Some(_) => {
                // The parser's own message may quote the line, which is personal data.
                let one = serde_json::from_str(&line).map_err(|error| {
                    bad(format!("not an exported record, column {}", error.column()))
                })?;
                each(one)?;
            }
        }
    }
    header.ok_or_else(|| io::Error::other("the export is empty"))
}
