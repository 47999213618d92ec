//! Denies commands.
#![allow(unsafe_code, missing_docs, unused_qualifications, unreachable_pub)]
wit_bindgen::generate!({path: "../../wit", world: "with-command-filter"});
use exports::waft::plugin::{command_filter, lifecycle};
struct P;
impl lifecycle::Guest for P {
    fn describe() -> lifecycle::Descriptor {
        lifecycle::Descriptor {
            name: "command-policy".into(),
            version: "0.1.0".into(),
            description: String::new(),
            verbs: vec!["PORT".into(), "EPRT".into()],
            site: vec![],
            features: vec![],
            events: vec![],
            extra: vec![],
        }
    }
    fn init() -> Result<(), String> {
        Ok(())
    }
}
impl command_filter::Guest for P {
    fn on_command(
        _s: &command_filter::Session,
        c: command_filter::Command,
    ) -> command_filter::CommandDecision {
        use command_filter::{CommandDecision, Reply};
        match c.verb.as_str() {
            "PORT" | "EPRT" => {
                let text = waft::plugin::config::get("message")
                    .unwrap_or_else(|| "active mode is off".to_owned());
                CommandDecision::Answer(Reply { code: 502, lines: vec![text] })
            }
            _ => CommandDecision::Pass,
        }
    }
}
export!(P);
