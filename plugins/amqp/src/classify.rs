//! What a failure means.

use leadgate_plugin::Outcome;

use crate::broker::Failure;

/// The outcome of a failed publication.
///
/// | failure | outcome |
/// |---|---|
/// | no connection, broker blocked, nack | retry |
/// | login or virtual host refused, 403 | reauth |
/// | no route, 404, 406 and other refusals | rejected |
/// | connection lost, no confirmation | ambiguous |
pub(crate) fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Unreachable(why) => {
            Outcome::retry(None, format!("no connection: {why}")).rule("connection")
        }
        Failure::Login => {
            Outcome::reauth("the broker refused the login, or access to the virtual host")
                .rule("login")
        }
        Failure::Blocked => Outcome::retry(
            None,
            "the broker takes no messages for now: it is short of memory or disk",
        )
        .rule("blocked"),
        Failure::NoRoute => Outcome::rejected(
            "no queue is bound for this message; bind one to the exchange, or mend `routing_key`",
        )
        .rule("no-route"),
        Failure::Nack => Outcome::retry(None, "the broker could not take the message").rule("nack"),
        Failure::Refused(403, _) => {
            Outcome::reauth("the user may not publish there").rule("amqp-403")
        }
        Failure::Refused(code, said) => {
            let said = format!("{code} {said}");
            Outcome::rejected(said.trim())
                .rule(format!("amqp-{code}"))
                .response(said.trim())
        }
        Failure::Lost => {
            Outcome::ambiguous("the connection was lost before the confirmation").rule("connection")
        }
        Failure::Silent => Outcome::ambiguous("no confirmation in time").rule("timeout"),
    }
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::OutcomeKind;

    use super::*;

    #[test]
    fn every_failure_has_its_meaning() {
        use OutcomeKind::{Ambiguous, Reauth, Rejected, Retry};
        let refused = |code| Failure::Refused(code, "NOT_FOUND - no exchange".to_owned());
        for (failure, kind, rule) in [
            (Failure::Unreachable("x".to_owned()), Retry, "connection"),
            (Failure::Login, Reauth, "login"),
            (Failure::Blocked, Retry, "blocked"),
            (Failure::NoRoute, Rejected, "no-route"),
            (Failure::Nack, Retry, "nack"),
            (refused(403), Reauth, "amqp-403"),
            (refused(404), Rejected, "amqp-404"),
            (refused(406), Rejected, "amqp-406"),
            (Failure::Lost, Ambiguous, "connection"),
            (Failure::Silent, Ambiguous, "timeout"),
        ] {
            let outcome = outcome(&failure);
            assert_eq!(
                (outcome.kind, outcome.retry_after),
                (kind, None),
                "{failure:?}"
            );
            assert_eq!(outcome.rule, rule, "{failure:?}");
        }
    }
}
