//! A compiler out of Debian's packages, unpacked under the target directory.
//!
//! Debian carries a current compiler for its browsers (`rustc-web`), the library's source with
//! all its dependencies (`rust-web-src`), and what the compiler links. They are fetched with
//! `apt-get download` and unpacked with `dpkg -x`: no root, nothing installed. The linker for wasm
//! is the stock toolchain's. Names and versions are asked of `apt-cache`, because they change with
//! every release; what of the compiler's own dependencies is not installed is fetched as well.
//!
//! Everything is made in one directory and renamed when it has been seen to work, so that what an
//! interrupted run has left is never taken for a toolchain.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::{Std, Toolchain, before, sysroot};
use crate::workspace::{self, Workspace};
use waft_plugin_tools::process;

/// A compiler package and the package of its library's source.
const FAMILIES: [(&str, &str); 2] = [("rustc-web", "rust-web-src"), ("rustc", "rust-src")];

/// What a machine with a Rust toolchain has, or must not get a second time.
const NEVER_FETCHED: [&str; 6] =
    ["libc6", "libgcc-s1", "libstdc++6", "gcc", "libc-dev", "binutils"];

/// The file that says that all is there; it lists the packages.
const MARKER: &str = "packages.txt";

/// Returns what an earlier run has unpacked.
pub(super) fn unpacked(workspace: &Workspace) -> Option<Toolchain> {
    toolchain(workspace, &home(workspace)).ok()
}

/// Returns the unpacked compiler, and fetches it first where it is not there.
///
/// # Errors
/// The machine is not Debian's, its archive has no compiler that is new enough, or cannot be
/// reached, or what came does not run.
pub(super) fn find(workspace: &Workspace) -> Result<Toolchain> {
    fs::create_dir_all(&workspace.target)?;
    let lock = File::create(workspace.target.join("guest-toolchain.lock"))?;
    lock.lock().context("cannot wait for another run to finish unpacking")?;
    if let Some(toolchain) = unpacked(workspace) {
        return Ok(toolchain);
    }
    for program in ["apt-cache", "apt-get", "dpkg"] {
        if !process::exists(program) {
            bail!("not a Debian system: no {program}");
        }
    }
    let partial = workspace.target.join("guest-toolchain.partial");
    remove(&partial)?;
    remove(&home(workspace))?;
    fs::create_dir_all(&partial)?;
    let packages = fetch(&partial, minimum(workspace)?)?;
    remove(&partial.join("apt"))?;
    let names: Vec<String> = packages.iter().map(Package::pinned).collect();
    fs::write(partial.join(MARKER), names.join("\n") + "\n")?;
    // Seen to work where it is, then put where it belongs: nothing in it names its place.
    toolchain(workspace, &partial)?;
    fs::rename(&partial, home(workspace))?;
    toolchain(workspace, &home(workspace))
}

fn home(workspace: &Workspace) -> PathBuf {
    workspace.target.join("guest-toolchain")
}

/// The oldest compiler that the repository's crates accept.
fn minimum(workspace: &Workspace) -> Result<Release> {
    let versions = workspace.packages.iter().filter_map(|package| package.rust_version.as_deref());
    versions.filter_map(Release::parse).max().context("no crate names its rust-version")
}

/// Looks whether a directory holds a compiler that runs, and the library's source.
fn toolchain(workspace: &Workspace, directory: &Path) -> Result<Toolchain> {
    if !directory.join(MARKER).is_file() {
        bail!("nothing complete in {}", directory.display());
    }
    let libraries = before(&library_directories(directory), "LD_LIBRARY_PATH")?;
    let rustc = directory.join("usr/bin/rustc");
    let run = || {
        let mut command = Command::new(&rustc);
        command.env("LD_LIBRARY_PATH", &libraries);
        command
    };
    let version =
        process::capture(run().arg("--version")).context("Debian's rustc does not run")?;
    let release = version.split(' ').nth(1).and_then(Release::parse);
    if release.is_none_or(|release| Ok(release) < minimum(workspace).map_err(drop)) {
        bail!("Debian's rustc is too old: {}", version.trim_end());
    }
    let library = sysroot(&mut run())?.join("lib/rustlib/src/rust/library");
    if !library.join("Cargo.lock").is_file() {
        bail!("the library's source is not at {}", library.display());
    }
    Ok(Toolchain {
        name: format!("Debian's packages of {}, building std from source", version.trim_end()),
        std: Std::Source(library),
        environment: vec![
            ("RUSTC", rustc.into_os_string()),
            ("LD_LIBRARY_PATH", libraries),
            ("PATH", before(&[stock_linkers()?], "PATH")?),
        ],
    })
}

