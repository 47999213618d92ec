//! `wasi:cli`, `clocks`, `filesystem`, `random`, `sockets` and `http`.

use std::cell::RefCell;

use wasip2::cli::{environment, stderr, stdin, stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::filesystem::preopens;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingBody, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::{OutputStream, StreamError};
use wasip2::random::random;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4Address, Ipv4SocketAddress,
};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::{Told, reason, unknown};

/// 2024 begins, in seconds since 1970.
const LATELY: u64 = 1_704_067_200;

pub(crate) fn ask(words: &[&str]) -> Told {
    match *words {
        ["environment"] => {
            let (variables, arguments) =
                (environment::get_environment(), environment::get_arguments());
            let directory = environment::initial_cwd();
            Ok(format!("{} {} {directory:?}", variables.len(), arguments.len()))
        }
        ["files"] => Ok(preopens::get_directories().len().to_string()),
        ["input"] => match stdin::get_stdin().blocking_read(1) {
            Err(StreamError::Closed) => Ok("closed".to_owned()),
            other => Err(reason(other)),
        },
        ["random"] => {
            let draw = || random::get_random_bytes(16);
            Ok((draw().len() == 16 && draw() != draw()).to_string())
        }
        ["clocks"] => {
            let before = monotonic_clock::now();
            let goes_on = monotonic_clock::now() >= before;
            Ok((goes_on && wall_clock::now().seconds > LATELY).to_string())
        }
        ["print", text] => print(&stdout::get_stdout(), text),
        ["complain", text] => print(&stderr::get_stderr(), text),
        ["connect", address, port] => connect(address, port).map(|()| "connected".to_owned()),
        ["resolve", name] => resolve(name),
        _ => unknown(),
    }
}

fn print(to: &OutputStream, text: &str) -> Told {
    let line = format!("{text}\n");
    to.blocking_write_and_flush(line.as_bytes()).map_err(reason)?;
    Ok("printed".to_owned())
}

fn connect(address: &str, port: &str) -> Result<(), String> {
    let octets: Vec<u8> = address.split('.').filter_map(|octet| octet.parse().ok()).collect();
    let &[a, b, c, d] = octets.as_slice() else { return Err("not an address".to_owned()) };
    let address: Ipv4Address = (a, b, c, d);
    let port = port.parse().map_err(reason)?;
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(reason)?;
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
    socket.start_connect(&instance_network(), to).map_err(reason)?;
    socket.subscribe().block();
    socket.finish_connect().map(|_| ()).map_err(reason)
}

fn resolve(name: &str) -> Told {
    let found = ip_name_lookup::resolve_addresses(&instance_network(), name).map_err(reason)?;
    loop {
        match found.resolve_next_address() {
            Ok(address) => return Ok(reason(address)),
            Err(ErrorCode::WouldBlock) => found.subscribe().block(),
            Err(error) => return Err(reason(error)),
        }
    }
}

thread_local! {
    static HELD: RefCell<Vec<IncomingBody>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn fetch(words: &[&str]) -> Told {
    match *words {
        ["get", url] => {
            let response = answered(url)?;
            let status = response.status();
            let body = response.consume().map_err(reason)?;
            let stream = body.stream().map_err(reason)?;
            let mut octets = Vec::new();
            loop {
                match stream.blocking_read(4096) {
                    Ok(more) => octets.extend(more),
                    Err(StreamError::Closed) => break,
                    Err(error) => return Err(reason(error)),
                }
            }
            Ok(format!("{status} {}", String::from_utf8_lossy(&octets)))
        }
        ["hold", url, number] => {
            let number: usize = number.parse().map_err(reason)?;
            for _ in 0..number {
                let body = answered(url)?.consume().map_err(reason)?;
                HELD.with_borrow_mut(|held| held.push(body));
            }
            Ok(HELD.with_borrow(Vec::len).to_string())
        }
        _ => unknown(),
    }
}

fn answered(url: &str) -> Result<IncomingResponse, String> {
    let (authority, path) =
        url.strip_prefix("http://").unwrap_or(url).split_once('/').unwrap_or((url, ""));
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).map_err(reason)?;
    request.set_authority(Some(authority)).map_err(reason)?;
    request.set_path_with_query(Some(&format!("/{path}"))).map_err(reason)?;
    let coming = outgoing_handler::handle(request, None).map_err(reason)?;
    coming.subscribe().block();
    match coming.get() {
        Some(Ok(response)) => response.map_err(reason),
        other => Err(reason(other)),
    }
}
