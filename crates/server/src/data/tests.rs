//! Setting data connections up and opening them, over TCP where it can be, and over memory in
//! paused time.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::passive::{Announced, ListenError};
use super::*;
use crate::net::DataListener;
use crate::net::memory::{MemoryListener, MemoryNetwork, MemoryStream};
use crate::net::tcp::TcpNetwork;
use crate::settings::{Active, Advertised};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn text(reply: &Reply) -> String {
    let mut out = Vec::new();
    reply.encode(&mut out);
    String::from_utf8(out).unwrap()
}

async fn fails<N: Network>(setup: DataSetup<N>, network: &N) -> String {
    let (passive, timeouts) = (Passive::default(), Timeouts::default());
    match setup.open(network, CLIENT, &passive, &timeouts).await {
        Ok(_) => panic!("it opened"),
        Err(error) => text(&error.reply()),
    }
}

/// Connects to localhost from another of its addresses.
async fn connect_from(from: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(SocketAddr::from((LOCALHOST, port))).await.unwrap()
}

/// What a stranger notices: the end, and not one octet.
async fn is_closed_silently(mut stranger: TcpStream) {
    assert_eq!(stranger.read(&mut [0]).await.unwrap(), 0);
}

mod passive_mode {
    use super::*;

    #[tokio::test]
    async fn strangers_are_closed_silently_and_the_client_is_still_awaited() {
        let network = TcpNetwork;
        let listener = listen(&network, LOCALHOST, &(0..=0)).unwrap();
        let port = listener.port();
        let stranger = connect_from([127, 0, 0, 2], port).await;
        let other = connect_from([127, 0, 0, 3], port).await;
        let mut client = connect_from([127, 0, 0, 1], port).await;
        let setup = DataSetup::Passive(listener);
        let (passive, timeouts) = (Passive::default(), Timeouts::default());
        let opened = setup.open(&network, LOCALHOST, &passive, &timeouts).await;
        opened.unwrap().write_all(b"data").await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"data");
        is_closed_silently(stranger).await;
        is_closed_silently(other).await;
    }

    #[tokio::test]
    async fn hosts_of_a_configured_network_may_serve_each_other() {
        let network = TcpNetwork;
        let passive =
            Passive { peers: vec!["127.0.0.0/30".parse().unwrap()], ..Passive::default() };
        let listener = listen(&network, LOCALHOST, &(0..=0)).unwrap();
        let port = listener.port();
        let stranger = connect_from([127, 0, 0, 4], port).await;
        let client = connect_from([127, 0, 0, 2], port).await;
        let mut opened = DataSetup::Passive(listener)
            .open(&network, LOCALHOST, &passive, &Timeouts::default())
            .await
            .unwrap();
        assert_eq!(opened.watched().unwrap().peer_addr().unwrap(), client.local_addr().unwrap());
        is_closed_silently(stranger).await;
    }

    #[tokio::test]
    async fn ipv6_and_mapped_addresses_are_the_client_too() {
        let network = TcpNetwork;
        let (passive, timeouts) = (Passive::default(), Timeouts::default());
        let localhost6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        let listener = listen(&network, localhost6, &(0..=0)).unwrap();
        let client = TcpStream::connect((localhost6, listener.port())).await.unwrap();
        let setup = DataSetup::Passive(listener);
        let mut opened = setup.open(&network, localhost6, &passive, &timeouts).await.unwrap();
        let opened = opened.watched().unwrap();
        assert_eq!(opened.peer_addr().unwrap(), client.local_addr().unwrap());

        let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        let listener = listen(&network, mapped, &(0..=0)).unwrap();
        let _client = TcpStream::connect((LOCALHOST, listener.port())).await.unwrap();
        let setup = DataSetup::Passive(listener);
        setup.open(&network, mapped, &passive, &timeouts).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_connects_is_told_why_that_may_be() {
        let network = MemoryNetwork::new();
        let listener = listen(&network, SERVER, &(50_000..=50_000)).unwrap();
        // A stranger does not make the wait longer.
        let stranger = SocketAddr::from(([198, 51, 100, 1], 4000));
        let to = SocketAddr::new(SERVER, 50_000);
        let _stranger = network.client_connect(to, stranger).unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(
            fails(DataSetup::Passive(listener), &network).await,
            "425 No data connection arrived at port 50000 within 20 s: \
             a firewall may be blocking the passive ports.\r\n"
        );
        assert_eq!(began.elapsed(), Duration::from_secs(20));
        let refused = network.client_connect(to, SocketAddr::new(CLIENT, 4000)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn every_port_of_a_range_is_used_before_it_is_exhausted() {
        for ports in [50_000..=50_000, 50_000..=50_011, 65_000..=65_535, 1..=900] {
            let network = MemoryNetwork::new();
            let mut listeners: Vec<_> =
                ports.clone().map(|_| listen(&network, SERVER, &ports).unwrap()).collect();
            let mut used: Vec<u16> = listeners.iter().map(PassiveListener::port).collect();
            used.sort_unstable();
            assert!(used.into_iter().eq(ports.clone()));
            let full = listen(&network, SERVER, &ports).map(|listener| listener.port());
            assert!(matches!(full, Err(ListenError::Exhausted)), "{full:?}");
            let freed = listeners.pop().unwrap().port();
            assert_eq!(listen(&network, SERVER, &ports).unwrap().port(), freed);
        }
    }

    #[test]
    fn ports_are_not_given_in_order() {
        let network = MemoryNetwork::new();
        let ports = 49_152..=65_535;
        let listeners: Vec<_> =
            (0..32).map(|_| listen(&network, SERVER, &ports).unwrap()).collect();
        let steps: Vec<_> =
            listeners.windows(2).map(|pair| pair[1].port().wrapping_sub(pair[0].port())).collect();
        assert!(steps.windows(2).any(|pair| pair[0] != pair[1]), "{steps:?}");
    }

    #[test]
    fn no_ports_are_none_to_listen_on() {
        let none = std::ops::RangeInclusive::new(5001, 5000);
        let listened = listen(&MemoryNetwork::new(), SERVER, &none).map(|_| ());
        assert!(matches!(listened, Err(ListenError::Exhausted)));
    }

    #[tokio::test]
    async fn a_port_that_another_program_has_is_in_use() {
        let other = std::net::TcpListener::bind((LOCALHOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let listened = listen(&TcpNetwork, LOCALHOST, &(port..=port)).map(|_| ());
        assert!(matches!(listened, Err(ListenError::Exhausted)), "{listened:?}");
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_an_error_of_the_system() {
        let listened = listen(&TcpNetwork, SERVER, &(50_000..=50_100)).map(|_| ());
        let Err(ListenError::Io(error)) = listened else { panic!("{listened:?}") };
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    /// A network whose ports are all taken.
    #[derive(Default)]
    struct Crowded {
        tries: AtomicU32,
    }

    impl Network for Crowded {
        type Stream = MemoryStream;
        type Listener = MemoryListener;

        fn listen(&self, _: SocketAddr) -> io::Result<MemoryListener> {
            self.tries.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::AddrInUse.into())
        }

        async fn connect(&self, _: IpAddr, _: SocketAddr) -> io::Result<MemoryStream> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_large_range_is_not_tried_for_ever() {
        let network = Crowded::default();
        let listened = listen(&network, SERVER, &(1024..=65_535)).map(|_| ());
        assert!(matches!(listened, Err(ListenError::Exhausted)));
        assert_eq!(network.tries.load(Ordering::Relaxed), 1024);
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_told() {
        let network = Crowded::default();
        let address = Advertised::Name("ftp.example.org".into());
        let passive = Passive { address, ..Passive::default() };
        let error = announced(&network, &passive, CLIENT, SERVER).await.unwrap_err();
        assert!(error.to_string().contains("ftp.example.org"), "{error}");
    }
}

mod address {
    use super::*;

    const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

    async fn told(address: Advertised, client: &str, local: &str) -> Announced {
        let network = MemoryNetwork::new();
        let names: [&[&str]; 3] = [&["2001:db8::7", "203.0.113.7"], &["2001:db8::1"], &[]];
        for (name, addresses) in ["both", "six", "none"].iter().zip(names) {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            network.set_name(name, addresses.collect());
        }
        let rule = |net: &str, address| (net.parse().unwrap(), address);
        let passive = Passive {
            address,
            rules: vec![
                rule("10.0.0.0/8", Advertised::Local),
                rule("10.1.0.0/16", Advertised::Name("none".into())),
                rule("2001:db8:ffff::/48", Advertised::Fixed(PUBLIC.into())),
            ],
            ..Passive::default()
        };
        announced(&network, &passive, client.parse().unwrap(), local.parse().unwrap())
            .await
            .unwrap()
    }

    fn name(name: &str) -> Advertised {
        Advertised::Name(Arc::from(name))
    }

    #[tokio::test]
    async fn without_configuration_it_is_the_one_that_the_client_connected_to() {
        for local in ["192.0.2.1", "::ffff:192.0.2.1"] {
            let told = told(Advertised::Local, "198.51.100.1", local).await;
            assert_eq!(told, Announced { ipv4: "192.0.2.1".parse().ok(), is_local: true });
        }
    }

    #[tokio::test]
    async fn over_ipv6_there_is_none_for_pasv() {
        for address in [Advertised::Local, name("six")] {
            let told = told(address, "2001:db8::9", "2001:db8::1").await;
            assert_eq!(told, Announced { ipv4: None, is_local: true });
        }
        let told = told(name("both"), "2001:db8::9", "2001:db8::1").await;
        assert_eq!(told, Announced { ipv4: None, is_local: false });
    }

    #[tokio::test]
    async fn a_fixed_one_or_a_name_makes_epsv_impossible_where_it_is_another() {
        for address in [Advertised::Fixed(PUBLIC.into()), name("both")] {
            let other = told(address.clone(), "198.51.100.1", "192.0.2.1").await;
            assert_eq!(other, Announced { ipv4: Some(PUBLIC), is_local: false });
            let same = told(address, "198.51.100.1", "203.0.113.7").await;
            assert_eq!(same, Announced { ipv4: Some(PUBLIC), is_local: true });
        }
        let told = told(name("six"), "198.51.100.1", "192.0.2.1").await;
        assert_eq!(told, Announced { ipv4: None, is_local: false });
    }

    #[tokio::test]
    async fn the_first_rule_for_the_clients_network_counts() {
        let fixed = Advertised::Fixed(PUBLIC.into());
        for client in ["10.9.9.9", "10.1.9.9", "::ffff:10.1.2.3"] {
            let told = told(fixed.clone(), client, "10.0.0.1").await;
            assert_eq!(told, Announced { ipv4: "10.0.0.1".parse().ok(), is_local: true });
        }
        let told = told(Advertised::Local, "2001:db8:ffff::2", "2001:db8:ffff::1").await;
        assert_eq!(told, Announced { ipv4: None, is_local: false });
    }
}

mod active_mode {
    use super::*;

    fn target(port: u16) -> ActiveTarget {
        active_target(SocketAddr::new(CLIENT, port), CLIENT, SERVER, &Active::On).unwrap()
    }

    #[tokio::test]
    async fn the_connection_comes_from_the_address_that_the_client_knows() {
        let client = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
        let to = client.local_addr().unwrap();
        let local = IpAddr::from([127, 0, 0, 3]);
        let target = active_target(to, LOCALHOST, local, &Active::On).unwrap();
        let (passive, timeouts) = (Passive::default(), Timeouts::default());
        let setup = DataSetup::<TcpNetwork>::Active(target);
        let opened = setup.open(&TcpNetwork, LOCALHOST, &passive, &timeouts);
        let (opened, accepted) = tokio::join!(opened, client.accept());
        assert_eq!(accepted.unwrap().1, opened.unwrap().watched().unwrap().local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_with_the_address() {
        let to = {
            let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
            listener.local_addr().unwrap()
        };
        let target = active_target(to, LOCALHOST, LOCALHOST, &Active::On).unwrap();
        assert_eq!(
            fails(DataSetup::Active(target), &TcpNetwork).await,
            format!("425 Cannot connect to {to}: connection refused; use passive mode.\r\n")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_firewall_is_told_with_the_time() {
        let network = MemoryNetwork::new();
        network.silence(SocketAddr::new(CLIENT, 5001));
        assert_eq!(
            fails(DataSetup::Active(target(5001)), &network).await,
            "425 Cannot connect to 192.0.2.7:5001: no answer within 10 s, \
             a firewall may be in between; use passive mode.\r\n"
        );
    }

    #[tokio::test]
    async fn a_client_in_memory_is_reached() {
        let network = MemoryNetwork::new();
        let client = network.client_listen(SocketAddr::new(CLIENT, 5001)).unwrap();
        let (passive, timeouts) = (Passive::default(), Timeouts::default());
        let setup = DataSetup::Active(target(5001));
        setup.open(&network, CLIENT, &passive, &timeouts).await.unwrap();
        let (_, from) = client.accept().await.unwrap();
        assert_eq!(from.ip(), SERVER);
    }

    #[test]
    fn only_clients_that_may_are_connected_to() {
        let to = SocketAddr::new(CLIENT, 5001);
        let lan = |net: &str| Active::Lan(vec![net.parse().unwrap()]);
        let check = |active| active_target(to, CLIENT, SERVER, &active).err();
        assert_eq!(check(Active::Off), Some(Refused::Disabled));
        assert_eq!(check(lan("10.0.0.0/8")), Some(Refused::Disabled));
        assert_eq!(check(lan("192.0.2.0/24")), None);
        assert_eq!(check(Active::On), None);
    }

    #[test]
    fn nobody_is_sent_to_other_hosts_or_to_well_known_ports() {
        let check = |to: &str| {
            let target = active_target(to.parse().unwrap(), CLIENT, SERVER, &Active::On);
            target.map_err(|refused| refused.reply().code().number())
        };
        assert_eq!(check("192.0.2.7:1024"), Ok(target(1024)));
        assert_eq!(check("[::ffff:192.0.2.7]:1024"), Ok(target(1024)));
        assert_eq!(check("192.0.2.8:5001"), Err(501));
        assert_eq!(check("127.0.0.1:5001"), Err(501));
        assert_eq!(check("[2001:db8::7]:5001"), Err(501));
        assert_eq!(check("192.0.2.7:1023"), Err(504));
        assert_eq!(check("192.0.2.7:0"), Err(504));
        assert_eq!(Refused::Disabled.reply().code().number(), 502);
    }
}

#[tokio::test]
async fn a_setup_serves_one_transfer() {
    let network = MemoryNetwork::new();
    let listener = listen(&network, SERVER, &(0..=0)).unwrap();
    let to = SocketAddr::new(SERVER, listener.port());
    let mut setup = DataSetup::Passive(listener);
    assert!(matches!(setup.take(), DataSetup::Passive(_)));
    assert!(matches!(setup, DataSetup::None));
    assert!(network.client_connect(to, SocketAddr::new(CLIENT, 4000)).is_err());
    assert_eq!(
        fails(setup, &network).await,
        "425 No data connection was set up: use PASV or EPSV first.\r\n"
    );
}
