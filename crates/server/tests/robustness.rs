//! Clients that are slow, hasty, confused or dying, and one among them that only wants its files.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use waft_proto::address::parse_extended_passive;
use waft_proto::verb::{Data, TABLE};
use waft_server::Parts;
use waft_server::settings::Settings;

use crate::support::chance::Chance;
use crate::support::connection::Connection;
use crate::support::fixture::Fixture;
use crate::support::network::{Memory, StreamOf, Tcp, World};
use crate::support::parts::Plugins;
use crate::support::replies::{Reply, reply};
use crate::support::settings::settings;
use crate::support::text::pattern;

async fn connect<W: World>(world: &W, from: IpAddr) -> Connection<StreamOf<W>> {
    Connection::new(world.control(from).await, W::PATIENCE)
}

/// Sends a whole conversation one octet at a time; each reply must be the one that it would be.
async fn one_octet_at_a_time<W: World>() {
    let fixture = Fixture::<W>::start(settings()).await;
    let mut control = connect(&fixture.world, fixture.addresses.client).await;
    assert_eq!(reply(&mut control).await.unwrap().code, 220);
    for (line, code) in [
        (&b"USER alice\r\n"[..], 331),
        (b"PASS secret\r\n", 230),
        (b"PWD\n", 257),
        (b"\xff\xf4\xff\xf2ABOR\r\n", 226),
        (b"MKD two words\r\n", 257),
        (b"nonsense\r\n", 500),
        (b"SIZE \r\n", 501),
        (b"QUIT\r\n", 221),
    ] {
        for octet in line {
            control.send(&[*octet]).await.unwrap();
        }
        assert_eq!(reply(&mut control).await.unwrap().code, code);
    }
    assert_eq!(control.rest().await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_one_octet_at_a_time_is_understood_in_memory() {
    one_octet_at_a_time::<Memory>().await;
}

#[tokio::test]
async fn a_client_that_sends_one_octet_at_a_time_is_understood_over_tcp() {
    one_octet_at_a_time::<Tcp>().await;
}

#[tokio::test]
async fn who_sends_commands_without_end_keeps_no_other_session_waiting() {
    const COMMANDS: usize = 10_000;
    let fixture = Fixture::start_by(settings(), Tcp::on_this_thread).await;
    let from = fixture.addresses.client;
    let mut busy = connect(&fixture.world, from).await;
    let mut other = connect(&fixture.world, from).await;
    assert_eq!(reply(&mut busy).await.unwrap().code, 220);
    assert_eq!(reply(&mut other).await.unwrap().code, 220);
    let commands = b"A\r\n".repeat(COMMANDS);
    // All at once, before a session has its turn.
    assert_eq!(busy.stream().try_write(&commands).unwrap(), commands.len());
    other.send(b"NOOP\r\n").await.unwrap();
    assert_eq!(reply(&mut other).await.unwrap().code, 200);
    let so_far = fixture.world.server().counts().commands;
    assert!(so_far < COMMANDS as u64 / 10, "commands before the other session's: {so_far}");
    for _ in 0..COMMANDS {
        assert_eq!(reply(&mut busy).await.unwrap().code, 530);
    }
}

#[tokio::test]
async fn a_session_that_waits_for_commands_rests_and_goes_back_to_work() {
    let fixture = Fixture::<Tcp>::start(settings()).await;
    let mut control = connect(&fixture.world, fixture.addresses.client).await;
    assert_eq!(reply(&mut control).await.unwrap().code, 220);
    let mut says = async |lines: &str, codes: &[u16]| {
        control.send(lines.as_bytes()).await.unwrap();
        for code in codes {
            assert_eq!(reply(&mut control).await.unwrap().code, *code, "{lines}");
        }
    };
    says("USER alice\r\nPASS secret\r\n", &[331, 230]).await;
    fixture.world.resting(1).await;
    says("NOOP\r\nPWD\r\nTYPE I\r\n", &[200, 257, 200]).await;
    assert_eq!(fixture.world.workers().resting(), 1);
    says(&"NOOP\r\n".repeat(100), &[200; 100]).await;
    fixture.world.resting(1).await;
    says("MKD a\r\nRNFR a\r\nRNTO b\r\n", &[257, 350, 250]).await;
    fixture.world.resting(1).await;
    says("NOOP\r\nQUIT\r\n", &[200, 221]).await;
    fixture.world.resting(0).await;
}

#[tokio::test]
async fn plugins_that_are_quick_are_asked_about_a_session_where_it_rests() {
    let plugins = Arc::new(Plugins::default());
    plugins.add("on NOOP pass", Path::new("/"));
    let hooks = Arc::clone(&plugins) as _;
    let start = async |addresses, parts| Tcp::start(addresses, Parts { hooks, ..parts }).await;
    let fixture = Fixture::start_by(settings(), start).await;
    let mut control = connect(&fixture.world, fixture.addresses.client).await;
    assert_eq!(reply(&mut control).await.unwrap().code, 220);
    control.send(b"USER alice\r\nPASS secret\r\n").await.unwrap();
    assert_eq!(reply(&mut control).await.unwrap().code, 331);
    assert_eq!(reply(&mut control).await.unwrap().code, 230);
    fixture.world.resting(1).await;
    for _ in 0..10 {
        control.send(b"NOOP\r\n").await.unwrap();
        assert_eq!(reply(&mut control).await.unwrap().code, 200);
        assert_eq!(fixture.world.workers().resting(), 1);
        assert_eq!(plugins.take_seen().unwrap(), "alice in / wants NOOP");
    }
}

/// Octets without meaning, cut into lines now and then.
fn garbage(chance: &mut Chance, length: usize) -> Vec<u8> {
    let mut octets = chance.octets(length);
    for _ in 0..length / 40 {
        let at = chance.below(length);
        octets[at] = b'\n';
    }
    octets
}

#[tokio::test(start_paused = true)]
async fn garbage_gets_one_well_formed_reply_for_each_of_its_lines() {
    for seed in 0..100 {
        let mut chance = Chance::new(seed);
        let fixture = Fixture::<Memory>::start(settings()).await;
        let mut control = connect(&fixture.world, fixture.addresses.client).await;
        assert_eq!(reply(&mut control).await.unwrap().code, 220);
        if chance.happens(50) {
            control.send(b"USER alice\r\nPASS secret\r\n").await.unwrap();
            assert_eq!(reply(&mut control).await.unwrap().code, 331);
            assert_eq!(reply(&mut control).await.unwrap().code, 230);
        }
        let length = 1 + chance.below(20_000);
        let mut octets = garbage(&mut chance, length);
        octets.push(b'\n');
        let lines = octets.iter().filter(|b| **b == b'\n').count();
        control.send(&octets).await.unwrap();
        for line in 0..lines {
            let reply = reply(&mut control).await;
            let reply = reply.unwrap_or_else(|error| panic!("seed {seed}, line {line}: {error}"));
            assert!(matches!(reply.code, 500 | 501 | 530), "seed {seed}, line {line}: {reply:?}");
        }
        control.send(b"NOOP\r\n").await.unwrap();
        assert_eq!(reply(&mut control).await.unwrap().code, 200, "seed {seed}");
        control.shutdown().await.unwrap();
        assert_eq!(control.rest().await.unwrap(), b"", "seed {seed}");
    }
}

/// A command line, more often than not one that makes sense.
fn command(chance: &mut Chance) -> (Vec<u8>, Data) {
    let row = loop {
        let row = &TABLE[chance.below(TABLE.len())];
        if row.name != "QUIT" {
            break row;
        }
    };
    let mut line = row.name.as_bytes().to_vec();
    if chance.happens(90) {
        line.push(b' ');
        line.extend_from_slice(&argument(chance, row.name));
    }
    (line, row.data)
}

fn argument(chance: &mut Chance, verb: &str) -> Vec<u8> {
    if chance.happens(10) {
        let length = chance.below(300);
        let mut octets = chance.octets(length);
        octets.retain(|b| *b != b'\n');
        return octets;
    }
    let choices: &[&[u8]] = match verb {
        "USER" => &[b"alice", b"alice", b"alice", b"bob"],
        "PASS" => &[b"secret", b"secret", b"secret", b"wrong"],
        "TYPE" => &[b"A", b"I", b"L 8", b"E"],
        "MODE" => &[b"S", b"S", b"Z", b"B"],
        "REST" => &[b"0", b"1", b"5", b"99999999999999999999"],
        "RANG" => &[b"0 3", b"1 0", b"7 5"],
        "OPTS" => &[b"MLST type;size;", b"HASH MD5", b"UTF8 ON", b"MODE Z LEVEL 9", b"X"],
        "EPSV" => &[b"1", b"2", b"1", b"1"],
        "SITE" => &[b"HELP", b"CHMOD 644 a", b"UTIME 20240101000000 a", b"X"],
        "MFMT" | "MFCT" => &[b"20240101000000 a", b"2024 a"],
        "MFF" => &[b"modify=20240101000000; a", b"size=1; a"],
        "PORT" => &[b"198,51,100,7,200,1", b"1,2,3,4,5,6", b"1"],
        "EPRT" => &[b"|1|198.51.100.7|51201|", b"|9|x|1|"],
        _ => &[b"a", b"b", b"d", b"d/a", b"..", b"/", b"*", b"-la", b"\xff\xfe", b" ", b"a b"],
    };
    chance.one_of(choices).to_vec()
}

/// Reads so many final replies; none may have more than one preliminary one before it.
async fn finals(control: &mut Connection<StreamOf<Memory>>, count: usize) -> Result<Reply, String> {
    let mut last = None;
    for _ in 0..count {
        let mut next = reply(control).await?;
        if !next.is_final() {
            next = reply(control).await?;
        }
        if !next.is_final() {
            return Err(format!("two preliminary replies: {next:?}"));
        }
        last = Some(next);
    }
    last.ok_or_else(|| "nothing was asked".to_owned())
}

#[tokio::test(start_paused = true)]
async fn whatever_commands_come_in_whatever_order_each_has_one_final_reply() {
    let mut settings = settings();
    settings.limits.login_attempts_max = 0;
    settings.active = waft_server::settings::Active::On;
    // The clock jumps from one time-out to the next: there are many, and none is the idle one.
    settings.timeouts.idle = Duration::ZERO;
    settings.timeouts.login = Duration::ZERO;
    for seed in 0..100 {
        let mut talk = Talk::begin(seed, settings.clone()).await;
        for _ in 0..100 {
            talk.go_on().await;
        }
        talk.end().await;
    }
}

/// A conversation that chance leads.
struct Talk {
    chance: Chance,
    seed: u64,
    fixture: Fixture<Memory>,
    control: Connection<StreamOf<Memory>>,
    data: Option<Connection<StreamOf<Memory>>>,
    said: Vec<String>,
}

impl Talk {
    async fn begin(seed: u64, settings: Settings) -> Talk {
        let fixture = Fixture::<Memory>::start(settings).await;
        fixture.disk.make_file(b"a", "\"hello\\n\"");
        fixture.disk.make_directory(b"d");
        let mut control = connect(&fixture.world, fixture.addresses.client).await;
        assert_eq!(reply(&mut control).await.unwrap().code, 220);
        let chance = Chance::new(seed);
        Talk { chance, seed, fixture, control, data: None, said: Vec::new() }
    }

    async fn go_on(&mut self) {
        let (mut line, kind) = match self.chance.below(10) {
            0 => (b"USER alice".to_vec(), Data::None),
            1 => (b"PASS secret".to_vec(), Data::None),
            2 => (b"EPSV".to_vec(), Data::Setup),
            _ => command(&mut self.chance),
        };
        self.said.push(line.escape_ascii().to_string());
        line.extend_from_slice(b"\r\n");
        let mut count = 1;
        if kind == Data::Transfer && self.chance.happens(30) {
            let next: &[u8] = self.chance.one_of(&[&b"ABOR"[..], b"STAT", b"NOOP", b"STAT a"]);
            self.said.push(next.escape_ascii().to_string());
            line.extend_from_slice(next);
            line.extend_from_slice(b"\r\n");
            count = 2;
        }
        self.control.send(&line).await.unwrap();
        if kind == Data::Transfer {
            self.use_data().await;
        }
        let last = finals(&mut self.control, count).await;
        let last = last.unwrap_or_else(|error| {
            panic!("seed {}: {error}\nsaid so far:\n{}", self.seed, self.said.join("\n"))
        });
        if last.code == 229 {
            self.connect_data(&last).await;
        }
    }

    async fn connect_data(&mut self, passive: &Reply) {
        let port = parse_extended_passive(passive.lines[0].as_bytes()).unwrap();
        self.data = match self.chance.happens(70) {
            true => {
                let stream =
                    self.fixture.world.data(port, self.fixture.addresses.client).await.unwrap();
                Some(Connection::new(stream, Memory::PATIENCE))
            }
            false => None,
        };
    }

    async fn use_data(&mut self) {
        let Some(mut data) = self.data.take() else { return };
        match self.chance.below(4) {
            0 => drop(data),
            1 => Memory::reset(data.into_stream()),
            _ => {
                let length = self.chance.below(1000);
                // The server may have closed it by now.
                let _ = data.send(&self.chance.octets(length)).await;
                let _ = data.shutdown().await;
                self.data = Some(data);
            }
        }
    }

    async fn end(mut self) {
        self.control.shutdown().await.unwrap();
        let rest = self.control.rest().await.unwrap();
        assert_eq!(rest, b"", "seed {}: replies that nobody asked for", self.seed);
    }
}

/// Sessions that come and go while one client works, and how many at a time.
const SESSIONS: usize = 1000;
const AT_A_TIME: usize = 40;
/// Octets of the files of the client that works.
const FILE_BYTES: usize = 300 * 1024;
/// How often it does so, at least.
const ROUNDS_MIN: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_garble_and_vanish_while_one_clients_transfers_go_on() {
    let mut fixture = Fixture::<Tcp>::start(settings()).await;
    fixture.disk.make_file(b"file", &format!("{FILE_BYTES}"));
    fixture.disk.make_directory(b"junk");
    let world = Arc::new(fixture.world);
    let over = Arc::new(AtomicBool::new(false));
    let client = fixture.addresses.client;
    let worker = tokio::spawn(work(Arc::clone(&world), client, Arc::clone(&over)));
    let confused: Vec<_> = (0..AT_A_TIME)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for round in 0..SESSIONS / AT_A_TIME {
                    let seed = (number * 1000 + round) as u64;
                    vanish(&world, neighbour(client, number), Chance::new(seed)).await;
                }
            })
        })
        .collect();
    for task in confused {
        task.await.unwrap();
    }
    over.store(true, Ordering::Release);
    worker.await.unwrap();

    // Whoever is gone is gone on the server's side as well.
    for _ in 0..=SESSIONS {
        while !fixture.events.recv().await.unwrap().starts_with("session closed") {}
    }
    assert_eq!(world.server().counts().sessions_opened, SESSIONS as u64 + 1);
    fixture.disk.check(&format!("file holds {FILE_BYTES}")).unwrap();
    fixture.disk.check(&format!("copy holds {FILE_BYTES}")).unwrap();
    fixture.disk.check("names copy, file, junk").unwrap();
}

