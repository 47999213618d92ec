//! What clients do: curl, lftp, and pyftpdlib's ftpbench, all of them as they come.
//!
//! Of curl counts the time that it tells itself from the beginning of the transfer to its end. What
//! comes before says little: curl 7.88 now and then waits, for up to a second, between the reply to
//! EPSV and the data connection, and the more often the sooner a server replies. So there is one
//! curl at a time, and many files and many clients are left to lftp and ftpbench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use waft_plugin_tools::process;

use super::account::PASSWORD;
use super::server::Running;
use super::site::{SMALL_BYTES, Site};

/// Sessions of lftp at once.
const PARALLEL: usize = 4;

/// How often a directory is listed within one session.
const LISTINGS: usize = 5;

/// Sessions that ftpbench opens, and what it moves in each.
const CROWD: [&str; 4] = ["-n", "100", "-s", "5M"];

/// What is too short to be compared: ftpbench tells hundredths of a second.
const SECONDS_MIN: f64 = 0.02;

/// How long one client may take.
const PATIENCE_SECONDS: &str = "120";

/// What curl tells of each transfer, in seconds.
const TIMES: &str = "%{time_total} %{time_pretransfer}\n";

/// Octets of a gigabyte.
const GIGA: f64 = 1e9;

/// Something that clients do.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) title: &'static str,
    tls: bool,
    act: Act,
}

#[derive(Debug, Clone)]
enum Act {
    Download,
    Upload,
    Listing(&'static str),
    Mirror { lftp: PathBuf, is_upload: bool },
    Ftpbench { program: PathBuf, what: &'static str },
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) title: String,
    pub(super) unit: &'static str,
    /// Whether more of it is better.
    pub(super) is_rate: bool,
    pub(super) value: f64,
}

impl Workload {
    /// What curl does with large files.
    pub(super) const FILES: [Workload; 4] = [
        Workload::new("curl: download", false, Act::Download),
        Workload::new("curl: upload", false, Act::Upload),
        Workload::new("curl: download, TLS", true, Act::Download),
        Workload::new("curl: upload, TLS", true, Act::Upload),
    ];

    /// What curl does with a large directory.
    pub(super) const LISTINGS: [Workload; 2] = [
        Workload::new("curl: LIST of many files", false, Act::Listing("LIST")),
        Workload::new("curl: MLSD of many files", false, Act::Listing("MLSD")),
    ];

    const fn new(title: &'static str, tls: bool, act: Act) -> Workload {
        Workload { title, tls, act }
    }

    /// What lftp does with many small files.
    pub(super) fn lftp(lftp: PathBuf) -> Vec<Workload> {
        let mirror = |title, is_upload| {
            Workload::new(title, false, Act::Mirror { lftp: lftp.clone(), is_upload })
        };
        vec![
            mirror("lftp: 4 KiB downloads, 4 at a time", false),
            mirror("lftp: 4 KiB uploads, 4 at a time", true),
        ]
    }

    /// All that ftpbench does, each by itself: it gives up at the first surprise.
    pub(super) fn ftpbench(program: PathBuf) -> Vec<Workload> {
        let one = |what| {
            Workload::new("ftpbench", false, Act::Ftpbench { program: program.clone(), what })
        };
        ["upload", "download", "concurrence"].map(one).to_vec()
    }

    /// Whether it goes the way of large files, which contenders may have another for.
    fn is_of_large_files(&self) -> bool {
        matches!(self.act, Act::Download | Act::Upload)
    }

    /// Does it once.
    ///
    /// # Errors
    /// A client fails.
    pub(super) fn run(&self, site: &Site, server: &Running) -> Result<Vec<Sample>> {
        if server.contender.download.is_some() && !self.is_of_large_files() {
            return Ok(Vec::new());
        }
        match &self.act {
            Act::Download => self.downloaded(site, server),
            Act::Upload => self.uploaded(site, server),
            Act::Listing(verb) => self.listed(server, verb),
            Act::Mirror { lftp, is_upload } => self.mirrored(site, server, lftp, *is_upload),
            Act::Ftpbench { program, what } => ftpbench(server, program, what),
        }
    }

    fn downloaded(&self, site: &Site, server: &Running) -> Result<Vec<Sample>> {
        let (file, length) = self.file(site);
        let made = server.contender.download.as_ref();
        let path = made.map_or(file.to_owned(), |made| format!("{made}/{length}"));
        let seconds = self.curl(&["-o", "/dev/null", &server.url(&path)])?;
        Ok(self.rate("GB/s", length as f64 / GIGA / seconds))
    }

    fn uploaded(&self, site: &Site, server: &Running) -> Result<Vec<Sample>> {
        let (file, length) = self.file(site);
        let file = site.path("files").join(file).display().to_string();
        let url = server.url(&format!("{}/file", server.contender.upload));
        let seconds = self.curl(&["-T", &file, &url])?;
        site.tidy()?;
        Ok(self.rate("GB/s", length as f64 / GIGA / seconds))
    }

