//! What there is to tell of plugins.
//!
//! A new version that is tried has the same series as the version in force, with the label
//! `canary`.

use std::collections::BTreeMap;
use std::time::Duration;

use waft_plugin_host::{
    BUCKETS_US, Counts, HookCounts, HostStatus, Metric, MetricKind, MetricValue, PluginStatus,
};

use super::{Labels, Page, number};

/// A metric of one count: its name, what it is, and the count.
type Family = (&'static str, &'static str, fn(&Counts) -> u64);

/// Writes the metrics of the host and of each plugin.
pub(super) fn write(page: &mut Page, status: &HostStatus) {
    const GENERATION: &str = "waft_plugin_generation";
    page.family(GENERATION, "gauge", "The generation of plugins in force.");
    page.sample(GENERATION, &[], status.generation);
    const RELOADS: &str = "waft_plugin_reload_total";
    page.family(RELOADS, "counter", "What became of plugins and their files.");
    for reload in &status.reloads {
        let labels = [("plugin", &*reload.plugin), ("result", reload.result)];
        page.sample(RELOADS, &labels, reload.count);
    }
    states(page, status);
    let versions: Vec<Version<'_>> = Version::all(status).collect();
    calls(page, &versions);
    instances(page, &versions, status);
    events(page, &versions);
    services(page, &versions);
}

/// Writes what plugins counted themselves.
pub(super) fn own(page: &mut Page, metrics: &[Metric]) {
    for metric in metrics {
        let (name, kind) = (&*metric.name, kind(metric.kind));
        page.family(name, kind, "Counted by plugins.");
        for series in &metric.series {
            let labels: Vec<_> = series.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
            match &series.value {
                MetricValue::Counter(count) => page.sample(name, &labels, count),
                MetricValue::Gauge(value) => page.sample(name, &labels, number(*value)),
                MetricValue::Histogram { buckets, sum, count } => {
                    let below = buckets.iter().map(|(bound, below)| (number(*bound), *below));
                    page.histogram(name, &labels, below, *sum, *count);
                }
            }
        }
    }
}

fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}

/// One version of a plugin.
#[derive(Clone, Copy)]
struct Version<'a> {
    status: &'a PluginStatus,
    /// Whether it is only tried.
    canary: bool,
}

