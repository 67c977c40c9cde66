//! What a failure means.

use leadgate_plugin::Outcome;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::producer::Failure;

/// The outcome of a failed production.
///
/// | failure | outcome |
/// |---|---|
/// | no cluster, one on other machines, queue full, no leader, too few replicas, producer not usable any more | retry |
/// | login refused, no right to the topic | reauth |
/// | no topic, record too large, refused for what it is | rejected |
/// | quota | throttled |
/// | given up after it may have been sent, no answer | ambiguous |
pub(crate) fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Unreachable(why) => {
            Outcome::retry(None, format!("no connection: {why}")).rule("connection")
        }
        Failure::Elsewhere(host) => Outcome::retry(
            None,
            format!("leads would go to {host} unencrypted; let brokers be reached through a TLS proxy on this machine, or set allow_plain"),
        )
        .rule("plain"),
        Failure::Login => Outcome::reauth("the brokers refused the login").rule("login"),
        Failure::NoTopic => no_topic(),
        Failure::Silent => Outcome::ambiguous("no acknowledgement in time").rule("timeout"),
        Failure::Said(code) => said(*code),
    }
}

fn no_topic() -> Outcome {
    Outcome::rejected("the topic is not there; make it, or mend `topic`").rule("no-topic")
}

fn said(code: Code) -> Outcome {
    let why = code.to_string();
    let rule = match code {
        Code::Fatal => "kafka-fatal".to_owned(),
        Code::QueueFull => "kafka-queue-full".to_owned(),
        Code::MessageTimedOut => "timeout".to_owned(),
        // Codes below zero are librdkafka's own, and mean nothing to anybody else.
        own if (own as i32) < 0 => "kafka-local".to_owned(),
        broker => format!("kafka-{}", broker as i32),
    };
    let outcome = match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition => return no_topic(),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Outcome::rejected(format!(
            "{why}; send less in `body`, or raise max.message.bytes of the topic"
        )),
        Code::InvalidTopic
        | Code::UnknownPartition
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::PolicyViolation
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedCompressionType
        | Code::InvalidRequiredAcks
        | Code::UnsupportedVersion
        | Code::InvalidArgument => Outcome::rejected(why),
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => Outcome::reauth(why),
        Code::ThrottlingQuotaExceeded => Outcome::throttled(None, why),
        code if is_in_doubt(code) => Outcome::ambiguous(why),
        Code::DuplicateSequenceNumber => Outcome::duplicate(),
        // All others pass, or a person sees them when the attempts are used up.
        _ => Outcome::retry(None, why),
    };
    outcome.rule(rule)
}

/// Whether a record that was given up like this may have been written.
pub(crate) fn is_in_doubt(code: Code) -> bool {
    matches!(
        code,
        Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::OperationTimedOut
            | Code::NetworkException
            | Code::BrokerTransportFailure
            | Code::NotEnoughReplicasAfterAppend
            | Code::PurgeInflight
    )
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::OutcomeKind;

    use super::*;

    #[test]
    fn every_failure_has_its_meaning() {
        use OutcomeKind::{Ambiguous, Duplicate, Reauth, Rejected, Retry, Throttled};
        for (failure, kind) in [
            (Failure::Unreachable("x".to_owned()), Retry),
            (Failure::Elsewhere("x".to_owned()), Retry),
            (Failure::Login, Reauth),
            (Failure::NoTopic, Rejected),
            (Failure::Silent, Ambiguous),
            (Failure::Said(Code::UnknownTopicOrPartition), Rejected),
            (Failure::Said(Code::MessageSizeTooLarge), Rejected),
            (Failure::Said(Code::InvalidRecord), Rejected),
            (Failure::Said(Code::TopicAuthorizationFailed), Reauth),
            (Failure::Said(Code::ThrottlingQuotaExceeded), Throttled),
            (Failure::Said(Code::QueueFull), Retry),
            (Failure::Said(Code::NotLeaderForPartition), Retry),
            (Failure::Said(Code::NotEnoughReplicas), Retry),
            (Failure::Said(Code::NotEnoughReplicasAfterAppend), Ambiguous),
            (Failure::Said(Code::MessageTimedOut), Ambiguous),
            (Failure::Said(Code::PurgeQueue), Retry),
            (Failure::Said(Code::PurgeInflight), Ambiguous),
            (Failure::Said(Code::Fatal), Retry),
            (Failure::Said(Code::DuplicateSequenceNumber), Duplicate),
        ] {
            let outcome = outcome(&failure);
            assert_eq!(
                (outcome.kind, outcome.retry_after),
                (kind, None),
                "{failure:?}"
            );
            assert!(!outcome.rule.is_empty(), "{failure:?}");
        }
        for (code, rule) in [
            (Code::MessageSizeTooLarge, "kafka-10"),
            (Code::Fatal, "kafka-fatal"),
            (Code::QueueFull, "kafka-queue-full"),
            (Code::MessageTimedOut, "timeout"),
            (Code::PurgeQueue, "kafka-local"),
        ] {
            assert_eq!(outcome(&Failure::Said(code)).rule, rule);
        }
    }
}
