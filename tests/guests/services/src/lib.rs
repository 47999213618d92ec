//! Asks a service of the host for what the command says, and answers with what came of it, so that
//! the host's tests can ask for anything. It needs the grants `kv`, `http` and `control`. The setting
//! `verbs` names the commands that it answers, all of these by default.
//!
//! | command | what it does |
//! |---|---|
//! | `XKV get KEY`, `set KEY VALUE [MS]`, `del KEY`, `inc KEY N [MS]`, `keys PREFIX [AFTER]` | the store; `fill SIZE` sets keys until there is no room, and tells how many |
//! | `XKV cas KEY OLD NEW` | sets if it is the old one; `-` stands for nothing |
//! | `XMETER count NAME N`, `gauge NAME N`, `observe NAME N`, `flood N` | metrics; a flood is of so many series |
//! | `XGET URL [MS]` | a web service: status, then the body's first 60 octets |
//! | `XHANG URL` | a web service, over and over, whatever comes of it |
//! | `XPOST URL SIZE` | a body of so many octets |
//! | `XASK WHAT` | asks for that, whatever comes of it, and lets the command pass |
//! | `NOOP` | lets it pass |
//! | `XCTL ban NETWORK SECONDS`, `unban NETWORK`, `kick SESSION WORDS` | the server |

#![forbid(unsafe_code)]

use std::time::Duration;

use waft_plugin_sdk::http::Request;
use waft_plugin_sdk::{
    Command, CommandDecision, CommandFilter, Interest, Plugin, Reply, Session, Settings, clock,
    control, crypto, http, kv, log, metrics,
};

/// The commands.
const VERBS: [&str; 8] = ["XKV", "XMETER", "XGET", "XHANG", "XPOST", "XASK", "XCTL", "NOOP"];

/// Those that it wants to see.
#[derive(Debug)]
pub struct Services(Vec<String>);

impl Plugin for Services {
    fn new(settings: &Settings) -> Result<Self, String> {
        let mut verbs = settings.root().texts("verbs");
        if verbs.is_empty() {
            verbs = VERBS.map(str::to_owned).to_vec();
        }
        settings.finish().map(|()| Self(verbs))
    }

    fn interest(&self) -> Interest {
        // Which is not true, but for `XASK user` and the like: the host finds out.
        Interest::everything().in_commands(self.0.iter()).with_pure_commands()
    }
}

impl CommandFilter for Services {
    fn on_command(&self, session: Session<'_>, command: &Command) -> CommandDecision {
        let words: Vec<&str> = command.arg.as_deref().unwrap_or_default().split(' ').collect();
        let told = match command.verb.as_str() {
            "XKV" => keep(&words),
            "XMETER" => meter(&words),
            "XGET" => fetch(&words),
            "XHANG" => loop {
                let _ = fetch(&words);
            },
            "XPOST" => post(&words),
            "NOOP" => return CommandDecision::Pass,
            "XASK" => {
                ask(session, &words);
                return CommandDecision::Pass;
            }
            _ => act(&words),
        };
        CommandDecision::Answer(match told {
            Ok(told) => Reply::new(200, told),
            Err(reason) => Reply::new(500, reason),
        })
    }
}

fn keep(words: &[&str]) -> Result<String, String> {
    let told = |error: kv::Error| format!("{error:?}");
    let shown = |value: Option<Vec<u8>>| match value {
        Some(value) => String::from_utf8_lossy(&value).into_owned(),
        None => "none".to_owned(),
    };
    match *words {
        ["get", key] => kv::get(key).map(shown).map_err(told),
        ["set", key, value] => kv::set(key, value.as_bytes(), None).map(done).map_err(told),
        ["set", key, value, ms] => {
            kv::set(key, value.as_bytes(), milliseconds(ms)).map(done).map_err(told)
        }
        ["del", key] => kv::delete(key).map(done).map_err(told),
        ["inc", key, number] => kv::increment(key, parsed(number)?, None).map(text).map_err(told),
        ["inc", key, number, ms] => {
            kv::increment(key, parsed(number)?, milliseconds(ms)).map(text).map_err(told)
        }
        ["cas", key, old, new] => {
            let [old, new] = [old, new].map(|word| Some(word.as_bytes()).filter(|_| word != "-"));
            kv::compare_and_set(key, old, new).map(done).map_err(told)
        }
        ["keys", prefix] => kv::keys(prefix, None, 3).map(|keys| keys.join(",")).map_err(told),
        ["keys", prefix, after] => {
            kv::keys(prefix, Some(after), 3).map(|keys| keys.join(",")).map_err(told)
        }
        ["fill", size] => {
            let value = vec![0; parsed(size)?];
            let full = (0..1_000_000).find(|n| kv::set(&n.to_string(), &value, None).is_err());
            Ok(text(full.unwrap_or(1_000_000)))
        }
        _ => Err("no such thing to keep".to_owned()),
    }
}

