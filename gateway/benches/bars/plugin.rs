//! What it costs that a plugin runs in a process of its own, or is a program for `exec`: one
//! attempt after the other, at what answers at once, in turns.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use leadgate::config::{self, Isolation};
use leadgate::lead::Tables;
use leadgate::plugin::{Call, OutcomeKind, Plugins, Sink, SinkConfig};
use leadgate_plugin::child::Sandbox;

use crate::Scale;
use crate::bar::Bar;

/// Attempts of each kind in each turn, and turns.
const ATTEMPTS: usize = 2_000;
const TURNS: usize = 10;
/// Microseconds that the median may grow by at 1 KiB.
const MORE: f64 = 30.0;

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let library = compile(folder.path(), "plugin.c", &["-shared", "-fPIC"])?;
    let program = compile(folder.path(), "program.c", &[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // A task of the runtime's threads, as an attempt of the daemon's is.
    let compared = runtime.spawn(async move {
        let (here, _one) = sink(&library, Isolation::InProcess)?;
        let (there, children) = sink(&library, Isolation::Process)?;
        let exec = exec(&program)?;
        for size in [1024, 16 * 1024] {
            let (mut inside, mut outside, mut lines) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..TURNS {
                let attempts = scale.of(ATTEMPTS).max(50);
                measure(&here, size, attempts, &mut inside).await?;
                measure(&there, size, attempts, &mut outside).await?;
                measure(&exec, size, attempts, &mut lines).await?;
            }
            let (inside, outside) = (Figures::of(inside), Figures::of(outside));
            let lines = Figures::of(lines);
            println!("\nan attempt at a plugin that answers at once, {size} bytes");
            println!("  in process   {inside}");
            println!("  in a process {outside}");
            println!("  exec         {lines}");
            let more = outside.median - inside.median;
            println!(
                "  ratios of the medians to that in process: in a process {:.1}, exec {:.1}",
                outside.median / inside.median,
                lines.median / inside.median
            );
            if size == 1024 {
                Bar::AtMost(MORE).judge("more at the median, in a process", more, " µs");
            } else {
                println!("  more at the median, in a process {more:>19.2} µs");
            }
        }
        drop((here, there, exec));
        children.children().close().await;
        anyhow::Ok(())
    });
    runtime.block_on(compared)?
}

/// In C, so that nothing of Rust's is measured.
fn compile(folder: &Path, source: &str, flags: &[&str]) -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = folder.join(source).with_extension("bin");
    let compiled = std::process::Command::new("cc")
        .args(["-O2", "-I"])
        .arg(here.join("../plugin-api/include"))
        .args(flags)
        .arg(here.join("benches/bars").join(source))
        .arg("-o")
        .arg(&made)
        .status()
        .context("a C compiler, which Rust needs as well")?;
    ensure!(compiled.success(), "{source} does not compile");
    Ok(made)
}

fn sink(library: &Path, isolation: Isolation) -> anyhow::Result<(Sink, Plugins)> {
    let mut plugins = Plugins::builtin()?;
    let plugin = config::Plugin {
        path: Some(library.to_owned()),
        sha256: None,
        isolation,
        sandbox: Sandbox::default(),
    };
    plugins.add("bar", &plugin)?;
    let (settings, tables) = (serde_json::json!({}), Tables::new());
    let of = SinkConfig {
        name: "bar",
        settings: &settings,
        tables: &tables,
    };
    let plugin = plugins.get("bar").context("was added")?;
    let made = plugin.create_with(&of, None);
    let sink = made.map_err(|problems| anyhow!("{problems:?}"))?;
    Ok((sink.masking(&[]).kept(), plugins))
}

/// The linked plugin that runs `program`, in its sandbox.
fn exec(program: &Path) -> anyhow::Result<Sink> {
    let plugins = Plugins::builtin()?;
    let (settings, tables) = (serde_json::json!({ "command": [program] }), Tables::new());
    let of = SinkConfig {
        name: "exec",
        settings: &settings,
        tables: &tables,
    };
    let plugin = plugins.get("exec").context("is linked in")?;
    let made = plugin.create_with(&of, None);
    let sink = made.map_err(|problems| anyhow!("{problems:?}"))?;
    Ok(sink.masking(&[]).kept())
}

async fn measure(
    sink: &Sink,
    size: usize,
    attempts: usize,
    took: &mut Vec<Duration>,
) -> anyhow::Result<()> {
    let empty = r#"{"lead":{"name":""}}"#.len();
    let event = format!(r#"{{"lead":{{"name":"{}"}}}}"#, "x".repeat(size - empty));
    for number in 0..attempts {
        let call = Call {
            id: format!("0198f6f2-1234-7abc-8def-{number:012}"),
            attempt: 1,
            timeout: Duration::from_secs(10),
            event: event.clone().into_bytes(),
            trace_id: "0".repeat(32),
            step_record: String::new(),
            keep: None,
        };
        let began = Instant::now();
        let outcome = sink.deliver(call).await;
        took.push(began.elapsed());
        ensure!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    }
    Ok(())
}

/// In microseconds.
struct Figures {
    median: f64,
    p99: f64,
}

impl Figures {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e6;
        Self {
            median: at(50),
            p99: at(99),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, p99 } = self;
        write!(formatter, "median {median:>7.1} µs, p99 {p99:>7.1} µs")
    }
}
