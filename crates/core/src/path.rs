//! Paths as the client sees them.

use std::fmt;

/// An absolute path inside an account's storage: octets, no `.`, no `..`, no empty component, no
/// NUL.
///
/// The root is `/`; no other path ends with a slash. Paths of the operating system exist only
/// inside a storage.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualPath(Vec<u8>);

/// A name that no path can hold: it has NUL, CR or LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("control character in a file name")]
pub struct BadName;

impl VirtualPath {
    /// The root, `/`.
    pub fn root() -> VirtualPath {
        VirtualPath(vec![b'/'])
    }

    /// The path that `argument` names, seen from here: absolute if it begins with a slash.
    ///
    /// `.` and empty components vanish and `..` takes the component before it, never more than
    /// there is: the root's parent is the root.
    ///
    /// # Errors
    /// `argument` holds NUL, CR or LF.
    pub fn join(&self, argument: &[u8]) -> Result<VirtualPath, BadName> {
        if argument.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            return Err(BadName);
        }
        let mut path = match argument.first() {
            Some(b'/') => VirtualPath::root(),
            _ => self.clone(),
        };
        for component in argument.split(|&b| b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => path.pop(),
                name => path.push(name),
            }
        }
        Ok(path)
    }

    /// The octets, beginning with a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The last component; none for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The path without its last component; none for the root.
    pub fn parent(&self) -> Option<VirtualPath> {
        if self.is_root() {
            return None;
        }
        let mut parent = self.clone();
        parent.pop();
        Some(parent)
    }

    /// The components, outermost first; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|component| !component.is_empty())
    }

    /// Whether this is `ancestor` or lies under it.
    pub fn starts_with(&self, ancestor: &VirtualPath) -> bool {
        ancestor.is_root()
            || self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }

    /// The path relative to the root, without the leading slash; `.` for the root.
    pub fn relative(&self) -> &[u8] {
        match self.0.get(1..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => b".",
        }
    }

    fn push(&mut self, name: &[u8]) {
        if !self.is_root() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    fn pop(&mut self) {
        let slash = self.0.iter().rposition(|&b| b == b'/').unwrap_or_default();
        self.0.truncate(slash.max(1));
    }
}

/// Shows the path for logs, odd octets escaped.
impl fmt::Display for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&waft_proto::command::printable(&self.0))
    }
}

impl fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualPath({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(base: &str, argument: &[u8]) -> String {
        let base = VirtualPath::root().join(base.as_bytes()).unwrap();
        String::from_utf8(base.join(argument).unwrap().0).unwrap()
    }

    #[test]
    fn paths_are_normalised_and_never_leave_the_root() {
        assert_eq!(join("/", b""), "/");
        assert_eq!(join("/a", b"b"), "/a/b");
        assert_eq!(join("/a", b"/b//c/"), "/b/c");
        assert_eq!(join("/a/b", b".."), "/a");
        assert_eq!(join("/a", b"../../../etc/passwd"), "/etc/passwd");
        assert_eq!(join("/a", b"./x/./../y"), "/a/y");
        assert_eq!(join("/", b"..."), "/...");
        assert_eq!(join("/", b" a "), "/ a ");
    }

    #[test]
    fn names_with_line_ends_or_nul_are_refused() {
        for name in [&b"a\0"[..], b"a\n", b"\r"] {
            assert_eq!(VirtualPath::root().join(name), Err(BadName));
        }
        assert!(VirtualPath::root().join(b"\xff\xfe").is_ok());
    }

    #[test]
    fn ancestry_goes_by_whole_components() {
        let at = |path: &[u8]| VirtualPath::root().join(path).unwrap();
        assert!(at(b"/a/b").starts_with(&at(b"/a")));
        assert!(at(b"/a").starts_with(&at(b"/a")));
        assert!(!at(b"/ab").starts_with(&at(b"/a")));
        assert!(at(b"/ab").starts_with(&at(b"/")));
        assert_eq!(at(b"/a/b").parent(), Some(at(b"/a")));
        assert_eq!(at(b"/").parent(), None);
        assert_eq!(at(b"/a/b").relative(), b"a/b");
        assert_eq!(at(b"/").relative(), b".");
    }
}
