//! Spreadsheets: the `file` sink's CSV, read by a reader that is not ours.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use leadgate_tests::{Daemon, SUCCESS, Setup, Shop, SmallDisk, counted, until};
use serde_json::{Value, json};

const SHEET: &str = r#"
[sinks.sheet]
plugin = "file"
retry = { first = "20ms", max = "100ms", max_attempts = 100000 }
[sinks.sheet.settings]
path = "@FOLDER@/leads.csv"
format = "csv"
bom = true
rotate = "1MiB"
columns = [
    { name = "编号", value = "{{ record_id }}" },
    { name = "姓名", value = "{{ name }}" },
    { name = "手机", value = "{{ phone_e164 }}" },
    { name = "城市, 门店", value = "{{ city_name }} {{ store_id }}" },
]
"#;

/// The rows that Python's reader finds.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let script = "import csv, json, sys\n\
                  with open(sys.argv[1], newline='', encoding='utf-8-sig') as file:\n\
                  \x20   print(json.dumps(list(csv.reader(file, strict=True))))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(path)
        .output()
        .expect("Python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("rows")
}

fn give(shop: &Shop, record: u64, name: &str) {
    let mut lead: Value = serde_json::from_str(&Shop::lead(record)).expect("the sample is JSON");
    lead["name"] = json!(name);
    let answer = shop.push(lead.to_string()).expect("answers");
    assert_eq!(answer.body, SUCCESS);
}

#[test]
#[ignore = "needs Python 3"]
fn every_lead_is_a_row_of_its_own_also_after_a_crash() {
    let mut daemon = Daemon::start(Setup {
        rest: SHEET.to_owned(),
        ..Setup::default()
    });
    let path = daemon.folder().join("leads.csv");
    let names = ["张三", "=HYPERLINK(\"http://x\",\"y\")", "a,\"b\"\nc"];
    for (record, name) in (1..).zip(names) {
        give(&daemon.shop(), record, name);
    }
    until("all are written", || {
        daemon.stat("/sinks/sheet/delivered") == 3
    });
    daemon.kill();
    // As a crash in the middle of a row leaves it.
    let mut file = std::fs::File::options()
        .append(true)
        .open(&path)
        .expect("opens");
    file.write_all("4,\"李\n".as_bytes()).expect("writes");
    daemon.restart();
    give(&daemon.shop(), 5, "王五");
    until("the next one is written", || {
        std::fs::read_to_string(&path)
            .is_ok_and(|text| text.ends_with("杭州 437763404\r\n") && text.contains("王五"))
    });
    let row = |record: &str, name: &str| {
        [record, name, "+8613567658911", "杭州 437763404"]
            .map(str::to_owned)
            .to_vec()
    };
    let expected = [
        ["编号", "姓名", "手机", "城市, 门店"]
            .map(str::to_owned)
            .to_vec(),
        row("1", "张三"),
        row("2", "'=HYPERLINK(\"http://x\",\"y\")"),
        row("3", "a,\"b\"\nc"),
        ["4", "李\n"].map(str::to_owned).to_vec(),
        row("5", "王五"),
    ];
    let mut found = rows(&path);
    // Leads of different customers come in any order.
    found[1..4].sort();
    assert_eq!(found, expected);
    assert!(!daemon.log().contains("13567658911"), "{}", daemon.log());
}

#[test]
#[ignore = "needs Python 3"]
fn a_full_disk_is_waited_out_and_every_lead_is_there() {
    let disk = match SmallDisk::mount(1) {
        Ok(disk) => disk,
        Err(why) => {
            counted(format_args!("skipped, no tmpfs can be mounted here: {why}"));
            return;
        }
    };
    let inside = |script: &str, arguments: &[&Path]| {
        let under = disk.under();
        Command::new(&under[0])
            .args(&under[1..])
            .args(["sh", "-c", script])
            .args(arguments)
            .status()
            .expect("nsenter runs")
            .success()
    };
    let sheet = disk.path().join("leads.csv");
    let rest = SHEET
        .replace("@FOLDER@", &disk.path().display().to_string())
        .replace(
            "[sinks.sheet.settings]",
            "breaker = { failures = 0 }\n[sinks.sheet.settings]",
        );
    let daemon = Daemon::start(Setup {
        rest,
        under: disk.under(),
        ..Setup::default()
    });
    daemon.shop().give(1..2);
    until("the first one is written", || {
        daemon.stat("/sinks/sheet/delivered") == 1
    });
    let filler = disk.path().join("filler");
    let fill = "head -c 2000000 /dev/zero 2>/dev/null > \"$0\"";
    assert!(!inside(fill, &[&filler]), "the disk is full");
    // More than what is left of the page that the file has.
    daemon.shop().give(2..201);
    until("some have to wait", || {
        daemon.stat("/sinks/sheet/retrying") > 0
    });
    disk.grow(4);
    until("all are written", || {
        daemon.stat("/sinks/sheet/delivered") == 200
    });
    let copy = daemon.folder().join("copy.csv");
    assert!(inside("cat \"$0\" > \"$1\"", &[&sheet, &copy]));
    let (whole, torn): (Vec<_>, Vec<_>) = rows(&copy)
        .into_iter()
        .skip(1)
        .partition(|row| row.len() == 4 && row[3] == "杭州 437763404");
    assert!(torn.len() <= 1, "{torn:?}");
    let records: BTreeSet<u64> = whole
        .iter()
        .map(|row| row[0].parse().expect("a number"))
        .collect();
    assert_eq!(records, (1..201).collect());
}
