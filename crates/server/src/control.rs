//! The control connection: lines in, replies out.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, read};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use waft_proto::{Command, Line, LineBuffer, ParseError, Reply};

use crate::net::Stream;
use crate::time::within;
use crate::tls::{self, Channel, CloseNotify, Tickets};
use crate::workers::{
    Lookout, MOMENT, Pace, has_thread_to_itself, leaves_processors_to_clients, stay_near,
};

/// What came over the control connection.
#[derive(Debug)]
pub(crate) enum Input {
    /// A line that is a command.
    Command(Command),
    /// A line that is none.
    Malformed(ParseError),
    /// A line over the limit, and what it begins with, if that is a verb.
    TooLong(Option<Command>),
    /// The client will send nothing more.
    End(End),
}

/// How the client's half of the control connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order; it may still be reading.
    Closed,
    /// It broke.
    Broken,
}

/// One control connection. While nothing moves it holds no buffer.
pub(crate) struct Control<S> {
    stream: Channel<S>,
    lines: LineBuffer,
    end: Option<End>,
    /// Whether a plain read of the socket waits. Nobody but [`Control::wait_a_moment`] wants that:
    /// all others say with each call that they do not, or [end](Control::stop_waiting) it before.
    waits: bool,
    /// With which commands this thread keeps watch before it sleeps.
    vigil: Pace,
    lookout: Lookout,
}

/// Octets read at a time; on the stack, and only while something arrives.
const READ_BYTES: usize = 4096;

/// Octets that are read ahead while a transfer runs, before reading stops.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;

/// How long a thread watches for a command at most before it sleeps until there is one: about as long as
/// it takes to fall asleep and to be woken up on a virtual machine, so that it costs no more than twice
/// that there.
const VIGIL: Duration = Duration::from_micros(50);

/// The most commands that come between two that are watched for.
const VIGILS_APART_MAX: u16 = 250;

const _: () = assert!(VIGILS_APART_MAX.is_multiple_of(2), "see Pace");

/// How long a closing control connection waits for the client to close its half.
const LINGER: Duration = Duration::from_secs(1);

impl<S: Stream> Control<S> {
    /// Takes over a connection with lines of at most `line_bytes_max` octets.
    pub(crate) fn new(stream: S, line_bytes_max: usize) -> Control<S> {
        Control {
            stream: Channel::Clear(stream),
            lines: LineBuffer::new(line_bytes_max),
            end: None,
            waits: false,
            vigil: Pace::after(0),
            lookout: Lookout::default(),
        }
    }

