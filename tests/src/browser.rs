//! The browser: a real Chromium without a window, driven over WebDriver.
//!
//! The protocol is JSON over HTTP, which the harness speaks already: a client library would
//! bring an async runtime and some sixty packages for these few commands.
//!
//! It knows no host but this machine. What it logs, what a page's policy forbids, and what is
//! asked of anybody else is kept for [`Browser::faults`].

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::{Wire, request};
use crate::{Answer, PATIENCE, free_port, get, until, within};

/// The name of an element's reference in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a page may take on a machine that does much beside.
const SLOW: Duration = Duration::from_mins(2);

/// Notes, before anything else of a page runs, what its policy forbids.
const WATCH: &str = "globalThis.forbidden = []; \
    addEventListener('securitypolicyviolation', event => globalThis.forbidden.push( \
        `${event.violatedDirective} forbids ${event.blockedURI} at ${location.pathname}`), true);";

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// In dark colours, as the system may ask for.
    pub dark: bool,
    /// Width in CSS pixels.
    pub width: u32,
}

impl Look {
    /// Light, on a desk.
    pub const DESK: Self = Self {
        dark: false,
        width: 1280,
    };
    /// Light, on a phone.
    pub const PHONE: Self = Self {
        dark: false,
        width: 390,
    };

    /// The same in dark colours.
    #[must_use]
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

/// A running browser; it ends with this value.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    /// The browser's own process, if it outlives its driver.
    process: u64,
    /// Its profile, and its home.
    folder: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If it does not start, for instance because `tests/run` has not installed it.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            // Nothing is read or left where a person's own browser keeps its things.
            .env("HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .env_remove("DISPLAY")
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run has installed chromium-driver");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self {
            driver,
            address,
            session: String::new(),
            process: 0,
            folder,
        };
        until("the driver of the browser answers", || {
            get(address, "/status", &[]).is_ok_and(|answer| answer.status == 200)
        });
        browser.begin();
        browser
    }

    fn begin(&mut self) {
        let profile = self.folder.path().join("profile");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            // It asks for nothing by itself, and finds nobody but this machine.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
            "--no-proxy-server".to_owned(),
        ];
        let quiet = [
            "background-networking",
            "breakpad",
            "client-side-phishing-detection",
            "component-update",
            "default-apps",
            "dev-shm-usage",
            "domain-reliability",
            "extensions",
            "gpu",
            "sync",
        ];
        arguments.extend(quiet.map(|one| format!("--disable-{one}")));
        arguments.extend(["--no-first-run", "--hide-scrollbars"].map(str::to_owned));
        if is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let begun = self.ask(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": wanted}}),
        );
        begun["sessionId"]
            .as_str()
            .expect("a session")
            .clone_into(&mut self.session);
        self.process = begun["capabilities"]["goog:processID"]
            .as_u64()
            .unwrap_or(0);
        let slow = u64::try_from(SLOW.as_millis()).expect("minutes");
        self.command("/timeouts", &json!({"script": slow, "pageLoad": slow}));
        let watch = json!({"source": WATCH});
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &watch);
        self.dress(Look::DESK);
    }

    /// One command of the protocol.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self
            .exchange(method, path, body.as_bytes())
            .map_err(|error| format!("the driver of the browser: {error}"))?;
        let mut value = answer.json()["value"].take();
        if answer.status == 200 {
            return Ok(value);
        }
        // Its stack says nothing about the page.
        value["stacktrace"] = Value::Null;
        Err(value.to_string())
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut wire = Wire::open(self.address)?;
        // It says itself when a page takes too long.
        wire.patience(2 * SLOW)?;
        let json = [("content-type", "application/json")];
        wire.send(&request(method, path, &json, body))?;
        wire.answer()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn told(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.ask("GET", &path, &Value::Null)
    }

    /// A command of Chromium's own.
    fn devtools(&self, name: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        self.command("/goog/cdp/execute", &body)
    }

    /// From now on pages are looked at like this.
    pub fn dress(&self, look: Look) {
        let scheme = if look.dark { "dark" } else { "light" };
        // What moves would be looked at on its way.
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
        let is_phone = look.width < 600;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": look.width,
                "height": if is_phone { 844 } else { 900 },
                "deviceScaleFactor": 1,
                "mobile": is_phone,
            }),
        );
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// Where it is.
    ///
    /// # Panics
    ///
    /// If it is nowhere.
    pub fn url(&self) -> String {
        self.told("/url").as_str().expect("text").to_owned()
    }

    /// Path and query of where it is.
    ///
    /// # Panics
    ///
    /// If it is on no page.
    pub fn path(&self) -> String {
        let url = self.url();
        let (_, rest) = url.split_once("://").expect("a URL");
        let at = rest.find('/').expect("a path");
        rest[at..].to_owned()
    }

    /// The title of the page.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn title(&self) -> String {
        self.told("/title").as_str().expect("text").to_owned()
    }

    /// What a function of this body gives.
    pub fn script(&self, body: &str, arguments: &[Value]) -> Value {
        let script = json!({"script": body, "args": arguments});
        self.command("/execute/sync", &script)
    }

    /// The same for one that calls its last argument with what it gives.
    pub fn later(&self, body: &str, arguments: &[Value]) -> Value {
        let script = json!({"script": body, "args": arguments});
        self.command("/execute/async", &script)
    }

    /// All that a reader sees of the page.
    ///
    /// # Panics
    ///
    /// If there is no page.
    pub fn text(&self) -> String {
        let text = self.script("return document.body.innerText", &[]);
        text.as_str().expect("text").to_owned()
    }

    /// Waits until the page says this.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub fn until_it_says(&self, what: &str) {
        // A page may be on its way out.
        let says = || {
            let text = self.try_script("return document.body ? document.body.innerText : ''");
            text.is_ok_and(|text| text.as_str().is_some_and(|text| text.contains(what)))
        };
        assert!(
            within(PATIENCE, says),
            "the page {} never says {what}:\n{}",
            self.path(),
            self.text()
        );
    }

    fn try_script(&self, body: &str) -> Result<Value, String> {
        let path = format!("/session/{}/execute/sync", self.session);
        self.try_ask("POST", &path, &json!({"script": body, "args": []}))
    }

    /// How many elements of the page are like this.
    ///
    /// # Panics
    ///
    /// If the selector is none.
    pub fn count(&self, selector: &str) -> u64 {
        let counted = "return document.querySelectorAll(arguments[0]).length";
        let counted = self.script(counted, &[selector.into()]);
        counted.as_u64().expect("a count")
    }

    /// Waits until so many elements of the page are like this: on a busy machine what was
    /// clicked leads somewhere a little later.
    ///
    /// # Panics
    ///
    /// When they are not in time.
    pub fn until_there(&self, selector: &str, count: u64) {
        let counted = format!("return document.querySelectorAll({selector:?}).length");
        let are = || {
            self.try_script(&counted)
                .is_ok_and(|counted| counted == count)
        };
        assert!(
            within(PATIENCE, are),
            "there are {} {selector} at {}:\n{}",
            self.count(selector),
            self.path(),
            self.text()
        );
    }

    /// Clicks the first element that is like this and can be seen.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn click(&self, selector: &str) {
        self.on(selector, "", "click", &json!({}));
    }

    /// The same for one that says this, alone or with more around it.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn click_on(&self, selector: &str, text: &str) {
        self.on(selector, text, "click", &json!({}));
    }

    /// Writes into the first field that is like this and can be seen; what it held goes.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn fill(&self, selector: &str, text: &str) {
        self.on(selector, "", "clear", &json!({}));
        self.on(selector, "", "value", &json!({"text": text}));
    }

    /// Does something to the first element that is like this, says this and can be seen. A page
    /// that refreshes itself may take it away meanwhile: then to the one in its place.
    fn on(&self, selector: &str, text: &str, action: &str, body: &Value) {
        let found = "const [selector, text] = arguments; \
            const all = [...document.querySelectorAll(selector)].filter(one => \
                one.checkVisibility() && one.textContent.includes(text)); \
            return all.find(one => one.textContent.trim() === text) ?? all[0] ?? null";
        let mut why = String::new();
        let done = within(PATIENCE, || {
            let element = self.script(found, &[selector.into(), text.into()]);
            let Some(element) = element[ELEMENT].as_str() else {
                "there is none".clone_into(&mut why);
                return false;
            };
            let path = format!("/session/{}/element/{element}/{action}", self.session);
            match self.try_ask("POST", &path, body) {
                Ok(_) => true,
                Err(error) => {
                    why = error;
                    false
                }
            }
        });
        assert!(
            done,
            "no {action} on {selector} {text:?} at {}: {why}\n{}",
            self.path(),
            self.text()
        );
    }

    /// What went wrong since this was asked last: errors of scripts and of loading, what the
    /// page's policy forbade, and what was asked of another than `home`.
    ///
    /// # Panics
    ///
    /// If the browser does not tell.
    pub fn faults(&self, home: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let forbidden = self.script("return globalThis.forbidden.splice(0)", &[]);
        let forbidden = forbidden.as_array().expect("a list").iter();
        faults.extend(forbidden.map(|one| one.as_str().expect("text").to_owned()));
        for entry in self.logged("browser") {
            // Chromium's words on a page's habits are no faults of it.
            if entry["level"] == "SEVERE" || entry["source"] == "security" {
                faults.push(entry["message"].as_str().unwrap_or_default().to_owned());
            }
        }
        let beyond = self.requests_beyond(home);
        faults.extend(beyond.iter().map(|url| format!("it asked for {url}")));
        faults
    }

    /// What was asked of another than `home` since this, or [`Self::faults`], was asked last.
    ///
    /// # Panics
    ///
    /// If the browser does not tell.
    pub fn requests_beyond(&self, home: &str) -> Vec<String> {
        let mut beyond = Vec::new();
        for entry in self.logged("performance") {
            let event = entry["message"].as_str().expect("text");
            let event: Value = serde_json::from_str(event).expect("JSON");
            let event = &event["message"];
            if event["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = event["params"]["request"]["url"].as_str().expect("a URL");
            let rest = url.strip_prefix(home);
            let is_ours = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            // Its first window shows a page of its own.
            if !is_ours && !url.starts_with("data:") && !url.starts_with("chrome:") {
                beyond.push(url.to_owned());
            }
        }
        beyond
    }

    fn logged(&self, of: &str) -> Vec<Value> {
        let entries = self.command("/se/log", &json!({"type": of}));
        entries.as_array().expect("a list").clone()
    }

    /// A picture of the whole page, as PNG.
    ///
    /// # Panics
    ///
    /// If none can be made.
    pub fn picture(&self) -> Vec<u8> {
        let whole = self.devtools("Page.getLayoutMetrics", &json!({}));
        let whole = &whole["cssContentSize"];
        let picture = self.devtools(
            "Page.captureScreenshot",
            &json!({
                "captureBeyondViewport": true,
                "clip": {
                    "x": 0, "y": 0, "scale": 1,
                    "width": whole["width"], "height": whole["height"],
                },
            }),
        );
        let picture = picture["data"].as_str().expect("a picture");
        BASE64_STANDARD.decode(picture).expect("base64")
    }

    /// How far the page is wider than the window.
    ///
    /// # Panics
    ///
    /// If there is no page.
    pub fn overhang(&self) -> i64 {
        let wide =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.script(wide, &[]).as_i64().expect("pixels")
    }

    /// The serious and critical faults that axe-core, `axe`, finds on the page, each with where.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn accessibility(&self, axe: &str) -> Vec<String> {
        self.script(axe, &[]);
        let run = "const done = arguments[arguments.length - 1]; \
            axe.run(document).then(found => done(found), error => done({error: String(error)}))";
        let found = self.later(run, &[]);
        let violations = found["violations"]
            .as_array()
            .unwrap_or_else(|| panic!("axe did not run: {found}"));
        assert!(
            found["passes"].as_array().is_some_and(|all| all.len() > 5),
            "axe looked at nothing"
        );
        let grave = violations
            .iter()
            .filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
        let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = grave.map(|one| {
            let mut told = format!("{}: {}", said(&one["id"]), said(&one["help"]));
            for node in one["nodes"].as_array().into_iter().flatten() {
                let why = said(&node["failureSummary"]);
                let _ = write!(told, "\n  {}: {why}", node["target"]);
            }
            told
        });
        told.collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let session = format!("/session/{}", self.session);
            let ended = self.try_ask("DELETE", &session, &Value::Null);
            if ended.is_err() && self.process != 0 {
                let process = self.process.to_string();
                let _ = Command::new("kill").args(["-KILL", &process]).status();
            }
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Chromium's sandbox cannot be made by root.
fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.starts_with(b"0\n")
}
