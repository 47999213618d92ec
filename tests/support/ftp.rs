//! A client that sends what it is told to and looks at every octet of the answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use super::PATIENCE;

/// A control connection.
pub(crate) struct Ftp {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// All lines as they came, without their ends.
    pub(crate) lines: Vec<String>,
}

impl Reply {
    /// The text behind the code, of the last line.
    pub(crate) fn text(&self) -> &str {
        &self.lines[self.lines.len() - 1][4..]
    }
}

impl Ftp {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Ftp {
        let mut ftp = Ftp::of(connect(address));
        let greeting = ftp.reply();
        assert_eq!(greeting.code, 220, "{greeting:?}");
        ftp
    }

    /// Talks over a connection that has not been greeted yet.
    pub(crate) fn of(stream: TcpStream) -> Ftp {
        let reader = BufReader::new(stream.try_clone().unwrap());
        Ftp { stream, reader }
    }

    /// Sends a line as it is.
    pub(crate) fn send(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// Whether the server has said something by now.
    pub(crate) fn has_anything_to_read(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads a reply; fails if it is none.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        let mut lines = vec![self.line().expect("a reply, not the end")];
        let code = lines[0][..3].parse().unwrap();
        let last = format!("{code} ");
        while !lines[lines.len() - 1].starts_with(&last) {
            lines.push(self.line().expect("the rest of a reply, not the end"));
        }
        Reply { code, lines }
    }

    /// Reads a line; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).unwrap();
        (read > 0).then(|| line.strip_suffix("\r\n").expect("CRLF").to_owned())
    }

    /// Sends a command and reads its reply.
    #[track_caller]
    pub(crate) fn command(&mut self, line: &str) -> Reply {
        self.send(line);
        self.reply()
    }

    /// The same, which must have this code.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str, code: u16) -> Reply {
        let reply = self.command(line);
        assert_eq!(reply.code, code, "{line}: {reply:?}");
        reply
    }

    /// Logs in, and asks for TYPE I.
    #[track_caller]
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.expect(&format!("USER {user}"), 331);
        self.expect(&format!("PASS {password}"), 230);
        self.expect("TYPE I", 200);
    }

    /// EPSV, and the data connection that it promises.
    #[track_caller]
    pub(crate) fn epsv(&mut self) -> TcpStream {
        let reply = self.expect("EPSV", 229);
        let port = reply.text().split('|').nth(3).unwrap().parse().unwrap();
        connect(SocketAddr::new(self.stream.peer_addr().unwrap().ip(), port))
    }

    /// PASV, and the address that it tells.
    #[track_caller]
    pub(crate) fn pasv(&mut self) -> SocketAddr {
        let reply = self.expect("PASV", 227);
        let numbers = reply.text().split(['(', ')']).nth(1).unwrap();
        let numbers: Vec<u16> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
        let [a, b, c, d, high, low] = numbers[..] else { panic!("{reply:?}") };
        format!("{a}.{b}.{c}.{d}:{}", high * 256 + low).parse().unwrap()
    }

    /// The arguments of PORT and EPRT for a port of this machine that somebody listens on.
    pub(crate) fn own_port(listener: &TcpListener) -> (String, String) {
        let address = listener.local_addr().unwrap();
        let (host, port) = (address.ip().to_string(), address.port());
        let numbers = format!("{},{},{}", host.replace('.', ","), port / 256, port % 256);
        (numbers, format!("|1|{host}|{port}|"))
    }

    /// Begins a download over EPSV: the connection on which it comes.
    #[track_caller]
    pub(crate) fn begin(&mut self, command: &str) -> TcpStream {
        let data = self.epsv();
        self.expect(command, 150);
        data
    }

    /// Downloads, or lists.
    #[track_caller]
    pub(crate) fn fetch(&mut self, command: &str) -> Vec<u8> {
        let data = self.begin(command);
        self.fetch_rest(data)
    }

    /// Ends a download that has begun.
    #[track_caller]
    pub(crate) fn fetch_rest(&mut self, mut data: TcpStream) -> Vec<u8> {
        let mut octets = Vec::new();
        data.read_to_end(&mut octets).unwrap();
        let reply = self.reply();
        assert_eq!(reply.code, 226, "{reply:?}");
        octets
    }

    /// Uploads.
    #[track_caller]
    pub(crate) fn put(&mut self, command: &str, octets: &[u8]) {
        let data = self.begin(command);
        self.put_rest(data, octets);
    }

    /// Ends an upload that has begun.
    #[track_caller]
    pub(crate) fn put_rest(&mut self, mut data: TcpStream, octets: &[u8]) {
        send_rest(&mut data, octets);
        self.expect_stored();
    }

    /// The reply to an upload whose data have ended.
    #[track_caller]
    pub(crate) fn expect_stored(&mut self) {
        let reply = self.reply();
        assert_eq!(reply.code, 226, "{reply:?}");
    }

    /// Reads until the server closes, which must be all that it still does.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.line(), None);
    }
}

/// Sends the last octets of an upload, and their end.
#[track_caller]
pub(crate) fn send_rest(data: &mut TcpStream, octets: &[u8]) {
    data.write_all(octets).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
}

/// A transfer of each direction that has begun and goes on only when it is told to.
pub(crate) struct Midway {
    download: (Ftp, TcpStream, Vec<u8>),
    upload: (Ftp, TcpStream),
}

impl Midway {
    /// Begins to download `from`, and to upload `head` to `to`, in two sessions that are logged in.
    ///
    /// `head` and what is downloaded must be too long for the buffers between the two ends: so both
    /// transfers are known to wait in the middle.
    pub(crate) fn begin(mut sessions: [Ftp; 2], from: &str, to: &str, head: &[u8]) -> Midway {
        let [downloading, uploading] = &mut sessions;
        let mut source = downloading.begin(&format!("RETR {from}"));
        let mut beginning = vec![0; 64 * 1024];
        source.read_exact(&mut beginning).unwrap();
        let mut sink = uploading.begin(&format!("STOR {to}"));
        sink.write_all(head).unwrap();
        let [downloading, uploading] = sessions;
        Midway { download: (downloading, source, beginning), upload: (uploading, sink) }
    }

    /// Lets both go on to their ends; returns what was downloaded, and the sessions.
    #[track_caller]
    pub(crate) fn finish(self, tail: &[u8]) -> (Vec<u8>, [Ftp; 2]) {
        let (mut uploading, sink) = self.upload;
        uploading.put_rest(sink, tail);
        let (mut downloading, source, mut octets) = self.download;
        octets.append(&mut downloading.fetch_rest(source));
        (octets, [downloading, uploading])
    }

    /// The sessions and their data connections, the download's first.
    pub(crate) fn parts(self) -> [(Ftp, TcpStream); 2] {
        [(self.download.0, self.download.1), self.upload]
    }
}

/// Connects, and never waits for ever on that connection.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Splits what is to be uploaded in two.
pub(crate) fn halves(octets: &[u8]) -> [&[u8]; 2] {
    let (head, tail) = octets.split_at(octets.len() / 2);
    [head, tail]
}
