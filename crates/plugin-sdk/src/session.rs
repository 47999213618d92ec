//! The session that a hook runs for.

use crate::TlsInfo;
use crate::bindings::base::waft::plugin::sessions;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::TestSession;

/// The session that a hook runs for, lent for one call.
///
/// Every method asks the server, which costs about as much as the call of the hook itself: ask
/// last, and once.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a>(Inner<'a>);

#[derive(Debug, Clone, Copy)]
enum Inner<'a> {
    Host(&'a sessions::Session),
    #[cfg(not(target_arch = "wasm32"))]
    Test(&'a TestSession),
}

/// Asks the server, or in tests what stands for it.
macro_rules! ask {
    ($session:expr, $host:ident => $real:expr, $test:ident => $fake:expr) => {
        match $session.0 {
            Inner::Host($host) => $real,
            #[cfg(not(target_arch = "wasm32"))]
            Inner::Test($test) => $fake,
        }
    };
}

impl<'a> Session<'a> {
    pub(crate) fn host(session: &'a sessions::Session) -> Self {
        Self(Inner::Host(session))
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn test(session: &'a TestSession) -> Self {
        Self(Inner::Test(session))
    }

    /// The session's number, which no other session of the server process has.
    pub fn id(self) -> u64 {
        ask!(self, host => host.id(), test => test.id)
    }

    /// The client's address, IPv4 in dotted form even where it came as IPv6.
    pub fn remote_ip(self) -> String {
        ask!(self, host => host.remote_ip(), test => test.remote_ip.clone())
    }

    /// The client's port.
    pub fn remote_port(self) -> u16 {
        ask!(self, host => host.remote_port(), test => test.remote_port)
    }

    /// The name of the listener that the client connected to; its address and port where it has
    /// none.
    pub fn listener(self) -> String {
        ask!(self, host => host.listener(), test => test.listener.clone())
    }

    /// What is known of TLS; `None` while the control connection is in clear text.
    pub fn tls(self) -> Option<TlsInfo> {
        ask!(self, host => host.tls(), test => test.tls.clone())
    }

    /// The user's name; `None` until the login has succeeded.
    pub fn user(self) -> Option<String> {
        ask!(self, host => host.user(), test => test.user.clone())
    }

    /// The working directory, as the client sees it.
    pub fn cwd(self) -> String {
        ask!(self, host => host.cwd(), test => test.cwd.clone())
    }

    /// A fact about the user or the session by name, such as a group or a limit.
    pub fn attribute(self, name: &str) -> Option<String> {
        ask!(self, host => host.attribute(name), test => test.attributes.get(name).cloned())
    }

    /// What this plugin has kept under a key in this session.
    pub fn get(self, key: &str) -> Option<Vec<u8>> {
        ask!(self, host => host.get(key), test => test.kept.borrow().get(key).cloned())
    }

    /// Keeps bytes under a key until the session ends, whatever becomes of this instance; `None`
    /// forgets them.
    ///
    /// # Errors
    /// The plugin's share for this session is used up.
    pub fn set(self, key: &str, value: Option<&[u8]>) -> Result<(), String> {
        ask!(self, host => host.set(key, value), test => {
            test.keep(key, value);
            Ok(())
        })
    }

    /// Says that [`CommandFilter::on_command`](crate::CommandFilter::on_command) would pass every
    /// command of this session with one of these verbs, whatever its argument: it is not asked about
    /// them any more, until the user, TLS or an attribute of the session changes, or another version
    /// or other settings of the plugin take over.
    ///
    /// What depends on anything else, be it the time, the working directory or a store, must not be
    /// skipped. Servers before 0.1.1 do not load a component that calls this.
    pub fn skip_commands(self, verbs: &[&str]) {
        ask!(self, host => {
            let verbs: Vec<String> = verbs.iter().copied().map(str::to_owned).collect();
            host.skip_commands(&verbs);
        }, test => test.skip(verbs));
    }
}