/// The directory of the stock toolchain's `rust-lld`.
fn stock_linkers() -> Result<PathBuf> {
    let host = process::capture(workspace::rustc().arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc names no host")?;
    let stock = sysroot(&mut workspace::rustc())?;
    let directory = stock.join("lib/rustlib").join(host).join("bin");
    if !directory.join("rust-lld").is_file() {
        bail!("the active toolchain has no linker for wasm: {}", directory.display());
    }
    Ok(directory)
}

/// The unpacked directories in which shared libraries lie.
fn library_directories(root: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for parent in [root.join("usr/lib"), root.join("lib")] {
        let Ok(entries) = fs::read_dir(&parent) else { continue };
        let names = entries.flatten().map(|entry| entry.path());
        directories.extend(names.filter(|path| path.to_string_lossy().contains("-linux-gnu")));
    }
    directories
}

/// Fetches and unpacks; returns what.
fn fetch(directory: &Path, minimum: Release) -> Result<Vec<Package>> {
    // The machine's lists first. They may be empty, as in container images, or older than the
    // archive, which keeps only the newest of each package.
    let apt = Apt::of_the_machine();
    if let Ok(packages) = plan(&apt, minimum)
        && download(&apt, &packages, directory).is_ok()
    {
        return unpack(directory).map(|()| packages);
    }
    let apt = Apt::with_fresh_lists(&directory.join("apt"))?;
    let packages = plan(&apt, minimum)?;
    download(&apt, &packages, directory)?;
    unpack(directory).map(|()| packages)
}

/// Chooses the newest compiler, and all it needs that is not installed.
fn plan(apt: &Apt, minimum: Release) -> Result<Vec<Package>> {
    let mut newest: Option<(Release, [(&str, String); 2])> = None;
    for (compiler, source) in FAMILIES {
        for version in apt.versions(compiler)? {
            let Some(release) = Release::parse(&version) else { continue };
            if newest.as_ref().is_none_or(|(best, _)| release > *best) {
                newest = Some((release, [(compiler, version.clone()), (source, version)]));
            }
        }
    }
    let (release, wanted) = newest.context("no package of the Rust compiler is on offer")?;
    if release < minimum {
        bail!("the newest compiler on offer is {release}, older than {minimum}");
    }
    let mut packages = Vec::new();
    for (name, version) in wanted {
        let package = apt.package(name, Some(&version))?;
        packages.push(package.ok_or_else(|| anyhow!("no package: {name}={version}"))?);
    }
    with_dependencies(apt, packages)
}

/// Adds what the packages need: of their own family always, of others what is not installed.
fn with_dependencies(apt: &Apt, mut packages: Vec<Package>) -> Result<Vec<Package>> {
    let mut seen: BTreeSet<String> = NEVER_FETCHED.map(str::to_owned).into();
    seen.extend(packages.iter().map(|package| package.name.clone()));
    let mut next = 0;
    while let Some(package) = packages.get(next) {
        next += 1;
        for needed in package.depends.clone() {
            let installed =
                || needed.iter().any(|one| one.exact.is_none() && is_installed(&one.name));
            let Some(first) = needed.first() else { continue };
            if seen.insert(first.name.clone()) && !installed() {
                // A name that no package has is a virtual one; whether it matters shows when the
                // compiler is run.
                packages.extend(apt.package(&first.name, first.exact.as_deref())?);
            }
        }
    }
    Ok(packages)
}

fn is_installed(package: &str) -> bool {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat", "${db:Status-Status}\n", package]);
    process::capture(&mut command).is_ok_and(|text| text.lines().any(|line| line == "installed"))
}

fn download(apt: &Apt, packages: &[Package], directory: &Path) -> Result<()> {
    let bytes: u64 = packages.iter().map(|package| package.size).sum();
    let names: Vec<_> = packages.iter().map(Package::pinned).collect();
    eprintln!("plugins: fetching {} MB: {}", bytes / 1_000_000, names.join(" "));
    let files = directory.join("debs");
    remove(&files)?;
    fs::create_dir_all(&files)?;
    let mut command = apt.program("apt-get");
    command.args(["--quiet", "download"]).args(&names).current_dir(&files);
    process::capture(&mut command).map(drop)
}

fn unpack(directory: &Path) -> Result<()> {
    eprintln!("plugins: unpacking");
    let files = directory.join("debs");
    for entry in fs::read_dir(&files)? {
        let mut command = Command::new("dpkg");
        process::capture(command.arg("-x").arg(entry?.path()).arg(directory))?;
    }
    remove(&files)?;
    remove(&directory.join("usr/share"))?;
    // Of the source, 400 MB, only the library is of use.
    for entry in fs::read_dir(directory.join("usr/src"))? {
        for part in fs::read_dir(entry?.path())? {
            let part = part?;
            if part.file_name() != "library" {
                remove(&part.path())?;
            }
        }
    }
    Ok(())
}

/// Removes a file or a directory with all that is in it; that there is none is fine.
fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    result.with_context(|| format!("cannot remove {}", path.display()))
}

