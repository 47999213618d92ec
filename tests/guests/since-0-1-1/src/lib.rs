//! A plugin as it was when `waft:plugin` 0.1.1 was frozen: built from `wit/released/0.1.1.wit` and
//! not from the SDK, with what that version added. It is not changed.
//!
//! | command | what it does |
//! |---|---|
//! | `ALLO` | answers 202 |
//! | `SYST` | is told no more of `SYST` and `ALLO` in that session |
//! | `XOLD` | answers 202, and wants to hear no more of it |

#![allow(unsafe_code, reason = "the generated bindings call across the component's boundary")]

use bindings::exports::waft::plugin::command_filter::{self, CommandDecision};
use bindings::exports::waft::plugin::lifecycle;
use bindings::waft::plugin::sessions::Session;
use bindings::waft::plugin::types::{Command, Reply};

/// What `wit-bindgen` makes of the frozen interface.
pub mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::restriction,
        reason = "generated"
    )]

    wit_bindgen::generate!({
        path: "../../../wit/released/0.1.1.wit",
        world: "with-command-filter",
        generate_all,
    });
}

/// The plugin.
#[derive(Debug)]
pub struct Since;

#[cfg(target_arch = "wasm32")]
bindings::export!(Since with_types_in bindings);

impl lifecycle::Guest for Since {
    fn describe() -> lifecycle::Descriptor {
        lifecycle::Descriptor {
            name: "since-0-1-1".to_owned(),
            version: "0.1.1".to_owned(),
            description: "as it was".to_owned(),
            verbs: ["ALLO", "SYST", "XOLD"].map(str::to_owned).to_vec(),
            site: Vec::new(),
            features: Vec::new(),
            events: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn init() -> Result<(), String> {
        Ok(())
    }
}

impl command_filter::Guest for Since {
    fn on_command(s: &Session, c: Command) -> CommandDecision {
        let verbs: &[&str] = match c.verb.as_str() {
            "SYST" => &["SYST", "ALLO"],
            "XOLD" => &["XOLD"],
            _ => &[],
        };
        if !verbs.is_empty() {
            let verbs: Vec<String> = verbs.iter().copied().map(str::to_owned).collect();
            s.skip_commands(&verbs);
        }
        if c.verb == "SYST" {
            return CommandDecision::Pass;
        }
        let lines = vec!["There was room in those days.".to_owned()];
        CommandDecision::Answer(Reply { code: 202, lines })
    }
}
