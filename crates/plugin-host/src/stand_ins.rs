//! What takes the place of the world where a plugin is tried without it: a scenario's time, web
//! services and store, and failures on demand. A server has none of it.
//!
//! Not here: what is answered and when, which is the business of whoever tries the plugin.

use std::time::SystemTime;

/// A world for plugins that are tried.
pub trait StandIns: Send + Sync {
    /// The time of day, for all that plugins see of it.
    fn now(&self) -> SystemTime;

    /// Answers a request that the plugin's grant allows.
    ///
    /// # Errors
    /// There is no response.
    fn fetch(&self, request: WebRequest) -> Result<WebResponse, NoWebResponse>;

    /// What the plugins' stores hold before anything is called.
    fn stored(&self) -> Vec<(String, Vec<u8>)>;

    /// What becomes of the next call of a hook, by its name, if it is to fail.
    fn fault(&self, hook: &str) -> Option<Fault>;
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As if the component had trapped.
    Trap,
    /// As if it had taken too long.
    Timeout,
}

/// What a plugin asks a web service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// `GET`, `POST` or another.
    pub method: String,
    /// The URL, as it was checked.
    pub url: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The octets behind the headers.
    pub body: Vec<u8>,
}

/// What the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebResponse {
    /// 100 to 999.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The octets behind the headers.
    pub body: Vec<u8>,
}

/// Why the service does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWebResponse {
    /// It takes too long.
    Timeout,
    /// The network says so.
    Network(String),
}