    /// Waits for the next line. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.buffered() {
                return input;
            }
            if let Some(end) = self.end {
                return Input::End(end);
            }
            poll_fn(|cx| self.poll_fill(cx)).await;
        }
    }

    /// Waits a moment for something to arrive, without the runtime, where that delays nobody else.
    ///
    /// A client that works through a list of files, nearby, has its next command there at once: to
    /// ask the system in vain, to set a timer and to wait for the reactor costs more than this. And
    /// one call that waits and reads costs less than one for each. Before that the thread may stay awake
    /// for it, as long as a [`VIGIL`] lasts.
    pub(crate) fn wait_a_moment(&mut self) {
        if let Some(tcp) = self.stream.beneath() {
            stay_near(tcp, &mut self.lookout);
        }
        let is_wanted = self.end.is_none() && !self.has_read_ahead() && has_thread_to_itself();
        if is_wanted && self.begin_waiting() && !self.keep_vigil() {
            self.sleep_a_moment();
        }
    }

    /// Makes plain reads wait; false where there is nothing that could.
    fn begin_waiting(&mut self) -> bool {
        let Some(tcp) = self.stream.tcp() else { return false };
        self.waits = self.waits || wait_when_read(tcp).is_ok();
        self.waits
    }

    /// Stays awake for what comes next, if that is worth it; tells whether it came.
    ///
    /// A client on the same machine that works through a list sends its next command when this thread has
    /// only just fallen asleep, and has to wake it then. Where the two have processors to spare, one
    /// client gets two to three times as many replies if the thread stays awake, which takes less of a
    /// processor in all. Where they have none, the processor is better left to others. Clients that are
    /// further away are watched for in vain: for every third command at first, every seventh, and in the
    /// end for one in 251.
    fn keep_vigil(&mut self) -> bool {
        if !leaves_processors_to_clients() || !self.vigil.is_due() {
            return false;
        }
        let has_come = self.watch();
        self.note_vigil(has_come);
        has_come
    }

    /// Notes whether a vigil was of use.
    fn note_vigil(&mut self, has_come: bool) {
        if has_come {
            self.vigil.reset();
        } else {
            self.vigil.slow_down(VIGILS_APART_MAX);
        }
    }

    /// Asks the system again and again whether something has arrived, for [`VIGIL`]; tells whether it has.
    fn watch(&mut self) -> bool {
        let Some(tcp) = self.stream.tcp() else { return false };
        let began = Instant::now();
        loop {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            match recv(tcp, &mut space, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN | Errno::INTR) if began.elapsed() < VIGIL => {}
                Err(Errno::AGAIN | Errno::INTR) => return false,
                read => {
                    self.take(read.map(|((arrived, _), _)| &*arrived).map_err(io::Error::from));
                    return true;
                }
            }
        }
    }

    /// Has the system wake this thread when something arrives, or a [`MOMENT`] later.
    fn sleep_a_moment(&mut self) {
        let Some(tcp) = self.stream.tcp() else { return };
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        match read(tcp, &mut space) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            read => self.take(read.map(|(arrived, _)| &*arrived).map_err(io::Error::from)),
        }
    }

    /// Lets the runtime alone wait from now on.
    fn stop_waiting(&mut self) -> io::Result<()> {
        match self.stream.tcp() {
            Some(tcp) if std::mem::take(&mut self.waits) => Ok(ioctl_fionbio(tcp, true)?),
            _ => Ok(()),
        }
    }

    /// Waits for the client to end its half; what it sends meanwhile is kept. Safe to drop.
    pub(crate) async fn hangup(&mut self) -> End {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            if self.lines.pending() >= READ_AHEAD_BYTES_MAX {
                std::future::pending::<()>().await;
            }
            poll_fn(|cx| self.poll_fill(cx)).await;
        }
    }

    /// Waits for the connection to break, likewise: a client that has ended its half may still be
    /// reading.
    pub(crate) async fn broken(&mut self) {
        if self.hangup().await == End::Closed {
            std::future::pending().await
        }
    }

    /// How the client's half ended, if it has by now.
    ///
    /// The system is asked, too: whoever comes here may know of something that happened on another
    /// connection before the reactor has heard of what happened before it on this one. Mostly nothing
    /// has, and one call tells.
    pub(crate) async fn has_ended(&mut self) -> Option<End> {
        if self.end.is_none() && self.stream.tcp().is_some_and(is_silent) {
            return None;
        }
        poll_fn(|cx| {
            while self.end.is_none() && self.lines.pending() < READ_AHEAD_BYTES_MAX {
                if self.poll_fill(cx).is_pending() {
                    break;
                }
            }
            Poll::Ready(())
        })
        .await;
        self.end.or_else(|| self.stream.beneath().is_some_and(has_hung_up).then_some(End::Closed))
    }

    /// Writes a reply, in one piece.
    ///
    /// # Errors
    /// The connection is broken, or the client did not read within `limit`.
    pub(crate) async fn send(&mut self, reply: &Reply, limit: Duration) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(128);
        reply.encode(&mut bytes);
        let written = self.write_now(&bytes)?;
        let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) else {
            // The runtime does not see such a write. Whoever sends commands without end and reads
            // the replies would otherwise keep all other sessions of the thread waiting.
            consume_budget().await;
            return Ok(());
        };
        self.stop_waiting()?;
        let writing = async {
            self.stream.write_all(rest).await?;
            self.stream.flush().await
        };
        // Boxed, as replies are written in many places, and few of them wait.
        let written = Box::pin(within(limit, writing)).await;
        written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes what a connection in clear text takes at once; returns how much that was. It takes any
    /// reply, but from clients that do not read; and the reactor need not have heard yet that it does.
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tcp) = self.stream.tcp() else { return Ok(0) };
        match send(tcp, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            written => Ok(written?),
        }
    }

    /// Has the runtime that this is called in wait for the client.
    pub(crate) fn move_here(&mut self) {
        // What has become of moves of another thread says nothing about this one.
        self.lookout = Lookout::default();
        if self.stop_waiting().and_then(|()| self.stream.move_here()).is_err() {
            self.end = Some(End::Broken);
        }
    }

    /// Whether something has arrived that was not handed out.
    pub(crate) fn has_read_ahead(&self) -> bool {
        self.lines.pending() > 0
    }

    /// The TLS of the connection.
    pub(crate) fn tls(&self) -> Option<&ServerConnection> {
        self.stream.tls()
    }

    /// Begins TLS, and forgets whatever was read in clear text.
    ///
    /// # Errors
    /// The handshake failed or took longer than `limit`; the connection is gone.
    pub(crate) async fn begin_tls(
        &mut self,
        config: Arc<ServerConfig>,
        tickets: Tickets,
        limit: Duration,
    ) -> io::Result<()> {
        self.lines.clear();
        self.stop_waiting()?;
        let Some(io) = std::mem::replace(&mut self.stream, Channel::Gone).into_io() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // How the client ends the control connection matters to nobody.
        let (end, truncated) = (CloseNotify::Lenient, Arc::default());
        let accepting = tls::accept(io, config, READ_BYTES, end, truncated, Some(tickets));
        let accepted = within(limit, Box::pin(accepting)).await;
        self.stream = accepted.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(())
    }

    /// Puts a ticket before the next reply, under TLS 1.3: the client may have spent those it had.
    pub(crate) fn issue_ticket(&mut self) {
        self.stream.issue_ticket();
    }

    /// Ends TLS and goes on in clear text.
    ///
    /// # Errors
    /// The client did not end it as well, within `limit`; the connection is gone.
    pub(crate) async fn end_tls(&mut self, limit: Duration) -> io::Result<()> {
        let stream = std::mem::replace(&mut self.stream, Channel::Gone);
        if self.has_read_ahead() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let ended = within(limit, stream.end_tls()).await;
        let (stream, ahead) = ended.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
        self.lines.extend(&ahead);
        self.stream = stream;
        Ok(())
    }

    /// Closes the connection so that the last reply arrives: what the client still sends is read,
    /// for a moment, lest the system answers it with a reset.
    pub(crate) async fn close(mut self) {
        let closing = async {
            if self.stream.shutdown().await.is_err() {
                return;
            }
            while self.end.is_none() {
                self.lines.clear();
                poll_fn(|cx| self.poll_fill(cx)).await;
            }
        };
        within(LINGER, closing).await;
    }

    fn buffered(&mut self) -> Option<Input> {
        let input = match self.lines.next_line()? {
            Line::Whole(line) => match Command::parse(line) {
                Ok(command) => Input::Command(command),
                Err(error) => Input::Malformed(error),
            },
            Line::TooLong(head) => Input::TooLong(Command::parse(head).ok()),
        };
        self.lines.release();
        Some(input)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = match self.stream.tcp() {
            None => ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)),
            Some(tcp) => ready!(poll_read_now(tcp, cx, &mut buffer)),
        };
        self.take(read.map(|()| buffer.filled()));
        Poll::Ready(())
    }

    /// Keeps what was read.
    fn take(&mut self, read: io::Result<&[u8]>) {
        match read {
            Ok([]) => self.end = Some(End::Closed),
            Ok(arrived) => self.lines.extend(arrived),
            Err(_) => self.end = Some(End::Broken),
        }
    }
}