/// Another address than that of the client that works.
fn neighbour(client: IpAddr, number: usize) -> IpAddr {
    let IpAddr::V4(client) = client else { panic!("not IPv4: {client}") };
    let [a, b, c, _] = client.octets();
    IpAddr::from([a, b, c, 100 + number as u8])
}

/// A client that uploads and downloads, octet for octet, until all others are done.
async fn work(world: Arc<Tcp>, from: IpAddr, over: Arc<AtomicBool>) {
    let control = connect(&*world, from).await;
    let mut client = Client::log_in(&world, from, control).await;
    let expected = pattern(FILE_BYTES);
    let mut rounds = 0;
    while rounds < ROUNDS_MIN || !over.load(Ordering::Acquire) {
        let mut data = client.transfer("RETR file").await;
        assert!(data.rest().await.unwrap() == expected, "round {rounds}");
        assert_eq!(client.reply().await.code, 226, "round {rounds}");
        let mut data = client.transfer("STOR copy").await;
        data.send(&expected).await.unwrap();
        drop(data);
        assert_eq!(client.reply().await.code, 226, "round {rounds}");
        client.expect("XCRC file", 250).await;
        rounds += 1;
    }
    client.expect("QUIT", 221).await;
}

/// A session that does a few things, reasonable or not, and is gone in the middle of one.
async fn vanish(world: &Tcp, from: IpAddr, mut chance: Chance) {
    let mut control = connect(world, from).await;
    if chance.happens(30) {
        let length = 1 + chance.below(3000);
        // The server may be quicker with the end than we are with our nonsense.
        let _ = control.send(&garbage(&mut chance, length)).await;
        return leave(control, &mut chance).await;
    }
    let mut client = Client::log_in(world, from, control).await;
    for _ in 0..chance.below(3) {
        client.expect("NOOP", 200).await;
    }
    let name = format!("junk/{}", chance.number() % 10);
    let mut data = None;
    match chance.below(5) {
        0 => data = Some(client.transfer("RETR file").await),
        1 => {
            let mut uploading = client.transfer(&format!("STOR {name}")).await;
            let length = chance.below(100_000);
            uploading.send(&chance.octets(length)).await.unwrap();
            data = Some(uploading);
        }
        2 => {
            client.expect("EPSV", 229).await;
            client.control.send(format!("STOR {name}\r\n").as_bytes()).await.unwrap();
        }
        3 => client.control.send(b"RETR fi").await.unwrap(),
        _ => data = Some(client.transfer("LIST").await),
    }
    if chance.happens(50) {
        drop(data.take());
    }
    leave(client.control, &mut chance).await;
}

