//! A plugin as it was when `waft:plugin` 0.1.0 was frozen: built from `wit/released/0.1.0.wit` and
//! not from the SDK, with every hook and every function of every service. It is not changed.
//!
//! | who | what it does |
//! |---|---|
//! | `ALLO`, `XPWD`, `XBYE` | answers 202, goes on with `PWD`, answers 221 and closes |
//! | `NOOP` | rewords the reply |
//! | user `old` | logs in with the password whose hash is the setting `hash`; about `lost` it cannot tell, other users are none of its business |
//! | files of `old` | are kept in `kv`; `/kept` cannot be deleted, `/alias` is `/a.txt`, `hidden…` is not listed |
//! | uploads | to `….up` become upper case with `!` behind, to `….bad` are refused |
//! | `XOLD`, `SITE SERVICES`, `SITE COUNTS` | its argument; what the services say, the setting `url` being asked; events and ticks so far |

#![allow(unsafe_code, reason = "the generated bindings call across the component's boundary")]

mod hooks;
mod services;
mod storage;

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
        path: "../../../wit/released/0.1.0.wit",
        world: "all",
        generate_all,
    });
}

/// The plugin.
#[derive(Debug)]
pub struct Since;

#[cfg(target_arch = "wasm32")]
bindings::export!(Since with_types_in bindings);

/// A list of pairs as the interface has it.
fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}
