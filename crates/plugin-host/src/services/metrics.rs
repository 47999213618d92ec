//! Numbers that plugins count for the operator's graphs: bounded in names, labels and series, kept
//! by plugin so that they survive its reload, and told to whoever exports them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::capability::log::cleaned;
use crate::limits;

/// What the names of plugins' metrics begin with.
const PREFIX: &str = "waft_plugin_user_";

/// Upper bounds of the buckets that observations are counted in; the last one has none.
const BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 1e3, 1e6, 1e9];

/// The metrics of all plugins.
#[derive(Default)]
pub(crate) struct Metrics {
    plugins: Mutex<BTreeMap<String, Arc<Meter>>>,
    names: Arc<Names>,
}

/// The metrics of one plugin.
#[derive(Debug)]
pub(crate) struct Meter {
    plugin: String,
    families: Mutex<BTreeMap<String, Family>>,
    names: Arc<Names>,
    dropped: AtomicU64,
}

/// What the samples of all metrics are called, and which metric they belong to: whoever reads them
/// knows nothing but the name.
#[derive(Debug, Default)]
struct Names(Mutex<BTreeMap<String, (String, MetricKind)>>);

#[derive(Debug)]
struct Family {
    kind: MetricKind,
    series: BTreeMap<Vec<(String, String)>, MetricValue>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A count that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Observations, by size.
    Histogram,
}

/// One metric of the plugins, all plugins' series together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// `waft_plugin_user_` and the name that the plugin gave it.
    pub name: String,
    /// What it is.
    pub kind: MetricKind,
    /// Its series.
    pub series: Vec<MetricSeries>,
}

/// One series of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricSeries {
    /// Names with values, sorted, behind `plugin` with the plugin's name.
    pub labels: Vec<(String, String)>,
    /// What was counted.
    pub value: MetricValue,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricValue {
    /// A count.
    Counter(u64),
    /// The last number.
    Gauge(f64),
    /// Observations.
    Histogram {
        /// How many were at most so large, for each bound in ascending order; those above the last
        /// bound are only part of `count`.
        buckets: Vec<(f64, u64)>,
        /// Their sum.
        sum: f64,
        /// How many there were.
        count: u64,
    },
}

impl Metrics {
    /// The metrics of that plugin.
    pub(crate) fn of(&self, plugin: &str) -> Arc<Meter> {
        let new = || Arc::new(Meter::new(plugin, &self.names));
        Arc::clone(self.lock().entry(plugin.to_owned()).or_insert_with(new))
    }

