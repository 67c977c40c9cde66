//! Who may do what: a page does no more than the API would for the same person.

use super::*;
use crate::admin::tests::dead;
use crate::console::rooms;

const ID: &str = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";

/// Every form with who may send it, written by hand.
const FORMS: [(&str, Role); 19] = [
    ("/logout", Role::Viewer),
    ("/leads", Role::Viewer),
    ("/leads/erase", Role::Admin),
    ("/leads/{id}", Role::Admin),
    ("/leads/{id}/erase", Role::Admin),
    ("/deliveries/{id}/retry", Role::Operator),
    ("/deliveries/{id}/cancel", Role::Operator),
    ("/deliveries/{id}/done", Role::Operator),
    ("/bulk", Role::Operator),
    ("/bulk/{id}/start", Role::Operator),
    ("/bulk/{id}/cancel", Role::Operator),
    ("/quarantine/{id}", Role::Admin),
    ("/quarantine/{id}/release", Role::Operator),
    ("/quarantine/{id}/discard", Role::Operator),
    ("/audit/export", Role::Admin),
    ("/tokens", Role::Admin),
    ("/tokens/{name}/revoke", Role::Admin),
    ("/system/reload", Role::Operator),
    ("/system/sessions/{name}/end", Role::Viewer),
];

#[actix_web::test]
async fn every_form_takes_the_role_that_its_action_takes() {
    for room in rooms() {
        if !room.methods.contains(&"POST") {
            continue;
        }
        let known = FORMS.iter().find(|(path, _)| *path == room.path);
        let (_, needed) = known.unwrap_or_else(|| panic!("{} is not listed", room.path));
        let path = room.path.replace("{id}", ID).replace("{name}", "crm");
        for role in Role::ALL {
            let browser = Browser::of(role).await;
            let body = "reason=test&note=test&sure=true&by=phone&value=8911";
            let seen = browser.send(&path, body).await;
            let is_refused = seen.status == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, role < *needed, "{role} {path}: {}", seen.body);
            assert!(!is_refused || seen.body.contains("wang"), "{}", seen.body);
        }
    }
}

#[actix_web::test]
async fn pages_show_no_action_that_the_role_does_not_allow() {
    for role in Role::ALL {
        let browser = Browser::of(role).await;
        let lead = browser.desk.accept(1).await;
        let delivery = browser.desk.end_all(dead).await[0];
        let actions = |page: &Seen| {
            let forms = page.body.split("<form method=\"post\" action=\"").skip(1);
            let paths = forms.map(|form| form.split('"').next().expect("a path").to_owned());
            paths.filter(|path| path != "/logout").collect::<Vec<_>>()
        };
        let lead = actions(&browser.get(&format!("/leads/{lead}")).await);
        let erases = lead.iter().any(|path| path.starts_with("/leads/"));
        assert_eq!(erases, role == Role::Admin, "{role}: {lead:?}");
        assert_eq!(lead.is_empty(), role < Role::Operator, "{role}: {lead:?}");
        let delivery = actions(&browser.get(&format!("/deliveries/{delivery}")).await);
        assert_eq!(
            delivery.is_empty(),
            role < Role::Operator,
            "{role}: {delivery:?}"
        );
        let system = actions(&browser.get("/system").await);
        let reloads = system.iter().any(|path| path == "/system/reload");
        assert_eq!(reloads, role >= Role::Operator, "{role}: {system:?}");
    }
}

#[actix_web::test]
async fn a_session_is_of_whoever_has_its_token_and_ends_when_that_is_revoked() {
    let browser = Browser::of(Role::Operator).await;
    let page = browser.get("/").await;
    assert!(
        page.body.contains("<bdi>wang</bdi> <small>操作员</small>"),
        "{}",
        page.body
    );
    let admin = &browser.desk.admin;
    let now = admin.clock.now();
    assert!(admin.outbox.revoke_token("wang", now).await.expect("kept"));
    let seen = browser.get("/").await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    assert_eq!(
        browser.console.sessions.list(admin.clock.monotonic()).len(),
        0
    );
}

#[actix_web::test]
async fn sessions_of_others_are_seen_and_ended_by_an_admin_alone() {
    let mut browser = Browser::of(Role::Operator).await;
    let mine = browser.cookie.clone();
    browser.come_in("token").await;
    let of_admin = browser.cookie.clone();
    let all = browser.get("/system").await;
    let name = |cookie: &str| {
        let secret = cookie.split_once('=').expect("a value").1;
        let now = browser.desk.admin.clock.monotonic();
        let visit = browser.console.sessions.of(secret, now);
        visit.expect("it is in").name
    };
    let (wang, admin) = (name(&mine), name(&of_admin));
    assert!(all.body.contains(&wang) && all.body.contains(&admin));
    browser.cookie = mine;
    let own = browser.get("/system").await;
    assert!(
        own.body.contains(&wang) && !own.body.contains(&admin),
        "{}",
        own.body
    );
    let path = format!("/system/sessions/{admin}/end");
    let seen = browser.send(&path, "").await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    browser.cookie = of_admin;
    assert_eq!(browser.get("/").await.status, StatusCode::OK, "still in");
    let path = format!("/system/sessions/{wang}/end");
    assert_eq!(browser.send(&path, "").await.status, StatusCode::SEE_OTHER);
    let filter = crate::outbox::AuditFilter::default();
    let entries = browser
        .desk
        .admin
        .outbox
        .audit(&filter, None, 9)
        .expect("reads");
    let mut said = entries.items.iter().map(|entry| {
        let event = &entry.event;
        (
            event.action.as_str(),
            event.who.name.as_str(),
            event.target.as_str(),
        )
    });
    let expected = [
        ("session.end", "admin", "wang"),
        ("session.begin", "admin", ""),
        ("session.begin", "wang", ""),
    ];
    assert!(
        expected.iter().all(|one| said.next().as_ref() == Some(one)),
        "{entries:?}"
    );
}