async fn leave(mut control: Connection<TcpStream>, chance: &mut Chance) {
    match chance.below(3) {
        0 => drop(control),
        1 => Tcp::reset(control.into_stream()),
        _ => {
            // The server may have closed it already.
            let _ = control.shutdown().await;
            control.gone().await.unwrap();
        }
    }
}

/// A client that knows what it wants.
struct Client<'a> {
    world: &'a Tcp,
    from: IpAddr,
    control: Connection<TcpStream>,
}

impl Client<'_> {
    async fn log_in(world: &Tcp, from: IpAddr, control: Connection<TcpStream>) -> Client<'_> {
        let mut client = Client { world, from, control };
        assert_eq!(client.reply().await.code, 220);
        client.expect("USER alice", 331).await;
        client.expect("PASS secret", 230).await;
        client.expect("TYPE I", 200).await;
        client
    }

    async fn reply(&mut self) -> Reply {
        reply(&mut self.control).await.unwrap()
    }

    async fn expect(&mut self, line: &str, code: u16) -> Reply {
        self.control.send(format!("{line}\r\n").as_bytes()).await.unwrap();
        let reply = self.reply().await;
        assert_eq!(reply.code, code, "{line}: {reply:?}");
        reply
    }

    async fn transfer(&mut self, line: &str) -> Connection<TcpStream> {
        let passive = self.expect("EPSV", 229).await;
        let port = parse_extended_passive(passive.lines[0].as_bytes()).unwrap();
        let data = self.world.data(port, self.from).await.unwrap();
        self.expect(line, 150).await;
        Connection::new(data, Tcp::PATIENCE)
    }
}
