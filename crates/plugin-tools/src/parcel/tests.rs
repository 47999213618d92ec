use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::*;

/// A component that does nothing.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const SETTINGS: &str = "application/x-settings";
const KINDS: [Kind; 2] = [
    Kind { media_type: COMPONENT_MEDIA_TYPE, bytes_max: 4096 },
    Kind { media_type: SETTINGS, bytes_max: 16 },
];

fn member(title: &str, media_type: &str, octets: &[u8]) -> Member {
    let (title, media_type) = (title.to_owned(), media_type.to_owned());
    Member { title, media_type, octets: octets.to_vec() }
}

fn parcel() -> Parcel {
    Parcel {
        component: member("a b.wasm", COMPONENT_MEDIA_TYPE, &COMPONENT),
        beside: vec![member("a b.toml", SETTINGS, b"priority = 1\n")],
    }
}

/// An archive that somebody made with other means.
struct Forged {
    marker: Value,
    config: Value,
    manifest: Value,
    index: Value,
    entries: Vec<(String, EntryType, Vec<u8>)>,
}

impl Forged {
    /// One that is as good as ours, with these layers.
    fn of(layers: &[Member]) -> Forged {
        let entries = layers.iter().map(|layer| entry(&layer.octets)).collect();
        let layers: Vec<_> = layers.iter().map(Descriptor::of_member).collect();
        let digests: Vec<_> = layers.iter().map(|layer| &layer.digest).collect();
        Forged {
            marker: json!({"imageLayoutVersion": "1.0.0"}),
            config: json!({"architecture": "wasm", "os": "wasip2", "layerDigests": digests}),
            manifest: json!({"schemaVersion": 2, "layers": layers}),
            index: json!({"schemaVersion": 2}),
            entries,
        }
    }

    fn with(change: impl FnOnce(&mut Forged)) -> Forged {
        let Parcel { component, beside } = parcel();
        let mut forged = Forged::of(&[&[component], &beside[..]].concat());
        change(&mut forged);
        forged
    }

    fn archive(mut self) -> Vec<u8> {
        let mut blob = |media_type: &str, document: &Value| {
            let octets = document.to_string().into_bytes();
            self.entries.push(entry(&octets));
            json!({
                "mediaType": media_type,
                "digest": documents::digest(&octets),
                "size": octets.len(),
            })
        };
        if self.manifest.get("config").is_none() {
            self.manifest["config"] = blob("application/vnd.wasm.config.v0+json", &self.config);
        }
        if self.index.get("manifests").is_none() {
            let manifest = blob("application/vnd.oci.image.manifest.v1+json", &self.manifest);
            self.index["manifests"] = json!([manifest]);
        }
        let file = |name: &str, document: &Value| {
            (name.to_owned(), EntryType::Regular, document.to_string().into_bytes())
        };
        // Whoever made it with tar has the documents last, and points before all names.
        self.entries.push(file("./index.json", &self.index));
        self.entries.push(file("./oci-layout", &self.marker));
        let mut builder = Builder::new(Vec::new());
        for (name, kind, octets) in &self.entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(octets.len() as u64);
            header.set_cksum();
            builder.append(&header, &octets[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[track_caller]
    fn expect_refusal(self, because: &str) {
        refuse(&self.archive(), because);
    }
}

fn entry(octets: &[u8]) -> (String, EntryType, Vec<u8>) {
    let name = documents::digest(octets).replace("sha256:", "blobs/sha256/");
    (name, EntryType::Regular, octets.to_vec())
}

#[track_caller]
fn refuse(archive: &[u8], because: &str) {
    let refused = format!("{:#}", Parcel::unpack(archive, &KINDS).unwrap_err());
    assert!(refused.contains(because), "{refused}");
}

#[test]
fn the_same_files_make_the_same_archive_and_come_back() {
    let packed = parcel().pack().unwrap();
    assert_eq!(packed.archive, parcel().pack().unwrap().archive);
    assert_eq!(Parcel::unpack(&packed.archive[..], &KINDS).unwrap(), parcel());
    let twins = Parcel { beside: vec![member("b", SETTINGS, b"")], ..parcel() };
    assert_ne!(twins.pack().unwrap().manifest, packed.manifest);
}

#[test]
fn the_documents_are_those_of_the_guide() {
    let packed = parcel().pack().unwrap();
    let layout =
        Layout::read(&packed.archive[..], KINDS.iter().map(|kind| kind.bytes_max)).unwrap();
    let read = |octets: &[u8]| serde_json::from_slice::<Value>(octets).unwrap();
    let index = read(layout.file("index.json").unwrap());
    assert_eq!(index["manifests"][0]["digest"], packed.manifest);
    let blob = |descriptor: &Value| {
        let descriptor: Descriptor = serde_json::from_value(descriptor.clone()).unwrap();
        read(layout.blob(&descriptor, 4096).unwrap())
    };
    let manifest = blob(&index["manifests"][0]);
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let layers: Vec<_> = parcel().members().map(Descriptor::of_member).collect();
    assert_eq!(manifest["layers"], serde_json::to_value(&layers).unwrap());
    assert_eq!(layers[1].annotations[TITLE], "a b.toml");
    assert_eq!(
        blob(&manifest["config"]),
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layers[0].digest, layers[1].digest],
            "component": {"exports": [], "imports": []},
        })
    );
}

#[test]
fn a_component_with_one_hook_has_its_world_as_target() {
    let nothing = || Interfaces::of(&COMPONENT).unwrap();
    let target = |hooks: &[&str]| {
        let exports = hooks.iter().map(|hook| format!("waft:plugin/{hook}@0.1.0")).collect();
        let config = Config::new(Interfaces { exports, ..nothing() }, &[]);
        let written: Value = serde_json::from_slice(&written(&config).unwrap()).unwrap();
        written["component"].get("target").cloned()
    };
    let world = json!("waft:plugin/with-timer@0.1.0");
    assert_eq!(target(&["lifecycle", "timer"]), Some(world));
    assert_eq!(target(&["lifecycle", "timer", "storage"]), None);
}

