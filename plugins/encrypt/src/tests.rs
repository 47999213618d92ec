use waft_plugin_sdk::Secret;
use waft_plugin_sdk::testing::{TestSession, counted};

use super::*;
use crate::format::{CHUNK, HEADER, MAGIC, TAG};

const SEALED: usize = CHUNK + TAG;

fn key(octet: u8) -> Secret {
    Secret::new(format!("{octet:02x}").repeat(32))
}

/// The plugin with keys `a` and `b`, in that order, or the other way round.
fn plugin(keys: [&str; 2], plain: &str) -> Encrypt {
    let values = [("keys.0", keys[0]), ("keys.1", keys[1]), ("plain", plain)];
    let settings = Settings::of(values).with_secret("a", key(1)).with_secret("b", key(2));
    Encrypt::new(&settings).unwrap()
}

fn strict() -> Encrypt {
    plugin(["a", "b"], "refuse")
}

fn octets(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

/// What comes out when octets pass in pieces of a size.
fn pass(
    plugin: &Encrypt,
    direction: Direction,
    octets: &[u8],
    piece: usize,
) -> Result<Vec<u8>, Reply> {
    let session = TestSession::new().user("alice");
    let mut filter = plugin.open(session.session(), direction, "/a");
    let mut out = Vec::new();
    for chunk in octets.chunks(piece) {
        out.extend(filter.push(chunk.to_vec())?);
    }
    match filter.finish() {
        Verdict::Accept(last) => out.extend(last),
        Verdict::Refuse(reply) | Verdict::Quarantine(reply) => return Err(reply),
    }
    Ok(out)
}

fn seal(plugin: &Encrypt, octets: &[u8]) -> Vec<u8> {
    pass(plugin, Direction::Upload, octets, 256 * 1024).unwrap()
}

fn open(plugin: &Encrypt, stored: &[u8]) -> Result<Vec<u8>, u16> {
    pass(plugin, Direction::Download, stored, 256 * 1024).map_err(|reply| reply.code)
}

#[test]
fn files_of_every_size_come_back_in_pieces_of_every_size() {
    let plugin = strict();
    for size in [0, 1, 48, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
        let plain = octets(size);
        let stored = seal(&plugin, &plain);
        let chunks = size.div_ceil(CHUNK).max(1);
        assert_eq!(stored.len(), HEADER + size + chunks * TAG);
        for piece in [1000, SEALED, SEALED + HEADER, 256 * 1024] {
            assert_eq!(pass(&plugin, Direction::Download, &stored, piece), Ok(plain.clone()));
            let again = pass(&plugin, Direction::Upload, &plain, piece).unwrap();
            assert_eq!(open(&plugin, &again), Ok(plain.clone()));
        }
    }
    let stored = seal(&plugin, b"abc");
    assert_eq!(pass(&plugin, Direction::Download, &stored, 1), Ok(b"abc".to_vec()));
}

#[test]
fn equal_files_are_not_stored_alike() {
    let (plugin, plain) = (strict(), octets(1000));
    let (one, other) = (seal(&plugin, &plain), seal(&plugin, &plain));
    assert_eq!(one[..HEADER - 32], other[..HEADER - 32]);
    assert_ne!(one[HEADER..], other[HEADER..]);
    assert!(!one.windows(8).any(|window| window == &plain[..8]));
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let plugin = strict();
    let stored = seal(&plugin, &octets(2 * CHUNK));
    let ends = (0..HEADER + TAG).chain([
        HEADER + CHUNK,
        HEADER + SEALED - 1,
        HEADER + SEALED,
        HEADER + SEALED + 1,
        HEADER + SEALED + TAG,
        stored.len() - 1,
    ]);
    for end in ends {
        let code = if end == 0 { 550 } else { 451 };
        assert_eq!(open(&plugin, &stored[..end]), Err(code), "{end}");
    }
    let lenient = plugin_passing_plain();
    for end in 1..=HEADER {
        assert_eq!(open(&lenient, &stored[..end]), Err(451), "{end}");
    }
}

fn plugin_passing_plain() -> Encrypt {
    plugin(["a", "b"], "pass")
}

#[test]
fn a_file_with_any_octet_changed_is_refused() {
    let plugin = strict();
    let stored = seal(&plugin, &octets(CHUNK + 5));
    let places = (0..HEADER).chain([
        HEADER,
        HEADER + CHUNK / 2,
        HEADER + CHUNK,
        HEADER + SEALED - 1,
        HEADER + SEALED,
        stored.len() - TAG,
        stored.len() - 1,
    ]);
    for place in places {
        for bit in [1, 0x80] {
            let mut changed = stored.clone();
            changed[place] ^= bit;
            let code = if place < MAGIC.len() { 550 } else { 451 };
            assert_eq!(open(&plugin, &changed), Err(code), "{place}");
        }
    }
    assert!(counted("decryptions_failed_total") > 0);
}

#[test]
fn chunks_that_changed_places_are_refused() {
    let plugin = strict();
    let stored = seal(&plugin, &octets(4 * CHUNK));
    let (header, chunks) = stored.split_at(HEADER);
    let chunk = |n: usize| &chunks[n * SEALED..(n + 1) * SEALED];
    for order in [
        &[1, 0, 2, 3][..],
        &[0, 1, 3],
        &[0, 1, 2],
        &[3],
        &[0, 0, 1, 2, 3],
        &[0, 1, 2, 3, 3],
        &[0, 1, 3, 2],
    ] {
        let mut changed = header.to_vec();
        order.iter().for_each(|&n| changed.extend(chunk(n)));
        assert_eq!(open(&plugin, &changed), Err(451), "{order:?}");
    }
    // Of another file with the same master key.
    let other = seal(&plugin, &octets(4 * CHUNK));
    let mixed = [&stored[..HEADER + SEALED], &other[HEADER + SEALED..]].concat();
    assert_eq!(open(&plugin, &mixed), Err(451));
    let behind = [&stored[..], b"more"].concat();
    assert_eq!(open(&plugin, &behind), Err(451));
}

#[test]
fn nothing_comes_out_that_is_not_authentic() {
    let plugin = strict();
    let session = TestSession::new();
    let mut stored = seal(&plugin, &octets(3 * CHUNK));
    stored[HEADER + SEALED] ^= 1;
    let mut filter = plugin.open(session.session(), Direction::Download, "/a");
    let first = filter.push(stored[..HEADER + SEALED + 1].to_vec()).unwrap();
    assert_eq!(first, octets(CHUNK));
    assert_eq!(filter.push(stored[HEADER + SEALED + 1..].to_vec()).unwrap_err().code, 451);
}

#[test]
fn the_first_key_encrypts_and_all_decrypt() {
    let (old, new) = (strict(), plugin(["b", "a"], "refuse"));
    let (of_old, of_new) = (seal(&old, b"abc"), seal(&new, b"abc"));
    assert_ne!(of_old[..HEADER - 32], of_new[..HEADER - 32]);
    for plugin in [&old, &new] {
        assert_eq!(open(plugin, &of_old), Ok(b"abc".to_vec()));
        assert_eq!(open(plugin, &of_new), Ok(b"abc".to_vec()));
    }
    let only_b = Settings::of([("keys", "b")]).with_secret("b", key(2));
    let only_b = Encrypt::new(&only_b).unwrap();
    assert_eq!(open(&only_b, &of_old), Err(451));
    assert_eq!(open(&only_b, &of_new), Ok(b"abc".to_vec()));
}

#[test]
fn files_that_are_not_encrypted_pass_where_the_operator_says_so() {
    for plain in [&b""[..], b"abc", b"\x8ewaft.", &[0; 300_000]] {
        assert_eq!(open(&strict(), plain), Err(550));
        assert_eq!(open(&plugin_passing_plain(), plain), Ok(plain.to_vec()));
        let piecewise = pass(&plugin_passing_plain(), Direction::Download, plain, 1000);
        assert_eq!(piecewise, Ok(plain.to_vec()));
    }
    let mut newer = seal(&strict(), b"abc");
    newer[MAGIC.len()] = 2;
    assert_eq!(open(&plugin_passing_plain(), &newer), Err(451));
}

#[test]
fn the_paths_say_which_files_are_concerned() {
    let settings = Settings::of([("paths.0", "/private/*"), ("paths.1", "*.pdf")]);
    let plugin = Encrypt::new(&settings.with_secret("key", key(1))).unwrap();
    let session = TestSession::new();
    let wants = |path| plugin.wants(session.session(), Direction::Upload, path, None);
    for path in ["/private/a", "/private/b/c", "/pub/a.pdf"] {
        assert_eq!(wants(path), ContentInterest::Transform);
    }
    for path in ["/private", "/pub/a.txt", "/pub/private/a"] {
        assert_eq!(wants(path), ContentInterest::Skip);
    }
}

#[test]
fn mistakes_say_what_is_missing() {
    let mistakes = |settings: Settings| Encrypt::new(&settings).unwrap_err();
    assert_eq!(
        mistakes(Settings::of([("plain", "maybe"), ("paths", "private")])),
        "keys: no key; grant one with secrets = { \"key\" = \"file:PATH\" }: key\n\
         paths: a pattern of paths such as /private/* or *.pdf is wanted: private\n\
         plain: refuse or pass is wanted, not: maybe"
    );
    let short = Settings::of([("keys.0", "a"), ("keys.1", "b"), ("keys.2", "c")])
        .with_secret("a", Secret::new("0102"))
        .with_secret("b", key(1))
        .with_secret("c", key(1));
    assert_eq!(
        mistakes(short),
        "keys.0: 32 octets in hexadecimal or base64 are wanted, such as openssl rand -hex 32 \
         makes: a\nkeys.2: a key that stands there already: c"
    );
}
