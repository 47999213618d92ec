//! From a component to machine code, in another process: its memory is its own, a megabyte that a
//! compiler leaves scattered over a heap as well as the hundreds that it takes for a large component,
//! and its crash costs nothing but the component.
//!
//! The other process is this program once more, started for that: it gets the component on its stdin,
//! and gives back code that is run here. That code is trusted because nobody else can have written
//! it: it comes over a pipe from a child of this process, behind a word which that child alone was
//! told. Where no process can be started, this one compiles.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use wasmtime::component::Component;

use crate::cache::deserialize;
use crate::engine::{LinkedEngine, engine_to_compile};
use crate::errors::{Refusal, one_line};
use crate::limits;
use crate::outline::has_lines;
use crate::scarcity;
use crate::workshop::Pace;

/// Octets of the word that code comes behind.
const WORD_BYTES: usize = 32;

/// The priority, as `nice` counts it, of a process that gives way: the lowest.
#[cfg(unix)]
const GIVING_WAY: i32 = 19;

/// Octets of what a process says that are told.
const SAID_BYTES_MAX: u64 = 4096;

/// A program that compiles one component: it has [`compile_apart`] do so, with its own stdin and
/// stdout. The seconds that it may take are its last argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompilerProcess {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, but for the last.
    pub arguments: Vec<OsString>,
}

/// Who compiles, how long it may take, and who goes before it.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    /// Who compiles; this process where there is nobody.
    pub(crate) process: Option<CompilerProcess>,
    pub(crate) within: Duration,
    pub(crate) pace: Pace,
}

impl Compiler {
    /// Compiles a component, and gives its code with it. Slow.
    ///
    /// # Errors
    /// It cannot be compiled, or whoever does so fails.
    pub(crate) fn compile(
        &self,
        linked: &LinkedEngine,
        bytes: &[u8],
    ) -> Result<(Component, Vec<u8>), Refusal> {
        let apart = self.process.as_ref().filter(|_| !linked.is_cramped);
        let apart = apart.map(|process| process.compile(bytes, self.within, self.pace));
        let code = match apart.transpose()?.flatten() {
            Some(code) => code,
            None => engine_to_compile(linked.is_cramped, has_lines(bytes))
                .and_then(|engine| engine.precompile_component(bytes))
                .map_err(|error| cannot(&error))?,
        };
        let unfit = |error: wasmtime::Error| cannot(&error.context("its code cannot be loaded"));
        let component = deserialize(linked, &code).map_err(unfit)?;
        Ok((component, code))
    }
}

fn cannot(error: &wasmtime::Error) -> Refusal {
    let reason = one_line(&format!("{error:#}"));
    if scarcity::is_behind(error) { Refusal::Unmapped(reason) } else { Refusal::Compile(reason) }
}

impl CompilerProcess {
    /// Has a process compile; `None` where it cannot be started.
    fn compile(
        &self,
        component: &[u8],
        within: Duration,
        pace: Pace,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let failed = |error: io::Error| Refusal::Compile(format!("its process: {error}"));
        let mut word = [0; WORD_BYTES];
        getrandom::fill(&mut word).map_err(|error| failed(error.into()))?;
        let mut running = match self.start(within) {
            Ok(child) => Running(child),
            Err(error) => {
                self.tell_once(&error);
                return Ok(None);
            }
        };
        if pace == Pace::Behind {
            running.give_way();
        }
        let Ended { code, said, status } = match running.ask(&word, component, within) {
            Ok(ended) => ended,
            Err(error) => {
                // No threads to talk to it, or nobody told of its end: no fault of the component.
                self.tell_once(&error);
                return Ok(None);
            }
        };
        let Some(code) = code else { return Err(Refusal::CompileTime(within)) };
        let behind = |code: Vec<u8>| code.strip_prefix(&word).map(<[u8]>::to_vec);
        match behind(code) {
            Some(code) if status.success() => {
                tracing::debug!(bytes = component.len(), "component compiled in another process");
                Ok(Some(code))
            }
            _ if status.code() == Some(1) && !said.is_empty() => Err(Refusal::Compile(said)),
            _ => Err(Refusal::Compile(format!("its process ended: {status}"))),
        }
    }

    fn start(&self, within: Duration) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(within.as_secs().saturating_add(1).to_string());
        // What is secret in the environment is none of its business; how to be loaded is.
        let loading = std::env::vars_os().filter(|(name, _)| name == "LD_LIBRARY_PATH");
        command.env_clear().envs(loading);
        // What is told to all processes of this one's group is not meant for it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    fn tell_once(&self, error: &io::Error) {
        static TOLD: Once = Once::new();
        let program = self.program.display();
        TOLD.call_once(|| {
            tracing::warn!(
                %program,
                reason = %error,
                "no process to compile plugins in, the server does it itself"
            );
        });
    }
}

/// What is left of a process.
struct Ended {
    /// `None` where it took too long.
    code: Option<Vec<u8>>,
    said: String,
    status: ExitStatus,
}

/// A process that ends with whoever waits for it.
struct Running(Child);

impl Running {
    /// Has it let all others go first. Failing costs only politeness.
    fn give_way(&self) {
        #[cfg(unix)]
        if let Ok(process) = i32::try_from(self.0.id()) {
            let process = rustix::process::Pid::from_raw(process);
            let _ = rustix::process::setpriority_process(process, GIVING_WAY);
        }
    }