impl<'a> Version<'a> {
    fn all(status: &'a HostStatus) -> impl Iterator<Item = Version<'a>> {
        let of = |canary| move |status| Version { status, canary };
        status.plugins.iter().map(of(false)).chain(status.canaries.iter().map(of(true)))
    }

    fn labels<'b, const N: usize>(&self, more: [(&'b str, &'b str); N]) -> Vec<(&'b str, &'b str)>
    where
        'a: 'b,
    {
        let tried = self.canary.then_some(("canary", "true"));
        let name = ("plugin", &*self.status.name);
        [name].into_iter().chain(tried).chain(more).collect()
    }
}

fn states(page: &mut Page, status: &HostStatus) {
    const UP: &str = "waft_plugin_up";
    page.family(UP, "gauge", "Whether a plugin is in force and asked.");
    for plugin in &status.plugins {
        page.sample(UP, &[("plugin", &plugin.name)], u8::from(!plugin.breaker_open));
    }
    for plugin in &status.absent {
        page.sample(UP, &[("plugin", &plugin.name)], 0);
    }
    const SHADOW: &str = "waft_plugin_shadow";
    page.family(SHADOW, "gauge", "Whether a plugin is only listened to.");
    for plugin in &status.plugins {
        page.sample(SHADOW, &[("plugin", &plugin.name)], u8::from(plugin.shadow));
    }
    const DIFFERED: &str = "waft_plugin_shadow_differed_total";
    page.family(DIFFERED, "counter", "How often it would have done something otherwise.");
    for plugin in status.plugins.iter().filter(|plugin| plugin.shadow) {
        page.sample(DIFFERED, &[("plugin", &plugin.name)], plugin.differed);
    }
    const REMEMBERED: &str = "waft_plugin_remembered_commands";
    page.family(REMEMBERED, "gauge", "Commands that it lets pass and is not asked about again.");
    for plugin in &status.plugins {
        page.sample(REMEMBERED, &[("plugin", &plugin.name)], plugin.remembered_commands);
    }
    const CANARY: &str = "waft_plugin_canary_ratio";
    page.family(CANARY, "gauge", "The share of the sessions that a new version is tried on.");
    for plugin in &status.plugins {
        let tried = status.canaries.iter().any(|canary| canary.name == plugin.name);
        let percent = if tried { status.canary_percent } else { 0 };
        page.sample(CANARY, &[("plugin", &plugin.name)], hundredths(percent));
    }
}

fn hundredths(percent: u64) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

/// How calls ended, as a label.
fn results(counts: &HookCounts) -> [(&'static str, u64); 6] {
    let HookCounts { traps, timeouts, bad_verdicts, not_made, given_up, .. } = *counts;
    let made: u64 = counts.buckets.iter().sum();
    let good = made.saturating_sub(traps + timeouts + bad_verdicts + given_up);
    [
        ("ok", good),
        ("trap", traps),
        ("timeout", timeouts),
        ("bad_verdict", bad_verdicts),
        ("not_made", not_made),
        ("given_up", given_up),
    ]
}

fn calls(page: &mut Page, versions: &[Version<'_>]) {
    let hooks = |version: &Version<'_>| version.status.calls_by_hook.clone();
    const CALLS: &str = "waft_plugin_calls_total";
    page.family(CALLS, "counter", "Calls of plugins since they were loaded.");
    for version in versions {
        for counts in hooks(version) {
            for (result, count) in results(&counts) {
                let labels = version.labels([("hook", counts.hook), ("result", result)]);
                page.sample(CALLS, &labels, count);
            }
        }
    }
    const SECONDS: &str = "waft_plugin_call_seconds";
    page.family(SECONDS, "histogram", "Time of calls, waiting included.");
    for version in versions {
        for counts in hooks(version) {
            let labels = version.labels([("hook", counts.hook)]);
            times(page, SECONDS, &labels, &counts.buckets, counts.time);
        }
    }
    const WAITS: &str = "waft_plugin_wait_seconds";
    page.family(WAITS, "histogram", "Time that calls and transfers waited for an instance.");
    for version in versions {
        let PluginStatus { wait_buckets, wait_time, .. } = version.status;
        times(page, WAITS, &version.labels([]), wait_buckets, *wait_time);
    }
    let counts: [Family; 3] = [
        ("waft_plugin_traps_total", "Calls that broke the plugin.", |counts| counts.traps),
        ("waft_plugin_timeouts_total", "Calls that took longer than they may.", |counts| {
            counts.timeouts
        }),
        (
            "waft_plugin_cpu_ticks_total",
            "Time of the processor that a plugin took, in ticks of 10 milliseconds.",
            |counts| counts.cpu_ticks,
        ),
    ];
    for (name, help, count) in counts {
        page.family(name, "counter", help);
        for version in versions {
            page.sample(name, &version.labels([]), count(&version.status.counts));
        }
    }
}

/// A histogram of what was sorted by [`BUCKETS_US`].
fn times(page: &mut Page, name: &str, labels: Labels<'_>, buckets: &[u64], sum: Duration) {
    let mut so_far = 0;
    let below = BUCKETS_US.iter().zip(buckets).map(|(us, count)| {
        so_far += count;
        (seconds(*us), so_far)
    });
    let below: Vec<_> = below.collect();
    page.histogram(name, labels, below, sum.as_secs_f64(), buckets.iter().sum());
}

/// Microseconds in seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn instances(page: &mut Page, versions: &[Version<'_>], status: &HostStatus) {
    const INSTANCES: &str = "waft_plugin_instances";
    page.family(INSTANCES, "gauge", "Instances of plugins.");
    for version in versions {
        let PluginStatus { instances_idle, instances_busy, .. } = version.status;
        for (state, count) in [("idle", instances_idle), ("busy", instances_busy)] {
            page.sample(INSTANCES, &version.labels([("state", state)]), count);
        }
    }
    let mut draining = BTreeMap::<&str, usize>::new();
    for old in &status.draining {
        *draining.entry(&old.name).or_default() += old.instances;
    }
    for (plugin, count) in draining {
        page.sample(INSTANCES, &[("plugin", plugin), ("state", "draining")], count);
    }
    const MEMORY: &str = "waft_plugin_memory_bytes";
    page.family(MEMORY, "gauge", "Memory of all instances of a plugin.");
    for version in versions {
        page.sample(MEMORY, &version.labels([]), version.status.memory_bytes);
    }
}

fn events(page: &mut Page, versions: &[Version<'_>]) {
    let all = versions.iter().filter_map(|version| Some((version, version.status.events?)));
    let all: Vec<_> = all.collect();
    const DROPPED: &str = "waft_plugin_events_dropped_total";
    page.family(DROPPED, "counter", "Events that a plugin did not get.");
    for (version, events) in &all {
        page.sample(DROPPED, &version.labels([]), events.dropped);
    }
    const WAITING: &str = "waft_plugin_events_waiting";
    page.family(WAITING, "gauge", "Events on their way to a plugin.");
    for (version, events) in &all {
        page.sample(WAITING, &version.labels([]), events.waiting);
    }
    const SPOOLED: &str = "waft_plugin_events_spooled_bytes";
    const MAX: &str = "waft_plugin_events_spooled_bytes_max";
    let spooled: Vec<_> = all.iter().filter(|(_, events)| events.spooled_bytes_max > 0).collect();
    page.family(SPOOLED, "gauge", "Bytes of a plugin's events on the disk.");
    for (version, events) in &spooled {
        page.sample(SPOOLED, &version.labels([]), events.spooled_bytes);
    }
    page.family(MAX, "gauge", "Bytes of a plugin's events that there may be on the disk.");
    for (version, events) in &spooled {
        page.sample(MAX, &version.labels([]), events.spooled_bytes_max);
    }
}

fn services(page: &mut Page, versions: &[Version<'_>]) {
    const REQUESTS: &str = "waft_plugin_http_requests_total";
    page.family(REQUESTS, "counter", "Requests of plugins to web services that are over.");
    for version in versions {
        let counts = version.status.counts;
        if counts.http_requests == 0 {
            continue;
        }
        for (result, count) in [
            ("ok", counts.http_ok),
            ("denied", counts.http_denied),
            ("timeout", counts.http_timeouts),
            ("too_large", counts.http_too_large),
            ("failed", counts.http_failed),
        ] {
            page.sample(REQUESTS, &version.labels([("result", result)]), count);
        }
    }
    let bytes: [Family; 2] = [
        ("waft_plugin_kv_bytes", "Bytes in the store of a plugin.", |counts| counts.kv_bytes),
        ("waft_plugin_kv_bytes_max", "Bytes that the store of a plugin may have.", |counts| {
            counts.kv_bytes_max
        }),
    ];
    for (name, help, count) in bytes {
        page.family(name, "gauge", help);
        for version in versions.iter().filter(|version| version.status.counts.kv_bytes_max > 0) {
            page.sample(name, &version.labels([]), count(&version.status.counts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_shares_are_exact() {
        let ends = BUCKETS_US.map(seconds);
        assert_eq!((ends[0].as_str(), ends[11].as_str()), ("0.000001", "0.005"));
        assert_eq!(ends.last().unwrap(), "30");
        assert_eq!([5, 100].map(hundredths), ["0.05", "1.00"]);
    }
}
