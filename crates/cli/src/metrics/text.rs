//! The page itself: names, help, kinds and values.

mod plugins;

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use waft_plugin_host::{HostStatus, Metric};
use waft_server::{Counts, Gauges};

/// All that there is to tell.
pub(super) struct Told<'a> {
    /// When the server was started.
    pub(super) began: SystemTime,
    pub(super) gauges: &'a Gauges,
    pub(super) counts: &'a Counts,
    pub(super) status: &'a HostStatus,
    /// What plugins counted.
    pub(super) metrics: &'a [Metric],
}

/// Writes everything that there is to tell.
pub(super) fn page(told: &Told<'_>) -> String {
    let mut page = Page::default();
    itself(&mut page, told.began);
    moment(&mut page, told.gauges);
    for (name, help, count) in told.counts.described() {
        let name = format!("waft_{name}_total");
        page.family(&name, "counter", help);
        page.sample(&name, &[], count);
    }
    plugins::write(&mut page, told.status);
    plugins::own(&mut page, told.metrics);
    page.0
}

/// Names with values, as they stand behind a metric's name.
type Labels<'a> = &'a [(&'a str, &'a str)];

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(value));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    /// The samples of a histogram; `below` are its bounds, with how many observations were at most
    /// so large.
    fn histogram(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        below: impl IntoIterator<Item = (String, u64)>,
        sum: f64,
        count: u64,
    ) {
        let bucket = format!("{name}_bucket");
        for (bound, below) in below.into_iter().chain([("+Inf".to_owned(), count)]) {
            let labels: Vec<_> = labels.iter().copied().chain([("le", &*bound)]).collect();
            self.sample(&bucket, &labels, below);
        }
        self.sample(&format!("{name}_sum"), labels, number(sum));
        self.sample(&format!("{name}_count"), labels, count);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A number as the format has it.
fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

fn itself(page: &mut Page, began: SystemTime) {
    const BUILD: &str = "waft_build_info";
    page.family(BUILD, "gauge", "The server's version.");
    page.sample(BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    const BEGAN: &str = "waft_start_time_seconds";
    page.family(BEGAN, "gauge", "When the server was started, in seconds since 1970.");
    page.sample(BEGAN, &[], began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
}

fn moment(page: &mut Page, gauges: &Gauges) {
    page.family("waft_sessions", "gauge", "Sessions at this moment.");
    page.sample("waft_sessions", &[], gauges.sessions);
    if let Some(max) = gauges.sessions_max {
        page.family("waft_sessions_max", "gauge", "Sessions that there may be.");
        page.sample("waft_sessions_max", &[], max);
    }
    const TRANSFERS: &str = "waft_transfers";
    page.family(TRANSFERS, "gauge", "Transfers under way.");
    for (kind, count) in gauges.transfers {
        page.sample(TRANSFERS, &[("kind", kind)], count);
    }
    // The range that listeners share goes without a name.
    let labels = |name| [("listener", name)];
    let labels = |name| if str::is_empty(name) { vec![] } else { labels(name).to_vec() };
    const PORTS: &str = "waft_passive_ports";
    page.family(PORTS, "gauge", "Passive ports that there are, where a range is configured.");
    for ports in &gauges.passive {
        if let Some(range) = ports.range {
            page.sample(PORTS, &labels(&ports.listener), range);
        }
    }
    const IN_USE: &str = "waft_passive_ports_in_use";
    page.family(IN_USE, "gauge", "Passive ports on which clients are awaited.");
    for ports in &gauges.passive {
        page.sample(IN_USE, &labels(&ports.listener), ports.in_use);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_those_of_the_format() {
        let mut page = Page::default();
        page.sample("x", &[("plugin", "a\"b\\c\n")], 1);
        assert_eq!(page.0, "x{plugin=\"a\\\"b\\\\c\\n\"} 1\n");
        let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.25].map(number);
        assert_eq!(numbers, ["NaN", "+Inf", "-Inf", "-0.25"]);
    }

    #[test]
    fn a_histogram_ends_with_all_that_was_observed() {
        let mut page = Page::default();
        page.histogram("x", &[("a", "b")], [("1".to_owned(), 2)], 0.5, 3);
        let lines = "x_bucket{a=\"b\",le=\"1\"} 2\nx_bucket{a=\"b\",le=\"+Inf\"} 3\n\
                     x_sum{a=\"b\"} 0.5\nx_count{a=\"b\"} 3\n";
        assert_eq!(page.0, lines);
    }
}
