//! How a sink stands in the files, and what a person makes of it: nothing is read that the sink
//! which runs does not read, and nothing secret is shown.

use super::*;

const FILE: &str = r#"# Where leads go.
[outbox]
path = "data"
[admin]
token = "env:ADMIN_TOKEN"
[sources.shop]
kind = "tmall"
path = "/tmall/leads"
app_secret = "env:SECRET"

# The CRM of the shop.
# token = "0ld-t0ken-0f-last-year"
[sinks.crm]
plugin = "http" # 客户系统
when = "purchase_intention >= 1"
[sinks.crm.settings]
url = "https://crm.shop.cn/leads" # key: a1b2c3d4e5f6a7b8c9
auth = { kind = "bearer", token = "env:TOKEN" }
headers = { x-api-key = "literal-key-1", x-shop = "[sinks.mail]" }
[sinks.crm.settings.body]
name = "{{ name }}"
mobile = """
[sinks.mail]
{{ phone }}"""
key = "${TOKEN}-x"

# The mail.
[sinks.mail]
plugin = "file"
on_dead = "crm"
settings = { path = "leads.jsonl" }

[[sinks.crm.settings.classify]]
when = "status == 200"
outcome = "delivered"
"#;

const CRM: &str = r#"# The CRM of the shop.
# token = "***"
[sinks.crm]
plugin = "http" # 客户系统
when = "purchase_intention >= 1"
[sinks.crm.settings]
url = "https://crm.shop.cn/leads" # key: ***
auth = { kind = "bearer", token = "env:TOKEN" }
headers = { x-api-key = "***", x-shop = "[sinks.mail]" }
[sinks.crm.settings.body]
name = "{{ name }}"
mobile = """
[sinks.mail]
{{ phone }}"""
key = "${TOKEN}-x"

[[sinks.crm.settings.classify]]
when = "status == 200"
outcome = "delivered"
"#;

/// What runs.
struct Desk {
    config: Config,
    plugins: Plugins,
    folder: tempfile::TempDir,
}

fn desk_of(text: &str) -> Desk {
    let (config, report, folder) = load_files(&[("leadgate.toml", text)]);
    Desk {
        config: config.unwrap_or_else(|| panic!("{}", report.render(Lang::En, false))),
        plugins: Plugins::builtin().expect("built in"),
        folder,
    }
}

impl Desk {
    fn read(&self, sink: &str, text: &str) -> (Option<Edited>, String) {
        let bench = Workbench {
            sink,
            written: &self.config.written[sink],
            sinks: self.config.sinks.keys().cloned().collect(),
            tables: &self.config.tables,
            catalogue: &self.plugins,
        };
        let environment = Environment::of(|name| match name {
            "TOKEN" => Some("t0ken".to_owned()),
            "OTHER" => Some("other-secret".to_owned()),
            _ => None,
        });
        let (edited, report) = bench.read(text, &environment);
        assert_eq!(edited.is_none(), report.has_errors());
        let said = report.render(Lang::En, false);
        let chinese = report.render(Lang::ZhCn, false);
        for secret in ["t0ken", "other-secret", "literal-key-1", "what is outside"] {
            assert!(
                !said.contains(secret) && !chinese.contains(secret),
                "{said}"
            );
        }
        (edited, said)
    }
}

#[test]
fn a_sink_is_shown_as_it_is_written_without_its_secrets() {
    let desk = desk_of(FILE);
    let written = &desk.config.written["crm"];
    assert_eq!(written.text(), CRM);
    assert_eq!(written.file(), desk.folder.path().join("leadgate.toml"));
    assert!(!format!("{written:?}").contains("literal"));
    assert!(
        desk.config.written["mail"]
            .text()
            .starts_with("# The mail.\n[sinks.mail]\n")
    );
}

#[test]
fn a_sink_that_cannot_be_cut_out_is_spelt_anew() {
    let desk = desk_of(
        "sinks.crm.plugin = \"http\"\nsinks.crm.settings = { url = \"https://crm.shop.cn/x\", auth = { kind = \"bearer\", token = \"literal-key-1\" } }\n[admin]\ntoken = \"env:TOKEN\"\n[outbox]\npath = \"data\"\n",
    );
    let text = desk.config.written["crm"].text();
    assert!(text.contains("[sinks.crm"), "{text}");
    assert!(text.contains("token = \"***\""), "{text}");
    let (edited, said) = desk.read("crm", text);
    let edited = edited.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(edited.sink.settings["auth"]["token"], "literal-key-1");
}

#[test]
fn what_is_shown_can_be_given_back_and_is_the_same_sink() {
    let desk = desk_of(FILE);
    let (edited, said) = desk.read("crm", &CRM.replace('\n', "\r\n"));
    let edited = edited.unwrap_or_else(|| panic!("{said}"));
    let (found, runs) = (&edited.sink, &desk.config.sinks["crm"]);
    assert_eq!(format!("{found:?}"), format!("{runs:?}"));
    let secrets = edited.secrets.iter().map(leadgate_plugin::Secret::expose);
    let secrets: Vec<&str> = secrets.collect();
    for secret in ["t0ken", "literal-key-1"] {
        assert!(secrets.contains(&secret), "{secrets:?}");
    }
    let (mail, said) = desk.read("mail", desk.config.written["mail"].text());
    let mail = mail.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(mail.sink.settings, desk.config.sinks["mail"].settings);
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let desk = desk_of(FILE);
    let (_, said) = desk.read("crm", &CRM.replace("{{ name }}", "{{ nmae }}"));
    assert!(said.contains("edited.toml:11:"), "{said}");
    assert!(said.contains("did you mean `name`"), "{said}");
    let (_, said) = desk.read("crm", "[sinks.crm\nplugin = 1\n");
    assert!(said.contains("config::syntax"), "{said}");
    for (from, to) in [
        ("purchase_intention", "purchase_intension"),
        ("[sinks.crm.settings.body]", "[sinks.crm.settings.bdoy]"),
        ("plugin = \"http\"", "plugin = \"http\"\nrate = \"20/sec\""),
        ("plugin = \"http\"", "plugin = \"http\"\non_dead = \"mial\""),
        ("plugin = \"http\"", "plugin = \"http\"\non_dead = \"crm\""),
    ] {
        let (edited, said) = desk.read("crm", &CRM.replace(from, to));
        assert!(edited.is_none() && said.contains("edited.toml:"), "{said}");
    }
}

