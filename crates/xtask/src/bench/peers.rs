//! Other servers: where they are, and how each is configured for the same account and files.
//!
//! Each offers TLS and does not insist on it, has no limit on sessions, and keeps no log of
//! transfers. Who has to be root to serve is skipped elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use waft_plugin_tools::process;

use super::account::{self, NOBODY, PASSWORD, USER};
use super::server::{Contender, Place};

/// The password's hash in the form that all `crypt(3)` know, the cheapest there is.
const CRYPT: &str = "wfZwxKIm0D2uc";

/// The script that serves with pyftpdlib.
const PYFTPDLIB: &str = include_str!("pyftpdlib.py");

/// Where programs are under a prefix.
const FOLDERS: [&str; 7] =
    ["usr/sbin", "usr/bin", "usr/local/sbin", "usr/local/bin", "sbin", "bin", "venv/bin"];

/// What is known of a server.
struct Peer {
    name: &'static str,
    program: &'static str,
    needs_root: bool,
    user: &'static str,
    /// Says which version it is, or fails if it cannot be used.
    version: &'static [&'static str],
    configure: fn(&Path, &Place<'_>) -> Result<Command>,
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "vsftpd",
        program: "vsftpd",
        needs_root: true,
        // Others would have to be accounts of this machine. It is one that everybody has, and
        // that, unlike nobody, has a home.
        user: "anonymous",
        version: &[],
        configure: vsftpd,
    },
    Peer {
        name: "ProFTPD",
        program: "proftpd",
        needs_root: true,
        user: USER,
        version: &["-v"],
        configure: proftpd,
    },
    Peer {
        name: "Pure-FTPd",
        program: "pure-ftpd",
        needs_root: true,
        user: USER,
        version: &["--help"],
        configure: pureftpd,
    },
    Peer {
        name: "pyftpdlib",
        program: "python3",
        needs_root: false,
        user: USER,
        version: &["-c", "import OpenSSL, pyftpdlib; print('pyftpdlib', pyftpdlib.__ver__)"],
        configure: pyftpdlib,
    },
];

/// All others that are here, and why the rest is not.
pub(super) fn all(prefix: Option<&Path>, own: &Path) -> (Vec<Contender>, Vec<String>) {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for peer in &PEERS {
        match peer.contender(prefix, own) {
            Ok((contender, version)) => {
                found.push(contender);
                notes.push(version);
            }
            Err(error) => notes.push(format!("{}: skipped, {error:#}", peer.name)),
        }
    }
    (found, notes)
}

