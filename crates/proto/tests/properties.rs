//! What holds for any input: parsers do not panic, writers cannot be made to write two lines
//! where one was meant, and what is written can be read back.
//!
//! The readers here are written from the RFCs, as a client would, and share no code with the crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4};

use proptest::collection::vec;
use proptest::prelude::*;
use waft_proto::address::{
    EpsvArgument, extended_passive_reply, parse_eprt, parse_extended_passive, parse_passive,
    parse_port, passive_reply,
};
use waft_proto::arguments::{
    name_value_pairs, parse_allo, parse_checksum, parse_chmod, parse_deflate_level, parse_host,
    parse_language, parse_mff, parse_mode, parse_offset, parse_range, parse_structure,
    parse_time_and_path, parse_type, parse_utf8_option, parse_utime, split_word,
};
use waft_proto::ascii::{Decoder, Encoder};
use waft_proto::entry::is_listable;
use waft_proto::facts::{Fact, write_mlsd_line};
use waft_proto::listing::{parse_list_argument, write_list_line, write_name_line};
use waft_proto::reply::pathname_reply;
use waft_proto::time::{Precision, parse_time_val, write_list_time, write_time_val};
use waft_proto::{
    Code, Command, Entry, FactSet, HashAlgorithm, Kind, Line, LineBuffer, Perms, Reply, Text,
    Timestamp, Verb,
};

/// Any octets, those that mean something to FTP more often than the others.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(&b"\r\n\0 \"|,;.=-+%:[]0129AaZ\xff\xf2\xf4"[..]);
    vec(prop_oneof![any::<u8>(), special], 0..48)
}

/// Any octets that can stand on one line.
fn names() -> impl Strategy<Value = Vec<u8>> {
    octets().prop_map(|mut name| {
        name.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
        name
    })
}

/// Octets, many of them line ends, in pieces.
fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line_ends = prop::sample::select(&b"\r\nx"[..]);
    vec(vec(prop_oneof![2 => line_ends, 1 => any::<u8>()], 0..12), 0..12)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let seconds =
        prop_oneof![0..5_000_000_000_i64, -70_000_000_000..260_000_000_000_i64, any::<i64>()];
    (seconds, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::File,
        Kind::Directory,
        Kind::CurrentDirectory,
        Kind::ParentDirectory,
        Kind::Symlink,
        Kind::Other,
    ])
}

fn perms() -> impl Strategy<Value = Perms> {
    let each = vec![
        Perms::APPEND,
        Perms::CREATE,
        Perms::DELETE,
        Perms::ENTER,
        Perms::RENAME,
        Perms::LIST,
        Perms::MAKE,
        Perms::PURGE,
        Perms::READ,
        Perms::WRITE,
    ];
    let some = prop::sample::subsequence(each, 0..=10);
    some.prop_map(|some| some.into_iter().fold(Perms::NONE, Perms::union))
}

prop_compose! {
    fn entry()(
        kind in kind(),
        perms in perms(),
        (size, links) in any::<(u64, u64)>(),
        modified in proptest::option::of(timestamp()),
        created in proptest::option::of(timestamp()),
        (mode, unique) in any::<(Option<u32>, Option<(u64, u64)>)>(),
    ) -> Entry<'static> {
        Entry { kind, size, links, modified, created, mode, unique, perms, ..Entry::new(b"", kind) }
    }
}

fn facts() -> impl Strategy<Value = FactSet> {
    let some = prop::sample::subsequence(Fact::ALL.to_vec(), 0..=Fact::ALL.len());
    some.prop_map(|some| some.into_iter().fold(FactSet::NONE, FactSet::with))
}

fn encoded(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(&mut out);
    out
}

/// Reads one reply off the front as RFC 959, 4.2 tells a client to: its code, its lines, the rest.
fn read_reply(bytes: &[u8]) -> (u16, Vec<Vec<u8>>, &[u8]) {
    let (first, mut rest) = read_line(bytes);
    let code = &first[..3];
    let mut lines = vec![first[4..].to_vec()];
    if first[3] == b'-' {
        loop {
            let (line, behind) = read_line(rest);
            rest = behind;
            if line.starts_with(code) && line.get(3) == Some(&b' ') {
                lines.push(line[4..].to_vec());
                break;
            }
            lines.push(line.to_vec());
        }
    } else {
        assert_eq!(first[3], b' ');
    }
    (std::str::from_utf8(code).unwrap().parse().unwrap(), lines, rest)
}

fn read_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line end");
    (&bytes[..end], &bytes[end + 2..])
}

