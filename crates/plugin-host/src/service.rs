//! What guests may import, in one table.

/// Something that guests may import.
#[derive(Debug)]
pub(crate) struct Service {
    /// A package and an interface; a package and a slash are all its interfaces.
    path: &'static str,
    /// What versions begin with.
    version: &'static str,
}

const fn service(path: &'static str, version: &'static str) -> Service {
    Service { path, version }
}

/// Everything that guests may import.
const TABLE: &[Service] = &[
    service("waft:plugin/types", "0.1."),
    service("waft:plugin/sessions", "0.1."),
    service("waft:plugin/log", "0.1."),
    service("waft:plugin/config", "0.1."),
    service("waft:plugin/clock", "0.1."),
    service("wasi:cli/", "0.2."),
    service("wasi:clocks/", "0.2."),
    service("wasi:filesystem/", "0.2."),
    service("wasi:io/", "0.2."),
    service("wasi:random/", "0.2."),
    service("wasi:sockets/", "0.2."),
];

/// The service of that name and version, if there is one.
pub(crate) fn find(path: &str, version: Option<&str>) -> Option<&'static Service> {
    let version = version?;
    TABLE.iter().find(|service| {
        let named = match service.path.ends_with('/') {
            true => path.starts_with(service.path),
            false => path == service.path,
        };
        named && version.starts_with(service.version)
    })
}
