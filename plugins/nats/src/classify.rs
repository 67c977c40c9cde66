//! What a failure means.

use leadgate_plugin::Outcome;

use crate::stream::Failure;

/// The outcome of a failed publication.
///
/// | failure | outcome |
/// |---|---|
/// | no connection | retry |
/// | login refused, subject not allowed | reauth |
/// | no stream, too large | rejected |
/// | JetStream 429 | throttled |
/// | JetStream 409 (the same id is being stored), 5xx | retry |
/// | JetStream otherwise | rejected |
/// | connection lost, no answer, one that is no stream's | ambiguous |
pub(crate) fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Unreachable(why) => {
            Outcome::retry(None, format!("no connection: {why}")).rule("connection")
        }
        Failure::Login(why) => Outcome::reauth(why.clone()).rule("login"),
        Failure::Forbidden => {
            Outcome::reauth("the user may not publish to this subject").rule("forbidden")
        }
        Failure::NoStream => Outcome::rejected(
            "no stream is bound to this subject; add the subject to a stream, or mend `subject`",
        )
        .rule("no-stream"),
        // A stream may have the message beside whatever answered first.
        Failure::Stranger => Outcome::ambiguous(
            "what answered is no stream, or its answer cannot be read; look who else listens to `subject`",
        )
        .rule("unreadable"),
        Failure::TooLarge => Outcome::rejected(
            "the message is larger than the server takes; send less in `body`, or raise max_payload there",
        )
        .rule("too-large"),
        Failure::Refused(code, number, said) => {
            let said = format!("JetStream {code} ({number}): {said}");
            let outcome = match code {
                429 => Outcome::throttled(None, said.clone()),
                409 | 500.. => Outcome::retry(None, said.clone()),
                _ => Outcome::rejected(said.clone()),
            };
            outcome.rule(format!("jetstream-{number}")).response(said)
        }
        Failure::Lost => {
            Outcome::ambiguous("the connection was lost before the stream answered").rule("connection")
        }
        Failure::Silent => Outcome::ambiguous("the stream did not answer in time").rule("timeout"),
    }
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::OutcomeKind;

    use super::*;

    #[test]
    fn every_failure_has_its_meaning() {
        use OutcomeKind::{Ambiguous, Reauth, Rejected, Retry, Throttled};
        let refused = |code, number| Failure::Refused(code, number, "why".to_owned());
        for (failure, kind, rule) in [
            (Failure::Unreachable("x".to_owned()), Retry, "connection"),
            (Failure::Login("x".to_owned()), Reauth, "login"),
            (Failure::Forbidden, Reauth, "forbidden"),
            (Failure::NoStream, Rejected, "no-stream"),
            (Failure::Stranger, Ambiguous, "unreadable"),
            (Failure::TooLarge, Rejected, "too-large"),
            (refused(503, 10077), Retry, "jetstream-10077"),
            (refused(500, 10049), Retry, "jetstream-10049"),
            (refused(409, 10158), Retry, "jetstream-10158"),
            (refused(429, 10167), Throttled, "jetstream-10167"),
            (refused(400, 10054), Rejected, "jetstream-10054"),
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
