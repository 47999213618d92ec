//! Makes waft plugins: components of their sources, the sources of new ones, and archives of
//! components with what belongs to them ([`Parcel`]).
//!
//! [`build()`] knows a plugin's language by the file it begins with ([`Language`]), sees to the
//! tools of that language ([`Tools`]), and checks what comes out. `waft plugin build` and the
//! repository's own `cargo xtask` both do it this way, so that an example is built as its readers
//! would build it.
//!
//! Tools are pinned here, with the checksums of all that they consist of, and are fetched through
//! their registries' own clients into a directory of the caller's choice. Of the system, C needs
//! clang, lld and the C library for WebAssembly; JavaScript and Python need Python with venv;
//! Rust needs its own target.
//!
//! Not here: loading components, and running them; installing anything on the system.

#![forbid(unsafe_code)]

mod bindings;
mod build;
mod component;
mod create;
mod inputs;
mod language;
mod parcel;
mod tools;

pub mod process;

pub use build::{Built, build};
pub use component::{Interfaces, encode};
pub use create::create;
pub use inputs::digest;
pub use language::Language;
pub use parcel::{COMPONENT_MEDIA_TYPE, Kind, Member, Packed, Parcel};
pub use tools::Tools;
