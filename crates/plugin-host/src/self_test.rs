//! A test that a component brings along: a scenario beside it, `NAME.scenario.txt`, that has to go as
//! it is written before the component comes into force.
//!
//! What a scenario is, and playing it, is for the program to say, which hands a [`SelfTester`] over:
//! it takes a server to play one, and there is none here.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::artifact::{Artifact, Digest};
use crate::beside::{Beside, Part};
use crate::engine::sandbox;
use crate::errors::Refusal;
use crate::files::{self, Candidate, Content};
use crate::guard::Guard;
use crate::limits;
use crate::load::blocking;
use crate::settings::PluginSettings;
use crate::workshop::{Pace, Undone};

/// Plays the scenario that lies beside a component.
#[derive(Clone)]
pub struct SelfTester(Arc<Plays>);

type Plays = dyn Fn(&SelfTest<'_>) -> Result<(), TestFailure> + Send + Sync;

/// A component that has not shown yet that it works.
#[derive(Debug)]
pub struct SelfTest<'a> {
    /// The settings that it would have.
    pub settings: &'a PluginSettings,
    /// The component.
    pub component: &'a [u8],
    /// The same compiled, for the host that it is tried in.
    pub compiled: Compiled,
    /// The scenario.
    pub scenario: &'a str,
}

/// A component that need not be compiled again.
#[derive(Clone, Debug)]
pub struct Compiled(pub(crate) Arc<Artifact>);

/// What went otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// In which line of the scenario; 0 for the scenario as a whole.
    pub line: usize,
    /// What.
    pub what: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

impl SelfTester {
    /// Plays scenarios by `play`, on a thread where it may take its time.
    pub fn new(
        play: impl Fn(&SelfTest<'_>) -> Result<(), TestFailure> + Send + Sync + 'static,
    ) -> SelfTester {
        SelfTester(Arc::new(play))
    }
}

impl fmt::Debug for SelfTester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SelfTester")
    }
}

impl TestFailure {
    fn whole(what: impl Into<String>) -> TestFailure {
        TestFailure { line: 0, what: what.into(), remedy: None }
    }
}

impl Part {
    /// The scenario that may lie beside a component.
    pub(crate) fn scenario_of(component: &Path) -> Part {
        Part::of(Beside::Scenario.file_of(component))
    }
}

/// Has a candidate's scenario played, if one lies beside it, with that component.
///
/// # Errors
/// It did not go as it is written.
pub(crate) async fn play(
    tester: &SelfTester,
    candidate: &Candidate,
    artifact: &Arc<Artifact>,
    guard: &Guard,
    pace: Pace,
) -> Result<(), Refusal> {
    let file = Beside::Scenario.file_of(&candidate.file);
    let scenario = candidate.parts.iter().find(|part| part.file == file && part.exists());
    let Some(part) = scenario.cloned() else { return Ok(()) };
    let refused = |failure| Refusal::SelfTest { file: file.clone(), failure };
    let (component, digest) = (candidate.file.clone(), artifact.digest);
    let guard = guard.clone();
    let read = blocking(move || read(&part, &component, digest, &guard)).await;
    let changed = || TestFailure::whole("it changed while it was read");
    let (scenario, component) = read.unwrap_or_else(|| Err(changed())).map_err(&refused)?;
    let (tester, settings) = (tester.clone(), candidate.settings.clone());
    let compiled = Compiled(Arc::clone(artifact));
    let work = move || {
        let (settings, component, scenario) = (&settings, &*component, &*scenario);
        (tester.0)(&SelfTest { settings, component, compiled, scenario })
    };
    let played = sandbox()?.testing.run(limits::SELF_TEST_MAX, pace, work).await;
    played.unwrap_or_else(|undone| Err(TestFailure::whole(told(&undone)))).map_err(refused)
}

fn told(undone: &Undone) -> String {
    match undone {
        Undone::Late(within) => format!("not over within {within:?}"),
        Undone::Busy(others) => format!("not begun: {others} others have not ended in time"),
        Undone::Failed(reason) => reason.clone(),
    }
}

/// Reads the scenario, and the component once more: the one that was compiled, or none.
fn read(
    scenario: &Part,
    component: &Path,
    digest: Digest,
    guard: &Guard,
) -> Result<(String, Vec<u8>), TestFailure> {
    let changed = || TestFailure::whole("it changed while it was read");
    let whole = |file: &Path| match files::read(file, None, None, guard) {
        Content::Whole { stamp, bytes } => Ok((stamp, bytes)),
        Content::Refused(refusal) => {
            Err(TestFailure { line: 0, what: refusal.to_string(), remedy: refusal.remedy() })
        }
        _ => Err(changed()),
    };
    let (stamp, text) = whole(&scenario.file)?;
    let (_, component) = whole(component)?;
    if Some(stamp) != scenario.stamp || Digest::of(&component) != digest {
        return Err(changed());
    }
    if text.len() > limits::SCENARIO_BYTES_MAX {
        let (bytes, max) = (text.len(), limits::SCENARIO_BYTES_MAX);
        return Err(TestFailure::whole(format!("too large: {bytes} bytes, at most {max}")));
    }
    let text = String::from_utf8(text).map_err(|_| TestFailure::whole("not UTF-8"))?;
    Ok((text, component))
}

/// Where a scenario did not go as it is written, and what came instead.
pub(crate) struct Place<'a>(pub(crate) &'a Path, pub(crate) &'a TestFailure);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(file, TestFailure { line, what, .. }) = self;
        write!(f, "{}", file.display())?;
        if *line > 0 {
            write!(f, ":{line}")?;
        }
        write!(f, ": {what}")
    }
}
