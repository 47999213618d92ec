//! `metrics`: numbers for the operator's graphs.

use crate::bindings::waft::plugin::metrics::Host;
use crate::guest::Guest;

impl Host for Guest {
    fn counter(&mut self, name: String, delta: u64, labels: Vec<(String, String)>) {
        self.note_more();
        self.identity.share.metrics.count(&name, delta, labels);
    }

    fn gauge(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        self.note_more();
        self.identity.share.metrics.set(&name, value, labels);
    }

    fn histogram(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        self.note_more();
        self.identity.share.metrics.observe(&name, value, labels);
    }
}
