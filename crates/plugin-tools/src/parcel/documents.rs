//! The JSON documents of a layout: what is in them, and what has to be.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Member;
use crate::component::Interfaces;

/// Octets of such a document.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// The annotation with the name of a layer's file.
pub(super) const TITLE: &str = "org.opencontainers.image.title";

/// The annotation with the name of a manifest in its index, and that name: one is all there is.
const REFERENCE: (&str, &str) = ("org.opencontainers.image.ref.name", "latest");

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The time of making in every configuration: readers want one, and the same files are to make the
/// same archive.
const CREATED: &str = "1970-01-01T00:00:00Z";
const ARCHITECTURE: &str = "wasm";
/// What components are for, in the words of that guide.
const OS: &str = "wasip2";

/// The version of all documents that have one.
const SCHEMA: u32 = 2;
const LAYOUT: &str = "1.0.0";

/// Whose worlds are known, and which of its exports is no hook.
const PACKAGE: &str = "waft:plugin/";
const LIFECYCLE: &str = "lifecycle@";

type Annotations = BTreeMap<String, String>;

/// A blob, as other documents name it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub(super) annotations: Annotations,
}

impl Descriptor {
    fn of(media_type: &str, octets: &[u8], annotations: &[(&str, &str)]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: digest(octets),
            size: octets.len() as u64,
            annotations: owned(annotations),
        }
    }

    pub(super) fn of_member(member: &Member) -> Descriptor {
        Descriptor::of(&member.media_type, &member.octets, &[(TITLE, &member.title)])
    }
}

/// `oci-layout`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayoutMarker {
    image_layout_version: String,
}

impl LayoutMarker {
    pub(super) fn current() -> LayoutMarker {
        LayoutMarker { image_layout_version: LAYOUT.to_owned() }
    }

    pub(super) fn read(octets: &[u8]) -> Result<()> {
        let marker: LayoutMarker = document("oci-layout", octets)?;
        expect("version of the layout", &marker.image_layout_version, LAYOUT)
    }
}

/// `index.json`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
}

impl Index {
    pub(super) fn of(manifest: &[u8]) -> Index {
        let manifests = vec![Descriptor::of(MANIFEST, manifest, &[REFERENCE])];
        Index { schema_version: SCHEMA, media_type: Some(INDEX.to_owned()), manifests }
    }

    /// Reads which manifest there is.
    pub(super) fn read(octets: &[u8]) -> Result<Descriptor> {
        let index: Index = document("index.json", octets)?;
        let Ok([manifest]) = <[Descriptor; 1]>::try_from(index.manifests) else {
            bail!("not one manifest in index.json: copy the plugin's alone");
        };
        expect("kind of manifest", &manifest.media_type, MANIFEST)?;
        Ok(manifest)
    }
}

/// Which layers there are.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
}

impl Manifest {
    pub(super) fn new(config: &[u8], layers: Vec<Descriptor>, title: &str) -> Manifest {
        Manifest {
            schema_version: SCHEMA,
            media_type: Some(MANIFEST.to_owned()),
            config: Descriptor::of(CONFIG, config, &[]),
            layers,
            annotations: owned(&[(TITLE, title)]),
        }
    }

    pub(super) fn read(octets: &[u8]) -> Result<Manifest> {
        let manifest: Manifest = document("the manifest", octets)?;
        expect("version of the manifest", &manifest.schema_version.to_string(), "2")?;
        expect("kind of configuration", &manifest.config.media_type, CONFIG)?;
        Ok(manifest)
    }
}

/// What a component needs and offers, for who chooses among components.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    #[serde(default)]
    created: String,
    architecture: String,
    os: String,
    layer_digests: Vec<String>,
    #[serde(default)]
    component: Option<Sides>,
}

#[derive(Deserialize, Serialize)]
struct Sides {
    #[serde(default)]
    exports: Vec<String>,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Config {
    pub(super) fn new(interfaces: Interfaces, layers: &[Descriptor]) -> Config {
        let target = world(&interfaces.exports);
        let Interfaces { imports, exports, .. } = interfaces;
        Config {
            created: CREATED.to_owned(),
            architecture: ARCHITECTURE.to_owned(),
            os: OS.to_owned(),
            layer_digests: digests(layers),
            component: Some(Sides { exports, imports, target }),
        }
    }

    /// Checks that it is about these layers.
    pub(super) fn read(octets: &[u8], layers: &[Descriptor]) -> Result<()> {
        let config: Config = document("the configuration", octets)?;
        expect("architecture", &config.architecture, ARCHITECTURE)?;
        expect("os", &config.os, OS)?;
        if config.layer_digests != digests(layers) {
            bail!("the configuration is about other layers");
        }
        Ok(())
    }
}

/// The world of a component with one hook; those with several have no world of their own.
fn world(exports: &[String]) -> Option<String> {
    let ours = exports.iter().filter_map(|export| export.strip_prefix(PACKAGE));
    let mut hooks = ours.filter(|export| !export.starts_with(LIFECYCLE));
    let hook = hooks.next().filter(|_| hooks.next().is_none())?;
    Some(format!("{PACKAGE}with-{hook}"))
}

fn digests(layers: &[Descriptor]) -> Vec<String> {
    layers.iter().map(|layer| layer.digest.clone()).collect()
}

fn owned(annotations: &[(&str, &str)]) -> Annotations {
    annotations.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns a document as it stands in an archive.
pub(super) fn written(document: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(document)?)
}

fn document<'a, T: Deserialize<'a>>(what: &str, octets: &'a [u8]) -> Result<T> {
    serde_json::from_slice(octets).with_context(|| format!("{what} makes no sense"))
}

fn expect(what: &str, is: &str, expected: &str) -> Result<()> {
    if is != expected {
        bail!("another {what} than {expected}: {is:?}");
    }
    Ok(())
}

/// The digest of a blob, as documents write it.
pub(super) fn digest(octets: &[u8]) -> String {
    format!("sha256:{}", digits(octets))
}

pub(super) fn digits(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}
