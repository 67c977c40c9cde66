//! Presets of several steps: what each answer to a step means.

use super::presets::judge;

/// One answer to a step, and what it means there: the outcome and the rule.
type Row = (
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip] // A row a line.
const ANSWERS: [Row; 65] = [
    ("odoo", "look", 200, "[26]", "duplicate", "found"),
    ("odoo", "look", 200, "[]", "delivered HTTP 200", "not-there"),
    ("odoo", "look", 200, "<html>", "retry 7s", "not-odoo"),
    ("odoo", "create", 200, "[26]", "delivered 26", "ok"),
    ("odoo", "create", 200, "<html>", "ambiguous", "not-odoo"),
    ("odoo", "create", 401, r#"{"name":"werkzeug.exceptions.Unauthorized"}"#, "reauth", "bad-key"),
    ("odoo", "create", 403, r#"{"name":"odoo.exceptions.AccessError"}"#, "rejected", "forbidden"),
    ("odoo", "create", 404, r#"{"name":"x"}"#, "rejected", "no-model"),
    ("odoo", "create", 422, r#"{"name":"odoo.exceptions.ValidationError"}"#, "rejected", "invalid"),
    ("odoo", "create", 429, "", "throttled 7s", "status-429"),
    ("odoo", "create", 500, "{}", "retry 7s", "status-5xx"),
    ("odoo", "update", 200, "true", "delivered HTTP 200", "ok"),
    ("odoo", "update", 200, "false", "ambiguous", "not-odoo"),
    ("fxiaoke", "look", 200, r#"{"errorCode":0,"data":{"dataList":[{"_id":"26"}]}}"#, "duplicate", "found"),
    ("fxiaoke", "look", 200, r#"{"errorCode":0,"data":{"dataList":[]}}"#, "delivered HTTP 200", "not-there"),
    ("fxiaoke", "look", 200, "<html>", "ambiguous", "not-fxiaoke"),
    ("fxiaoke", "look", 200, r#"{"errorCode":20016}"#, "reauth", "token"),
    ("fxiaoke", "create", 200, r#"{"errorCode":0,"dataId":"26"}"#, "delivered 26", "ok"),
    ("fxiaoke", "create", 200, r#"{"errorCode":0}"#, "ambiguous", "not-fxiaoke"),
    ("fxiaoke", "create", 200, r#"{"errorCode":20016}"#, "reauth", "token"),
    ("fxiaoke", "create", 200, r#"{"errorCode":30002}"#, "throttled 20s", "too-fast"),
    ("fxiaoke", "create", 200, r#"{"errorCode":30003}"#, "throttled 20s", "too-fast"),
    ("fxiaoke", "create", 200, r#"{"errorCode":10006,"errorMessage":"x"}"#, "rejected", "refused"),
    ("fxiaoke", "create", 502, "", "retry 7s", "status-5xx"),
    ("fxiaoke", "update", 200, r#"{"errorCode":0}"#, "delivered HTTP 200", "ok"),
    ("xiaoshouyi", "look", 200, r#"{"code":200,"data":{"records":[{"id":26}]}}"#, "duplicate", "found"),
    ("xiaoshouyi", "look", 200, r#"{"code":"200","data":{"records":[]}}"#, "delivered HTTP 200", "not-there"),
    ("xiaoshouyi", "look", 200, r#"{"code":"1020025"}"#, "throttled 2s", "too-fast"),
    ("xiaoshouyi", "look", 200, "<html>", "ambiguous", "not-xiaoshouyi"),
    ("xiaoshouyi", "create", 200, r#"{"code":200,"data":{"id":26}}"#, "delivered 26", "ok"),
    ("xiaoshouyi", "create", 200, r#"{"code":1,"msg":"x"}"#, "rejected", "refused"),
    ("xiaoshouyi", "create", 200, "<html>", "ambiguous", "not-xiaoshouyi"),
    ("xiaoshouyi", "create", 401, "{}", "reauth", "status-401"),
    ("xiaoshouyi", "update", 200, r#"{"code":200}"#, "delivered HTTP 200", "ok"),
    ("feishu-bitable", "look", 200, r#"{"code":0,"data":{"items":[{"record_id":"r"}]}}"#, "duplicate", "found"),
    ("feishu-bitable", "look", 200, r#"{"code":0,"data":{"items":[]}}"#, "delivered HTTP 200", "not-there"),
    ("feishu-bitable", "look", 200, "<html>", "ambiguous", "not-feishu"),
    ("feishu-bitable", "create", 200, r#"{"code":0,"data":{"record":{"record_id":"r"}}}"#, "delivered r", "ok"),
    ("feishu-bitable", "create", 400, r#"{"code":99991400}"#, "throttled 52s", "too-fast"),
    ("feishu-bitable", "create", 429, r#"{"code":99991400}"#, "throttled 52s", "too-fast"),
    ("feishu-bitable", "create", 200, r#"{"code":1254290}"#, "throttled 2s", "too-fast-for-table"),
    ("feishu-bitable", "create", 200, r#"{"code":1254291}"#, "retry 7s", "busy"),
    ("feishu-bitable", "create", 400, r#"{"code":99991663}"#, "reauth", "token"),
    ("feishu-bitable", "create", 200, r#"{"code":1254041}"#, "rejected", "no-table"),
    ("feishu-bitable", "create", 200, r#"{"code":1254045}"#, "rejected", "no-field"),
    ("feishu-bitable", "create", 400, r#"{"code":1254064}"#, "rejected", "bad-value"),
    ("feishu-bitable", "create", 403, r#"{"code":1254302}"#, "rejected", "forbidden"),
    ("feishu-bitable", "create", 200, r#"{"code":1254130,"msg":"x"}"#, "rejected", "refused"),
    ("feishu-bitable", "update", 200, r#"{"code":1254043}"#, "retry 7s", "row-gone"),
    ("tryton", "look_party", 200, "[2]", "delivered HTTP 200", "looked"),
    ("tryton", "look_party", 200, "[]", "delivered HTTP 200", "looked"),
    ("tryton", "look_party", 200, "<html>", "retry 7s", "not-tryton"),
    ("tryton", "party", 400, r#"{"status":400,"message":"The code on party must be unique."}"#, "retry 7s", "made-meanwhile"),
    ("tryton", "look_lead", 200, "[1]", "duplicate", "there-already"),
    ("tryton", "look_lead", 200, "[]", "delivered HTTP 200", "looked"),
    ("tryton", "look_lead", 200, "<html>", "retry 7s", "not-tryton"),
    ("tryton", "lead", 200, r#"{"id":7,"__name__":"sale.opportunity","rec_name":"7"}"#, "delivered 7", "ok"),
    ("tryton", "lead", 200, "<html>", "ambiguous", "not-tryton"),
    ("tryton", "lead", 400, r#"{"status":400,"message":"A value is required for field \"Currency\""}"#, "rejected", "refused"),
    ("tryton", "lead", 401, "<h1>Unauthorized</h1>", "reauth", "status-401"),
    ("tryton", "lead", 403, "<h1>Forbidden</h1>", "rejected", "status-4xx"),
    ("tryton", "lead", 423, "", "retry 7s", "locked"),
    ("tryton", "lead", 429, "", "throttled 7s", "status-429"),
    ("tryton", "lead", 500, "<p>&#39;nofield&#39;</p>", "rejected", "unknown-name"),
    ("tryton", "lead", 500, "<p>database is locked</p>", "retry 7s", "status-5xx"),
];

#[test]
fn each_answer_to_a_step_means_what_the_destination_says() {
    for (name, step, status, body, kind, rule) in ANSWERS {
        judge(name, step, status, body, kind, rule);
    }
}
