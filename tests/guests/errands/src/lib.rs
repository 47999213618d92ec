//! Answers commands of its own, hears events and keeps time, and tells what it heard.
//!
//! Settings:
//! - `commands`: names of commands that it answers, `SITE ECHO` and `XECHO` by default;
//! - `answer`: code and text of the answer; by default 200 with name, argument and user;
//! - `events`: patterns of the events that it hears, none by default;
//! - `refuse`: so many batches of events are not taken at first;
//! - `trap_on`: the name of an event that it breaks on;
//! - `timer`: the period of the timer `tick`, in milliseconds; none by default.
//!
//! `SITE HEARD` tells how many events it heard, and the first of them, and forgets them; `SITE TICKS` tells how
//! often the timer rang. Both are of one instance: tests allow no second one.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use waft_plugin_sdk::{
    Event, EventSink, Interest, Plugin, Reply, Session, Settings, SiteCommand, Timer, Value, log,
};

/// Lines of a reply that a plugin may make, one less.
const LINES_MAX: usize = 60;

/// What it was told to do and what it heard.
#[derive(Debug)]
pub struct Errands {
    commands: Vec<String>,
    answer: Option<String>,
    events: Vec<String>,
    trap_on: Option<String>,
    timer: Option<u64>,
    refusals: Cell<u64>,
    heard: RefCell<Vec<String>>,
    ticks: Cell<u64>,
}

impl Plugin for Errands {
    fn new(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let mut commands = root.texts("commands");
        if commands.is_empty() {
            commands = vec!["SITE ECHO".to_owned(), "XECHO".to_owned()];
        }
        let number = |name| root.text(name).and_then(|text| text.parse().ok());
        let plugin = Self {
            commands,
            answer: root.text("answer"),
            events: root.texts("events"),
            trap_on: root.text("trap_on"),
            timer: number("timer"),
            refusals: Cell::new(number("refuse").unwrap_or(0)),
            heard: RefCell::default(),
            ticks: Cell::new(0),
        };
        settings.finish()?;
        Ok(plugin)
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::nothing().with_feature("XECHO any text");
        if !self.events.is_empty() {
            interest = interest.in_events(self.events.iter());
        }
        for command in &self.commands {
            interest = interest.with_site(command, "says what it was told");
        }
        if let Some(period) = self.timer {
            interest = interest.with_timer("tick", Duration::from_millis(period));
        }
        let own =
            [("SITE HEARD", "tells what happened"), ("SITE TICKS", "tells how often it rang")];
        own.into_iter().fold(interest, |interest, (name, help)| interest.with_site(name, help))
    }
}

impl SiteCommand for Errands {
    fn on_site(&self, session: Session<'_>, name: &str, arg: Option<&str>) -> Reply {
        match name {
            "SITE HEARD" => {
                let heard = self.heard.take();
                let shown = heard.get(..LINES_MAX).unwrap_or(&heard).join("\n");
                Reply::new(211, format!("{} events\n{shown}", heard.len()))
            }
            "SITE TICKS" => Reply::new(211, self.ticks.get().to_string()),
            _ => match self.answer.as_deref().and_then(|answer| answer.split_once(' ')) {
                Some((code, text)) => Reply::new(code.parse().unwrap_or(0), text),
                None => {
                    let user = session.user().unwrap_or_default();
                    let arg = arg.unwrap_or("nothing");
                    Reply::new(200, format!("{name} of {user}: {arg}"))
                }
            },
        }
    }
}

impl EventSink for Errands {
    fn on_events(&self, events: &[Event]) -> Result<(), String> {
        if let Some(left) = self.refusals.get().checked_sub(1) {
            self.refusals.set(left);
            return Err("not now".to_owned());
        }
        for event in events {
            assert!(self.trap_on.as_ref() != Some(&event.name), "told to break");
            let line = told(event);
            log::info("heard", &[("event", &line)]);
            self.heard.borrow_mut().push(line);
        }
        Ok(())
    }
}

impl Timer for Errands {
    fn on_timer(&self, name: &str) {
        assert_eq!(name, "tick");
        self.ticks.set(self.ticks.get() + 1);
    }
}

fn told(event: &Event) -> String {
    let mut line = event.name.clone();
    for (name, value) in &event.fields {
        // What differs from run to run is of no use to a test.
        if !matches!(name.as_str(), "elapsed-ms" | "peer" | "file") {
            line.push_str(&format!(" {name}={}", shown(value)));
        }
    }
    line
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

waft_plugin_sdk::export!(Errands: site_command, event_sink, timer);
