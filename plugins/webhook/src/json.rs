//! Events as JSON.

use serde_json::{Map, Number, Value as Json};
use waft_plugin_sdk::{Event, Value};

const DAY_MS: u64 = 86_400_000;

/// After so many days the Gregorian calendar begins anew.
const DAYS_IN_400_YEARS: u64 = 146_097;

/// A batch of events as an array.
pub(crate) fn array(events: &[Event]) -> Vec<u8> {
    Json::Array(events.iter().map(object).collect()).to_string().into_bytes()
}

/// One event; its fields stand beside what every event has.
fn object(event: &Event) -> Json {
    let mut object: Map<String, Json> =
        event.fields.iter().map(|(name, field)| (name.clone(), value(field))).collect();
    object.insert("id".to_owned(), event.id.into());
    object.insert("time".to_owned(), moment(event.time_ms).into());
    object.insert("name".to_owned(), event.name.as_str().into());
    object.insert("session".to_owned(), event.session.map(Number::from).into());
    Json::Object(object)
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Number(number) => (*number).into(),
        Value::Flag(flag) => (*flag).into(),
    }
}

/// Milliseconds since 1970-01-01 UTC as RFC 3339 has them.
fn moment(ms: u64) -> String {
    let (year, month, day) = date(ms / DAY_MS);
    let (seconds, ms) = (ms % DAY_MS / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Days since 1970-01-01 as a date: year, month, day.
fn date(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / DAYS_IN_400_YEARS * 400;
    let mut left = days % DAYS_IN_400_YEARS;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (13_574_563_200, "2400-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(moment(seconds * 1000), expected);
        }
        assert_eq!(moment(1_798_761_599_042), "2026-12-31T23:59:59.042Z");
    }

    #[test]
    fn fields_stand_beside_what_every_event_has() {
        let mut event = Event::new("transfer.upload.done")
            .with("path", Value::Text("/a \"b\"\n\u{e4}".to_owned()))
            .with("bytes", Value::Number(42))
            .with("tls", Value::Flag(true))
            .with("name", Value::Text("of no event".to_owned()));
        (event.id, event.session) = (7, Some(u64::MAX));
        let mut outside = Event::new("plugin.load");
        outside.id = 8;
        let read: Json = serde_json::from_slice(&array(&[event, outside])).unwrap();
        let expected = serde_json::json!([
            {
                "id": 7, "time": "1970-01-01T00:00:00.000Z", "name": "transfer.upload.done",
                "session": u64::MAX, "path": "/a \"b\"\n\u{e4}", "bytes": 42, "tls": true,
            },
            {
                "id": 8, "time": "1970-01-01T00:00:00.000Z", "name": "plugin.load",
                "session": null,
            },
        ]);
        assert_eq!(read, expected);
    }
}