#[test]
fn an_octet_that_changes_is_noticed_or_makes_no_difference() {
    let archive = parcel().pack().unwrap().archive;
    let mut noticed = 0;
    for place in 0..archive.len() {
        let mut damaged = archive.clone();
        damaged[place] ^= 0x20;
        match Parcel::unpack(&damaged[..], &KINDS) {
            Ok(read) => assert_eq!(read, parcel(), "octet {place}"),
            Err(_) => noticed += 1,
        }
    }
    // What is left is padding.
    assert!(noticed > 1200, "{noticed}");
    for end in 0..archive.len() {
        if let Ok(read) = Parcel::unpack(&archive[..end], &KINDS) {
            assert_eq!(read, parcel(), "{end} octets");
        }
    }
}

#[test]
fn what_other_means_have_made_is_read_too() {
    let archive = Forged::with(|_| ()).archive();
    assert_eq!(Parcel::unpack(&archive[..], &KINDS).unwrap(), parcel());
}

#[test]
fn a_title_is_the_name_of_a_file_and_no_path() {
    let long = "a".repeat(256);
    for title in
        ["", ".", "..", ".hidden", "../a.wasm", "/a.wasm", "b/a.wasm", "a\\b", "a\nb", &long]
    {
        let component = member(title, COMPONENT_MEDIA_TYPE, &COMPONENT);
        Forged::of(std::slice::from_ref(&component)).expect_refusal("no plain name of a file");
        assert!(Parcel { component, beside: Vec::new() }.pack().is_err(), "{title:?}");
    }
}

#[test]
fn entries_that_are_no_part_of_a_layout_are_refused() {
    let cases = [
        ("../oci-layout", EntryType::Regular),
        ("/etc/passwd", EntryType::Regular),
        ("blobs/sha256/../../a", EntryType::Regular),
        ("blobs/sha256/AB", EntryType::Regular),
        ("a.wasm", EntryType::Regular),
        ("../blobs", EntryType::Directory),
        ("index.json", EntryType::Symlink),
        ("index.json", EntryType::Link),
        ("oci-layout", EntryType::Fifo),
    ];
    for (name, kind) in cases {
        let more = |it: &mut Forged| it.entries.push((name.to_owned(), kind, Vec::new()));
        Forged::with(more).expect_refusal("no part of an image layout");
    }
    let many = |it: &mut Forged| {
        it.entries.extend(vec![("blobs".to_owned(), EntryType::Directory, Vec::new()); 64]);
    };
    Forged::with(many).expect_refusal("too many entries");
    Forged::with(|it| it.entries.push(it.entries[0].clone()))
        .expect_refusal("twice in the archive");
}

#[test]
fn what_is_larger_than_it_may_be_is_refused() {
    let large = |title: &str, media_type: &str, size| {
        let component = member("a.wasm", COMPONENT_MEDIA_TYPE, &COMPONENT);
        Forged::of(&[component, member(title, media_type, &vec![0; size])])
    };
    large("a.toml", SETTINGS, 17)
        .expect_refusal("too large for application/x-settings: 17 bytes, at most 16");
    large("a.toml", SETTINGS, (1 << 20) + 1).expect_refusal("too large: blobs/sha256/");
    // Many blobs that nobody names are too much together.
    let many = |it: &mut Forged| {
        it.entries.extend((0..5_u8).map(|number| entry(&vec![number; (1 << 20) - 1])));
    };
    Forged::with(many).expect_refusal("it is too large");
}

type Change = fn(&mut Forged);

#[test]
fn documents_that_do_not_fit_together_are_refused() {
    let cases: [(Change, &str); 12] = [
        (|it| it.marker = json!({"imageLayoutVersion": "2.0.0"}), "another version of the layout"),
        (|it| it.marker = json!([]), "oci-layout makes no sense"),
        (|it| it.index["manifests"] = json!([]), "not one manifest"),
        (|it| it.manifest["schemaVersion"] = json!(1), "another version of the manifest"),
        (|it| it.manifest["layers"] = json!([]), "about other layers"),
        (|it| it.manifest["layers"][0]["size"] = json!(9), "has 8 bytes, not 9"),
        (|it| it.manifest["layers"][1]["annotations"] = json!({}), "a layer without a title"),
        (
            |it| it.manifest["layers"][1]["mediaType"] = json!("a/b"),
            "an unknown kind of layer: a/b",
        ),
        (
            |it| it.manifest["layers"][1]["mediaType"] = json!(COMPONENT_MEDIA_TYPE),
            "two layers of the same kind",
        ),
        (|it| it.config["layerDigests"] = json!(["sha256:0"]), "about other layers"),
        (|it| it.config["os"] = json!("wasip1"), "another os than wasip2"),
        (|it| drop(it.entries.remove(0)), "not in the archive: blobs/sha256/"),
    ];
    for (change, because) in cases {
        Forged::with(change).expect_refusal(because);
    }
    let settings = member("a.toml", SETTINGS, b"");
    Forged::of(&[settings]).expect_refusal("the first layer is no component");
    let path = |it: &mut Forged| {
        it.manifest["layers"][0]["digest"] = json!("sha256:../../a");
        it.config["layerDigests"][0] = json!("sha256:../../a");
    };
    Forged::with(path).expect_refusal("no digest of SHA-256");
    refuse(b"", "not in the archive: oci-layout");
    refuse(b"garbage", "the archive is damaged");
    refuse(b"\x1f\x8b\x08", "gunzip it first");
}
