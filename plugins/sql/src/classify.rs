//! What a failure means for the delivery.

use leadgate_plugin::Outcome;

use crate::failure::{Failure, Fault, Refusal, Stage};

/// What a failure means.
///
/// | where | refused | no answer |
/// |---|---|---|
/// | connecting | reauth if it is about the login, else retry | retry |
/// | preparing | as below | retry |
/// | from the values on | by the table of [`verdict`] | ambiguous |
///
/// What was rolled back for another statement, or never got a connection of ours, is retry by a
/// rule of its own: it says nothing of the database.
pub(crate) fn outcome(failure: &Failure) -> Outcome {
    let place = match failure.stage {
        Stage::Connect => "connecting",
        Stage::Prepare => "preparing the statement",
        Stage::Execute => "the statement",
    };
    let (rule, what) = match &failure.fault {
        Fault::Refused(refusal) => {
            let said = refusal.text();
            let reason = format!("{place}: {said}");
            let outcome = match verdict(failure.stage, refusal) {
                Verdict::Retry => Outcome::retry(None, reason),
                Verdict::Reauth => Outcome::reauth(reason),
                Verdict::Rejected => Outcome::rejected(reason),
                Verdict::Ambiguous => Outcome::ambiguous(reason),
            };
            if is_rolled_back(failure.stage, refusal) {
                return outcome.rule(NOT_PROCESSED).response(said);
            }
            let rule = match refusal.number {
                Some(number) => format!("mysql-{number}"),
                None => format!("sqlstate-{}", refusal.state),
            };
            return outcome.rule(rule).response(said);
        }
        Fault::Silent => ("timeout", "no answer in time"),
        Fault::Lost(why) => ("connection", why.as_str()),
        Fault::Busy => (NOT_PROCESSED, "all connections are in use"),
    };
    let reason = format!("{place}: {what}");
    let outcome = match failure.stage {
        Stage::Execute => Outcome::ambiguous(reason),
        Stage::Connect | Stage::Prepare => Outcome::retry(None, reason),
    };
    outcome.rule(rule)
}

/// The rule of what provably was not done and can be done again.
const NOT_PROCESSED: &str = "not-processed";

/// Whether the database undid it for the sake of another one, and is well.
fn is_rolled_back(stage: Stage, refusal: &Refusal) -> bool {
    let states = ["40001", "40P01"];
    stage != Stage::Connect && states.contains(&refusal.state.as_str())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Retry,
    Reauth,
    Rejected,
    Ambiguous,
}

/// Classes of SQLSTATE that are about the statement or the lead: another attempt says the same.
const FINAL: [&str; 12] = [
    "01", "02", "0A", "21", "22", "23", "27", "42", "44", "45", "54", "P0",
];
/// Numbers of MySQL about the lead, whose state says nothing.
const FINAL_NUMBERS: [u16; 5] = [1210, 1265, 1364, 1366, 3819];
/// Numbers of MySQL about the login.
const LOGIN: [u16; 5] = [1044, 1045, 1698, 1820, 1862];
/// Numbers of MySQL about limits of a user, whose state is that of a wrong statement.
const LIMITS: [u16; 2] = [1203, 1226];

/// Whatever is not known to be final is tried again: a needless attempt costs less than a
/// person's time. While connecting nothing is final, because it says nothing about the lead.
fn verdict(stage: Stage, refusal: &Refusal) -> Verdict {
    let class = refusal.state.get(..2).unwrap_or_default();
    let is = |numbers: &[u16]| {
        refusal
            .number
            .is_some_and(|number| numbers.contains(&number))
    };
    match refusal.state.as_str() {
        _ if class == "28" || is(&LOGIN) => Verdict::Reauth,
        _ if stage == Stage::Connect || is(&LIMITS) => Verdict::Retry,
        // The database itself does not know whether it was done.
        "08007" | "40003" => Verdict::Ambiguous,
        // Whoever stands between may say that it lost the database, which may have done it.
        _ if stage == Stage::Execute && class == "08" => Verdict::Ambiguous,
        _ if FINAL.contains(&class) || is(&FINAL_NUMBERS) => Verdict::Rejected,
        _ => Verdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(stage: Stage, state: &str, number: Option<u16>) -> Outcome {
        let refusal = Refusal {
            state: state.to_owned(),
            number,
            ..Refusal::default()
        };
        outcome(&Failure::new(stage, Fault::Refused(refusal)))
    }

    #[test]
    fn every_class_has_its_meaning_at_every_stage() {
        let last = [Stage::Prepare, Stage::Execute];
        for (stages, states, expected) in [
            (
                &[Stage::Connect][..],
                &["3D000", "42000", "08004", "53300", "57P03"][..],
                "retry",
            ),
            (
                &[Stage::Connect, Stage::Prepare, Stage::Execute],
                &["28000", "28P01"],
                "reauth",
            ),
            (
                &last,
                &[
                    "25006", "26000", "40001", "40P01", "53100", "55P03", "57014", "57P01",
                    "58030", "XX000", "HY000", "70100",
                ],
                "retry",
            ),
            (
                &last,
                &[
                    "0A000", "21S01", "22001", "22P02", "23505", "42P01", "42601", "45000", "P0001",
                ],
                "rejected",
            ),
            (&[Stage::Prepare], &["08006"], "retry"),
            (&[Stage::Execute], &["08006", "08P01"], "ambiguous"),
            (&last, &["08007", "40003"], "ambiguous"),
        ] {
            for stage in stages {
                for state in states {
                    let outcome = refused(*stage, state, None);
                    assert_eq!(outcome.kind.as_str(), expected, "{stage:?} {state}");
                    let rule = match *state {
                        "40001" | "40P01" => NOT_PROCESSED.to_owned(),
                        state => format!("sqlstate-{state}"),
                    };
                    assert_eq!(outcome.rule, rule);
                }
            }
        }
    }

    #[test]
    fn numbers_of_mysql_decide_where_its_states_do_not() {
        for (number, state, expected) in [
            (1045, "28000", "reauth"),
            (1044, "42000", "reauth"),
            (1226, "42000", "retry"),
            (1142, "42000", "rejected"),
            (1205, "HY000", "retry"),
            (1290, "HY000", "retry"),
            (1317, "70100", "retry"),
            (1364, "HY000", "rejected"),
            (1366, "22007", "rejected"),
            (1366, "HY000", "rejected"),
            (1062, "23000", "rejected"),
        ] {
            let outcome = refused(Stage::Execute, state, Some(number));
            assert_eq!(outcome.kind.as_str(), expected, "{number}");
            assert_eq!(outcome.rule, format!("mysql-{number}"));
        }
    }

    #[test]
    fn without_an_answer_only_a_statement_that_was_sent_is_in_doubt() {
        for (stage, fault, expected, rule) in [
            (Stage::Connect, Fault::Silent, "retry", "timeout"),
            (Stage::Connect, Fault::Busy, "retry", NOT_PROCESSED),
            (
                Stage::Prepare,
                Fault::Lost("gone".to_owned()),
                "retry",
                "connection",
            ),
            (
                Stage::Execute,
                Fault::Lost("gone".to_owned()),
                "ambiguous",
                "connection",
            ),
            (Stage::Execute, Fault::Silent, "ambiguous", "timeout"),
        ] {
            let outcome = outcome(&Failure::new(stage, fault));
            assert_eq!(
                (outcome.kind.as_str(), outcome.rule.as_str()),
                (expected, rule)
            );
            assert!(!outcome.reason.is_empty());
        }
    }
}
