//! `wasi:*` for guests whose tool chains import it whether or not they use it: everything is there
//! and nothing is behind it. No environment, no arguments, no directories, an empty input, every
//! socket and name denied; the clocks and random octets are real. What a guest prints goes to the
//! log, see [`super::console`].
//!
//! A guest that sleeps is ended by the time that its call may take, as one that computes.

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime_wasi::p2;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::console::{Console, Printed};
use crate::guest::Guest;
use crate::limits;

/// Gives guests all of WASI 0.2.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p2::add_to_linker_async(linker)
}

/// What there is of it for one instance.
pub(crate) fn context(console: &Arc<Console>) -> WasiCtx {
    let mut context = WasiCtx::builder();
    context
        .stdout(Printed::to_output(console))
        .stderr(Printed::to_errors(console))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(limits::RANDOM_BYTES_MAX);
    context.build()
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
