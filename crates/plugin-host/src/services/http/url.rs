//! The first judgement: whether the operator's list has a URL.
//!
//! URLs are compared as the standard of the web normalises them: `http://0x7f.1/a/../b` is
//! `http://127.0.0.1/b`, and what is sent is what was compared.

use ::http::Uri;
use url::{Host, Position, Url};

use super::NoResponse;

/// What a URL must begin with.
#[derive(Debug)]
pub(crate) struct Allowed {
    scheme: String,
    host: Host<String>,
    port: u16,
    /// Without the slash at its end.
    path: String,
}

/// Checks that a text can be part of the grant `http`.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str) -> Result<(), String> {
    Allowed::new(url).map(drop)
}

impl Allowed {
    /// Reads what the operator wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Allowed, String> {
        let url = parsed(text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("neither a query nor a fragment can be granted: {text}"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(format!("no host: {text}"));
        };
        if matches!(host, Host::Domain(name) if name.contains('*')) {
            return Err(format!("a host is granted by its whole name, not by a pattern: {text}"));
        }
        Ok(Allowed {
            scheme: url.scheme().to_owned(),
            host: host.to_owned(),
            port,
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    fn has(&self, url: &Url) -> bool {
        let below = url.path().strip_prefix(&self.path);
        url.scheme() == self.scheme
            && url.host().map(|host| host.to_owned()).as_ref() == Some(&self.host)
            && url.port_or_known_default() == Some(self.port)
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && (self.path.is_empty() || !has_hidden_steps(url.path()))
    }
}

/// Whether some servers take parts of the path for steps, behind the back of the comparison: they
/// decode it again, or drop what a step has behind a semicolon.
fn has_hidden_steps(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%3b", ";");
    let is_hidden = |step: &str| matches!(step.split_once(';'), Some(("." | "..", _)));
    ["%2f", "%5c", "%2e", "%25"].iter().any(|hidden| path.contains(hidden))
        || path.split('/').any(is_hidden)
}

/// The URL to ask, if it is allowed.
pub(crate) fn judged(uri: &Uri, allowed: &[Allowed]) -> Result<Uri, NoResponse> {
    let url = parsed(&uri.to_string()).map_err(NoResponse::Denied)?;
    if !allowed.iter().any(|allowed| allowed.has(&url)) {
        let place = &url[..Position::AfterPath];
        return Err(NoResponse::Denied(format!("the grant http does not cover {place}")));
    }
    let asked = &url[..Position::AfterQuery];
    asked.parse().map_err(|error| NoResponse::Denied(format!("{error}")))
}

/// Reads a URL. What is wrong with it is told without a query or a password: logs have the message.
fn parsed(text: &str) -> Result<Url, String> {
    let named = text.split(['?', '#']).next().unwrap_or_default();
    let named = named.rsplit('@').next().unwrap_or_default();
    let url = Url::parse(text).map_err(|error| format!("not a URL: {named}: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("neither http nor https: {}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a name or password in it".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(grant: &str, url: &str) -> Result<String, NoResponse> {
        let allowed = [Allowed::new(grant).unwrap()];
        let uri = url.parse().map_err(|_| NoResponse::Denied("no URI".to_owned()))?;
        judged(&uri, &allowed).map(|uri| uri.to_string())
    }

    #[test]
    fn a_url_is_covered_by_scheme_host_port_and_whole_steps_of_the_path() {
        let grant = "https://Api.example.org/v1/";
        for url in [
            "https://api.example.org/v1",
            "https://api.example.org:443/v1/users?x=1",
            "https://API.EXAMPLE.ORG/v1/a/../b",
            "https://api.example.org/v1/a;b/...;c",
        ] {
            assert!(verdict(grant, url).is_ok(), "{url}");
        }
        for url in [
            "http://api.example.org/v1",
            "https://api.example.org:444/v1",
            "https://api.example.org/v12",
            "https://api.example.org/",
            "https://api.example.org/v1/../admin",
            "https://api.example.org/v1/%2e%2e/admin",
            "https://api.example.org/v1/..%2fadmin",
            "https://api.example.org/v1/%252e%252e/admin",
            "https://api.example.org/v1/..;/admin",
            "https://api.example.org/v1/a/.;x=1/b",
            "https://api.example.org/v1/..%3B/admin",
            "https://api.example.org.evil.example/v1",
            "https://user@api.example.org/v1",
            "https://evil.example/v1",
            "ftp://api.example.org/v1",
        ] {
            assert!(matches!(verdict(grant, url), Err(NoResponse::Denied(_))), "{url}");
        }
    }

    #[test]
    fn what_is_denied_is_told_without_what_may_be_secret() {
        for (url, told) in [
            ("ftp://user:word@a.example/?token=x", "neither http nor https: ftp"),
            (
                "http://a.example:99999/p?token=x",
                "not a URL: http://a.example:99999/p: invalid port number",
            ),
            (
                "http://other.example/p?token=x",
                "the grant http does not cover http://other.example/p",
            ),
        ] {
            let denied = verdict("https://a.example/v1", url).unwrap_err();
            assert_eq!(denied, NoResponse::Denied(told.to_owned()), "{url}");
        }
        let mistake = parsed("http://u:word@a b/p?token=x").unwrap_err();
        assert_eq!(mistake, "not a URL: a b/p: invalid international domain name");
    }

    #[test]
    fn what_is_asked_is_what_was_compared() {
        let asked = verdict("http://127.0.0.1:80", "http://0x7f.1/a/./b?c").unwrap();
        assert_eq!(asked, "http://127.0.0.1/a/b?c");
    }

    #[test]
    fn grants_that_are_no_places_are_refused() {
        for text in ["", "example.org", "ftp://a", "https://", "https://a/?q", "https://u:p@a/"] {
            assert!(check_url(text).is_err(), "{text}");
        }
    }
}
