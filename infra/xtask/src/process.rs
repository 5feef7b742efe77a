//! Child processes that never outlive the command. Each leads a process group of its own, so that ending it also ends what
//! it has started. Ctrl-C and SIGTERM are passed on to all groups.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// How often a condition is checked while a caller waits for it.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The process groups that are running.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// How many signals to end this process has received.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// Makes Ctrl-C, SIGTERM and SIGHUP end the children. The step that waits for one of them then fails, and so does the
/// run. A second signal kills the children.
pub(crate) fn end_with_us() -> Result<()> {
    ctrlc::set_handler(|| {
        let asked_before = INTERRUPTS.fetch_add(1, Ordering::SeqCst) > 0;
        let signal = if asked_before { Signal::SIGKILL } else { Signal::SIGTERM };
        for group in &*GROUPS.lock().unwrap_or_else(PoisonError::into_inner) {
            send(*group, signal);
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether this process has received a signal to end.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTS.load(Ordering::SeqCst) > 0
}

/// Sends a signal. A group that has just ended by itself is no error.
fn send(group: i32, signal: Signal) {
    killpg(Pid::from_raw(group), signal).ok();
}

/// A command to run.
pub(crate) struct Run(Command);

impl Run {
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        let mut command = Command::new(program.into());
        command.stdin(Stdio::null()).process_group(0);
        Self(command)
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn without(mut self, variable: &str) -> Self {
        self.0.env_remove(variable);
        self
    }

    pub(crate) fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.0.stdin(from);
        self
    }

    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.0.stdout(to);
        self
    }

    pub(crate) fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.0.stderr(to);
        self
    }

    fn name(&self) -> String {
        Path::new(self.0.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Starts the command.
    pub(crate) fn start(mut self) -> Result<Running> {
        let name = self.name();
        let child = self.0.spawn().with_context(|| format!("{name} cannot be started"))?;
        let group = i32::try_from(child.id()).context("a process id is out of range")?;
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
        let running = Running { name, child, group };
        if is_interrupted() {
            bail!("not started: {}", running.name);
        }
        Ok(running)
    }
}

/// The file that a background process writes to, so that its lines don't mix with the run's own.
pub(crate) struct ProcessLog(PathBuf);

impl ProcessLog {
    /// Sends a command's output to `file`, which is emptied.
    pub(crate) fn of(command: Run, file: PathBuf) -> Result<(Self, Run)> {
        let open = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok((Self(file), command.stdout(open.try_clone()?).stderr(open)))
    }

    /// What the process has written so far.
    pub(crate) fn text(&self) -> Result<String> {
        let bytes = fs::read(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Adds the last lines of the process to an error.
    pub(crate) fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        const LINES: usize = 40;
        if is_interrupted() {
            return outcome;
        }
        outcome.with_context(|| {
            let text = fs::read_to_string(&self.0).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
            format!("{} ends with\n{}\n", self.0.display(), last.join("\n"))
        })
    }
}

/// Runs a command to its end and shows its output.
///
/// # Errors
/// When it fails.
pub(crate) fn run(command: Run) -> Result<()> {
    command.start()?.finish()
}

/// Runs a command to its end, for at most `most`, and returns what it wrote to stdout.
pub(crate) fn output(command: Run, most: Duration) -> Result<String> {
    let mut running = command.stdout(Stdio::piped()).start()?;
    let mut stdout = running.child.stdout.take().context("no stdout")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    running.end_within(most)?;
    let Ok(text) = reader.join() else { bail!("the output of {} is lost", running.name) };
    running.finish()?;
    Ok(text?)
}

/// Runs a command to its end and calls `line` with each line of its stdout.
pub(crate) fn each_line(command: Run, mut line: impl FnMut(&str)) -> Result<()> {
    let mut running = command.stdout(Stdio::piped()).start()?;
    let stdout = running.child.stdout.take().context("no stdout")?;
    for bytes in BufReader::new(stdout).split(b'\n') {
        line(&String::from_utf8_lossy(&bytes?));
    }
    running.finish()
}

/// A running child. Dropping this ends it.
pub(crate) struct Running {
    name: String,
    pub(crate) child: Child,
    group: i32,
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("{} is lost", self.name))?;
        if status.success() {
            return Ok(());
        }
        bail!("{} ended with {status}", self.name)
    }

    /// Waits for its end, and returns its exit code.
    pub(crate) fn code(mut self) -> Result<i32> {
        let status = self.child.wait().with_context(|| format!("{} is lost", self.name))?;
        status.code().with_context(|| format!("{} ended with {status}", self.name))
    }

    /// Waits for its end, for at most `most`, and returns its exit code; `None` if it is still running then.
    pub(crate) fn code_within(&mut self, most: Duration) -> Result<Option<i32>> {
        let mut status = None;
        wait(most, || {
            status = self.ended();
            status.is_some()
        });
        if is_interrupted() {
            bail!("{} was interrupted", self.name);
        }
        let Some(status) = status else { return Ok(None) };
        status.code().map(Some).with_context(|| format!("{} ended with {status}", self.name))
    }

    /// Waits until `ready`.
    ///
    /// # Errors
    /// When the child ends first, or it takes longer than `most`.
    pub(crate) fn until(&mut self, most: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let mut status = None;
        let in_time = wait(most, || {
            status = self.ended();
            status.is_some() || ready()
        });
        match status {
            Some(status) => bail!("{} ended with {status}", self.name),
            None if in_time => Ok(()),
            None => bail!("{} was not ready within {} s", self.name, most.as_secs()),
        }
    }

    fn end_within(&mut self, most: Duration) -> Result<()> {
        if wait(most, || self.ended().is_some()) {
            return Ok(());
        }
        bail!("{} did not end within {} s", self.name, most.as_secs())
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if self.ended().is_some() {
                break;
            }
            send(self.group, signal);
            let asked = Instant::now();
            while self.ended().is_none() && asked.elapsed() < GRACE {
                thread::sleep(CHECK_EVERY);
            }
        }
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
    }
}

/// Waits until `done`; `false` when that takes longer than `most`, or this process has received a signal to end.
fn wait(most: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !done() {
        if is_interrupted() || started.elapsed() > most {
            return false;
        }
        thread::sleep(CHECK_EVERY);
    }
    true
}