fn meter(words: &[&str]) -> Result<String, String> {
    match *words {
        ["count", name, number] => metrics::counter(name, parsed(number)?, &[("by", "test")]),
        ["gauge", name, number] => metrics::gauge(name, parsed(number)?, &[]),
        ["observe", name, number] => metrics::histogram(name, parsed(number)?, &[]),
        ["flood", number] => {
            (0..parsed::<u32>(number)?)
                .for_each(|n| metrics::counter("flood", 1, &[("n", &n.to_string())]));
        }
        _ => return Err("no such thing to count".to_owned()),
    }
    Ok(done(()))
}

fn fetch(words: &[&str]) -> Result<String, String> {
    let request = match *words {
        [url] => Request::get(url),
        [url, ms] => Request::get(url).timeout(Duration::from_millis(parsed(ms)?)),
        _ => return Err("no such thing to fetch".to_owned()),
    };
    sent(request)
}

fn post(words: &[&str]) -> Result<String, String> {
    let &[url, size] = words else { return Err("no such thing to post".to_owned()) };
    sent(Request::post(url, vec![b'x'; parsed(size)?]))
}

fn sent(request: Request) -> Result<String, String> {
    let response = http::fetch(request).map_err(|error| format!("{error:?}"))?;
    let body: Vec<u8> = response.body.iter().copied().take(60).collect();
    Ok(format!("{} {}", response.status, String::from_utf8_lossy(&body)))
}

fn act(words: &[&str]) -> Result<String, String> {
    match *words {
        ["ban", network, seconds] => {
            control::ban(network, Duration::from_secs(parsed(seconds)?), "as told").map(done)
        }
        ["unban", network] => control::unban(network).map(done),
        ["kick", session, message] => Ok(text(control::disconnect(parsed(session)?, message))),
        _ => Err("no such thing to do".to_owned()),
    }
}

/// Asks, and forgets what it is told.
fn ask(session: Session<'_>, words: &[&str]) {
    match *words {
        ["user"] => drop(session.user()),
        ["ip"] => drop(session.remote_ip()),
        ["listener"] => drop(session.listener()),
        ["tls"] => drop(session.tls()),
        ["cwd"] => drop(session.cwd()),
        ["attributes", number] => {
            (0..parsed::<u32>(number).unwrap_or_default())
                .for_each(|n| drop(session.attribute(&n.to_string())));
        }
        ["id"] => drop(session.id().to_string()),
        ["port"] => drop(session.remote_port().to_string()),
        ["scratch"] => drop(session.get("key")),
        ["keep"] => drop(session.set("key", None)),
        ["clock"] => drop(clock::now_ms().to_string()),
        ["random"] => drop(crypto::random(1)),
        ["kv"] => drop(kv::get("key")),
        ["http"] => drop(fetch(&["http://127.0.0.1:1/"])),
        ["control"] => drop(control::unban("192.0.2.1")),
        ["metrics"] => metrics::counter("asked", 1, &[]),
        ["log"] => log::info("asked", &[]),
        _ => {}
    }
}

fn parsed<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("not of the kind that is wanted: {word}"))
}

fn milliseconds(word: &str) -> Option<Duration> {
    word.parse().ok().map(Duration::from_millis)
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

fn done((): ()) -> String {
    "done".to_owned()
}

waft_plugin_sdk::export!(Services: command_filter);

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    #[test]
    fn what_the_command_says_is_asked_for() {
        let decide = |verb: &str, arg: &str| {
            Services(Vec::new()).on_command(TestSession::new().session(), &Command::new(verb, arg))
        };
        let answer = |words: &str| CommandDecision::Answer(Reply::new(200, words));
        assert_eq!(decide("XKV", "inc a 2"), answer("2"));
        assert_eq!(decide("XKV", "cas a 2 -"), answer("done"));
        assert_eq!(decide("XKV", "get a"), answer("none"));
        let wrong = CommandDecision::Answer(Reply::new(500, "no such thing to keep"));
        assert_eq!(decide("XKV", "sing"), wrong);
    }
}
