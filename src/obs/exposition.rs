//! A page of figures in Prometheus' text format, 0.0.4. Pure.
//!
//! ```text
//! # HELP outpost_hub_sessions_ended_total Sessions that ended, by why.
//! # TYPE outpost_hub_sessions_ended_total counter
//! outpost_hub_sessions_ended_total{reason="idle"} 3
//! ```
//! A family says its help and type though it has no sample: so a page names every figure there is. Label values are
//! escaped, whatever they hold; names and help texts are this program's own, and a test reads them all.

use std::fmt::Write as _;

/// What a scraper takes this format for.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins anew at a start of the process. Its name ends with `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One figure, in the unit its name ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// A number of things, or of bytes.
    Whole(u64),
    /// Seconds, to the millisecond.
    Millis(i64),
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Whole(count)
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        Self::Whole(count as u64)
    }
}

impl From<bool> for Figure {
    fn from(holds: bool) -> Self {
        Self::Whole(holds.into())
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(count) => write!(f, "{count}"),
            Self::Millis(millis) => {
                let (sign, millis) = (if *millis < 0 { "-" } else { "" }, millis.unsigned_abs());
                write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000)
            }
        }
    }
}

/// The text so far.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Begins the family `name`; its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // A String takes everything.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: self, name }
    }

    /// Begins a family that only grows.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    /// Begins a family that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Samples of one name, which differ in their labels.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Family<'_> {
    /// The one sample of a family without labels.
    pub fn is(self, figure: impl Into<Figure>) {
        self.with(&[], figure);
    }

    /// A sample for each value of one label.
    pub fn by<'v, F: Into<Figure>>(self, label: &str, samples: impl IntoIterator<Item = (&'v str, F)>) {
        samples.into_iter().fold(self, |family, (value, figure)| family.with(&[(label, value)], figure));
    }

    /// One sample; `labels` has names and values.
    #[expect(clippy::return_self_not_must_use, reason = "the last of a family's samples ends it")]
    pub fn with(self, labels: &[(&str, &str)], figure: impl Into<Figure>) -> Self {
        let text = &mut self.page.0;
        text.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            value.chars().for_each(|each| push_escaped(text, each));
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {}", figure.into());
        self
    }
}

/// As the format has it: nothing in a value ends the value, or the line.
fn push_escaped(text: &mut String, each: char) {
    match each {
        '\\' => text.push_str("\\\\"),
        '"' => text.push_str("\\\""),
        '\n' => text.push_str("\\n"),
        other => text.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_the_format_says() {
        let mut page = Page::default();
        page.gauge("a_things", "Things.").is(7_u64);
        page.counter("a_lost_total", "Lost.").with(&[("lane", "logs"), ("reason", "evicted")], 2_u64);
        page.counter("a_ended_total", "Ended.").by("reason", [("idle", 1_u64), ("closed", 0)]);
        page.gauge("a_none_bytes", "None.").by("lane", std::iter::empty::<(&str, u64)>());
        assert_eq!(
            page.into_text(),
            "# HELP a_things Things.\n# TYPE a_things gauge\na_things 7\n\
             # HELP a_lost_total Lost.\n# TYPE a_lost_total counter\na_lost_total{lane=\"logs\",reason=\"evicted\"} 2\n\
             # HELP a_ended_total Ended.\n# TYPE a_ended_total counter\na_ended_total{reason=\"idle\"} 1\n\
             a_ended_total{reason=\"closed\"} 0\n\
             # HELP a_none_bytes None.\n# TYPE a_none_bytes gauge\n"
        );
    }

    #[test]
    fn no_value_of_a_label_ends_its_line() {
        let mut page = Page::default();
        page.gauge("a_info", "Info.").with(&[("version", "1\"} 9\n\\x")], true);
        assert_eq!(page.into_text().lines().last(), Some("a_info{version=\"1\\\"} 9\\n\\\\x\"} 1"));
    }

    #[test]
    fn seconds_are_exact_to_the_millisecond() {
        for (millis, text) in
            [(0, "0.000"), (1500, "1.500"), (-7, "-0.007"), (i64::MIN, "-9223372036854775.808")]
        {
            assert_eq!(Figure::Millis(millis).to_string(), text);
        }
    }
}
