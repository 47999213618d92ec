//! FTP on the wire: bytes to commands, and replies, listings, facts and addresses to bytes.
//!
//! Everything here is a plain function over bytes, so that it can be fuzzed and property-tested.
//! What is *not* here: IO, clocks, async, sessions, policy. Which command may run when is stated
//! once, as data, in [`verb::TABLE`]; who obeys it is the server's business.
#![forbid(unsafe_code)]

pub mod address;
pub mod arguments;
pub mod ascii;
pub mod command;
mod digits;
pub mod entry;
pub mod facts;
pub mod hash;
pub mod line;
pub mod listing;
pub mod reply;
pub mod time;
pub mod verb;

pub use arguments::ArgumentError;
pub use command::{Command, ParseError};
pub use entry::{Entry, Kind, Perms};
pub use facts::FactSet;
pub use hash::HashAlgorithm;
pub use line::{Line, LineBuffer};
pub use reply::{Code, Reply, Text};
pub use time::Timestamp;
pub use verb::{Spec, Verb, VerbSet};
