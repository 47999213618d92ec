//! `waft plugin pack` and `unpack`: a component and what lies beside it as one archive, and back.
//!
//! What an archive is, [`Parcel`] knows; here is which files belong to a component, and how they come
//! to lie in a folder that a server watches.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;
use waft_plugin_host::{Beside, COMPONENT_BYTES_MAX};
use waft_plugin_tools::{COMPONENT_MEDIA_TYPE, Kind, Member, Parcel};

use super::{pin, signature};
use crate::args::{PackPlugin, UnpackPlugin};
use crate::failure::Failure;
use crate::output;

/// The extension of archives.
const EXTENSION: &str = "tar";

/// What files of plugins are made with: the server may run as somebody else.
const MODE: u32 = 0o644;

/// All kinds of files that an archive holds.
fn kinds() -> Vec<Kind> {
    let component = Kind { media_type: COMPONENT_MEDIA_TYPE, bytes_max: COMPONENT_BYTES_MAX };
    let beside =
        Beside::ALL.map(|kind| Kind { media_type: media_type(kind), bytes_max: kind.bytes_max() });
    std::iter::once(component).chain(beside).collect()
}

fn media_type(kind: Beside) -> &'static str {
    match kind {
        Beside::Signature => "application/vnd.waft.plugin.signature.v1",
        Beside::Settings => "application/vnd.waft.plugin.settings.v1+toml",
        Beside::Scenario => "application/vnd.waft.plugin.scenario.v1",
    }
}

/// Packs a component and what lies beside it.
pub(super) fn pack(PackPlugin { file, out, alone }: &PackPlugin) -> Result<(), Failure> {
    if file.extension().is_none_or(|extension| extension != "wasm") {
        let shown = file.display();
        return Err(Failure::Usage(format!("not the file of a component, FILE.wasm: {shown}")));
    }
    let component = member(file, COMPONENT_MEDIA_TYPE, COMPONENT_BYTES_MAX)?;
    let mut parcel = Parcel { component, beside: Vec::new() };
    for kind in Beside::ALL.into_iter().filter(|_| !alone) {
        let file = kind.file_of(file);
        if fs::symlink_metadata(&file).is_ok() {
            parcel.beside.push(member(&file, media_type(kind), kind.bytes_max())?);
        }
    }
    let packed = parcel.pack()?;
    let archive = out.clone().unwrap_or_else(|| file.with_extension(EXTENSION));
    written(&archive, &packed.archive)
        .and_then(|whole| Ok(whole.persist(&archive).map(drop)?))
        .with_context(|| archive.display().to_string())?;
    let (shown, manifest) = (archive.display(), packed.manifest);
    let pin = pin(&parcel.component.sha256());
    Ok(output::print(&format!("{shown}\nmanifest {manifest}\n{pin}\n"))?)
}

/// Puts the files of an archive into a directory.
pub(super) fn unpack(
    UnpackPlugin { archive, into, overwrite, public_key }: &UnpackPlugin,
) -> Result<(), Failure> {
    let parcel = opened(archive).with_context(|| archive.display().to_string())?;
    if let Some(signer) = signature::signer(public_key.as_deref(), None)? {
        let octets = &parcel.component.octets;
        let wanted = media_type(Beside::Signature);
        let signature = parcel.beside.iter().find(|member| member.media_type == wanted);
        let signature = signature.with_context(|| unsigned(archive, "none in it"))?;
        if !(signer.verify)(&signer.key, octets, &signature.octets) {
            return Err(anyhow::anyhow!(unsigned(archive, "not by that key")).into());
        }
    }
    if !into.is_dir() {
        let remedy = "make it, or name another with --into";
        return Err(anyhow::anyhow!("no directory: {}\n  remedy: {remedy}", into.display()).into());
    }
    let members: Vec<&Member> = parcel.beside.iter().chain([&parcel.component]).collect();
    let files = members.iter().map(|member| into.join(&member.title)).collect::<Vec<_>>();
    put(&files, &members, *overwrite)?;
    tell_of_others(&into.join(&parcel.component.title), &files);
    let listed = files.iter().map(|file| format!("{}\n", file.display()));
    Ok(output::print(&format!(
        "{}{}\n",
        listed.collect::<String>(),
        pin(&parcel.component.sha256())
    ))?)
}

