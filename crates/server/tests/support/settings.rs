//! The settings that transcripts may choose, by the names that the structures have.

use std::time::Duration;

use waft_core::storage::Interrupted;
use waft_server::settings::{Active, Advertised, Ascii, Hidden, Passive, Settings};

use super::script::duration;

/// What a transcript's server has where the transcript says nothing: the defaults, but for ports
/// that are free for sure.
pub fn settings() -> Settings {
    let passive = Passive { ports: 0..=0, ..Passive::default() };
    Settings { name: "waft".into(), passive, ..Settings::default() }
}

/// Sets one setting by name; `None` if there is none of that name.
pub fn set(settings: &mut Settings, name: &str, value: &str) -> Option<()> {
    match name.split_once('.').unwrap_or(("", name)) {
        ("", "name") => settings.name = value.into(),
        ("", "greeting") => settings.greeting = value.split(" | ").map(str::to_owned).collect(),
        ("", "active") => settings.active = active(value),
        ("limits", name) => set_limit(settings, name, value.parse().unwrap())?,
        ("timeouts", name) => set_timeout(settings, name, duration(value))?,
        ("passive", name) => set_passive(&mut settings.passive, name, value)?,
        ("transfers", name) => set_transfers(settings, name, value)?,
        _ => return None,
    }
    Some(())
}

fn active(value: &str) -> Active {
    match value {
        "off" => Active::Off,
        "on" => Active::On,
        networks => Active::Lan(networks.split(' ').map(|net| net.parse().unwrap()).collect()),
    }
}

fn set_limit(settings: &mut Settings, name: &str, value: usize) -> Option<()> {
    let limits = &mut settings.limits;
    match name {
        "sessions_max" => limits.sessions_max = value,
        "sessions_per_address_max" => limits.sessions_per_address_max = value,
        "login_attempts_max" => limits.login_attempts_max = u32::try_from(value).unwrap(),
        "line_bytes_max" => limits.line_bytes_max = value,
        "listing_entries_max" => limits.listing_entries_max = value,
        "stat_bytes_max" => limits.stat_bytes_max = value,
        "waiting_commands_max" => limits.waiting_commands_max = value,
        "ascii_size_bytes_max" => limits.ascii_size_bytes_max = value as u64,
        _ => return None,
    }
    Some(())
}

fn set_timeout(settings: &mut Settings, name: &str, value: Duration) -> Option<()> {
    let timeouts = &mut settings.timeouts;
    let timeout = match name {
        "login" => &mut timeouts.login,
        "idle" => &mut timeouts.idle,
        "data_accept" => &mut timeouts.data_accept,
        "data_connect" => &mut timeouts.data_connect,
        "stall" => &mut timeouts.stall,
        "reply" => &mut timeouts.reply,
        _ => return None,
    };
    *timeout = value;
    Some(())
}

fn set_passive(passive: &mut Passive, name: &str, value: &str) -> Option<()> {
    match name {
        "ports" => {
            let (first, last) = value.split_once('-')?;
            passive.ports = first.parse().ok()?..=last.parse().ok()?;
        }
        "address" => passive.address = advertised(value),
        "rule" => {
            let (network, address) = value.split_once(' ')?;
            passive.rules.push((network.parse().ok()?, advertised(address)));
        }
        "peers" => passive.peers.push(value.parse().ok()?),
        _ => return None,
    }
    Some(())
}

fn advertised(value: &str) -> Advertised {
    match (value, value.parse()) {
        ("local", _) => Advertised::Local,
        (_, Ok(address)) => Advertised::Fixed(address),
        _ => Advertised::Name(value.into()),
    }
}

fn set_transfers(settings: &mut Settings, name: &str, value: &str) -> Option<()> {
    let transfers = &mut settings.transfers;
    match (name, value) {
        ("interrupted", "keep") => transfers.interrupted = Interrupted::Keep,
        ("interrupted", "delete") => transfers.interrupted = Interrupted::Delete,
        ("ascii", "as image") => transfers.ascii = Ascii::AsImage,
        ("deflate", "off") => transfers.deflate = None,
        ("deflate", level) => transfers.deflate = Some(level.parse().ok()?),
        ("hidden", "only asked") => transfers.hidden = Hidden::OnlyAsked,
        _ => return None,
    }
    Some(())
}
