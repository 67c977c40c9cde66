//! Tokens: made, used, revoked.

use super::record::Record;
use crate::clock::Millis;
use crate::outbox::{TOKENS_KEPT, Token, TokenAdded, TokenId};

impl super::State<'_> {
    /// Keeps a new token. Where there is no room the one that was revoked first goes.
    pub(super) fn add_token(&mut self, token: &Token) -> TokenAdded {
        let known = self.pending.tokens(self.ground.view);
        if known
            .values()
            .any(|one| one.is_valid() && one.name == token.name)
        {
            return TokenAdded::Taken;
        }
        if known.len() >= TOKENS_KEPT {
            let revoked = known.iter().filter(|(_, one)| !one.is_valid());
            let Some((id, _)) = revoked.min_by_key(|(id, one)| (one.revoked_at, **id)) else {
                return TokenAdded::Full;
            };
            self.push(Record::Token {
                id: *id,
                token: None,
            });
        }
        let id = TokenId(self.new_id(token.made_at));
        self.put_token(id, token.clone());
        TokenAdded::Done
    }

    /// Lets nobody in by the token of that name any more; `false` if there is none.
    pub(super) fn revoke_token(&mut self, name: &str, now: Millis) -> bool {
        let known = self.pending.tokens(self.ground.view);
        let valid = |(_, one): &(TokenId, Token)| one.is_valid() && one.name == name;
        let Some((id, mut token)) = known.into_iter().find(valid) else {
            return false;
        };
        token.revoked_at = Some(now);
        self.put_token(id, token);
        true
    }

    /// Notes that a token was used, if that is worth a record.
    pub(super) fn note_use(&mut self, id: TokenId, at: Millis) {
        let known = self.pending.tokens(self.ground.view).remove(&id);
        if let Some(mut token) = known.filter(|one| one.notes(at)) {
            token.last_used = Some(at);
            self.put_token(id, token);
        }
    }

    fn put_token(&mut self, id: TokenId, token: Token) {
        let token = Some(Box::new(token));
        self.push(Record::Token { id, token });
    }
}
