//! A table of mistakes that people make, each with all that is said about it in both languages.
//!
//! `mistakes/NAME.toml` is a configuration (`#! main`) or the file of one sink beside a good one
//! (`#! sink`). For one mistake one thing is said.

use std::path::Path;

use super::{GOOD, load_files};
use crate::lang::Lang;

#[test]
fn each_mistake_is_said_once_and_says_what_to_type() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/mistakes");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("the mistakes")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    assert!(names.len() > 40, "{}", names.len());
    let main = GOOD.split("[sinks.crm]").next().expect("its beginning");
    let sinks = &GOOD[main.len()..];
    let mut wrong = Vec::new();
    for path in names {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let text = std::fs::read_to_string(&path).expect("reads");
        let (kind, text) = text.split_once('\n').expect("a first line");
        let files = match kind {
            "#! main" => vec![("leadgate.toml", text), ("sinks.d/crm.toml", sinks)],
            "#! sink" => vec![("leadgate.toml", main), ("sinks.d/crm.toml", text)],
            other => panic!("{name}: {other}"),
        };
        let (_, report, folder) = load_files(&files);
        let said = [Lang::En, Lang::ZhCn].map(|lang| report.render(lang, false));
        let said = said
            .join("")
            .replace(&folder.path().display().to_string(), "");
        if report.diagnostics().len() != 1 {
            wrong.push(format!("{name}: {}\n{said}", report.summary(Lang::En)));
        }
        assert!(!said.contains("hunter2"), "{name}: {said}");
        for one in report.json(Lang::En)["problems"]
            .as_array()
            .expect("a list")
        {
            assert!(one["file"].is_string(), "{name} has no file: {one}");
            assert_ne!(one["help"], "", "{name} says nothing to do: {one}");
        }
        insta::assert_snapshot!(name, said);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
