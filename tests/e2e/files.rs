//! Files of the `file` sink that somebody else moves, removes or empties while it runs.

use std::path::Path;

use leadgate_tests::{Daemon, Setup, until};

const SINKS: &str = r#"
[sinks.lines]
plugin = "file"
[sinks.lines.settings]
path = "@FOLDER@/leads.jsonl"
line = { id = "{{ record_id }}" }

[sinks.rows]
plugin = "file"
[sinks.rows.settings]
path = "@FOLDER@/leads.csv"
format = "csv"
columns = [{ name = "编号", value = "{{ record_id }}" }]
"#;

/// What somebody does to a file, and which of the leads before are in it afterwards.
type Meddle = fn(&Path);

fn copy_and_empty(path: &Path) {
    std::fs::copy(path, path.with_extension("old")).expect("copies");
    let file = std::fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_len(0)).expect("empties");
}

#[test]
fn what_is_delivered_is_in_the_file_whatever_becomes_of_it() {
    let cases: [(&str, Meddle); 3] = [
        ("rm", |path| std::fs::remove_file(path).expect("removes")),
        ("mv", |path| {
            std::fs::rename(path, path.with_extension("old")).expect("moves");
        }),
        ("copytruncate", copy_and_empty),
    ];
    for (what, meddle) in cases {
        let daemon = Daemon::start(Setup {
            rest: SINKS.to_owned(),
            ..Setup::default()
        });
        let delivered = |count| {
            until("all are delivered", || {
                ["lines", "rows"]
                    .iter()
                    .all(|sink| daemon.stat(&format!("/sinks/{sink}/delivered")) == count)
            });
        };
        daemon.shop().give(1..=10);
        delivered(10);
        let [lines, rows] = ["leads.jsonl", "leads.csv"].map(|name| daemon.folder().join(name));
        meddle(&lines);
        meddle(&rows);
        daemon.shop().give(11..=30);
        delivered(30);
        let read = |path: &Path| std::fs::read_to_string(path).expect("reads");
        let mut expected: Vec<String> = (11..=30).map(|id| format!("{{\"id\":{id}}}")).collect();
        expected.sort();
        let mut found: Vec<String> = read(&lines).lines().map(str::to_owned).collect();
        found.sort();
        assert_eq!(found, expected, "{what}");
        let text = read(&rows);
        let mut found: Vec<u64> = text
            .strip_prefix("编号\r\n")
            .unwrap_or_else(|| panic!("{what}: the header is not first: {text}"))
            .lines()
            .map(|id| id.parse().expect("an id"))
            .collect();
        found.sort_unstable();
        assert_eq!(found, (11..=30).collect::<Vec<_>>(), "{what}");
    }
}
