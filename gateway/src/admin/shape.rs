//! Shapes: what bodies and answers look like, as JSON Schema; and the shapes that many answers
//! have.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use leadgate_plugin::OutcomeKind;

use crate::delivery::{BreakerState, HoldReason};
use crate::outbox::{AuditResult, DeathReason, JobState, Skip, StateName, Stop};
use crate::telemetry::pushes::{PushClass, PushVerdict};

/// How a type is described.
#[derive(Clone, Copy)]
pub(super) struct Shape(fn(&mut SchemaGenerator) -> Schema);

impl Shape {
    /// Of that type.
    pub(super) fn of<T: JsonSchema>() -> Self {
        Self(SchemaGenerator::subschema_for::<T>)
    }

    /// The schema; what it refers to is left in the generator.
    pub(super) fn schema(self, generator: &mut SchemaGenerator) -> Schema {
        (self.0)(generator)
    }
}

/// Makes schemas that refer to the components of an OpenAPI document, of what is sent to clients.
pub(super) fn of_answers() -> SchemaGenerator {
    settings().for_serialize().into_generator()
}

/// The same of what clients send.
pub(super) fn of_bodies() -> SchemaGenerator {
    // That a text is empty unless it is given says nothing to anybody.
    let silent = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("default").is_some_and(|default| default == "") {
            schema.remove("default");
        }
    });
    let settings = settings().with_transform(silent);
    settings.for_deserialize().into_generator()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    pub(super) next: Option<String>,
}

/// A list that comes whole.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
}

/// Describes texts of which all are known.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $all:expr;)+) => { $(
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": $all })
            }
        }
    )+ };
}

codes! {
    /// What became of a push.
    PushVerdictName = PushVerdict::ALL.map(PushVerdict::as_str);
    /// Verdicts that leave a person with the same to do.
    PushClassName = PushClass::ALL.map(PushClass::as_str);
    /// Where a delivery stands.
    DeliveryState = StateName::ALL.map(StateName::as_str);
    /// Why a delivery is a dead letter.
    DeadBecause = DeathReason::ALL.map(DeathReason::as_str);
    /// How an attempt ended.
    Outcome = OutcomeKind::ALL.map(OutcomeKind::as_str);
    /// What holds deliveries back.
    HeldBy = HoldReason::ALL.map(HoldReason::as_str);
    /// How a breaker is.
    Breaker = BreakerState::ALL.map(BreakerState::as_str);
    /// Where a bulk job stands.
    BulkJobState = JobState::NAMES;
    /// Why a bulk job was stopped.
    StoppedBecause = Stop::ALL.map(Stop::as_str);
    /// Why a bulk job left something as it is.
    SkippedBecause = Skip::ALL.map(Skip::as_str);
    /// What became of an action.
    AuditedAs = AuditResult::NAMES;
}
