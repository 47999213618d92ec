//! What a hook costs: one number for a verb that no plugin wants, one for a verb that one does.
//!
//! `cargo run --release -p waft-plugin-host --example hook_cost -- FILE.wasm VERB`
#![expect(clippy::print_stdout, reason = "this is what the example is for")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use waft_core::hooks::HookSource;
use waft_core::session::Scratch;
use waft_core::{SessionFacts, SessionId, VirtualPath};
use waft_plugin_host::{Host, HostSettings, PluginSettings};
use waft_proto::{Command, Verb, VerbSet};

const ROUNDS: u32 = 200_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which file?")?;
    let verb = arguments.next().unwrap_or_else(|| "NOOP".to_owned());
    let plugin = PluginSettings {
        path: Some(file.into()),
        config: vec![("answer.PWD".to_owned(), "257 x".to_owned())],
        ..PluginSettings::named("measured")
    };
    let host =
        Host::load(HostSettings { plugins: vec![plugin], ..HostSettings::default() }).await?;
    let session = Arc::new(SessionFacts {
        id: SessionId(1),
        peer: "127.0.0.1:1".parse()?,
        local: "127.0.0.1:21".parse()?,
        listener: "127.0.0.1:21".into(),
        tls: None,
        user: None,
        cwd: VirtualPath::root(),
        attributes: Arc::new([]),
        scratch: Arc::new(Scratch::default()),
    });
    let command = Command::parse(verb.as_bytes())?;

    let began = Instant::now();
    for _ in 0..ROUNDS {
        black_box(asked(&host.current().command_interest(), command.verb()));
    }
    println!("interest of a verb: {:?}", began.elapsed() / ROUNDS);

    let began = Instant::now();
    for _ in 0..ROUNDS {
        black_box(host.current().on_command(&session, &command).await);
    }
    println!("on_command {verb}: {:?}", began.elapsed() / ROUNDS);
    Ok(())
}

fn asked(interest: &VerbSet, verb: Option<Verb>) -> bool {
    interest.contains(black_box(verb))
}
