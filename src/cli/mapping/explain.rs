//! `preclear mapping explain`: how a message is made, as text or as a page of its own.

use std::io::Write;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Done, Work, io};
use crate::mapping::cases;
use crate::mapping::explain::{Explanation, Line};

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:0;color:#1c2733;background:#f6f8fa}header{padding:1rem 1.5rem}h1{font-size:1.1rem;margin:0}\
p{margin:.25rem 0;color:#57606a}main{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:1px;background:#d0d7de;border-top:1px solid #d0d7de}\
section{background:#fff;overflow:auto;height:calc(100vh - 6rem)}h2{font-size:.85rem;margin:0;padding:.4rem 1rem;position:sticky;top:0;background:#eef1f4}\
pre,code{font:12px/1.5 ui-monospace,monospace}pre{margin:0;white-space:pre-wrap}.l{display:grid;grid-template-columns:3.5rem 1fr}.l>:first-child{color:#8c959f;text-align:right;\
padding-right:.75rem;user-select:none}.l.on,.o.on{background:#fff8c5}.o{padding:.1rem 1rem;cursor:default}.o .e{color:#0550ae}.o .i{color:#57606a}.o.x{color:#9a6700}.f{color:#a40e26}";
/// Marks the line of the template that made what the pointer is on. The page reads whole without it.
const SCRIPT: &str = "for(const o of document.querySelectorAll('[data-line]'))o.addEventListener('mouseenter',()=>{for(const e of document.querySelectorAll('.on'))\
e.classList.remove('on');o.classList.add('on');const l=document.getElementById(o.dataset.line);if(l){l.classList.add('on');l.scrollIntoView({block:'nearest'})}})";

pub(super) fn explain(work: &Work, page: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> Done {
    let explained = work
        .context
        .with_input(&work.mapping, &work.declaration, work.previous.as_ref(), |input| work.mapping.explain(work.context.kind(), input));
    let explanations = match explained {
        Ok(explanations) => explanations,
        Err(faults) => {
            writeln!(err, "{}", cases::list(&faults)).map_err(io)?;
            return Ok(1);
        }
    };
    if explanations.is_empty() {
        return Err(format!("the mapping {} has no message of this kind", work.mapping.name));
    }
    match page {
        None => explanations.iter().try_for_each(|explanation| text(explanation, out).map_err(io))?,
        Some(path) => {
            let html = document(&explanations).into_string();
            std::fs::write(path, html).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
            writeln!(err, "written: {}", path.display()).map_err(io)?;
        }
    }
    Ok(u8::from(explanations.iter().any(|explanation| !explanation.faults.is_empty())))
}

/// What stands below an element: how it was made.
fn notes(line: &Line) -> Vec<String> {
    let mut notes: Vec<String> = line.expressions.iter().map(|expression| format!("= {expression}")).collect();
    if !line.inputs.is_empty() {
        let inputs: Vec<String> = line.inputs.iter().map(ToString::to_string).collect();
        notes.push(format!("< {}", inputs.join(", ")));
    }
    notes
}

fn text(explanation: &Explanation, out: &mut dyn Write) -> std::io::Result<()> {
    let Explanation { file, version, lines, faults, warnings, .. } = explanation;
    writeln!(out, "{file} {version}")?;
    for line in lines {
        let indent = "  ".repeat(line.depth);
        if !line.output.is_empty() {
            writeln!(out, "{:>5}  {indent}{}", line.line, line.output)?;
        }
        if let Some(remark) = &line.remark {
            writeln!(out, "{:>5}  {indent}- {remark}", line.line)?;
        }
        for note in notes(line) {
            writeln!(out, "       {indent}    {note}")?;
        }
    }
    for (word, list) in [("fault", faults), ("warning", warnings)] {
        for fault in list {
            writeln!(out, "{word}: {} {}: {}", fault.pointer, fault.code, fault.detail)?;
        }
    }
    Ok(())
}

fn document(explanations: &[Explanation]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "How the message is made" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @for (place, explanation) in explanations.iter().enumerate() { (one(place, explanation)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn one(place: usize, explanation: &Explanation) -> Markup {
    let Explanation { file, version, template, lines, faults, warnings } = explanation;
    html! {
        header {
            h1 { (file) " " (version) }
            p { "Each element of the message stands beside the line of the template that made it." }
            @for fault in faults { p.f { "fault: " (fault.pointer) " " (fault.code) ": " (fault.detail) } }
            @for warning in warnings { p { "warning: " (warning.pointer) " " (warning.code) ": " (warning.detail) } }
        }
        main {
            section aria-label="Template" {
                h2 { "Template" }
                @for (number, text) in template.lines().enumerate() {
                    div.l id={ "t" (place) "-" (number + 1) } { pre { (number + 1) } pre { (text) } }
                }
            }
            section aria-label="Message" {
                h2 { "Message" }
                @for line in lines {
                    div.o.x[line.output.is_empty()] data-line={ "t" (place) "-" (line.line) } style={ "padding-left:" (line.depth + 1) "rem" } {
                        @if !line.output.is_empty() { pre { (line.output) } }
                        @if let Some(remark) = &line.remark { div { (line.line) " – " (remark) } }
                        @for expression in &line.expressions { div.e { code { (expression) } } }
                        @for input in &line.inputs { div.i { "from " (input) } }
                    }
                }
            }
        }
    }
}