/// Apt's programs, with the options that make them ask one set of lists.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn of_the_machine() -> Self {
        // Root's downloads run as a user who may not write here, unless told otherwise.
        Self { options: vec!["APT::Sandbox::User=root".to_owned()] }
    }

    /// Fetches the lists into a directory of ours: it needs no root, and changes nothing.
    fn with_fresh_lists(directory: &Path) -> Result<Self> {
        eprintln!("plugins: fetching lists of packages: apt-get update");
        fs::create_dir_all(directory.join("lists/partial"))?;
        fs::create_dir_all(directory.join("cache/archives/partial"))?;
        let mut apt = Self::of_the_machine();
        apt.options.push(format!("Dir::State::lists={}/lists", directory.display()));
        apt.options.push(format!("Dir::Cache={}/cache", directory.display()));
        // One archive of several may be out of reach; whether it was the one shows in the lists.
        let update = process::capture(apt.program("apt-get").args(["--quiet", "update"]));
        if let Err(error) = update {
            eprintln!("plugins: {error:#}");
        }
        Ok(apt)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("LC_ALL", "C");
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        command
    }

    /// All versions of a package on offer.
    fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = process::capture(self.program("apt-cache").args(["madison", package]))?;
        Ok(table.lines().filter_map(|line| line.split('|').nth(1)).map(trimmed).collect())
    }

    /// What is known of one version of a package, or of the one apt would install.
    fn package(&self, name: &str, version: Option<&str>) -> Result<Option<Package>> {
        let pinned = version.map_or_else(|| name.to_owned(), |version| format!("{name}={version}"));
        let mut command = self.program("apt-cache");
        command.args(["show", "--no-all-versions", &pinned]);
        // It fails for a name it does not know.
        Ok(process::capture(&mut command).ok().as_deref().and_then(Package::parse))
    }
}

/// A package, as `apt-cache show` describes it.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    /// In bytes.
    size: u64,
    depends: Vec<Vec<Dependency>>,
}

/// A package that another needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dependency {
    name: String,
    /// Exactly this version, not any or a range.
    exact: Option<String>,
}

impl Package {
    fn parse(stanza: &str) -> Option<Self> {
        let field = |name: &str| {
            stanza.lines().take_while(|line| !line.is_empty()).find_map(|line| {
                line.split_once(':').filter(|(key, _)| *key == name).map(|(_, value)| value.trim())
            })
        };
        let alternatives = |text: &str| text.split('|').map(Dependency::parse).collect();
        Some(Self {
            name: field("Package")?.to_owned(),
            version: field("Version")?.to_owned(),
            size: field("Size").and_then(|size| size.parse().ok()).unwrap_or(0),
            depends: [field("Pre-Depends"), field("Depends")]
                .into_iter()
                .flatten()
                .flat_map(|list| list.split(',').map(alternatives))
                .collect(),
        })
    }

    fn pinned(&self) -> String {
        format!("{}={}", self.name, self.version)
    }
}

impl Dependency {
    fn parse(text: &str) -> Self {
        let (name, condition) = text.split_once('(').unwrap_or((text, ""));
        // An architecture may follow the name.
        let name = name.split(':').next().map(trimmed).unwrap_or_default();
        let exact = condition.trim().strip_prefix("= ").and_then(|rest| rest.split(')').next());
        Self { name, exact: exact.map(trimmed) }
    }
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// A release of the compiler, out of any version that begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Release([u32; 3]);

impl Release {
    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let mut numbers = text.get(..end)?.split('.').map(str::parse);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        Some(Self([major, minor, numbers.next().and_then(Result::ok).unwrap_or(0)]))
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_out_of_any_version() {
        assert_eq!(Release::parse("1.96.0+dfsg1-1~deb12u2"), Some(Release([1, 96, 0])));
        assert_eq!(Release::parse("1.95"), Some(Release([1, 95, 0])));
        assert_eq!(Release::parse("unknown"), None);
        assert!(Release::parse("1.100.0") > Release::parse("1.96.1"));
    }

    #[test]
    fn what_apt_says_of_a_package_is_understood() {
        let package = Package::parse(
            "Package: rustc-web\nVersion: 1.96.0+dfsg1-1\nInstalled-Size: 13205\n\
             Depends: libc6 (>= 2.34), libstd-rust-web-dev (= 1.96.0+dfsg1-1), gcc:any | clang\n\
             Description: Rust\n Size: no\nSize: 4450500\n\nPackage: rustc-web\nVersion: 1.85.0\n",
        )
        .unwrap();
        assert_eq!(package.pinned(), "rustc-web=1.96.0+dfsg1-1");
        assert_eq!(package.size, 4_450_500);
        let dependency = |name: &str, exact: Option<&str>| Dependency {
            name: name.to_owned(),
            exact: exact.map(str::to_owned),
        };
        assert_eq!(
            package.depends,
            [
                vec![dependency("libc6", None)],
                vec![dependency("libstd-rust-web-dev", Some("1.96.0+dfsg1-1"))],
                vec![dependency("gcc", None), dependency("clang", None)],
            ]
        );
    }

    #[test]
    fn what_an_interrupted_run_left_is_not_taken_for_a_toolchain() {
        let workspace = Workspace::load().unwrap();
        let nowhere = workspace.target.join("guest-toolchain.never");
        assert!(
            toolchain(&workspace, &nowhere).unwrap_err().to_string().contains("nothing complete")
        );
    }
}