    /// Everything that was counted so far, by name.
    pub(crate) fn read(&self) -> Vec<Metric> {
        let mut all: Vec<Metric> = Vec::new();
        for (plugin, meter) in &*self.lock() {
            for (name, family) in &*meter.lock() {
                let name = format!("{PREFIX}{name}");
                let series = family.series.iter().map(|(labels, value)| {
                    let own = ("plugin".to_owned(), plugin.clone());
                    let labels = std::iter::once(own).chain(labels.iter().cloned()).collect();
                    MetricSeries { labels, value: value.clone() }
                });
                let same = |metric: &&mut Metric| metric.name == name;
                match all.iter_mut().find(same) {
                    Some(metric) => metric.series.extend(series),
                    None => all.push(Metric { kind: family.kind, series: series.collect(), name }),
                }
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Meter>>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// Takes a name for a metric of that kind; whether it can be had. Several plugins may have the
    /// same metric.
    fn take(&self, name: &str, kind: MetricKind) -> bool {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let metric = (name.to_owned(), kind);
        let samples = kind.samples(name);
        let fits = |sample: &String| names.get(sample).is_none_or(|owner| *owner == metric);
        if !samples.iter().all(fits) {
            return false;
        }
        names.extend(samples.into_iter().map(|sample| (sample, metric.clone())));
        true
    }
}

impl Meter {
    fn new(plugin: &str, names: &Arc<Names>) -> Meter {
        Meter {
            plugin: plugin.to_owned(),
            families: Mutex::default(),
            names: Arc::clone(names),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds to a count.
    pub(crate) fn count(&self, name: &str, delta: u64, labels: Vec<(String, String)>) {
        self.change(MetricKind::Counter, name, labels, |value| {
            if let MetricValue::Counter(count) = value {
                *count = count.saturating_add(delta);
            }
        });
    }

    /// Sets a number.
    pub(crate) fn set(&self, name: &str, number: f64, labels: Vec<(String, String)>) {
        self.change(MetricKind::Gauge, name, labels, |value| *value = MetricValue::Gauge(number));
    }

    /// Adds an observation.
    pub(crate) fn observe(&self, name: &str, seen: f64, labels: Vec<(String, String)>) {
        self.change(MetricKind::Histogram, name, labels, |value| {
            if let MetricValue::Histogram { buckets, sum, count } = value {
                let fitting = buckets.iter_mut().filter(|(bound, _)| seen <= *bound);
                fitting.for_each(|(_, number)| *number += 1);
                *sum += seen;
                *count += 1;
            }
        });
    }

    /// How often something was not counted: names that are none, too many series.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn change(
        &self,
        kind: MetricKind,
        name: &str,
        labels: Vec<(String, String)>,
        change: impl FnOnce(&mut MetricValue),
    ) {
        let mut families = self.lock();
        match self.find(&mut families, kind, name, labels) {
            Ok(value) => change(value),
            Err(reason) => {
                // The others are counted: a plugin may do this with every call.
                if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                    let (plugin, metric) = (&*self.plugin, cleaned(name));
                    tracing::warn!(plugin, metric, reason, "metric of a plugin dropped");
                }
            }
        }
    }

    /// Where a series is, or is made if there is room.
    ///
    /// # Errors
    /// Why there is none.
    fn find<'a>(
        &self,
        families: &'a mut BTreeMap<String, Family>,
        kind: MetricKind,
        name: &str,
        mut labels: Vec<(String, String)>,
    ) -> Result<&'a mut MetricValue, &'static str> {
        labels.sort();
        if !is_name(name) {
            return Err("not a name");
        }
        if !are_labels(&labels) {
            return Err("not labels, or too many");
        }
        let series: usize = families.values().map(|family| family.series.len()).sum();
        if !families.contains_key(name) {
            if families.len() >= limits::METRICS_MAX {
                return Err("too many names");
            }
            if !self.names.take(name, kind) {
                return Err(OTHERS);
            }
        }
        let new = || Family { kind, series: BTreeMap::new() };
        let family = families.entry(name.to_owned()).or_insert_with(new);
        if family.kind != kind {
            return Err(OTHERS);
        }
        if series >= limits::METRIC_SERIES_MAX && !family.series.contains_key(&labels) {
            return Err("too many series");
        }
        Ok(family.series.entry(labels).or_insert_with(|| kind.zero()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a name cannot be had that stands for something else.
const OTHERS: &str = "the name is that of another metric, or of a part of one";

impl MetricKind {
    /// What the samples of a metric of that name are called.
    fn samples(self, name: &str) -> Vec<String> {
        let parts: &[&str] = match self {
            MetricKind::Counter | MetricKind::Gauge => &[""],
            MetricKind::Histogram => &["", "_bucket", "_sum", "_count"],
        };
        parts.iter().map(|part| format!("{name}{part}")).collect()
    }

    fn zero(self) -> MetricValue {
        match self {
            MetricKind::Counter => MetricValue::Counter(0),
            MetricKind::Gauge => MetricValue::Gauge(0.0),
            MetricKind::Histogram => MetricValue::Histogram {
                buckets: BUCKETS.map(|bound| (bound, 0)).to_vec(),
                sum: 0.0,
                count: 0,
            },
        }
    }
}

/// As Prometheus has them.
fn is_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    (1..=limits::METRIC_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Sorted, each name once; `plugin`, `le` and what begins with two underscores have a meaning of
/// their own.
fn are_labels(labels: &[(String, String)]) -> bool {
    let fine = |(name, value): &(String, String)| {
        is_name(name)
            && !["plugin", "le"].contains(&name.as_str())
            && !name.starts_with("__")
            && value.len() <= limits::METRIC_LABEL_BYTES_MAX
    };
    let twice = |pair: &[(String, String)]| match pair {
        [(one, _), (other, _)] => one == other,
        _ => false,
    };
    labels.len() <= limits::METRIC_LABELS_MAX
        && labels.iter().all(fine)
        && !labels.windows(2).any(twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn plugins_of_the_same_metric_have_series_of_their_own() {
        let metrics = Metrics::default();
        metrics.of("a").count("refused", 2, labels(&[("why", "size")]));
        metrics.of("a").count("refused", 1, labels(&[("why", "size")]));
        metrics.of("b").count("refused", 1, vec![]);
        metrics.of("b").set("level", -0.5, vec![]);
        let [level, refused] = metrics.read().try_into().unwrap();
        assert_eq!(
            (level.name.as_str(), level.kind),
            ("waft_plugin_user_level", MetricKind::Gauge)
        );
        assert_eq!(refused.series.len(), 2);
        assert_eq!(refused.series[0].labels, labels(&[("plugin", "a"), ("why", "size")]));
        assert_eq!(refused.series[0].value, MetricValue::Counter(3));
    }

    #[test]
    fn observations_are_counted_by_size() {
        let meter = Metrics::default().of("p");
        for seen in [0.002, 7.0, 1e12] {
            meter.observe("took", seen, vec![]);
        }
        let families = meter.lock();
        let value = families["took"].series.values().next().unwrap();
        let MetricValue::Histogram { buckets, sum, count } = value else { panic!("{value:?}") };
        assert_eq!((*count, *sum > 1e12), (3, true));
        assert_eq!(buckets.iter().map(|bucket| bucket.1).collect::<Vec<_>>()[..4], [0, 1, 1, 1]);
        assert_eq!(buckets.last(), Some(&(1e9, 2)));
    }

    #[test]
    fn what_would_grow_without_bound_or_be_no_metric_is_dropped_and_counted() {
        let meter = Metrics::default().of("p");
        for number in 0..limits::METRIC_SERIES_MAX + 5 {
            meter.count("many", 1, labels(&[("n", &number.to_string())]));
        }
        assert_eq!(meter.dropped(), 5);
        meter.count("many", 1, labels(&[("n", "0")]));
        assert_eq!(meter.dropped(), 5, "what there is goes on");
        let long = "x".repeat(limits::METRIC_LABEL_BYTES_MAX + 1);
        meter.count("", 1, vec![]);
        meter.count("1st", 1, vec![]);
        meter.count("a b", 1, vec![]);
        meter.count("a", 1, labels(&[("plugin", "other")]));
        meter.count("a", 1, labels(&[("b", &long)]));
        meter.count("a", 1, labels(&[("b", "1"), ("b", "2")]));
        meter.set("many", 1.0, labels(&[("n", "0")]));
        meter.count("a", 1, labels(&[("__name__", "b")]));
        assert_eq!(meter.dropped(), 13);
    }

    #[test]
    fn a_name_stands_for_one_metric_whichever_plugin_has_it() {
        let metrics = Metrics::default();
        let (one, other) = (metrics.of("a"), metrics.of("b"));
        one.observe("took", 1.0, vec![]);
        other.observe("took", 1.0, vec![]);
        other.count("took_count", 1, vec![]);
        one.count("seen_sum", 1, vec![]);
        other.observe("seen", 1.0, vec![]);
        other.set("seen_sum", 1.0, vec![]);
        assert_eq!((one.dropped(), other.dropped()), (0, 3));
        let names: Vec<_> = metrics.read().into_iter().map(|metric| metric.name).collect();
        assert_eq!(names, ["waft_plugin_user_seen_sum", "waft_plugin_user_took"]);
    }
}
