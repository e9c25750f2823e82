//! What a scenario comes to: counts, breaches, and whether its fault was ever seen to act.

use serde_json::{Map, Value, json};

/// Most breaches that are named; the rest is counted.
const NAMED: usize = 10;

/// The outcome of one scenario.
#[derive(Debug, Default)]
pub struct Verdict {
    counts: Map<String, Value>,
    breaches: Vec<String>,
    more: usize,
    void: Option<String>,
    skipped: Option<String>,
}

impl Verdict {
    /// One that could not be run here.
    pub fn skipped(why: &str) -> Verdict {
        Verdict { skipped: Some(why.to_owned()), ..Verdict::default() }
    }

    /// Notes a figure.
    pub fn count(&mut self, name: &str, value: impl Into<Value>) {
        self.counts.insert(name.to_owned(), value.into());
    }

    /// Notes a broken promise.
    pub fn breach(&mut self, what: impl Into<String>) {
        if self.breaches.len() < NAMED {
            self.breaches.push(what.into());
        } else {
            self.more += 1;
        }
    }

    /// Notes a broken promise unless something holds.
    pub fn hold(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.breach(what());
        }
    }

    /// Nothing was proved unless the fault acted.
    pub fn void_unless(&mut self, acted: bool, what: &str) {
        if !acted && self.void.is_none() {
            self.void = Some(what.to_owned());
        }
    }

    /// How many promises were broken.
    pub fn breaches(&self) -> usize {
        self.breaches.len() + self.more
    }

    /// Takes over the figures and breaches of a part, under its name.
    pub fn absorb(&mut self, name: &str, part: Verdict) {
        self.count(name, Value::Object(part.counts.clone()));
        self.blame(name, part);
    }

    /// The same with some of its figures only, when all of them were printed already.
    pub fn absorb_some(&mut self, name: &str, part: Verdict, figures: &[&str]) {
        let some = part.counts.iter().filter(|(figure, _)| figures.contains(&figure.as_str()));
        self.count(name, Value::Object(some.map(|(figure, value)| (figure.clone(), value.clone())).collect()));
        self.blame(name, part);
    }

    fn blame(&mut self, name: &str, part: Verdict) {
        for breach in part.breaches {
            self.breach(format!("{name}: {breach}"));
        }
        self.more += part.more;
        if let Some(void) = part.void {
            self.void_unless(false, &format!("{name}: {void}"));
        }
    }

    /// Notes how a part ended, whose figures were printed already.
    pub fn follow(&mut self, name: &str, part: &Verdict) {
        self.count(name, part.word());
        match part.word() {
            "failed" => self.breach(format!("{name} failed")),
            "void" => self.void_unless(false, &format!("{name} is void")),
            _ => {}
        }
    }

    /// `passed`, `failed`, `void` or `SKIPPED`.
    pub fn word(&self) -> &'static str {
        match (self.breaches.is_empty(), &self.void, &self.skipped) {
            (false, ..) => "failed",
            (_, Some(_), _) => "void",
            (_, _, Some(_)) => "SKIPPED",
            _ => "passed",
        }
    }

    /// One line of JSON.
    pub fn line(&self, scenario: &str, seed: u64, seconds: f64) -> String {
        let mut line = json!({ "scenario": scenario, "result": self.word(), "seed": seed, "seconds": (seconds * 10.0).round() / 10.0, "counts": self.counts });
        if self.breaches() > 0 {
            line["breaches"] = json!({ "count": self.breaches(), "first": self.breaches });
        }
        for (name, text) in [("void", &self.void), ("why", &self.skipped)] {
            if let Some(text) = text {
                line[name] = json!(text);
            }
        }
        line.to_string()
    }
}
