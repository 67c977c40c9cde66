//! A day: a daemon with something of everything that an operator meets.

use std::net::SocketAddr;

use leadgate_tests::{Behaviour, Crm, Daemon, Received, SAMPLE, SUCCESS, Setup, free_port, until};
use serde_json::{Value, json};

/// Names, cities and phones; the phones belong to nobody.
const PEOPLE: [(&str, &str, &str); 12] = [
    ("王秀兰", "杭州", "13800138001"),
    ("李建国", "上海", "13800138002"),
    ("张伟", "苏州", "13800138003"),
    ("刘洋", "宁波", "13800138004"),
    ("陈静", "南京", "13800138005"),
    ("杨帆", "杭州", "13800138006"),
    ("赵敏", "嘉兴", "13800138007"),
    ("黄磊", "上海", "13800138008"),
    ("周婷", "无锡", "13800138009"),
    ("吴昊", "绍兴", "13800138010"),
    ("欧阳文博", "杭州", "13800138011"),
    ("孙丽", "温州", "13800138012"),
];

/// A daemon with its destinations.
pub(crate) struct Day {
    pub(crate) daemon: Daemon,
    _destinations: Vec<Crm>,
}

/// A lead of its own, `more` over the sample.
pub(crate) fn lead(record: u64, more: &Value) -> String {
    let mut lead: Value = serde_json::from_str(SAMPLE).expect("JSON");
    lead["record_id"] = record.into();
    let more = more.as_object().expect("a table").clone();
    lead.as_object_mut().expect("a table").extend(more);
    lead.to_string()
}

/// Pushes a lead that must be acknowledged.
pub(crate) fn push(daemon: &Daemon, body: &str) {
    let answer = daemon.shop().push(body).expect("answered");
    assert_eq!(answer.body, SUCCESS);
}

/// Runs a command that must succeed, with `--json`.
pub(crate) fn told(daemon: &Daemon, args: &[&str]) -> Value {
    let (code, stdout, stderr) = daemon.command(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout}"))
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A shop's system that takes no lead, and says why in two ways.
fn strict() -> Crm {
    Crm::with_clerk(anywhere(), |request: &Received| {
        let why = if request.body.contains("\"city_name\":\"杭州\"") {
            r#"{"code":40012,"msg":"门店编码不存在","field":"store_code"}"#
        } else {
            r#"{"code":40001,"msg":"手机号已在黑名单中"}"#
        };
        Behaviour::Say(400, why.to_owned())
    })
}

/// The sinks, with one that is gone later.
fn sinks(destinations: &[Crm]) -> String {
    let [crm, strict] = destinations else {
        panic!("two destinations")
    };
    let nobody = format!("http://127.0.0.1:{}/fax", free_port());
    let slow = "retry = { first = \"1h\", max = \"1h\", max_attempts = 9, max_age = \"1d\" }\n";
    let retried = Setup::http_sink("fax", &nobody);
    let retried = retried.lines().map(|line| match line {
        _ if line.starts_with("retry") => slow.trim_end().to_owned(),
        _ if line.starts_with("breaker") => "breaker = { failures = 3 }".to_owned(),
        _ => line.to_owned(),
    });
    let retried: Vec<String> = retried.collect();
    let picky = Setup::http_sink("shanghai", &crm.url()).replacen(
        "plugin = \"http\"\n",
        "plugin = \"http\"\nwhen = \"city_name == '上海'\"\n",
        1,
    );
    [
        Setup::http_sink("crm", &crm.url()),
        Setup::http_sink("erp", &strict.url()),
        picky,
        retried.join("\n") + "\n",
        Setup::http_sink("wecom", &crm.url()),
        Setup::http_sink("old", &strict.url()),
    ]
    .concat()
}

impl Day {
    /// A day that has seen something.
    pub(crate) fn start() -> Self {
        let day = Self::quiet();
        day.receive();
        day
    }

    /// A day on which nothing came yet.
    fn quiet() -> Self {
        let destinations = vec![Crm::start(), strict()];
        let daemon = Daemon::start(Setup {
            rest: sinks(&destinations),
            ..Setup::default()
        });
        Self {
            daemon,
            _destinations: destinations,
        }
    }

    fn receive(&self) {
        let daemon = &self.daemon;
        told(daemon, &["sink", "pause", "wecom", "--note", "升级维护"]);
        told(daemon, &["sink", "pause", "old"]);
        for (record, (name, city, phone)) in (371_001..).zip(PEOPLE) {
            let more = json!({"name": name, "city_name": city, "phone": phone});
            push(daemon, &lead(record, &more));
        }
        // One comes again, changed.
        let changed = json!({
            "name": "王秀兰", "city_name": "杭州", "phone": "13800138001",
            "remark": "客户改约周六上午", "gmt_modified": "2026-07-18 09:30:00",
        });
        push(daemon, &lead(371_001, &changed));
        self.keep_some_aside();
        until("each sink has done what it can", || {
            daemon.stat("/sinks/crm/delivered") >= 12
                && daemon.stat("/sinks/erp/dead") >= 12
                && daemon.stat("/sinks/fax/retrying") >= 1
        });
        self.orphan();
        self.plan();
        told(
            daemon,
            &["token", "add", "night-shift", "--role", "operator"],
        );
    }

    /// Pushes that nobody can read or believes.
    fn keep_some_aside(&self) {
        let shop = self.daemon.shop();
        let sent = |request: &[u8]| shop.send(request).expect("answered");
        let old = lead(371_090, &json!({"phone": "13800138090"}));
        sent(&shop.request_at(old.as_bytes(), "2020-01-01 00:00:00".to_owned()));
        sent(&shop.request(&old.as_bytes()[..old.len() - 1]));
        // And one that is not from the shop.
        let request = String::from_utf8(shop.request(old.as_bytes())).expect("text");
        sent(request.replacen("sign=", "sign=0", 1).as_bytes());
    }

    /// A sink leaves the configuration, with what waits for it.
    fn orphan(&self) {
        let path = self.daemon.folder().join("leadgate.toml");
        let text = std::fs::read_to_string(&path).expect("reads");
        let (kept, _) = text.split_once("[sinks.old]").expect("the last sink");
        std::fs::write(&path, kept).expect("writes");
        let (code, _, stderr) = self.daemon.command(&["reload"]);
        assert_eq!(code, 0, "{stderr}");
    }

    /// A bulk job that waits for a person.
    fn plan(&self) {
        let planned = json!({"action": "retry", "sink": "erp", "note": "门店编码已修正"});
        let answer = self.daemon.post("/bulk", &planned);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Where the console is.
    pub(crate) fn home(&self) -> String {
        format!("http://{}", self.daemon.admin_address())
    }
}
