//! `wasi:*` for guests whose tool chains import it whether or not they use it: everything is there
//! and nothing is behind it. No environment, no arguments, no directories, an empty input, every
//! socket and name denied; the clocks and random octets are real. What a guest prints goes to the
//! log, see [`super::console`].
//!
//! `wasi:config` is the plugin's configuration, `wasi:logging` its way to the log, `wasi:keyvalue`
//! its store ([`super::keyvalue`]).
//!
//! A guest that sleeps is ended by the time that its call may take, as one that computes.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfig;

use self::bindings::wasi::logging::logging;
use super::console::{Console, Printed};
use super::keyvalue;
use super::log;
use crate::bindings::waft::plugin::log::Level;
use crate::guest::Guest;
use crate::lent::Services;
use crate::limits;

/// Gives guests all of WASI 0.2, and what is proposed for it and costs nothing.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_config::add_to_linker(linker, |guest: &mut Guest| {
        WasiConfig::from(&guest.identity.share.wasi_config)
    })?;
    keyvalue::link(linker)?;
    logging::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package wasi:logging@0.1.0-draft;
            interface logging {
                enum level { trace, debug, info, warn, error, critical }
                log: func(level: level, context: string, message: string);
            }
            world imports { import logging; }
        ",
    });
}

impl logging::Host for Guest {
    fn log(&mut self, level: logging::Level, context: String, message: String) {
        let level = match level {
            logging::Level::Trace => Level::Trace,
            logging::Level::Debug => Level::Debug,
            logging::Level::Info => Level::Info,
            logging::Level::Warn => Level::Warn,
            logging::Level::Error | logging::Level::Critical => Level::Error,
        };
        let context = Some(("context".to_owned(), context)).filter(|(_, text)| !text.is_empty());
        let fields: Vec<_> = context.into_iter().collect();
        log::write(&self.identity, self.about, level, &message, &fields);
    }
}

/// What there is of it for one instance.
pub(crate) fn context(console: &Arc<Console>, services: &Services) -> WasiCtx {
    let mut context = WasiCtx::builder();
    if services.stand_ins.is_some() {
        context.wall_clock(services.clone());
    }
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
