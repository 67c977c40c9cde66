#![allow(missing_docs, clippy::all, clippy::pedantic)]
use leadgate::outbox::sled::{Options, SledOutbox};
use leadgate::outbox::{Arrival, Find, FindBy, Intake, Outbox, Route, SinkPolicy};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let path = std::path::PathBuf::from(&args[2]);
    if args[1] == "make" {
        let rt = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let n: u64 = args[3].parse().unwrap();
        for round in 0..2u64 {
            let o = SledOutbox::open(Options {
                path: &path,
                queue: 4096,
                cache: 16 << 20,
                keys: &[],
                sinks: vec![SinkPolicy {
                    name: "crm".into(),
                    on_update: leadgate::config::OnUpdate::Each,
                    on_dead: None,
                }],
                min_free: 0,
                metrics: leadgate::telemetry::metrics::Metrics::new().outbox,
            })
            .unwrap();
            rt.block_on(async {
                for k in (n * round / 2)..(n * (round + 1) / 2) {
                    let mut id = [0; 32];
                    id[..8].copy_from_slice(&k.to_be_bytes());
                    o.accept(Arrival {
                        source: "shop".into(),
                        received_at: 1_700_000_000_000 + k as i64,
                        identity: id,
                        stable: true,
                        content: [1; 32],
                        modified_at: None,
                        request_id: None,
                        method: None,
                        lead: "x".repeat(400),
                        labels: "{}".into(),
                        raw: "y".repeat(700),
                        original: None,
                        finds: vec![Find::new(FindBy::Phone, &format!("1356765{k:04}"))],
                        routes: vec![Route {
                            sink: "crm".into(),
                            failed: None,
                        }],
                    })
                    .await
                    .unwrap();
                }
            });
            let o = std::sync::Arc::new(o);
            let o2 = o.clone();
            std::thread::spawn(move || o2.close()).join().unwrap();
            drop(o);
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        return;
    }
    let db = match ::sled::Config::new()
        .path(&path)
        .flush_every_ms(None)
        .mode(::sled::Mode::HighThroughput)
        .open()
    {
        Ok(db) => db,
        Err(e) => {
            println!("OPENERR {e}");
            return;
        }
    };
    let mut rooms = std::collections::BTreeMap::new();
    let mut totals = String::from("none");
    for e in db.iter() {
        match e {
            Ok((k, v)) => {
                *rooms.entry(k[0] as char).or_insert(0) += 1;
                if &k[..] == b"m/totals" {
                    totals = format!("{:?}", &v[..])
                }
            }
            Err(e) => {
                println!("READERR {e} {rooms:?}");
                return;
            }
        }
    }
    println!("OK {rooms:?} {totals}");
    std::process::exit(0);
}
