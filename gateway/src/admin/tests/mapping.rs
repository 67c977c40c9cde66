//! What a sink would be sent by settings that somebody has edited: with the real http plugin, of
//! which nothing but a preview is asked.

use super::*;
use crate::config::Environment;
use crate::plugin::{Plugins, SinkConfig};

const FILE: &str = r#"[admin]
token = "env:ADMIN"
[sources.shop]
kind = "tmall"
path = "/tmall/leads"
app_secret = "env:ADMIN"
[sinks.mail]
plugin = "http"
settings = { url = "https://mail.shop.cn/x" }

# The shop's CRM.
[sinks.crm]
plugin = "http"
when = "store_id == 437763404"
concurrency = 2
rate = "18/min"
[sinks.crm.settings]
url = "https://crm.shop.cn/leads"
auth = { kind = "bearer", token = "file:token" }
[sinks.crm.settings.body]
phone = "{{ phone_e164 }}"
name = "{{ name }}"
store = "{{ store_id }}"
key = "file:token"
"#;

pub(crate) const SECRET: &str = "t0psecret-value";

/// With the sink `crm` as that file has it, at rest.
pub(crate) async fn mapped() -> Desk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("leadgate.toml");
    std::fs::write(&file, FILE).expect("writes");
    let token = folder.path().join("token");
    std::fs::write(&token, SECRET).expect("writes");
    let alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, alone).expect("only for whom it is");
    let environment = Environment::of(|_| Some("token".to_owned()));
    let mut plugins = Plugins::builtin().expect("they fit");
    let (config, report) = crate::config::load(&file, &environment, &mut plugins);
    let config =
        config.unwrap_or_else(|| panic!("{}", report.render(crate::lang::Lang::En, false)));
    let sink = SinkConfig {
        name: "crm",
        settings: &config.sinks["crm"].settings,
        tables: &config.tables,
    };
    let http = plugins.get("http").expect("it is built in");
    let made = http.create(&sink).expect("it is made");
    let made = made.masking(config.secrets_of("crm"));
    let desk = desk_in(folder, 0);
    let by_hand = crate::outbox::PauseCause::Person(String::new());
    let paused = desk.admin.outbox.pause("crm", Some(by_hand)).await;
    paused.expect("paused");
    let Desk { admin, folder } = desk;
    let outbox = Arc::clone(&admin.outbox);
    let closed = web::block(move || outbox.close()).await;
    closed.expect("it is closed");
    drop(admin);
    let desk = desk_to(folder, 0, Some(Arc::new(made)));
    desk.configure(|configured| *configured = Configured::of(&config, &plugins, 5, None));
    desk
}

impl Desk {
    async fn settings(&self) -> String {
        let shown = self.get("/sinks/crm/settings").await;
        shown["settings"].as_str().expect("TOML").to_owned()
    }

    /// What is in the configuration's file.
    pub(crate) fn file(&self) -> String {
        let file = self.folder.path().join("leadgate.toml");
        std::fs::read_to_string(file).expect("reads")
    }

    async fn counts(&self) -> Value {
        let mut stats = self.get("/stats").await["sinks"]["crm"].take();
        // It grows by itself.
        stats["oldest_pending_seconds"].take();
        stats
    }

    async fn render(&self, wish: &Value) -> Value {
        let (status, answer) = self.post("/sinks/crm/render", wish).await;
        assert_eq!(status, 200, "{answer}");
        let text = answer.to_string();
        assert!(!text.contains(SECRET), "{text}");
        answer
    }
}

fn request<'a>(answer: &'a Value, side: &str) -> &'a str {
    let text = answer[side]["request"].as_str();
    text.unwrap_or_else(|| panic!("{side}: {answer:#}"))
}

fn changed<'a>(answer: &'a Value, how: &str) -> Vec<&'a str> {
    let lines = answer["difference"].as_array().expect("lines").iter();
    let lines = lines.filter(|line| line["change"] == how);
    lines
        .map(|line| line["text"].as_str().expect("text").trim())
        .collect()
}