impl Peer {
    fn contender(&self, prefix: Option<&Path>, own: &Path) -> Result<(Contender, String)> {
        let program = find(self.program, prefix, own).context("not installed")?;
        if self.needs_root && !account::is_root() {
            bail!("it has to be root");
        }
        let version = self.version(&program)?;
        let configure = self.configure;
        let configure = Box::new(move |place: &Place<'_>| configure(&program, place));
        Ok((Contender { user: self.user, ..Contender::new(self.name, configure) }, version))
    }

    fn version(&self, program: &Path) -> Result<String> {
        if self.version.is_empty() {
            return Ok(self.name.to_owned());
        }
        // Some tell it on stderr, and some with a failure.
        let output = Command::new(program).args(self.version).output()?;
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        if self.program == "python3" && !output.status.success() {
            bail!("not installed");
        }
        Ok(told.lines().find(|line| !line.trim().is_empty()).unwrap_or(self.name).trim().to_owned())
    }
}

/// A program under the prefix, in a directory of our own, or on the search path.
pub(super) fn find(program: &str, prefix: Option<&Path>, own: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let under_prefix = prefix.into_iter().flat_map(|prefix| FOLDERS.map(|name| prefix.join(name)));
    let on_path = std::env::split_paths(&path);
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = under_prefix.chain([own.join("venv/bin")]).chain(on_path).chain(system);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

fn vsftpd(program: &Path, place: &Place<'_>) -> Result<Command> {
    let [certificate, key] = place.site.certificate();
    let empty = place.own.join("empty");
    fs::create_dir_all(&empty)?;
    let file = place.own.join("vsftpd.conf");
    let text = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\n\
         anonymous_enable=YES\nlocal_enable=NO\nwrite_enable=YES\nanon_root={root}\n\
         anon_upload_enable=YES\nanon_other_write_enable=YES\nanon_mkdir_write_enable=YES\n\
         anon_world_readable_only=NO\nallow_writeable_chroot=YES\nsecure_chroot_dir={empty}\n\
         ftp_username=daemon\nmax_clients=0\nmax_per_ip=0\nxferlog_enable=NO\n\
         idle_session_timeout=3600\nssl_enable=YES\nallow_anon_ssl=YES\nrequire_ssl_reuse=NO\n\
         ssl_ciphers=HIGH\nrsa_cert_file={certificate}\nrsa_private_key_file={key}\n",
        port = place.port,
        root = place.site.files().display(),
        empty = empty.display(),
        certificate = certificate.display(),
        key = key.display(),
    );
    fs::write(&file, text)?;
    // It reads no file that somebody else owns.
    let mut command = Command::new(program);
    command.arg(file);
    Ok(command)
}

fn proftpd(program: &Path, place: &Place<'_>) -> Result<Command> {
    let [certificate, key] = place.site.certificate();
    let (own, root) = (place.own.display(), place.site.files());
    let root = root.display();
    let passwords = place.own.join("passwd");
    private(&passwords, &format!("{USER}:{CRYPT}:{NOBODY}:{NOBODY}::{root}:/bin/sh\n"))?;
    let mut text = String::new();
    // A package that was unpacked has its modules beside it.
    let modules = program.ancestors().nth(2).map(|prefix| prefix.join("lib/proftpd"));
    if let Some(modules) = modules.filter(|modules| modules.join("mod_tls.so").is_file()) {
        text += &format!("ModulePath {}\nLoadModule mod_tls.c\n", modules.display());
    }
    text += &format!(
        "ServerName bench\nServerType standalone\nDefaultServer on\nDefaultAddress 127.0.0.1\n\
         Port {port}\nUseIPv6 off\nUser nobody\nGroup nogroup\nAuthOrder mod_auth_file.c\n\
         AuthUserFile {passwords}\nRequireValidShell off\nUseFtpUsers off\nDefaultRoot {root}\n\
         AllowOverwrite on\nUseReverseDNS off\nMaxInstances none\nTimeoutIdle 3600\n\
         TimeoutNoTransfer 3600\nWtmpLog off\nTransferLog none\nSystemLog {own}/system.log\n\
         SyslogLevel crit\nPidFile {own}/pid\nScoreboardFile {own}/scoreboard\nDelayEngine off\n\
         <IfModule mod_ctrls.c>\nControlsEngine off\n</IfModule>\n\
         <IfModule mod_tls.c>\nTLSEngine on\nTLSProtocol TLSv1.2 TLSv1.3\n\
         TLSECCertificateFile {certificate}\nTLSECCertificateKeyFile {key}\n\
         TLSOptions NoSessionReuseRequired\nTLSVerifyClient off\n</IfModule>\n\
         <Limit ALL>\nAllowAll\n</Limit>\n",
        port = place.port,
        passwords = passwords.display(),
        certificate = certificate.display(),
        key = key.display(),
    );
    let file = place.own.join("proftpd.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.args(["-n", "-q", "-c"]).arg(file);
    Ok(command)
}

fn pureftpd(program: &Path, place: &Place<'_>) -> Result<Command> {
    let passwords = place.own.join("passwd");
    let root = place.site.files();
    let line = format!("{USER}:{CRYPT}:{NOBODY}:{NOBODY}::{}/./::::::::::::\n", root.display());
    private(&passwords, &line)?;
    let database = place.own.join("passwd.pdb");
    let maker = program.ancestors().nth(2).map(|prefix| prefix.join("bin/pure-pw"));
    let mut make = Command::new(maker.filter(|file| file.is_file()).unwrap_or("pure-pw".into()));
    process::capture(make.arg("mkdb").arg(&database).arg("-f").arg(&passwords))?;
    let [certificate, key] = place.site.certificate();
    let both = place.own.join("both.pem");
    private(&both, &(fs::read_to_string(key)? + &fs::read_to_string(certificate)?))?;
    let mut command = Command::new(program);
    command.args(["-4", "-A", "-E", "-H", "-f", "none", "-c", "4000", "-C", "4000", "-I", "60"]);
    command.args(["-L", "100000:10", "-Y", "1", "-S"]).arg(format!("127.0.0.1,{}", place.port));
    command.arg("-2").arg(both).arg("-g").arg(place.own.join("pid"));
    command.arg("-l").arg(format!("puredb:{}", database.display()));
    Ok(command)
}

fn pyftpdlib(program: &Path, place: &Place<'_>) -> Result<Command> {
    let script = place.own.join("serve.py");
    fs::write(&script, PYFTPDLIB)?;
    let mut command = Command::new(program);
    command.arg(script).arg(place.port.to_string()).arg(place.site.files());
    command.args(place.site.certificate()).args([USER, PASSWORD]);
    account::demote(&mut command);
    Ok(command)
}

/// Writes a file that nobody else may read.
fn private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_under_the_prefix_first() {
        let prefix = tempfile::tempdir().unwrap();
        let program = prefix.path().join("usr/sbin/sh");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        let own = Path::new("/nonexistent");
        assert_eq!(find("sh", Some(prefix.path()), own), Some(program));
        assert!(find("sh", None, own).is_some());
        assert_eq!(find("no-such-ftp-server", Some(prefix.path()), own), None);
    }
}