#[test]
fn nothing_is_read_that_the_sink_which_runs_does_not_read_there() {
    let desk = desk_of(FILE);
    let outside = desk.folder.path().join("outside.pem");
    std::fs::write(&outside, "what is outside").expect("writes");
    let outside = outside.display();
    let not_here = |from: &str, to: &str| {
        let (edited, said) = desk.read("crm", &CRM.replace(from, to));
        assert!(edited.is_none(), "{to}");
        assert!(said.contains("config::not_here"), "{to}: {said}");
    };
    let in_name = |text: &str| not_here("\"{{ name }}\"", &format!("\"{text}\""));
    // Other variables, files and credentials.
    in_name("env:OTHER");
    in_name("cred:other");
    in_name(&format!("file:{outside}"));
    in_name("${OTHER}");
    in_name("${OTHER:-x}");
    // The same ones elsewhere, or where a template could take them apart.
    in_name("env:TOKEN");
    in_name("${TOKEN}-x");
    in_name("{{ '${TOKEN}' | upper }}");
    not_here("\"${TOKEN}-x\"", "\"${TOKEN}\"");
    not_here("\"${TOKEN}-x\"", "\"{{ '${TOKEN}-x' | list }}\"");
    not_here("1\"", "${TOKEN}\"");
    // Files and plugins.
    not_here(
        "[sinks.crm.settings]",
        &format!("[sinks.crm.settings]\ntls.ca = \"{outside}\""),
    );
    not_here(
        "[sinks.crm.settings]",
        &format!("[sinks.crm.settings]\ntsl = {{ ca = \"{outside}\" }}"),
    );
    not_here("plugin = \"http\"", "plugin = \"exec\"");
    let text = desk.config.written["mail"].text();
    let (edited, said) = desk.read("mail", &text.replace("leads.jsonl", "others.jsonl"));
    assert!(
        edited.is_none() && said.contains("config::not_here"),
        "{said}"
    );
    let (edited, said) = desk.read(
        "mail",
        &text.replace(
            "plugin = \"file\"",
            "plugin = \"file\"\nwhen = \"'${HOME}' == name\"",
        ),
    );
    assert!(
        edited.is_none() && said.contains("config::not_here"),
        "{said}"
    );
    // Neither a table nor a sink of another name is let in.
    for more in [
        "[admin]\nlisten = \"0.0.0.0:1\"\n",
        "[sinks.x]\nplugin = \"http\"\n",
        "[plugins.http]\npath = \"/x.so\"\n",
    ] {
        let (edited, said) = desk.read("crm", &format!("{CRM}{more}"));
        assert!(
            edited.is_none() && said.contains("config::other_table"),
            "{said}"
        );
    }
    let (edited, said) = desk.read("crm", "# nothing\n");
    assert!(
        edited.is_none() && said.contains("config::no_sink"),
        "{said}"
    );
}

#[test]
fn the_program_of_a_sink_stays() {
    let desk = desk_of(
        "[sinks.erp]\nplugin = \"exec\"\n[sinks.erp.settings]\ncommand = [\"/bin/cat\", \"-u\"]\n[admin]\ntoken = \"env:TOKEN\"\n[outbox]\npath = \"data\"\n",
    );
    let text = desk.config.written["erp"].text();
    let (edited, said) = desk.read("erp", text);
    assert!(edited.is_some(), "{said}");
    for other in [
        "\"/bin/sh\", \"-u\"",
        "\"/bin/cat\", \"-n\"",
        "\"-u\", \"/bin/cat\"",
    ] {
        let (edited, said) = desk.read("erp", &text.replace("\"/bin/cat\", \"-u\"", other));
        assert!(
            edited.is_none() && said.contains("config::not_here"),
            "{said}"
        );
    }
}

#[test]
fn steps_may_change_places_with_what_they_refer_to() {
    let sink = "[sinks.crm]\nplugin = \"http\"\n[sinks.crm.settings]\nurl = \"https://crm.shop.cn/api\"\n[[sinks.crm.settings.steps]]\nname = \"one\"\nheaders = { x-token = \"env:TOKEN\" }\n";
    let desk = desk_of(&format!(
        "{sink}[admin]\ntoken = \"env:TOKEN\"\n[outbox]\npath = \"data\"\n"
    ));
    let step = "[[sinks.crm.settings.steps]]\nname = \"two\"\n[[sinks.crm.settings.steps]]\nname = \"one\"";
    let edited = sink.replace("[[sinks.crm.settings.steps]]\nname = \"one\"", step);
    let (edited, said) = desk.read("crm", &edited);
    assert!(edited.is_some(), "{said}");
}
