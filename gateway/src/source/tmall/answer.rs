//! The answers of the API's document, byte for byte.

use bytes::Bytes;

use crate::source::Reply;

/// The success answer: wrapped, with a boolean.
pub const SUCCESS: &[u8] =
    r#"{"result":{"errCode":"0","success":true,"errMsg":"成功"}}"#.as_bytes();

/// The answer to a bad signature: flat, with a string. Alibaba's console looks for exactly
/// this before an API may go live.
pub const REFUSED: &[u8] =
    br#"{"success":"false","errCode":"sign-check-failure","errMsg":"Illegal request"}"#;

/// `content-type` of every answer.
pub const CONTENT_TYPE: &str = "application/json;charset=UTF-8";

/// The failure answer, for anything that kept a push from being stored. Shaped like the
/// success answer; the document names no codes, so `code` is leadgate's.
pub fn failure(status: u16, code: &str) -> Reply {
    let message = match code {
        "overloaded" => "too many pushes at once, push again later",
        "timeout" => "not stored in time, push again later",
        "no-space" => "the disk is almost full, push again later",
        "quarantine-full" => "too many pushes wait for a person, push again later",
        "unavailable" => "the store is not available, push again later",
        _ => "not stored, push again later",
    };
    let code = serde_json::Value::from(code);
    reply(
        status,
        format!(r#"{{"result":{{"success":false,"errCode":{code},"errMsg":"{message}"}}}}"#),
    )
}

pub(super) fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    Reply {
        status,
        content_type: CONTENT_TYPE,
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_answer_is_json_whatever_the_code() {
        let body = failure(500, "a\"b").body;
        let json: serde_json::Value = serde_json::from_slice(&body).expect("json");
        assert_eq!(json["result"]["success"], false);
        assert_eq!(json["result"]["errCode"], "a\"b");
    }
}
