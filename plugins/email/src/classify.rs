//! What the end of a transaction means.

use leadgate_plugin::Outcome;

use crate::redact::Redactor;
use crate::server::{Failure, Fault, Stage};

/// What a failure means.
///
/// | where | answer 4xx | answer 5xx | no answer |
/// |---|---|---|---|
/// | connecting | retry | retry: it says nothing about the lead | retry |
/// | logging in | retry | reauth | retry |
/// | sender, recipients, before the letter | retry | rejected | retry |
/// | the letter | retry | rejected | ambiguous |
///
/// 530, 534, 535 and 538 ask for another login wherever they come.
pub(crate) fn outcome(failure: &Failure, redactor: &Redactor) -> Outcome {
    let Failure { stage, fault } = failure;
    let place = place(*stage);
    if let Fault::Answer(code, text) = fault {
        let said = format!("{code} {}", redactor.text(text));
        let reason = format!("{place}: {said}");
        let outcome = match (stage, code) {
            (_, 530 | 534 | 535 | 538) | (Stage::Login, 500..) => Outcome::reauth(reason),
            (Stage::Connect, _) | (_, ..500) => Outcome::retry(None, reason),
            _ => Outcome::rejected(reason),
        };
        return outcome.rule(format!("smtp-{code}")).response(said);
    }
    let (rule, what) = match fault {
        Fault::Silent => ("timeout", "no answer in time".to_owned()),
        Fault::Lost(why) => ("connection", redactor.text(why)),
        Fault::Untrusted(why) => ("tls", format!("no trusted TLS: {}", redactor.text(why))),
        Fault::Unable(why) => ("unable", (*why).to_owned()),
        // Of ours: it says nothing about the server.
        Fault::Busy => ("not-processed", "all connections are in use".to_owned()),
        Fault::Garbled | Fault::Answer(..) => (
            "connection",
            "the server hung up, or what it said is no SMTP".to_owned(),
        ),
    };
    let reason = format!("{place}: {what}");
    let outcome = match (stage, fault) {
        (Stage::Letter, _) => Outcome::ambiguous(reason),
        (Stage::Login, Fault::Unable(_)) => Outcome::reauth(reason),
        (Stage::Recipients, Fault::Unable(_)) => Outcome::rejected(reason),
        (_, _) => Outcome::retry(None, reason),
    };
    outcome.rule(rule)
}

fn place(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "connecting",
        Stage::Login => "logging in",
        Stage::Sender => "the sender",
        Stage::Recipients => "the recipients",
        Stage::Data => "before the letter",
        Stage::Letter => "the letter",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_meaning_at_every_stage() {
        use Stage::{Connect, Data, Letter, Login, Recipients, Sender};
        let every = [Connect, Login, Sender, Recipients, Data, Letter];
        let after = [Sender, Recipients, Data, Letter];
        for (stages, codes, expected) in [
            (&every[..], &[421, 450, 451, 452, 454, 499][..], "retry"),
            (&every, &[530, 534, 535, 538], "reauth"),
            (&[Connect], &[500, 521, 550, 554], "retry"),
            (&[Login], &[500, 504, 550, 554], "reauth"),
            (
                &after,
                &[500, 501, 503, 550, 551, 552, 553, 554, 599],
                "rejected",
            ),
        ] {
            for stage in stages {
                for code in codes {
                    let failure = Failure {
                        stage: *stage,
                        fault: Fault::Answer(*code, "5.1.1 <a@x.example> no".to_owned()),
                    };
                    let outcome = outcome(&failure, &Redactor::default());
                    assert_eq!(outcome.kind.as_str(), expected, "{stage:?} {code}");
                    assert_eq!(outcome.rule, format!("smtp-{code}"));
                    assert!(!format!("{outcome:?}").contains("x.example"), "{outcome:?}");
                }
            }
        }
    }

    #[test]
    fn without_an_answer_only_the_letter_itself_is_in_doubt() {
        use Stage::{Connect, Data, Letter, Login, Recipients, Sender};
        let lost = || Fault::Lost("Connection reset".to_owned());
        for (stage, fault, expected, rule) in [
            (Connect, lost(), "retry", "connection"),
            (Connect, Fault::Untrusted("no".to_owned()), "retry", "tls"),
            (Connect, Fault::Unable("no"), "retry", "unable"),
            (Connect, Fault::Busy, "retry", "not-processed"),
            (Login, Fault::Unable("no"), "reauth", "unable"),
            (Login, Fault::Silent, "retry", "timeout"),
            (Sender, Fault::Garbled, "retry", "connection"),
            (Recipients, Fault::Unable("no"), "rejected", "unable"),
            (Recipients, Fault::Silent, "retry", "timeout"),
            (Data, lost(), "retry", "connection"),
            (Letter, lost(), "ambiguous", "connection"),
            (Letter, Fault::Silent, "ambiguous", "timeout"),
            (Letter, Fault::Garbled, "ambiguous", "connection"),
        ] {
            let failure = Failure { stage, fault };
            let outcome = outcome(&failure, &Redactor::default());
            assert_eq!(outcome.kind.as_str(), expected, "{failure:?}");
            assert_eq!(outcome.rule, rule, "{failure:?}");
        }
    }
}