/// That the bytes are one line and its end, with no other CR, LF or NUL.
fn assert_one_line(bytes: &[u8]) {
    let line = bytes.strip_suffix(b"\r\n").expect("a line end");
    assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
}

fn lines_of(buffer: &mut LineBuffer) -> Vec<Option<Vec<u8>>> {
    let mut lines = Vec::new();
    while let Some(line) = buffer.next_line() {
        lines.push(match line {
            Line::Whole(line) => Some(line.to_vec()),
            Line::TooLong(_) => None,
        });
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_parser_panics_whatever_it_is_given(input in octets()) {
        let _ = Command::parse(&input).map(|command| command.to_string());
        let _ = (parse_port(&input), parse_eprt(&input), EpsvArgument::parse(&input));
        let _ = (parse_passive(&input), parse_extended_passive(&input), parse_time_val(&input));
        let _ = (parse_type(&input), parse_mode(&input), parse_structure(&input));
        let _ = (parse_offset(&input), parse_range(&input), parse_allo(&input));
        let _ = (parse_host(&input), parse_language(&input), split_word(&input));
        let _ = (parse_utf8_option(&input), parse_deflate_level(&input));
        let _ = (parse_time_and_path(&input), parse_mff(&input), parse_checksum(&input));
        let _ = (parse_chmod(&input), parse_utime(&input), parse_list_argument(&input));
        let _ = (FactSet::parse(&input), HashAlgorithm::from_name(&input), Verb::from_name(&input));
        let _ = name_value_pairs(&input).count();
    }

    #[test]
    fn a_command_keeps_its_argument_to_the_octet(argument in octets()) {
        let line = [b"STOR ", &argument[..]].concat();
        let forbidden = argument.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        match Command::parse(&line) {
            Ok(command) => {
                prop_assert!(!forbidden);
                prop_assert_eq!(command.argument_or_empty(), &argument[..]);
            }
            Err(_) => prop_assert!(forbidden),
        }
    }

    #[test]
    fn lines_are_the_same_however_the_network_cuts_them(
        pieces in chunks(), limit in 1_usize..20,
    ) {
        let mut whole = LineBuffer::new(limit);
        whole.extend(&pieces.concat());
        let expected = lines_of(&mut whole);
        let mut cut = LineBuffer::new(limit);
        let mut lines = Vec::new();
        for piece in &pieces {
            cut.extend(piece);
            lines.extend(lines_of(&mut cut));
            prop_assert!(cut.pending() < limit);
        }
        prop_assert_eq!(lines, expected);
        prop_assert_eq!(cut.pending(), whole.pending());
    }

    #[test]
    fn lines_are_what_stands_between_line_feeds(pieces in chunks(), limit in 1_usize..20) {
        let input: Vec<u8> = pieces.concat().into_iter().filter(u8::is_ascii).collect();
        let mut buffer = LineBuffer::new(limit);
        buffer.extend(&input);
        let expected: Vec<_> = input
            .split_inclusive(|&b| b == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .map(|line| {
                let text = &line[..line.len() - 1];
                (line.len() <= limit).then(|| text.strip_suffix(b"\r").unwrap_or(text).to_vec())
            })
            .collect();
        prop_assert_eq!(lines_of(&mut buffer), expected);
    }

    #[test]
    fn a_reply_is_always_read_as_one_with_the_same_code_and_lines(
        number in 100_u16..600, texts in vec(octets(), 0..5),
    ) {
        let texts: Vec<Text> = texts.into_iter().map(Text::flattened).collect();
        let reply = Reply::lines(Code::new(number).unwrap(), texts.clone());
        let wire = [encoded(&reply), b"200 next\r\n".to_vec()].concat();
        let (code, lines, rest) = read_reply(&wire);
        prop_assert_eq!(code, number);
        prop_assert_eq!(rest, b"200 next\r\n");
        prop_assert_eq!(lines.len(), texts.len().max(1));
        let last = lines.len() - 1;
        for (index, (line, text)) in lines.iter().zip(&texts).enumerate() {
            let inner = index != 0 && index != last;
            let line = if inner { line.strip_prefix(b" ").unwrap() } else { &line[..] };
            prop_assert_eq!(line, text.as_bytes());
        }
    }

    #[test]
    fn a_quoted_path_is_read_back_to_the_octet(path in names(), text in "[ -~]{0,20}") {
        let wire = encoded(&pathname_reply(&path, &text));
        let (code, lines, _) = read_reply(&wire);
        prop_assert_eq!(code, 257);
        let mut rest = lines[0].strip_prefix(b"\"").unwrap();
        let mut read = Vec::new();
        loop {
            match rest {
                [b'"', b'"', behind @ ..] => {
                    read.push(b'"');
                    rest = behind;
                }
                [b'"', behind @ ..] => {
                    let told = behind.strip_prefix(b" ").unwrap_or_default();
                    prop_assert_eq!(told, text.as_bytes());
                    break;
                }
                [octet, behind @ ..] => {
                    read.push(*octet);
                    rest = behind;
                }
                [] => prop_assert!(false, "no closing quotation mark"),
            }
        }
        prop_assert_eq!(read, path);
    }

    #[test]
    fn passive_addresses_are_read_back(address: SocketAddrV4) {
        let wire = encoded(&passive_reply(address));
        prop_assert_eq!(parse_passive(&read_reply(&wire).1[0]), Ok(address));
        let wire = encoded(&extended_passive_reply(address.port()));
        prop_assert_eq!(parse_extended_passive(&read_reply(&wire).1[0]), Ok(address.port()));
    }

    #[test]
    fn active_addresses_are_read_as_clients_write_them(
        v4: SocketAddrV4, v6: Ipv6Addr, delimiter in prop::sample::select(&b"|!#$&*+/;=@_~xyz"[..]),
    ) {
        let [h1, h2, h3, h4] = v4.ip().octets();
        let (p1, p2) = (v4.port() / 256, v4.port() % 256);
        let port = format!("{h1},{h2},{h3},{h4},{p1},{p2}");
        prop_assert_eq!(parse_port(port.as_bytes()), Ok(v4));
        let d = char::from(delimiter);
        let eprt = format!("{d}1{d}{}{d}{}{d}", v4.ip(), v4.port());
        prop_assert_eq!(parse_eprt(eprt.as_bytes()), Ok(SocketAddr::V4(v4)));
        let eprt = format!("{d}2{d}{v6}{d}{}{d}", v4.port());
        prop_assert_eq!(parse_eprt(eprt.as_bytes()), Ok(SocketAddr::new(v6.into(), v4.port())));
    }

    #[test]
    fn times_are_written_in_fixed_width_and_read_back(time in timestamp(), now in timestamp()) {
        let mut out = Vec::new();
        write_time_val(&mut out, time, Precision::Milliseconds);
        prop_assert_eq!(out.len(), 18);
        let read = parse_time_val(&out).unwrap();
        if (-62_167_219_200..=253_402_300_799).contains(&time.seconds) {
            prop_assert_eq!(read.seconds, time.seconds);
            prop_assert_eq!(read.nanos, time.nanos / 1_000_000 * 1_000_000);
        }
        prop_assert_eq!(parse_time_val(&out[..14]).unwrap().seconds, read.seconds);
        let mut out = Vec::new();
        write_list_time(&mut out, time, now);
        prop_assert_eq!(out.len(), 12);
    }

    #[test]
    fn line_ends_are_the_same_however_the_buffers_cut_them(pieces in chunks()) {
        let whole = pieces.concat();
        let (mut encoder, mut decoder, mut counter) = (Encoder::new(), Decoder::new(), Encoder::new());
        let (mut encoded, mut decoded, mut length) = (Vec::new(), Vec::new(), 0);
        for piece in &pieces {
            encoder.encode(piece, &mut encoded);
            decoder.decode(piece, &mut decoded);
            length += counter.encoded_len(piece);
        }
        decoder.finish(&mut decoded);

        let mut expected = Vec::new();
        for (index, &octet) in whole.iter().enumerate() {
            if octet == b'\n' && (index == 0 || whole[index - 1] != b'\r') {
                expected.push(b'\r');
            }
            expected.push(octet);
        }
        prop_assert_eq!(&encoded, &expected);
        prop_assert_eq!(length, encoded.len() as u64);
        let mut expected = Vec::new();
        for (index, &octet) in whole.iter().enumerate() {
            if octet != b'\r' || whole.get(index + 1) != Some(&b'\n') {
                expected.push(octet);
            }
        }
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn a_text_without_crlf_survives_both_translations(pieces in chunks()) {
        let mut text = pieces.concat();
        text.retain(|&b| b != b'\r');
        let (mut wire, mut back) = (Vec::new(), Vec::new());
        Encoder::new().encode(&text, &mut wire);
        let mut decoder = Decoder::new();
        decoder.decode(&wire, &mut back);
        decoder.finish(&mut back);
        prop_assert_eq!(back, text);
    }

    #[test]
    fn listings_are_one_line_an_entry_with_the_name_at_its_end(
        name in octets(), prefix in octets(), entry in entry(), now in timestamp(), facts in facts(),
    ) {
        let entry = Entry { name: &name, ..entry };
        let fits = is_listable(&name);
        let mut out = Vec::new();
        prop_assert_eq!(write_list_line(&mut out, &entry, now), fits);
        if fits {
            assert_one_line(&out);
            let tail = [b" ", &name[..], b"\r\n"].concat();
            prop_assert!(out.ends_with(&tail));
            prop_assert_eq!(out.iter().position(|&b| b == b' '), Some(10));
        }
        let mut out = Vec::new();
        prop_assert_eq!(write_mlsd_line(&mut out, facts, &entry), fits);
        if fits {
            assert_one_line(&out);
        }
        let mut out = Vec::new();
        let fits = fits && is_listable(&prefix);
        prop_assert_eq!(write_name_line(&mut out, &prefix, &name), fits);
        if fits {
            assert_one_line(&out);
            prop_assert_eq!(&out[..out.len() - 2], [&prefix[..], &name[..]].concat());
        }
    }

    #[test]
    fn a_list_line_has_the_columns_that_clients_split_at(entry in entry(), now in timestamp()) {
        let entry = Entry { name: b"two words", ..entry };
        let mut out = Vec::new();
        prop_assert!(write_list_line(&mut out, &entry, now));
        let line = String::from_utf8(out).unwrap();
        let columns: Vec<&str> = line.split_whitespace().collect();
        let links = entry.links.to_string();
        let size = entry.size.to_string();
        prop_assert_eq!(&columns[1..5], [links.as_str(), "ftp", "ftp", size.as_str()]);
        prop_assert_eq!(&columns[8..], ["two", "words"]);
    }

    #[test]
    fn facts_are_read_back_by_an_independent_reader(
        name in names(), entry in entry(), facts in facts(),
    ) {
        let entry = Entry { name: &name, ..entry };
        let mut out = Vec::new();
        prop_assert!(write_mlsd_line(&mut out, facts, &entry));
        let line = out.strip_suffix(b"\r\n").unwrap();
        // No fact has a space in it, so the first one ends them (RFC 3659, 7.2).
        let space = line.iter().position(|&b| b == b' ').unwrap();
        prop_assert_eq!(&line[space + 1..], &name[..]);
        let told: Vec<(&str, &str)> = std::str::from_utf8(&line[..space])
            .unwrap()
            .split_terminator(';')
            .map(|fact| fact.split_once('=').unwrap())
            .collect();
        let value = |name| told.iter().find(|(told, _)| *told == name).map(|(_, value)| *value);
        let wanted = |fact, known: bool| facts.contains(fact) && known;

        prop_assert_eq!(value("type").is_some(), wanted(Fact::Type, true));
        prop_assert_eq!(value("size").is_some(), wanted(Fact::Size, entry.kind == Kind::File));
        prop_assert_eq!(value("modify").is_some(), wanted(Fact::Modify, entry.modified.is_some()));
        prop_assert_eq!(value("create").is_some(), wanted(Fact::Create, entry.created.is_some()));
        prop_assert_eq!(value("perm").is_some(), wanted(Fact::Perm, true));
        prop_assert_eq!(value("unique").is_some(), wanted(Fact::Unique, entry.unique.is_some()));
        prop_assert_eq!(value("UNIX.mode").is_some(), wanted(Fact::UnixMode, entry.mode.is_some()));
        if let Some(size) = value("size") {
            prop_assert_eq!(size.parse(), Ok(entry.size));
        }
        if let Some(mode) = value("UNIX.mode") {
            prop_assert_eq!(u32::from_str_radix(mode, 8).ok(), entry.mode.map(|mode| mode & 0o7777));
        }
        if let Some(perm) = value("perm") {
            prop_assert_eq!(perm.bytes().collect::<Vec<_>>(), entry.perms.letters().collect::<Vec<_>>());
        }
        if let Some((device, inode)) = value("unique").and_then(|unique| unique.split_once('g')) {
            let read = [device, inode].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            prop_assert_eq!(Some((read[0], read[1])), entry.unique);
        }
    }

    #[test]
    fn what_opts_mlst_answers_chooses_the_same_facts_again(facts in facts()) {
        let wire = encoded(&facts.options_reply());
        let (code, lines, _) = read_reply(&wire);
        prop_assert_eq!(code, 200);
        let list = lines[0].strip_prefix(b"MLST OPTS").unwrap();
        prop_assert_eq!(FactSet::parse(list.trim_ascii_start()), facts);
        let feature = facts.feature();
        let starred = feature.as_bytes().strip_prefix(b"MLST ").unwrap().split(|&b| b == b';');
        let chosen: Vec<&[u8]> = starred.filter_map(|fact| fact.strip_suffix(b"*")).collect();
        prop_assert_eq!(FactSet::parse(&chosen.join(&b';')), facts);
    }
}
