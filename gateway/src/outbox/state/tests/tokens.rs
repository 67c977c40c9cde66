//! Tokens: of one name one is valid, there are no more than may be, uses are noted now and then.

use super::*;

fn token(name: &str, made_at: Millis) -> Token {
    Token::new(name, Role::Viewer, TokenHash::of(name), "admin", made_at)
}

impl Store {
    fn add(&mut self, name: &str) -> TokenAdded {
        let added = self.one(Change::AddToken(token(name, 7_000)));
        added.token_added()
    }

    fn revoke(&mut self, name: &str, now: Millis) -> bool {
        let name = name.to_owned();
        self.one(Change::RevokeToken { name, now }).did()
    }

    fn valid(&self) -> Vec<&str> {
        let tokens = self.memory.tokens.values();
        let valid = tokens.filter(|one| one.is_valid());
        valid.map(|one| one.name.as_str()).collect()
    }
}

#[test]
fn of_one_name_one_token_is_valid_also_in_one_commit() {
    let mut store = Store::new();
    let wang = || Change::AddToken(token("wang", 7_000));
    let revoked = Change::RevokeToken {
        name: "wang".to_owned(),
        now: 8_000,
    };
    let done = store.commit(&[wang(), wang(), revoked, wang()]);
    let done: Vec<_> = done.into_iter().map(|one| one.expect("made")).collect();
    assert_eq!(
        done,
        [
            Done::TokenAdded(TokenAdded::Done),
            Done::TokenAdded(TokenAdded::Taken),
            Done::Did(true),
            Done::TokenAdded(TokenAdded::Done),
        ]
    );
    assert_eq!((store.memory.tokens.len(), store.valid().len()), (2, 1));
    assert!(!store.revoke("li", 9_000));
    assert!(store.revoke("wang", 9_000));
    assert!(!store.revoke("wang", 9_001), "nobody has it any more");
}

#[test]
fn the_token_that_was_revoked_first_makes_room_and_a_valid_one_never_does() {
    let mut store = Store::new();
    for number in 0..TOKENS_KEPT {
        assert_eq!(store.add(&format!("t{number}")), TokenAdded::Done);
    }
    assert_eq!(store.add("more"), TokenAdded::Full);
    assert!(store.revoke("t7", 8_000) && store.revoke("t3", 8_001));
    assert_eq!(store.add("more"), TokenAdded::Done);
    let names: Vec<_> = store.memory.tokens.values().collect();
    assert!(names.iter().all(|one| one.name != "t7"), "it went first");
    assert!(names.iter().any(|one| one.name == "t3"));
    assert_eq!(names.len(), TOKENS_KEPT);
}

#[test]
fn a_use_is_noted_once_an_hour_and_not_of_a_revoked_token() {
    let mut store = Store::new();
    store.add("wang");
    let id = *store.memory.tokens.keys().next().expect("there is one");
    for (at, noted) in [(0, 0), (1, 0), (USE_NOTED, USE_NOTED), (5, USE_NOTED)] {
        store.one(Change::TokenUsed { id, at });
        assert_eq!(store.memory.tokens[&id].last_used, Some(noted), "{at}");
    }
    store.revoke("wang", 8_000);
    let (records, at) = (store.log.len(), 9 * USE_NOTED);
    store.one(Change::TokenUsed { id, at });
    let other = TokenId(uuid::Uuid::nil());
    store.one(Change::TokenUsed { id: other, at });
    assert_eq!(store.log.len(), records);
}