fn unsigned(archive: &Path, what: &str) -> String {
    format!("{}: signature: {what}", archive.display())
}

/// Reads an archive, and checks that its files are a component's.
fn opened(archive: &Path) -> Result<Parcel> {
    let file = File::open(archive)?;
    if !file.metadata()?.is_file() {
        bail!("not a file");
    }
    let parcel = Parcel::unpack(file, &kinds())?;
    let name = Path::new(&parcel.component.title);
    if name.extension().is_none_or(|extension| extension != "wasm") {
        bail!("not the name of a component, NAME.wasm: {}", name.display());
    }
    for member in &parcel.beside {
        let kind = Beside::ALL.into_iter().find(|kind| media_type(*kind) == member.media_type);
        let expected = kind.context("an unknown kind of layer")?.file_of(name);
        if Path::new(&member.title) != expected {
            let (title, expected) = (&member.title, expected.display());
            bail!("{title:?} is no name of a file beside the component: {expected} is");
        }
    }
    Ok(parcel)
}

/// Makes the files one after the other, the last of which is the component.
fn put(files: &[PathBuf], members: &[&Member], overwrite: bool) -> Result<()> {
    let there: Vec<_> = files.iter().filter(|file| fs::symlink_metadata(file).is_ok()).collect();
    if !overwrite && !there.is_empty() {
        let told = there.iter().map(|file| format!("there already: {}", file.display()));
        let told = told.collect::<Vec<_>>().join("\nerror: ");
        bail!("{told}\n  remedy: with --overwrite they are replaced");
    }
    // All are whole before the first has its name.
    let pairs = files.iter().zip(members);
    let whole = pairs.map(|(file, member)| {
        written(file, &member.octets).with_context(|| file.display().to_string())
    });
    let whole = whole.collect::<Result<Vec<_>>>()?;
    for (whole, file) in whole.into_iter().zip(files) {
        let done = match overwrite {
            true => whole.persist(file),
            false => whole.persist_noclobber(file),
        };
        done.map_err(|error| error.error).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Writes octets beside where they are to go, under a name that servers pass over.
fn written(file: &Path, octets: &[u8]) -> Result<NamedTempFile> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".").suffix(".part").permissions(Permissions::from_mode(MODE));
    let mut partial = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    partial.write_all(octets)?;
    partial.as_file().sync_all()?;
    Ok(partial)
}

/// Tells of what lies beside the component and came with another version of it.
fn tell_of_others(component: &Path, files: &[PathBuf]) {
    let beside = Beside::ALL.map(|kind| kind.file_of(component));
    for file in beside.iter().filter(|file| !files.contains(file) && file.exists()) {
        let shown = file.display();
        output::tell(&format!("note: not in the archive, and left beside the component: {shown}"));
    }
}

/// Reads a file that goes into an archive.
fn member(file: &Path, media_type: &str, bytes_max: u64) -> Result<Member> {
    let read = || {
        let mut octets = Vec::new();
        File::open(file)?.take(bytes_max.saturating_add(1)).read_to_end(&mut octets)?;
        std::io::Result::Ok(octets)
    };
    let octets = read().with_context(|| file.display().to_string())?;
    if octets.len() as u64 > bytes_max {
        bail!("{}: too large: at most {bytes_max} bytes", file.display());
    }
    let title = file.file_name().and_then(|name| name.to_str());
    let title = title.with_context(|| format!("not UTF-8: {}", file.display()))?;
    Ok(Member { title: title.to_owned(), media_type: media_type.to_owned(), octets })
}
