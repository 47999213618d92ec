//! The page itself: names, help, kinds and values.

use std::fmt::{Display, Write};

use waft_plugin_host::{BUCKETS_US, HookCounts, HostStatus, PluginStatus};
use waft_server::Counts;

/// Writes everything that there is to tell.
pub(super) fn page(counts: &Counts, sessions: usize, status: &HostStatus) -> String {
    let mut page = Page::default();
    page.family("waft_sessions", "gauge", "Sessions at this moment.");
    page.sample("waft_sessions", &[], sessions);
    for (name, count) in counts.named() {
        let name = format!("waft_{name}_total");
        page.family(&name, "counter", "Counted since the server started.");
        page.sample(&name, &[], count);
    }
    page.family("waft_plugin_generation", "gauge", "The generation of plugins in force.");
    page.sample("waft_plugin_generation", &[], status.generation);
    states(&mut page, status);
    calls(&mut page, &status.plugins);
    instances(&mut page, &status.plugins);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(value));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn states(page: &mut Page, status: &HostStatus) {
    const NAME: &str = "waft_plugin_up";
    page.family(NAME, "gauge", "Whether a plugin is in force and asked.");
    for plugin in &status.plugins {
        let up = u8::from(!plugin.breaker_open);
        page.sample(NAME, &[("plugin", &plugin.name)], up);
    }
    for plugin in &status.absent {
        page.sample(NAME, &[("plugin", &plugin.name)], 0);
    }
}

/// How calls ended, as a label.
fn results(counts: &HookCounts) -> [(&'static str, u64); 5] {
    let HookCounts { traps, timeouts, bad_verdicts, not_made, .. } = *counts;
    let made: u64 = counts.buckets.iter().sum();
    let good = made.saturating_sub(traps + timeouts + bad_verdicts);
    [
        ("ok", good),
        ("trap", traps),
        ("timeout", timeouts),
        ("bad_verdict", bad_verdicts),
        ("not_made", not_made),
    ]
}

fn calls(page: &mut Page, plugins: &[PluginStatus]) {
    let of_hooks = |page: &mut Page, tell: &mut dyn FnMut(&mut Page, &str, &HookCounts)| {
        for plugin in plugins {
            plugin.calls_by_hook.iter().for_each(|counts| tell(page, &plugin.name, counts));
        }
    };
    const CALLS: &str = "waft_plugin_calls_total";
    page.family(CALLS, "counter", "Calls of plugins since they were loaded.");
    of_hooks(page, &mut |page, plugin, counts| {
        for (result, count) in results(counts) {
            let labels = [("plugin", plugin), ("hook", counts.hook), ("result", result)];
            page.sample(CALLS, &labels, count);
        }
    });
    page.family("waft_plugin_call_seconds", "histogram", "Time of calls, waiting included.");
    of_hooks(page, &mut times);
    for (name, help) in [
        ("waft_plugin_traps_total", "Calls that broke the plugin."),
        ("waft_plugin_timeouts_total", "Calls that took longer than they may."),
    ] {
        page.family(name, "counter", help);
        for plugin in plugins {
            let counts = plugin.counts;
            let value = if name.contains("traps") { counts.traps } else { counts.timeouts };
            page.sample(name, &[("plugin", &plugin.name)], value);
        }
    }
}

fn times(page: &mut Page, plugin: &str, counts: &HookCounts) {
    let labels = [("plugin", plugin), ("hook", counts.hook)];
    let mut below = 0;
    let ends = BUCKETS_US.iter().map(|us| Some(*us)).chain([None]);
    for (count, end) in counts.buckets.iter().zip(ends) {
        below += count;
        let end = end.map_or_else(|| "+Inf".to_owned(), seconds);
        let [plugin, hook] = labels;
        page.sample("waft_plugin_call_seconds_bucket", &[plugin, hook, ("le", &end)], below);
    }
    let sum = counts.time.as_secs_f64();
    page.sample("waft_plugin_call_seconds_sum", &labels, sum);
    page.sample("waft_plugin_call_seconds_count", &labels, below);
}

/// Microseconds in seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn instances(page: &mut Page, plugins: &[PluginStatus]) {
    const INSTANCES: &str = "waft_plugin_instances";
    page.family(INSTANCES, "gauge", "Instances of plugins.");
    for plugin in plugins {
        for (state, count) in [("idle", plugin.instances_idle), ("busy", plugin.instances_busy)] {
            page.sample(INSTANCES, &[("plugin", &plugin.name), ("state", state)], count);
        }
    }
    const MEMORY: &str = "waft_plugin_memory_bytes";
    page.family(MEMORY, "gauge", "Memory of all instances of a plugin.");
    for plugin in plugins {
        page.sample(MEMORY, &[("plugin", &plugin.name)], plugin.memory_bytes);
    }
    const DROPPED: &str = "waft_plugin_events_dropped_total";
    page.family(DROPPED, "counter", "Events that a plugin did not get.");
    for plugin in plugins {
        if let Some(events) = plugin.events {
            page.sample(DROPPED, &[("plugin", &plugin.name)], events.dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_bounds_are_exact() {
        let mut page = Page::default();
        page.sample("x", &[("plugin", "a\"b\\c")], 1);
        assert_eq!(page.0, "x{plugin=\"a\\\"b\\\\c\"} 1\n");
        let ends = BUCKETS_US.map(seconds);
        assert_eq!((ends[0].as_str(), ends[11].as_str()), ("0.000001", "0.005"));
        assert_eq!(ends.last().unwrap(), "30");
    }
}
