//! The mappings on the operators' page: which version serves, and what is wrong where the files cannot be used.

use maud::{Markup, html};

use crate::catalog::MappingState;
use crate::http::ops::source::LoadedMapping;

/// A mapping's name with the version that serves.
pub(super) fn named(name: &str, mappings: &[LoadedMapping]) -> Markup {
    let version = mappings.iter().find(|mapping| mapping.name == name).and_then(|mapping| mapping.version.as_deref());
    html! { (name) @if let Some(version) = version { " " (version) } }
}

/// What a person should look at.
pub(super) fn attention(mappings: &[LoadedMapping]) -> impl Iterator<Item = String> {
    mappings.iter().filter_map(|mapping| match (mapping.state, &mapping.version) {
        (MappingState::Loaded, _) => None,
        (MappingState::Stored, Some(version)) => {
            Some(format!("The files of the mapping {} cannot be used; its stored version {version} serves in their place.", mapping.name))
        }
        _ => Some(format!("The mapping {} cannot be used and no usable version of it is stored.", mapping.name)),
    })
}

/// The table.
pub(super) fn section(mappings: &[LoadedMapping]) -> Markup {
    html! {
        section aria-labelledby="mappings" {
            div.head { h2 #mappings { "Mappings" } span.soft { "The version that serves, and what is wrong with the files." } }
            @if mappings.is_empty() { p.empty { "None." } } @else {
                div.scroll { table {
                    thead { tr { th scope="col" { "Mapping" } th scope="col" { "State" } th scope="col" { "Version" } th scope="col" { "Faults of its files" } } }
                    tbody { @for mapping in mappings { (row(mapping)) } }
                } }
            }
        }
    }
}

/// Faults shown of one mapping; the list gives all.
const FAULTS: usize = 10;

fn row(mapping: &LoadedMapping) -> Markup {
    let class = match mapping.state {
        MappingState::Loaded => "badge good",
        MappingState::Stored => "badge warn",
        MappingState::Broken => "badge bad",
    };
    html! { tr {
        th scope="row" { (mapping.name) @if let Some(title) = &mapping.title { div.small { (title) } } }
        td { span class=(class) { (mapping.state.as_str()) } }
        td { span.mono { (mapping.version.as_deref().unwrap_or("–")) } }
        td.wide {
            @if mapping.faults.is_empty() { span.zero { "–" } }
            @for (place, detail) in mapping.faults.iter().take(FAULTS) { div { span.mono { (place) } " " (detail) } }
            @if mapping.faults.len() > FAULTS { div.small { "and " (mapping.faults.len() - FAULTS) " more" } }
        }
    } }
}
