//! What a command, a reply and an entry of a listing cost the processor.
//!
//! `cargo xtask bench micro` runs this with the others and makes a table of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "benchmarks fail by panicking"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use waft_proto::facts::write_mlsd_line;
use waft_proto::listing::write_list_line;
use waft_proto::{
    Code, Command, Entry, FactSet, Kind, Line, LineBuffer, Perms, Reply, Text, Timestamp,
};

/// Lines that sessions send: without and with an argument, and one that nobody knows.
const LINES: [(&str, &[u8]); 3] = [
    ("NOOP", b"NOOP"),
    ("STOR", b"STOR reports/2026/quarterly figures.csv"),
    ("unknown", b"XYZZY a hollow voice"),
];

/// A moment in 2026, and half a year later.
const TIMES: [Timestamp; 2] =
    [Timestamp::from_seconds(1_780_000_000), Timestamp::from_seconds(1_795_000_000)];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    commands(&mut criterion);
    replies(&mut criterion);
    entries(&mut criterion);
    criterion.final_summary();
}

fn commands(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("command parser");
    for (name, line) in LINES {
        group.bench_function(name, |bencher| bencher.iter(|| Command::parse(black_box(line))));
    }
    let mut buffer = LineBuffer::new(8 * 1024);
    group.bench_function("line from the socket", |bencher| {
        bencher.iter(|| {
            buffer.extend(black_box(b"STOR reports/2026/quarterly figures.csv\r\n"));
            let Some(Line::Whole(line)) = buffer.next_line() else { panic!("no line") };
            Command::parse(line)
        });
    });
    group.finish();
}

fn replies(criterion: &mut Criterion) {
    let one = Reply::new(Code::OKAY, "Command okay.");
    let lines = ["MDTM", "MFMT", "REST STREAM", "SIZE", "TVFS", "UTF8"].map(Text::from);
    let many = Reply::lines(Code::SYSTEM_STATUS, lines);
    let mut out = Vec::with_capacity(1024);
    let mut group = criterion.benchmark_group("reply writer");
    for (name, reply) in [("one line", one), ("six lines", many)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&reply).encode(black_box(&mut out));
            });
        });
    }
    group.finish();
}

fn entries(criterion: &mut Criterion) {
    let [modified, now] = TIMES;
    let entry = Entry {
        size: 1_048_576,
        modified: Some(modified),
        mode: Some(0o644),
        unique: Some((64, 1_234_567)),
        perms: Perms::READ.union(Perms::WRITE).union(Perms::DELETE),
        ..Entry::new(b"a-file-of-a-usual-name-00042.txt", Kind::File)
    };
    let facts = FactSet::default();
    let mut out = Vec::with_capacity(1024);
    let mut group = criterion.benchmark_group("listing formatter");
    group.throughput(Throughput::Elements(1));
    group.bench_function("line of LIST", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_list_line(black_box(&mut out), black_box(&entry), now)
        });
    });
    group.bench_function("line of MLSD", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_mlsd_line(black_box(&mut out), facts, black_box(&entry))
        });
    });
    group.finish();
}
