//! Reads the Prometheus text format, as far as the judge needs it.

/// The sum of all samples of a name whose labels include the given ones; `None` when there is no such sample.
pub fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut sum = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, number)) = line.rsplit_once(' ') else {
            continue;
        };
        let (found, rest) = series.split_once('{').unwrap_or((series, ""));
        let all = labels.iter().all(|(label, value)| rest.contains(&format!("{label}=\"{value}\"")));
        if found == name && all {
            *sum.get_or_insert(0.0) += number.parse::<f64>().expect("a sample is a number");
        }
    }
    sum
}

/// Whether a family is there at all (histograms and summaries by their parts).
pub fn has_family(text: &str, name: &str) -> bool {
    ["", "_count", "_bucket", "_sum"].iter().any(|suffix| value(text, &format!("{name}{suffix}"), &[]).is_some())
}

/// Sums over the labels that were not asked for; a name is never taken for a longer one.
#[test]
fn sums_by_label() {
    let page = "# TYPE a gauge\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na_b 9\nh_count{x=\"1\"} 2\n";
    assert_eq!(value(page, "a", &[("x", "1")]), Some(7.0));
    assert_eq!(value(page, "a", &[("y", "9")]), None);
    assert!(has_family(page, "h") && !has_family(page, "b"));
}
