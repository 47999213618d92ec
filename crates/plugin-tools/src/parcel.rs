//! Parcels: a component and what belongs to it as one archive, which registries take.
//!
//! The archive is an [OCI image layout] as a tar. Its manifest follows the ["Wasm OCI Artifact
//! layout"][artifact] of the CNCF: the component is the first layer, and each file beside it is a
//! further one, with its name as the title. That guide knows one layer alone, and has its readers
//! refuse more: a parcel for them has nothing beside the component. The same files make the same
//! octets: there are no times, owners or random numbers in it.
//!
//! Nothing is believed of an archive that is read. Every size is bounded, every blob is compared with
//! its digest, and a title is a plain name.
//!
//! Not here: registries, compressed archives, writing files, and what belongs to a component: the
//! caller names the kinds of files that there are.
//!
//! [OCI image layout]: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
//! [artifact]: https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/

mod documents;
mod layout;

use std::io::Read;

use anyhow::{Context, Result, bail};

use self::documents::{Config, Descriptor, Index, LayoutMarker, Manifest, TITLE, written};
use self::layout::{Layout, Writer};
use crate::component::Interfaces;

/// The media type of components.
pub const COMPONENT_MEDIA_TYPE: &str = "application/wasm";

/// Octets of a title.
const TITLE_BYTES_MAX: usize = 255;

/// A file in a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, without directories.
    pub title: String,
    /// What it is.
    pub media_type: String,
    /// What it holds.
    pub octets: Vec<u8>,
}

impl Member {
    /// The digest of what it holds, SHA-256, in 64 digits.
    pub fn sha256(&self) -> String {
        documents::digits(&self.octets)
    }
}

/// A kind of file that a parcel may hold.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is.
    pub media_type: &'static str,
    /// How many octets one has at most.
    pub bytes_max: u64,
}

/// A component and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The component; its media type is [`COMPONENT_MEDIA_TYPE`].
    pub component: Member,
    /// What lies beside it, one of each kind at most.
    pub beside: Vec<Member>,
}

/// What became of a parcel.
#[derive(Debug)]
pub struct Packed {
    /// The archive's octets.
    pub archive: Vec<u8>,
    /// The digest of its manifest, by which registries know it: `sha256:` and 64 digits.
    pub manifest: String,
}

impl Parcel {
    /// Packs it.
    ///
    /// # Errors
    /// The component is none, or a title is no plain name.
    pub fn pack(&self) -> Result<Packed> {
        let title = &self.component.title;
        let interfaces = Interfaces::of(&self.component.octets)
            .with_context(|| format!("not a component: {title}"))?;
        self.members().try_for_each(|member| plain(&member.title))?;
        let layers: Vec<_> = self.members().map(Descriptor::of_member).collect();
        let config = written(&Config::new(interfaces, &layers))?;
        let manifest = written(&Manifest::new(&config, layers, title))?;
        let mut writer = Writer::new()?;
        writer.file(layout::MARKER, &written(&LayoutMarker::current())?)?;
        writer.file(layout::INDEX, &written(&Index::of(&manifest))?)?;
        writer.blob(&manifest)?;
        writer.blob(&config)?;
        self.members().try_for_each(|member| writer.blob(&member.octets))?;
        Ok(Packed { archive: writer.finish()?, manifest: documents::digest(&manifest) })
    }

    /// Reads an archive that holds nothing but `kinds` beside its component, which is one of them.
    ///
    /// # Errors
    /// It is damaged, is something else, or is larger than `kinds` allow.
    pub fn unpack(archive: impl Read, kinds: &[Kind]) -> Result<Parcel> {
        let mut layout = Layout::read(archive, kinds.iter().map(|kind| kind.bytes_max))?;
        LayoutMarker::read(layout.file(layout::MARKER)?)?;
        let manifest = Index::read(layout.file(layout::INDEX)?)?;
        let manifest = Manifest::read(layout.blob(&manifest, documents::BYTES_MAX)?)?;
        Config::read(layout.blob(&manifest.config, documents::BYTES_MAX)?, &manifest.layers)?;
        let mut members = Vec::new();
        for layer in &manifest.layers {
            let member = member(layer, &layout, kinds)?;
            if members.iter().any(|known: &Member| known.media_type == member.media_type) {
                bail!("two layers of the same kind: {}", member.media_type);
            }
            members.push(member);
        }
        layout.clear();
        let mut members = members.into_iter();
        let component = members.next().filter(|it| it.media_type == COMPONENT_MEDIA_TYPE);
        let component = component.context("the first layer is no component")?;
        Ok(Parcel { component, beside: members.collect() })
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.component).chain(&self.beside)
    }
}

fn member(layer: &Descriptor, layout: &Layout, kinds: &[Kind]) -> Result<Member> {
    let kind = kinds.iter().find(|kind| kind.media_type == layer.media_type);
    let kind = kind.with_context(|| format!("an unknown kind of layer: {}", layer.media_type))?;
    let title = layer.annotations.get(TITLE);
    let title = title.with_context(|| format!("a layer without a title: {}", layer.digest))?;
    plain(title)?;
    let octets = layout.blob(layer, kind.bytes_max)?.to_vec();
    Ok(Member { title: title.clone(), media_type: layer.media_type.clone(), octets })
}

/// Checks that a title is the name of a file and nothing else: no path, nothing hidden, nothing
/// that does something to a terminal.
fn plain(title: &str) -> Result<()> {
    let bad = |sign: char| matches!(sign, '/' | '\\') || sign.is_control();
    let hidden = title.is_empty() || title.starts_with('.');
    if hidden || title.len() > TITLE_BYTES_MAX || title.contains(bad) {
        bail!("no plain name of a file: {title:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