    /// The file, and its length. Under TLS, a part takes as long as the whole.
    fn file(&self, site: &Site) -> (&'static str, usize) {
        if self.tls { ("part", site.sizes.part) } else { ("big", site.sizes.big) }
    }

    fn listed(&self, server: &Running, verb: &str) -> Result<Vec<Sample>> {
        let url = server.url("many/");
        let mut arguments = vec!["-X", verb];
        for _ in 0..LISTINGS {
            arguments.extend(["-o", "/dev/null", &url]);
        }
        let seconds = self.curl(&arguments)?;
        Ok(self.rate("listings/s", LISTINGS as f64 / seconds))
    }

    /// Runs curl with none of its user's settings, and returns the seconds of all its transfers.
    fn curl(&self, arguments: &[&str]) -> Result<f64> {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "--fail", "--max-time", PATIENCE_SECONDS, "-w", TIMES]);
        if self.tls {
            // The certificate was made a moment ago, and nobody has signed it.
            curl.args(["--ssl-reqd", "--insecure"]);
        }
        let told = process::capture(curl.args(arguments))?;
        let times = told.lines().map(transfer_seconds);
        times.sum::<Option<f64>>().with_context(|| format!("not what curl should tell: {told}"))
    }

    fn mirrored(
        &self,
        site: &Site,
        server: &Running,
        lftp: &Path,
        is_upload: bool,
    ) -> Result<Vec<Sample>> {
        let (here, copy) = (site.path("client/small"), site.path("client/copy"));
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        let what = match is_upload {
            true => format!("-R {} up", here.display()),
            false => format!("small {}", copy.display()),
        };
        let script = format!(
            "set ftp:ssl-allow no; set ftp:use-mode-z no; set net:max-retries 2; set cmd:fail-exit yes; \
             open -u {},{PASSWORD} -p {} 127.0.0.1; mirror --parallel={PARALLEL} {what}",
            server.contender.user, server.port,
        );
        let mut command = Command::new(lftp);
        command.arg("--norc").arg("-c").arg(script).env("HOME", site.path("client"));
        let began = Instant::now();
        process::capture(&mut command)?;
        let seconds = began.elapsed().as_secs_f64();
        let arrived = if is_upload { site.path("files/up") } else { copy };
        let files = count(&arrived)?;
        site.tidy()?;
        if files != site.sizes.small {
            bail!("{files} files arrived, of {}", site.sizes.small);
        }
        Ok(self.rate("files/s", files as f64 / seconds))
    }

    fn rate(&self, unit: &'static str, value: f64) -> Vec<Sample> {
        vec![Sample { title: self.title.to_owned(), unit, is_rate: true, value }]
    }
}

/// The seconds between the two times that curl tells.
fn transfer_seconds(line: &str) -> Option<f64> {
    let (total, before) = line.split_once(' ')?;
    Some(total.parse::<f64>().ok()? - before.parse::<f64>().ok()?)
}

/// How many whole small files are in a directory.
fn count(directory: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(directory)? {
        files += usize::from(entry?.metadata()?.len() == SMALL_BYTES as u64);
    }
    Ok(files)
}

fn ftpbench(server: &Running, program: &Path, what: &str) -> Result<Vec<Sample>> {
    let mut command = Command::new(program);
    command.args(["-u", server.contender.user, "-p", PASSWORD, "-H", "127.0.0.1", "-P"]);
    command.arg(server.port.to_string()).args(["-b", what, "-t", "60"]).args(CROWD);
    let mut samples: Vec<_> = process::capture(&mut command)?.lines().filter_map(told).collect();
    // What took less than it can tell.
    samples.retain(|sample| sample.is_rate || sample.value >= SECONDS_MIN);
    if samples.is_empty() {
        bail!("ftpbench told nothing");
    }
    Ok(samples)
}

/// A line of ftpbench, such as `STOR (client -> server)   812.50 MB/sec`.
fn told(line: &str) -> Option<Sample> {
    let (rest, unit) = line.trim().rsplit_once(char::is_whitespace)?;
    let (title, value) = rest.trim_end().rsplit_once(char::is_whitespace)?;
    let (unit, is_rate) = match unit {
        "MB/sec" => ("MB/s", true),
        "secs" => ("s", false),
        _ => return None,
    };
    let title = format!("ftpbench: {}", title.trim());
    Some(Sample { title, unit, is_rate, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ftpbench_tells_is_read() {
        let line = "STOR (client -> server)                              812.50 MB/sec";
        let sample = told(line).unwrap();
        assert_eq!(sample.title, "ftpbench: STOR (client -> server)");
        assert_eq!((sample.value, sample.unit, sample.is_rate), (812.5, "MB/s", true));
        let line = "100 concurrent clients (connect, login)                 0.32 secs";
        assert!(!told(line).unwrap().is_rate);
        assert_eq!(told("(starting with 0B of memory being used)"), None);
    }

    #[test]
    fn the_time_of_a_transfer_is_what_curl_tells_after_its_beginning() {
        assert_eq!(transfer_seconds("1.5 0.25"), Some(1.25));
        assert_eq!(transfer_seconds("1.5"), None);
    }
}
