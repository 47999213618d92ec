//! Signatures of components: `waft plugin sign` and `verify`, and what `check` and `inspect` tell.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use waft_config::Config;
use waft_plugin_host::{Beside, Signer};

use crate::args::{SignPlugin, VerifyPlugin};
use crate::assemble::signer;
use crate::failure::{Failure, Verdict};
use crate::output;

/// What lies beside a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// Nothing.
    Missing,
    /// A signature, and nobody has said whose it should be.
    NotCompared,
    /// That of the key.
    Valid,
    /// Another one.
    Wrong,
}

impl Signature {
    /// Looks beside a component.
    pub(super) fn of(file: &Path, signer: Option<&Signer>) -> Result<Self> {
        let Ok(signature) = fs::read(Beside::Signature.file_of(file)) else {
            return Ok(Self::Missing);
        };
        let Some(signer) = signer else { return Ok(Self::NotCompared) };
        let component = fs::read(file).with_context(|| file.display().to_string())?;
        match (signer.verify)(&signer.key, &component, &signature) {
            true => Ok(Self::Valid),
            false => Ok(Self::Wrong),
        }
    }

    /// Whether a server that demands signatures takes it.
    pub(super) fn is_taken(self) -> bool {
        self == Self::Valid
    }

    /// Returns it in words.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Missing => "none beside it",
            Self::NotCompared => "beside it, not compared: name the key with --public-key",
            Self::Valid => "valid",
            Self::Wrong => "not by that key",
        }
    }
}

/// Signs a component.
pub(super) fn sign(SignPlugin { file, key }: &SignPlugin) -> Result<(), Failure> {
    let component = fs::read(file).with_context(|| file.display().to_string())?;
    let pem = zeroize::Zeroizing::new(
        fs::read_to_string(key).with_context(|| key.display().to_string())?,
    );
    let signature = signer::sign(&pem, &component)
        .with_context(|| format!("no private key of Ed25519: {}", key.display()))?;
    let beside = Beside::Signature.file_of(file);
    let partial = beside.with_extension("sig.part");
    let written = fs::write(&partial, signature).and_then(|()| fs::rename(&partial, &beside));
    written.with_context(|| beside.display().to_string())?;
    Ok(output::print(&format!("{}\n", beside.display()))?)
}

/// Tells whether a component bears the signature of a key.
pub(super) fn verify(VerifyPlugin { file, public_key }: &VerifyPlugin) -> Result<(), Failure> {
    let signature = Signature::of(file, Some(&read(public_key)?))?;
    if signature.is_taken() {
        output::tell(&format!("{}: signature valid", file.display()));
        return Ok(());
    }
    let beside = Beside::Signature.file_of(file);
    output::tell(&format!("error: {}: {}: {}", file.display(), signature.told(), beside.display()));
    Err(Failure::No(Verdict::NotSigned))
}

/// Who has to have signed a component: the owner of the key in a file, or else of that which a
/// configuration names.
pub(super) fn signer(
    public_key: Option<&Path>,
    config: Option<&Config>,
) -> Result<Option<Signer>, Failure> {
    match (public_key, config) {
        (Some(file), _) => Ok(Some(read(file)?)),
        (None, Some(config)) => {
            signer::signer(config).map_err(|mistake| Failure::Runtime(anyhow::anyhow!("{mistake}")))
        }
        (None, None) => Ok(None),
    }
}

fn read(public_key: &Path) -> Result<Signer> {
    let shown = public_key.display();
    let pem = fs::read_to_string(public_key).with_context(|| shown.to_string())?;
    let Some(signer) = signer::of_public_key(&pem) else {
        bail!("no public key of Ed25519: {shown}")
    };
    Ok(signer)
}