    /// Gives it the component, and takes what it makes.
    fn ask(&mut self, word: &[u8], component: &[u8], within: Duration) -> io::Result<Ended> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut stdin = self.0.stdin.take().ok_or_else(gone)?;
        let stdout = self.0.stdout.take().ok_or_else(gone)?;
        let stderr = self.0.stderr.take().ok_or_else(gone)?;
        thread::scope(|scope| {
            // One that does not want it all has its reasons, which its end tells.
            let thread = thread::Builder::new;
            let given = move || stdin.write_all(word).and_then(|()| stdin.write_all(component));
            thread().spawn_scoped(scope, given)?;
            let (done, over) = mpsc::channel();
            let made = move || done.send(read(stdout, limits::COMPILED_BYTES_MAX));
            thread().spawn_scoped(scope, made)?;
            let said = thread().spawn_scoped(scope, move || read(stderr, SAID_BYTES_MAX))?;
            let code = match over.recv_timeout(within) {
                Ok(code) => Some(code?),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
            };
            if code.is_none() {
                // The other threads end with it.
                self.0.kill()?;
            }
            let status = self.0.wait()?;
            let said = said.join().map_err(|_| gone())??;
            let said = one_line(&String::from_utf8_lossy(&said));
            let said = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
            Ok(Ended { code, said, status })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended already, as it mostly has.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(from: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    from.take(max).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Compiles the component that `input` holds behind a word, and writes that word and the code to
/// `output`: all that a [`CompilerProcess`] does. The process is confined first: to that time of the
/// processor, to some memory, and to the life of its parent, which sees to its priority.
///
/// # Errors
/// The component cannot be compiled, or not read, or the code not written; in words.
pub fn compile_apart(
    input: impl Read,
    mut output: impl Write,
    within: Duration,
) -> Result<(), String> {
    confine(within);
    let max = limits::COMPONENT_BYTES_MAX.saturating_add(WORD_BYTES as u64);
    let octets = read(input, max).map_err(|error| error.to_string())?;
    let parts = octets.split_at_checked(WORD_BYTES);
    let (word, component) = parts.ok_or("there is no component on its stdin")?;
    let engine =
        engine_to_compile(false, has_lines(component)).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(component);
    let code = code.map_err(|error| one_line(&format!("{error:#}")))?;
    let written = output.write_all(word).and_then(|()| output.write_all(&code));
    written.and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// Whatever of it the system refuses is no reason not to compile.
#[cfg(unix)]
fn confine(within: Duration) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let bounds = [
        (Resource::Cpu, within.as_secs()),
        (Resource::As, limits::COMPILER_BYTES_MAX),
        (Resource::Core, 0),
    ];
    for (resource, bound) in bounds {
        let most = getrlimit(resource).maximum.map_or(bound, |most| most.min(bound));
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}

#[cfg(not(unix))]
fn confine(_: Duration) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox;

    const LONG: Duration = Duration::from_secs(60);

    fn linked() -> &'static LinkedEngine {
        sandbox().unwrap().first_engine()
    }

    fn component() -> Vec<u8> {
        wat::parse_str("(component)").unwrap()
    }

    /// What comes of a component where a shell runs this instead.
    fn compiled(script: &str, within: Duration) -> Result<(), Refusal> {
        let arguments = vec!["-c".into(), script.into()];
        let process = Some(CompilerProcess { program: "/bin/sh".into(), arguments });
        let compiler = Compiler { process, within, pace: Pace::Behind };
        compiler.compile(linked(), &component()).map(|_| ())
    }

    #[test]
    fn a_process_that_breaks_costs_the_component_and_nothing_else() {
        let refused = |script| compiled(script, LONG).unwrap_err().to_string();
        let killed = "cannot be compiled: its process ended: signal: 9 (SIGKILL)";
        assert_eq!(refused("kill -9 $$"), killed);
        assert_eq!(
            refused("cat > /dev/null; echo error: no >&2; exit 1"),
            "cannot be compiled: no"
        );
        // What does not know the word is not run.
        let ended = "cannot be compiled: its process ended: exit status: 0";
        assert_eq!(refused("cat > /dev/null; echo code"), ended);
        let foreign = refused("head -c 32; cat > /dev/null; echo code");
        assert!(
            foreign.starts_with("cannot be compiled: its code cannot be loaded: "),
            "{foreign}"
        );
    }

    #[test]
    fn where_code_comes_from_is_kept_for_components_that_tell_lines() {
        let keeps_offsets = |section: &str| {
            let module = format!("(func (export \"f\")) (@custom \"{section}\" \"\")");
            let component = wat::parse_str(format!("(component (core module {module}))")).unwrap();
            let engine = engine_to_compile(false, has_lines(&component)).unwrap();
            let code = engine.precompile_component(&component).unwrap();
            assert!(deserialize(linked(), &code).is_ok(), "{section}");
            let name = b".wasmtime.addrmap";
            code.windows(name.len()).any(|octets| octets == name)
        };
        assert!(keeps_offsets(".debug_line"));
        assert!(!keeps_offsets(".debug_info"));
    }

    #[test]
    fn a_process_that_takes_too_long_is_ended() {
        let within = Duration::from_millis(100);
        // Were it not, this would last.
        let refused = compiled("exec sleep 1000", within).unwrap_err();
        assert_eq!(refused, Refusal::CompileTime(within));
    }

    #[test]
    fn without_a_process_it_is_compiled_here() {
        let program = PathBuf::from("/nowhere/waft");
        let process = Some(CompilerProcess { program, arguments: Vec::new() });
        let compiler = Compiler { process, within: LONG, pace: Pace::Behind };
        compiler.compile(linked(), &component()).unwrap();
    }
}
