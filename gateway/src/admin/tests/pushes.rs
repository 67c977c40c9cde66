//! What the API says of recent pushes.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::telemetry::pushes::{PushVerdict, RecentPush};
use crate::telemetry::signed::{Clue, ClueKind, GivenSign, Oddity, SignShape, Signed};

pub(crate) fn push(verdict: PushVerdict, reason: Option<&'static str>) -> RecentPush {
    RecentPush {
        at: 1_795_795_200_000,
        source: "shop".into(),
        verdict,
        reason,
        status: 200,
        peer: Some(IpAddr::from([10, 0, 0, 9])),
        bytes: 312,
        took: Duration::from_millis(4),
        pushed_at: None,
        lead: None,
        quarantined: None,
        signed: None,
    }
}

/// Refused, because a proxy has put a parameter in.
pub(crate) fn refused() -> RecentPush {
    let signed = Signed {
        how: "HEX(MD5(…))",
        charset: "utf-8",
        text: "⟨secret⟩app_key1session⟨1⟩⟨body 312⟩⟨secret⟩".to_owned(),
        order: vec!["app_key".to_owned(), "session".to_owned()],
        given: Some(GivenSign {
            length: 32,
            shape: SignShape::Right,
            ends: Some("0A1B…2C3D".to_owned()),
        }),
        expected_length: 32,
        secrets: 1,
        pushed_at: Some(1_795_795_190_000),
        oddities: vec![Oddity::SpaceAtEnd],
        clue: Some(Clue {
            what: ClueKind::AddedParameter,
            detail: Some("session".to_owned()),
        }),
        tried: true,
        authentic_before: true,
    };
    RecentPush {
        signed: Some(Box::new(signed)),
        ..push(PushVerdict::Refused, Some("wrong_sign"))
    }
}

#[actix_web::test]
async fn the_last_pushes_are_listed_by_verdict_class_and_source() {
    let desk = desk();
    let empty = desk.get("/pushes").await;
    assert_eq!(empty["items"], json!([]));
    assert_eq!(empty["counts"].as_array().map(Vec::len), Some(5));
    let pushes = &desk.admin.pushes;
    pushes.note(RecentPush {
        lead: Some(ID.to_owned()),
        ..push(PushVerdict::Accepted, None)
    });
    pushes.note(refused());
    pushes.note(push(PushVerdict::Duplicate, None));
    pushes.note(RecentPush {
        source: "".into(),
        ..push(PushVerdict::UnknownPath, Some("of_no_source"))
    });
    let numbers = |list: &Value| -> Vec<u64> {
        let items = list["items"].as_array().expect("a list").iter();
        items.filter_map(|one| one["number"].as_u64()).collect()
    };
    for (query, expected) in [
        ("", vec![4, 3, 2, 1]),
        ("?limit=2", vec![4, 3]),
        ("?verdict=accepted", vec![1]),
        ("?class=not_authentic", vec![4, 2]),
        ("?class=not_authentic&source=shop", vec![2]),
        ("?class=taken&verdict=refused", vec![]),
    ] {
        let list = desk.get(&format!("/pushes{query}")).await;
        assert_eq!(numbers(&list), expected, "{query}");
    }
    let list = desk.get("/pushes").await;
    let (stray, refused, accepted) = (&list["items"][0], &list["items"][2], &list["items"][3]);
    assert_eq!(stray["source"], Value::Null);
    assert_eq!(accepted["lead"], ID);
    assert_eq!(accepted["advice"], Value::Null);
    assert_eq!(accepted["peer"], "10.0.0.9");
    assert_eq!(refused["is_explained"], true);
    assert_eq!(refused["clock_difference_seconds"], -10);
    for name in ["explanation", "advice"] {
        let zh = refused[format!("{name}_zh")].as_str().expect("told");
        assert!(zh.ends_with('。'), "{zh}");
        assert!(refused[name].as_str().expect("told").ends_with('.'));
    }
    for (query, part) in [
        ("?verdict=acepted", "did you mean `accepted`?"),
        ("?class=x", "taken"),
        ("?source=nobody", "there are"),
        ("?limit=201", "200"),
    ] {
        let (status, problem) = desk.ask(Method::GET, &format!("/pushes{query}"), "").await;
        assert_eq!(status, 400, "{query}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(part), "{query}: {detail}");
    }
}

#[actix_web::test]
async fn a_refused_push_says_what_was_signed_and_what_to_mend() {
    let desk = desk();
    desk.admin.pushes.note(refused());
    let one = desk.get("/pushes/1").await;
    let signature = &one["signature"];
    assert_eq!(signature["clue"]["what"], "added_parameter");
    assert_eq!(signature["given"]["ends"], "0A1B…2C3D");
    assert_eq!(signature["oddities"], json!(["space_at_end"]));
    let finding = signature["finding_zh"].as_str().expect("told");
    assert!(finding.contains("session"), "{finding}");
    let pushes = &desk.admin.pushes;
    pushes.note(push(PushVerdict::Refused, Some("no_sign")));
    let one = desk.get("/pushes/2").await;
    assert_eq!(one["signature"], Value::Null);
    for gone in ["3", "0", "x", "18446744073709551616"] {
        let (status, _) = desk.ask(Method::GET, &format!("/pushes/{gone}"), "").await;
        assert_eq!(status, 404, "{gone}");
    }
}
