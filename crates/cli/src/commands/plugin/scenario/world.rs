//! What is around the plugin in a scenario: its time, its web services, what its store held, and
//! the calls that are to fail.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use waft_plugin_host::{Fault, NoWebResponse, StandIns, WebRequest, WebResponse};

use super::{Answer, Outcome, Stage};

/// The world of one scenario.
pub(super) struct World {
    /// What time it was when it began.
    clock: SystemTime,
    began: Instant,
    stored: Vec<(String, Vec<u8>)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: Vec<Answer>,
    /// Those of `answers` that were asked for.
    given: Vec<usize>,
    /// What was asked and not looked at yet.
    asked: Vec<WebRequest>,
    /// What there is no answer for.
    unanswered: Option<String>,
    faults: Vec<(usize, String, Fault)>,
}

impl World {
    /// As the scenario has it at first. It begins now.
    pub(super) fn new(stage: &Stage) -> Self {
        let state = State { answers: stage.answers.clone(), ..State::default() };
        Self {
            clock: stage.clock.unwrap_or_else(SystemTime::now),
            began: Instant::now(),
            stored: stage.stored.clone(),
            state: Mutex::new(state),
        }
    }

    /// Has web services answer this, too.
    pub(super) fn answer(&self, answer: Answer) {
        self.state().answers.push(answer);
    }

    /// Has the next call of a hook fail.
    pub(super) fn inject(&self, line: usize, hook: &str, fault: Fault) {
        self.state().faults.push((line, hook.to_owned(), fault));
    }

    /// The next request that nobody has looked at.
    pub(super) fn next_request(&self) -> Option<WebRequest> {
        let mut state = self.state();
        (!state.asked.is_empty()).then(|| state.asked.remove(0))
    }

    /// What was asked and has no answer.
    pub(super) fn unanswered(&self) -> Option<String> {
        self.state().unanswered.clone()
    }

    /// What was said and did not come about: its line, and what it is.
    pub(super) fn left(&self) -> Option<(usize, String)> {
        let state = self.state();
        let answers = state.answers.iter().enumerate();
        let asked = answers.filter(|(at, answer)| !answer.always && !state.given.contains(at));
        let answer = asked.map(|(_, answer)| {
            (answer.line, format!("a request: {} {}", answer.method, answer.url.source()))
        });
        let fault = state.faults.iter();
        let fault = fault.map(|(line, hook, _)| (*line, format!("a call to fail: {hook}")));
        answer.chain(fault).min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StandIns for World {
    fn now(&self) -> SystemTime {
        // Clocks are read at milliseconds: less would differ from run to run.
        let passed = self.began.elapsed().as_millis();
        self.clock + Duration::from_millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn fetch(&self, request: WebRequest) -> Result<WebResponse, NoWebResponse> {
        let mut state = self.state();
        let is_for = |(at, answer): &(usize, &Answer)| {
            answer.method == request.method
                && answer.url.fits(request.url.as_bytes())
                && (answer.always || !state.given.contains(at))
        };
        let found = state.answers.iter().enumerate().find(is_for);
        let Some((at, answer)) = found.map(|(at, answer)| (at, answer.clone())) else {
            let what = format!("{} {}", request.method, request.url);
            let reason = format!("the scenario has no answer for: {what}");
            state.unanswered.get_or_insert(what);
            return Err(NoWebResponse::Network(reason));
        };
        state.given.push(at);
        state.asked.push(request);
        match answer.outcome {
            Outcome::Response(response) => Ok(response),
            Outcome::Timeout => Err(NoWebResponse::Timeout),
            Outcome::Failure(reason) => Err(NoWebResponse::Network(reason)),
        }
    }

    fn stored(&self) -> Vec<(String, Vec<u8>)> {
        self.stored.clone()
    }

    fn fault(&self, hook: &str) -> Option<Fault> {
        let mut state = self.state();
        let at = state.faults.iter().position(|(_, wanted, _)| wanted == hook)?;
        Some(state.faults.remove(at).2)
    }
}