/// Makes plain reads wait, for a [`MOMENT`].
fn wait_when_read(tcp: &TcpStream) -> rustix::io::Result<()> {
    set_socket_timeout(tcp, Timeout::Recv, Some(MOMENT))?;
    ioctl_fionbio(tcp, false)
}

/// Whether there is nothing to read, not even an end.
fn is_silent(tcp: &TcpStream) -> bool {
    let mut asked = [PollFd::new(tcp, PollFlags::IN | PollFlags::RDHUP)];
    poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
}

/// Whether the client has ended its half, read or not.
fn has_hung_up(tcp: &TcpStream) -> bool {
    let mut asked = [PollFd::new(tcp, PollFlags::RDHUP)];
    // Fails only where the system has no memory left; then the connection's fate shows later.
    poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Reads what there is, without waiting.
///
/// A read of a TCP connection ends before urgent data, which ABOR often brings, though there is
/// more. Tokio takes any read that does not fill its buffer for the last, and would wait for what
/// is there already: so the system is asked until it says that there is nothing.
fn poll_read_now(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(tcp.poll_read_ready(cx))?;
        let receive = || Ok(recv(tcp, buffer.initialize_unfilled(), RecvFlags::DONTWAIT)?.0);
        match tcp.try_io(Interest::READABLE, receive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read.map(|length| buffer.advance(length))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::num::NonZeroUsize;

    use tokio::net::TcpListener;
    use waft_proto::Code;

    use super::*;
    use crate::net::tcp::Tcp;
    use crate::workers::{Presence, Seat, Workers};

    /// More than all buffers between the two ends hold.
    const LINES: usize = 1 << 20;

    /// A session's end and its client's.
    async fn connected() -> (Control<Tcp>, std::net::TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Control::new(Tcp::Watched(listener.accept().await.unwrap().0), 512), client)
    }

    /// The commands that a thread watches for, of those that come soon or not.
    fn watched_for(control: &mut Control<Tcp>, soon: impl Iterator<Item = bool>) -> Vec<usize> {
        let watch = |(command, comes_soon)| {
            let is_due = control.vigil.is_due();
            if is_due {
                control.note_vigil(comes_soon);
            }
            is_due.then_some(command)
        };
        soon.enumerate().filter_map(watch).collect()
    }

    #[tokio::test]
    async fn a_client_that_is_far_away_is_watched_for_ever_less_and_a_near_one_always() {
        let (mut control, _client) = connected().await;
        let far = watched_for(&mut control, [false; 1000].into_iter());
        assert_eq!(far, [0, 3, 10, 25, 56, 119, 246, 497, 748, 999]);
        let near = watched_for(&mut control, [true; 500].into_iter());
        assert_eq!(near, (250..500).collect::<Vec<usize>>());
    }

    #[tokio::test]
    async fn a_thread_that_watches_sees_what_comes_and_that_nothing_does_any_more() {
        let (mut control, mut client) = connected().await;
        assert!(!control.watch());
        client.write_all(b"NOOP\r\n").unwrap();
        assert!(control.watch() && control.has_read_ahead() && control.end.is_none());
        assert!(matches!(control.next().await, Input::Command(_)));
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(control.watch());
        assert_eq!(control.end, Some(End::Closed));
    }

    #[tokio::test]
    async fn a_socket_that_waits_for_commands_does_not_wait_for_who_reads_no_replies() {
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let _presence = Presence::of(&Seat::take(Some(&workers)));
        let (mut control, mut client) = connected().await;
        control.wait_a_moment();
        assert!(control.waits && !control.has_read_ahead());
        client.write_all(b"NOOP\r\n").unwrap();
        control.wait_a_moment();
        assert!(control.has_read_ahead());
        assert!(matches!(control.next().await, Input::Command(_)));
        let reply = Reply::lines(Code::OKAY, (0..LINES).map(|_| "x".repeat(60).into()));
        let told = control.send(&reply, Duration::from_millis(1)).await;
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
