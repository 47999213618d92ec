//! How an event is written to the disk: as JSON, so that an operator can read what is left there, and
//! a later version what an earlier one wrote.

use serde::{Deserialize, Serialize};

use crate::bindings::exports::waft::plugin::event_sink::{Event, Value};

#[derive(Serialize, Deserialize)]
struct Record {
    id: u64,
    time_ms: u64,
    name: String,
    session: Option<u64>,
    fields: Vec<(String, Field)>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Field {
    Flag(bool),
    Number(i64),
    Text(String),
}

/// The octets of an event.
///
/// # Errors
/// It cannot be told in JSON, which no event does.
pub(super) fn encoded(event: &Event) -> serde_json::Result<Vec<u8>> {
    let field = |value: &Value| match value {
        Value::Text(text) => Field::Text(text.clone()),
        Value::Number(number) => Field::Number(*number),
        Value::Flag(flag) => Field::Flag(*flag),
    };
    let fields = event.fields.iter().map(|(name, value)| (name.clone(), field(value)));
    serde_json::to_vec(&Record {
        id: event.id,
        time_ms: event.time_ms,
        name: event.name.clone(),
        session: event.session,
        fields: fields.collect(),
    })
}

/// The event of such octets, if they are one's.
pub(super) fn decoded(octets: &[u8]) -> Option<Event> {
    let Record { id, time_ms, name, session, fields } = serde_json::from_slice(octets).ok()?;
    let value = |field| match field {
        Field::Text(text) => Value::Text(text),
        Field::Number(number) => Value::Number(number),
        Field::Flag(flag) => Value::Flag(flag),
    };
    let fields = fields.into_iter().map(|(name, field)| (name, value(field))).collect();
    Some(Event { id, time_ms, name, session, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let fields = vec![
            ("path".to_owned(), Value::Text("/\u{0}\"ü\n".to_owned())),
            ("bytes".to_owned(), Value::Number(i64::MIN)),
            ("tls".to_owned(), Value::Flag(true)),
            ("path".to_owned(), Value::Text("7".to_owned())),
        ];
        let name = "file.remove".to_owned();
        let event = Event { id: u64::MAX, time_ms: 1, name, session: Some(4), fields };
        let read = decoded(&encoded(&event).unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
        assert!(decoded(b"{}").is_none());
        assert!(decoded(b"\xff").is_none());
    }
}