#[actix_web::test]
async fn a_renamed_field_is_shown_beside_what_it_was_and_nothing_is_sent_or_saved() {
    let desk = mapped().await;
    let lead = desk.accept(1).await;
    let before = desk.counts().await;
    let settings = desk.settings().await;
    assert!(
        settings.starts_with("# The shop's CRM.\n[sinks.crm]\n"),
        "{settings}"
    );
    let edited = settings
        .replace("phone = ", "mobile = ")
        .replace("437763404", "7");
    let wish = json!({ "lead": lead.to_string(), "settings": edited });
    let answer = desk.render(&wish).await;
    assert_eq!(answer["of"]["kind"], "lead");
    assert_eq!(answer["of"]["revision"], 1);
    assert_eq!(answer["now"]["wanted"], true);
    assert_eq!(answer["edited"]["wanted"], false);
    assert!(request(&answer, "now").contains("https://crm.shop.cn/leads"));
    assert!(request(&answer, "edited").contains("\"mobile\": \"+8613800138000\""));
    assert_eq!(
        changed(&answer, "removed"),
        [r#""phone": "+8613800138000","#]
    );
    assert_eq!(
        changed(&answer, "added"),
        [r#""mobile": "+8613800138000","#]
    );
    assert!(changed(&answer, "same").contains(&r#""store": 437763404"#));
    assert_eq!(answer["settings"], edited);
    let file = desk.folder.path().join("leadgate.toml");
    assert_eq!(answer["file"], file.display().to_string());
    assert_eq!(desk.file(), FILE);
    assert_eq!(desk.counts().await, before);
    assert_eq!(desk.settings().await, settings);
    // Without settings there is one side alone.
    let answer = desk.render(&json!({ "lead": lead.to_string() })).await;
    assert!(answer.get("edited").is_none() && answer.get("difference").is_none());
}

#[actix_web::test]
async fn a_template_cannot_take_out_who_a_stored_lead_is_about() {
    let desk = mapped().await;
    let lead = desk.accept(1).await;
    desk.end_all(dead).await;
    let deliveries = desk.get("/deliveries").await;
    let delivery = deliveries["items"][0]["id"].as_str().expect("an id");
    let settings = desk.settings().await;
    let tricks = "\na = \"{{ phone | list | join('-') }}\"\nb = \"{{ name | reverse }}\"\nc = \"{{ address }}\"\nd = \"{{ raw }}\"\n";
    let edited =
        format!("{settings}{tricks}").replace("437763404\"", "437763404 and name != '张三'\"");
    for wish in [
        json!({ "lead": lead.to_string(), "settings": edited }),
        json!({ "delivery": delivery, "settings": edited }),
    ] {
        let mut answer = desk.render(&wish).await;
        // What was typed comes back.
        answer["settings"].take();
        let text = answer.to_string();
        for personal in [
            "1-3-5-6-7",
            "三张",
            "张三",
            "13567658911",
            "浙江杭州",
            "8911",
        ] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        assert!(
            request(&answer, "edited").contains("1-3-8-0-0-1-3-8-0-0-0"),
            "{text}"
        );
        assert_eq!(answer["edited"]["wanted"], true);
    }
}

#[actix_web::test]
async fn a_lead_may_be_pasted_and_without_any_there_is_the_sample() {
    let desk = mapped().await;
    let push = r#"{"phone":"13811112222","name":"<b>王五</b>","store_id":7}"#;
    let answer = desk.render(&json!({ "push": push })).await;
    assert_eq!(
        answer["of"],
        json!({ "kind": "push", "lead": null, "revision": null, "delivery": null })
    );
    assert_eq!(answer["now"]["wanted"], false);
    assert!(request(&answer, "now").contains("+8613811112222"));
    assert!(request(&answer, "now").contains("<b>王五</b>"));
    let answer = desk.render(&json!({})).await;
    assert_eq!(answer["of"]["kind"], "sample");
    assert!(request(&answer, "now").contains("张三"));
    assert_eq!(desk.get("/stats").await["leads"]["stored"], 0);
}

#[actix_web::test]
async fn wrong_settings_are_shown_with_their_line_in_both_languages() {
    let desk = mapped().await;
    let settings = desk.settings().await;
    let wrong = settings
        .replace("{{ name }}", "{{ nmae }}")
        .replace("18/min", "18/minute");
    let wish = json!({ "settings": wrong });
    let (status, answer) = desk.post("/sinks/crm/render", &wish).await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["type"], "urn:leadgate:problem:bad-configuration");
    assert!(
        answer["detail"]
            .as_str()
            .expect("text")
            .contains("2 errors"),
        "{answer}"
    );
    let report = answer["report"].as_str().expect("a report");
    assert!(report.contains("edited.toml:12:"), "{report}");
    assert!(report.contains("did you mean `name`"), "{report}");
    let chinese = answer["report_zh"].as_str().expect("a report");
    assert!(chinese.contains("edited.toml:6:"), "{chinese}");
    assert_eq!(answer["problems"].as_array().expect("all").len(), 2);
}

#[actix_web::test]
async fn secrets_are_shown_nowhere_and_taken_from_nowhere_else() {
    let desk = mapped().await;
    std::fs::write(desk.folder.path().join("other"), "other-secret").expect("writes");
    let settings = desk.settings().await;
    assert!(!settings.contains(SECRET), "{settings}");
    let answer = desk.render(&json!({ "settings": settings })).await;
    assert!(
        request(&answer, "edited").contains("\"key\": \"***\""),
        "{answer}"
    );
    for other in [
        settings.replace("{{ name }}", "file:other"),
        settings.replace("{{ name }}", "file:token"),
        settings.replace("{{ name }}", "env:PATH"),
        settings.replace("{{ name }}", "${PATH}"),
        settings.replace(
            "[sinks.crm.settings]",
            "[sinks.crm.settings]\ntls.ca = \"other\"",
        ),
    ] {
        let wish = json!({ "settings": other });
        let (status, answer) = desk.post("/sinks/crm/render", &wish).await;
        assert_eq!(status, 422, "{answer}");
        let text = answer.to_string();
        assert!(text.contains("config::not_here"), "{text}");
        assert!(
            !text.contains("other-secret") && !text.contains(SECRET),
            "{text}"
        );
    }
}

#[actix_web::test]
async fn what_cannot_be_looked_at_is_refused() {
    let desk = mapped().await;
    let large = "x".repeat(70_000);
    for (wish, status) in [
        (json!({ "lead": ID }), 404),
        (json!({ "delivery": ID }), 404),
        (json!({ "lead": "1" }), 400),
        (json!({ "lead": ID, "push": "{}" }), 400),
        (json!({ "push": "[13811112222" }), 400),
        (json!({ "send": true }), 400),
        (json!({ "settings": large }), 413),
        (json!({ "push": large.repeat(4) }), 413),
        (json!({ "push": large.repeat(16) }), 413),
    ] {
        let (found, answer) = desk.post("/sinks/crm/render", &wish).await;
        assert_eq!(found, status, "{answer}");
        assert!(!answer.to_string().contains("13811112222"), "{answer}");
    }
    let (status, _) = desk.post("/sinks/crn/render", &json!({})).await;
    assert_eq!(status, 404);
    // How it stands in the files is not known of a sink that was read otherwise.
    desk.configure(|configured| {
        configured
            .sinks
            .get_mut("crm")
            .expect("it is there")
            .written = None;
    });
    let (status, _) = desk.ask(Method::GET, "/sinks/crm/settings", "").await;
    assert_eq!(status, 503);
    let wish = json!({ "settings": "[sinks.crm]\n" });
    let (status, _) = desk.post("/sinks/crm/render", &wish).await;
    assert_eq!(status, 503);
}

#[actix_web::test]
async fn one_sink_is_shown_with_what_is_set_of_it() {
    let desk = mapped().await;
    desk.accept(1).await;
    desk.end_all(dead).await;
    let shown = desk.get("/sinks/crm").await;
    assert_eq!(shown["dead"], 1);
    assert_eq!(shown["dead_by_reason"], json!({ "rejected": 1 }));
    assert_eq!(shown["paused"], true);
    let set = &shown["set"];
    assert_eq!(set["rate"], "18/min");
    assert_eq!(set["concurrency"], 2);
    assert_eq!(set["when"], "store_id == 437763404");
    assert_eq!(
        set["retry"],
        json!({ "first": "5s", "max": "1h", "max_attempts": 15, "max_age": "3d" })
    );
    assert!(!shown.to_string().contains(SECRET));
    desk.configure(|configured| drop(configured.sinks.remove("crm")));
    let shown = desk.get("/sinks/crm").await;
    assert_eq!(shown["set"], Value::Null);
    assert_eq!(shown["orphaned"], true);
    let (status, _) = desk.ask(Method::GET, "/sinks/crm/settings", "").await;
    assert_eq!(status, 409);
    let (status, _) = desk.ask(Method::GET, "/sinks/nobody", "").await;
    assert_eq!(status, 404);
}
