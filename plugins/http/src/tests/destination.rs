//! Destinations that leads are looked up in, as their presets want them, each a script that has
//! the lead or has not, and what else may go wrong there.

use leadgate_plugin::testing;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::presets::given;
use super::server::Server;
use super::*;

/// A destination that leads are looked up in, scripted.
pub(super) struct Destination {
    pub(super) preset: &'static str,
    /// The beginnings of the requests that look, create and update.
    looks: &'static str,
    creates: &'static str,
    updates: &'static str,
    /// What it answers.
    empty: &'static str,
    found: &'static str,
    created: &'static str,
    updated: &'static str,
    /// What it answers with 200 for what it does not take, and what is kept of that.
    refused: &'static str,
    pub(super) says: &'static str,
    /// Its answer to a request for a token, if it wants tokens, with `{}` for the token.
    pub(super) token: &'static str,
    /// Status and body for a token that is no longer good.
    stale: (u16, &'static str),
}

pub(super) const DESTINATIONS: [Destination; 4] = [
    Destination {
        preset: "odoo",
        looks: "POST /json/2/crm.lead/search ",
        creates: "POST /json/2/crm.lead/create ",
        updates: "POST /json/2/crm.lead/write ",
        empty: "[]",
        found: "[26]",
        created: "[26]",
        updated: "true",
        refused: r#"{"name":"x"}"#,
        says: "names no lead",
        token: "",
        stale: (401, r#"{"name":"werkzeug.exceptions.Unauthorized"}"#),
    },
    Destination {
        preset: "fxiaoke",
        looks: "POST /cgi/crm/v2/data/query?thirdTraceId=",
        creates: "POST /cgi/crm/v2/data/create?thirdTraceId=",
        updates: "POST /cgi/crm/v2/data/update?thirdTraceId=",
        empty: r#"{"errorCode":0,"data":{"dataList":[],"total":0}}"#,
        found: r#"{"errorCode":0,"data":{"dataList":[{"_id":"26"}],"total":0}}"#,
        created: r#"{"errorCode":0,"errorMessage":"OK","dataId":"26"}"#,
        updated: r#"{"errorCode":0,"errorMessage":"OK"}"#,
        refused: r#"{"errorCode":10006,"errorMessage":"missing 13567658911"}"#,
        says: "10006 missing ***",
        token: r#"{"errorCode":0,"accessToken":"{}","expiresIn":7084,"ea":"EA"}"#,
        stale: (200, r#"{"errorCode":20016,"errorMessage":"x"}"#),
    },
    Destination {
        preset: "xiaoshouyi",
        looks: "POST /rest/data/v2.0/query/xoql ",
        creates: "POST /rest/data/v2.0/xobjects/lead ",
        updates: "PATCH /rest/data/v2.0/xobjects/lead/26 ",
        empty: r#"{"code":200,"data":{"totalSize":0,"count":0,"records":[]}}"#,
        found: r#"{"code":"200","data":{"totalSize":1,"count":1,"records":[{"id":26}]}}"#,
        created: r#"{"code":200,"msg":"OK","data":{"id":26}}"#,
        updated: r#"{"code":200,"msg":"OK"}"#,
        refused: r#"{"code":1070005,"msg":"no 张三"}"#,
        says: "1070005 no ***",
        token: r#"{"access_token":"{}","expires_in":7200}"#,
        stale: (401, "{}"),
    },
    Destination {
        preset: "feishu-bitable",
        looks: "POST /apps/APP/tables/TABLE/records/search?page_size=1 ",
        creates: "POST /apps/APP/tables/TABLE/records?client_token=",
        updates: "PUT /apps/APP/tables/TABLE/records/26 ",
        empty: r#"{"code":0,"data":{"items":[],"has_more":false,"total":0}}"#,
        found: r#"{"code":0,"data":{"items":[{"record_id":"26","fields":{}}],"total":1}}"#,
        created: r#"{"code":0,"data":{"record":{"record_id":"26","fields":{}}}}"#,
        updated: r#"{"code":0,"data":{"record":{"record_id":"26","fields":{}}}}"#,
        refused: r#"{"code":1254045,"msg":"FieldNameNotFound"}"#,
        says: "1254045",
        token: r#"{"code":0,"tenant_access_token":"{}","expire":7200}"#,
        stale: (400, r#"{"code":99991663,"msg":"x"}"#),
    },
];

/// What a destination does besides what it should.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// Makes the lead and answers the first time with something else.
    Unclear,
    /// Fails the first time and makes nothing.
    Fails,
    /// Takes no lead.
    Refuses,
    /// Takes no token but the second.
    Stale,
}

impl Destination {
    /// Starts it, with the lead or without.
    pub(super) async fn start(&'static self, there: bool, fault: Fault) -> Server {
        let there = AtomicBool::new(there);
        let creates = AtomicUsize::new(0);
        let tokens = AtomicUsize::new(0);
        server::start(move |request| {
            if request.contains("/token") && !request.starts_with(self.looks) {
                let number = tokens.fetch_add(1, Ordering::Relaxed) + 1;
                return (200, self.token.replace("{}", &format!("token{number}")));
            }
            if fault == Fault::Stale && !request.contains("authorization: Bearer token2\r\n") {
                return (self.stale.0, self.stale.1.to_owned());
            }
            let (status, body) = if request.starts_with(self.looks) {
                let there = there.load(Ordering::Relaxed);
                (200, if there { self.found } else { self.empty })
            } else if request.starts_with(self.updates) {
                (200, self.updated)
            } else if !request.starts_with(self.creates) {
                (404, "")
            } else if fault == Fault::Refuses {
                (200, self.refused)
            } else {
                let first = creates.fetch_add(1, Ordering::Relaxed) == 0;
                there.store(!first || fault != Fault::Fails, Ordering::Relaxed);
                match fault {
                    Fault::Unclear if first => (200, "<html>"),
                    Fault::Fails if first => (503, ""),
                    _ => (200, self.created),
                }
            };
            (status, body.to_owned())
        })
        .await
    }

    pub(super) fn sink(&self, server: &Server) -> HttpSink {
        let mut given = given(self.preset);
        let url = &server.url;
        match self.preset {
            "odoo" => given["url"] = json!(format!("{url}/json/2/crm.lead")),
            "fxiaoke" => given["url"] = json!(format!("{url}/cgi/crm/v2/data")),
            "xiaoshouyi" => given["url"] = json!(format!("{url}/rest/data/v2.0")),
            _ => given["url"] = json!(format!("{url}/apps/APP/tables/TABLE")),
        }
        if !self.token.is_empty() {
            given["auth"]["token_url"] = json!(format!("{url}/token"));
        }
        let written = serde_json::from_value(given).expect("a table");
        testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new())).expect("good")
    }

    /// Which of its requests came, in their order: t for a token, l, c, u.
    pub(super) fn came(&self, server: &Server) -> String {
        let kind = |request: &String| match request {
            request if request.starts_with(self.looks) => 'l',
            request if request.starts_with(self.creates) => 'c',
            request if request.starts_with(self.updates) => 'u',
            request if request.starts_with("POST /token ") => 't',
            _ => '?',
        };
        server.requests().iter().map(kind).collect()
    }

    /// `tlc` without the token for a destination that wants none.
    pub(super) fn expected(&self, came: &str) -> String {
        match self.token {
            "" => came.replace('t', ""),
            _ => came.to_owned(),
        }
    }
}
