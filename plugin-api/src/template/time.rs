//! Times in templates: `datetime` reads them, `format` and `epoch_ms` write them.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime, civil};
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, Value};

use super::mistake::{Mistake, guess};

/// The platform's times are GMT+8.
const ZONE: &str = "Asia/Shanghai";

/// An instant with its zone; as text RFC 3339.
#[derive(Debug)]
pub(super) struct Moment(ZonedDateTime);

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"))
    }
}

pub(super) fn datetime(value: &Value, zone: Option<&str>) -> Result<Value, Error> {
    let read = read(value, zone)?;
    Ok(read.map_or(Value::from(()), |read| Value::from_object(Moment(read))))
}

pub(super) fn format(value: &Value, format: &str) -> Result<Option<String>, Error> {
    let Some(read) = read(value, None)? else {
        return Ok(None);
    };
    Ok(write(&read, format).map(Some)?)
}

pub(super) fn epoch_ms(value: &Value) -> Result<Option<i64>, Error> {
    Ok(read(value, None)?.map(|read| read.timestamp().as_millisecond()))
}

/// The zone called `name`.
pub(super) fn zone(name: &str) -> Result<TimeZone, Mistake> {
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db()
            .available()
            .map(|name| name.to_string())
            .collect();
        let help = guess(name, known.iter().map(String::as_str)).map_or_else(
            || "zones are named as \"Asia/Shanghai\" or \"UTC\"".to_owned(),
            |guess| format!("did you mean `{guess}`?"),
        );
        Mistake::new("unknown time zone", help)
    })
}

/// A time with an offset is that instant; one without is read in `zone`; a number counts
/// milliseconds since 1970.
fn read(value: &Value, name: Option<&str>) -> Result<Option<ZonedDateTime>, Mistake> {
    let given = name.map(zone).transpose()?;
    if let Some(Moment(moment)) = value.downcast_object_ref::<Moment>() {
        return Ok(Some(match given {
            Some(zone) => moment.with_time_zone(zone),
            None => moment.clone(),
        }));
    }
    let zone = match given {
        Some(zone) => zone,
        None => zone(ZONE)?,
    };
    let not_a_time = || {
        Mistake::new(
            "the value is not a time",
            "fields that end in `_at` are none if they could not be read",
        )
        .chinese(
            "值不是时间",
            "以 `_at` 结尾的字段在无法识别时为 none，可改用它们",
        )
    };
    let zoned = match value.kind() {
        ValueKind::None => return Ok(None),
        ValueKind::Number => {
            let ms = value.as_i64().ok_or_else(not_a_time)?;
            Timestamp::from_millisecond(ms)
                .map_err(|_| not_a_time())?
                .to_zoned_datetime(zone)
        }
        _ => {
            let text = value.as_str().ok_or_else(not_a_time)?.trim();
            match text.parse::<Timestamp>() {
                Ok(instant) => instant.to_zoned_datetime(zone),
                Err(_) => text
                    .parse::<civil::DateTime>()
                    .and_then(|civil| civil.to_zoned_datetime(zone))
                    .map_err(|_| not_a_time())?,
            }
        }
    };
    Ok(Some(zoned))
}

fn write(moment: &ZonedDateTime, format: &str) -> Result<String, Mistake> {
    jiff::fmt::strtime::format(format, moment)
        .map_err(|_| Mistake::new("not a time format", "such as \"%Y-%m-%d %H:%M:%S\""))
}

/// Whether `format` is one.
pub(super) fn check_format(format: &str) -> Result<(), Mistake> {
    write(
        &Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC),
        format,
    )
    .map(drop)
}
