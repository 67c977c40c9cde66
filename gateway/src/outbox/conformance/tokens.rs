//! Tokens: durable, and revoked at once and for good.

use super::engine::Engine;
use super::subject::Subject;
use crate::outbox::{Role, Token, TokenAdded, TokenHash, Tokens};

fn token(name: &str, role: Role) -> Token {
    Token::new(name, role, TokenHash::of(name), "admin", 6_000)
}

fn valid<E: Engine>(outbox: &Subject<E>) -> Vec<(String, Role)> {
    let tokens = outbox.tokens().into_iter();
    let valid = tokens.filter(|(_, token)| token.is_valid());
    valid.map(|(_, token)| (token.name, token.role)).collect()
}

pub(super) async fn tokens_and_that_one_was_revoked_outlive_a_crash<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    for (name, role) in [("wang", Role::Viewer), ("li", Role::Operator)] {
        let added = outbox.add_token(token(name, role)).await;
        assert_eq!(added, Ok(TokenAdded::Done));
    }
    let again = outbox.add_token(token("wang", Role::Admin)).await;
    assert_eq!(again, Ok(TokenAdded::Taken));
    let both = [
        ("wang".to_owned(), Role::Viewer),
        ("li".to_owned(), Role::Operator),
    ];
    outbox.crash();
    assert_eq!(valid(&outbox), both);
    assert_eq!(outbox.revoke_token("wang", 7_000).await, Ok(true));
    assert_eq!(valid(&outbox), both[1..], "at once");
    assert_eq!(outbox.revoke_token("wang", 7_001).await, Ok(false));
    outbox.crash();
    assert_eq!(valid(&outbox), both[1..]);
    let id = outbox.tokens()[1].0;
    outbox.token_used(id, 8_000).await.expect("noted");
    outbox.reopen();
    let known = outbox.tokens();
    assert_eq!(known[0].1.revoked_at, Some(7_000));
    assert_eq!(known[1].1.last_used, Some(8_000));
    let hash = TokenHash::of("li");
    assert_eq!((known[1].0, known[1].1.hash), (id, hash));
}
