//! `docs/MAPPING.md` is run from beginning to end: every snippet of it, in its order, in an empty folder.
//!
//! What a fence is, is said behind its language:
//!
//! | fence | is |
//! | --- | --- |
//! | `file=PATH` | a file, written |
//! | `diff file=PATH` | a change of it: what stands there now, and what shall |
//! | `console` | commands after `$ `; the lines below have to be in their output, `…` stands for anything |
//! | `console live` | the same with programs that run on (`&`) until the end, on free ports; a command is repeated until its lines come |
//! | `xml template`, then `xml makes` | the inside of a template, and what it makes of `examples/one.json` |
//! | `toml notices`, then `notice`, then `json facts` | reading rules, a notice, the facts |
//! | `toml manifest`, `toml broker`, `toml settings` | a part of a `mapping.toml`, of a `[brokers.X]`, a case's `settings.toml` that has to be sound |
//!
//! A fence of no such kind fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use preclear::mapping::cases::{self, CaseContext};
use preclear::mapping::{Files, Mapping};

const MANIFEST: &str = "title = \"A page\"\nversion = \"1.0.0\"\nsource = \"none\"\n[transport]\ncontent_type = \"application/xml\"\n";

struct Fence {
    line: usize,
    info: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fences(page: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut open: Option<Fence> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some(Fence { line: number + 1, info: info.trim().to_owned(), text: String::new() }),
            (Some(_), Some(_)) => fences.extend(open.take()),
            (Some(fence), None) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    fences
}

fn mapping(files: &[(&str, &str)]) -> Mapping {
    let files: BTreeMap<String, Vec<u8>> = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    Mapping::load(&Files { name: "page".to_owned(), files }).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// White space between elements says nothing.
fn squeezed(xml: &str) -> String {
    xml.lines().map(str::trim).collect::<Vec<_>>().concat()
}

fn makes(template: &str, codes: &str, settings: &str) -> String {
    let template = format!("<R xmlns:p=\"urn:preclear:mapping:1\">{template}</R>");
    let mapping = mapping(&[("mapping.toml", MANIFEST), ("declaration.xml", &template), ("codes/units.csv", codes)]);
    let declaration = cases::declaration(&std::fs::read(root().join("examples/one.json")).unwrap()).unwrap();
    let context = CaseContext::read(settings).unwrap();
    let rendered = context.render(&mapping, &declaration, None).unwrap_or_else(|faults| panic!("{}", cases::list(&faults)));
    let text = String::from_utf8(rendered.bytes).unwrap();
    text.trim_start_matches("<R>").trim_end_matches("</R>").to_owned()
}

/// Applies a change: the lines that begin with a blank or `-` have to stand there.
fn change(path: &Path, text: &str) {
    let side =
        |drop: char| -> Vec<&str> { text.lines().filter(|line| !line.starts_with(drop)).map(|line| line.get(1..).unwrap_or("")).collect() };
    let (old, new) = (side('+'), side('-'));
    let file = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = file.lines().collect();
    let at = lines.windows(old.len()).position(|window| window.iter().zip(&old).all(|(a, b)| a.trim() == b.trim()));
    let at = at.unwrap_or_else(|| panic!("{} does not hold:\n{}\nbut:\n{file}", path.display(), old.join("\n")));
    let changed: Vec<&str> = lines[..at].iter().chain(&new).chain(&lines[at + old.len()..]).copied().collect();
    std::fs::write(path, changed.join("\n") + "\n").unwrap();
}

/// Runs the commands of a fence; every shown line has to come, in order.
fn console(folder: &Path, text: &str) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("a command is expected, not: {line}"));
        let mut output = run(folder, command);
        while let Some(shown) = lines.next_if(|line| !line.starts_with("$ ")) {
            for part in shown.split('…').map(str::trim).filter(|part| !part.is_empty()) {
                let at = output.find(part).unwrap_or_else(|| panic!("`{command}` does not print `{part}` here, but:\n{output}"));
                output.drain(..at + part.len());
            }
        }
    }
}

/// Where the program is found.
fn path() -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_preclear")).parent().unwrap();
    format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default())
}

/// What a command prints, to both streams; a failure says so at the end.
fn run(folder: &Path, command: &str) -> String {
    let both = format!("{{ {command}; }} 2>&1");
    let output = Command::new("sh").args(["-c", &both]).current_dir(folder).env("PATH", path()).output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&format!("(exit {})\n", output.status.code().unwrap_or(-1)));
    }
    text
}

/// Programs that run on, ended with the test.
struct Running(Vec<std::process::Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the commands of a fence that talk to one another. The page's ports become free ones, so that tests do not meet.
fn live(folder: &Path, text: &str) {
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports: Vec<(&str, u16)> = ["8080", "8443", "9090", "9443"].into_iter().map(|port| (port, free())).collect();
    let at = |page: &str| format!("127.0.0.1:{}", ports.iter().find(|(port, _)| *port == page).unwrap().1);
    let moved =
        |text: &str| ports.iter().fold(text.to_owned(), |text, (page, port)| text.replace(&format!(":{page}"), &format!(":{port}")));
    let config = folder.join("preclear.toml");
    std::fs::write(&config, moved(&std::fs::read_to_string(&config).unwrap())).unwrap();
    let mut running = Running(Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let command = moved(line.strip_prefix("$ ").unwrap_or_else(|| panic!("a command is expected, not: {line}")));
        if let Some(command) = command.strip_suffix('&') {
            let listens = if command.contains(" sandbox ") { ("9443", " --listen ") } else { ("8080", "") };
            let listen = if listens.1.is_empty() { String::new() } else { format!("{}{}", listens.1, at(listens.0)) };
            let command = format!("exec {command}{listen} --addresses {}.json", listens.0);
            let mut child = Command::new("sh");
            child.args(["-c", &command]).current_dir(folder).env("PATH", path()).env("PRECLEAR__INTAKE__LISTEN", at("8080"));
            child
                .env("PRECLEAR__CALLBACKS__LISTEN", at("8443"))
                .env("PRECLEAR__OPS__LISTEN", at("9090"))
                .stdout(std::process::Stdio::null());
            child.stderr(std::fs::File::create(folder.join(format!("{}.log", listens.0))).unwrap());
            running.0.push(child.spawn().unwrap());
            let log = || std::fs::read_to_string(folder.join(format!("{}.log", listens.0))).unwrap_or_default();
            until(DEADLINE, || folder.join(format!("{}.json", listens.0)).exists(), &|| format!("`{command}` does not listen:\n{}", log()));
            continue;
        }
        let mut shown = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            shown.push(line);
        }
        let output = std::cell::RefCell::new(String::new());
        let comes = || {
            *output.borrow_mut() = run(folder, &command);
            shown.iter().all(|line| output.borrow().replace("\": ", "\":").contains(line))
        };
        until(DEADLINE, comes, &|| format!("`{command}` does not print {shown:?}, but:\n{}", output.borrow()));
    }
}

/// Waits for something that another program does.
fn until(deadline: std::time::Duration, mut holds: impl FnMut() -> bool, told: &dyn Fn() -> String) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < deadline, "{}", told());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn facts(rules: &str, notice: &str) -> serde_json::Value {
    let files = [("mapping.toml", MANIFEST), ("declaration.xml", "<R><Id>{item_id}</Id></R>"), ("notices.toml", rules)];
    let facts = mapping(&files).read(notice.as_bytes()).unwrap_or_else(|unreadable| panic!("unreadable: {}", unreadable.reason));
    serde_json::to_value(facts).unwrap()
}

/// Members that the page leaves out are not compared.
fn holds(shown: &serde_json::Value, found: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (shown, found) {
        (Value::Object(shown), Value::Object(found)) => {
            shown.iter().all(|(key, value)| found.get(key).is_some_and(|found| holds(value, found)))
        }
        (Value::Array(shown), Value::Array(found)) => shown.len() == found.len() && shown.iter().zip(found).all(|(a, b)| holds(a, b)),
        (shown, found) => shown == found,
    }
}

#[test]
fn every_snippet_of_the_page_does_what_the_page_says() {
    let page = std::fs::read_to_string(root().join("docs/MAPPING.md")).unwrap();
    let folder = std::env::temp_dir().join(format!("preclear-page-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let all = fences(&page);
    assert!(all.len() > 20, "the page has its snippets");
    let (mut template, mut rules, mut notice) = (None, None, None);
    for fence in &all {
        let Fence { line, info, text } = fence;
        println!("docs/MAPPING.md:{line} {info}");
        let file = info.split_whitespace().find_map(|word| word.strip_prefix("file="));
        let words: Vec<&str> = info.split_whitespace().filter(|word| !word.starts_with("file=")).collect();
        match (words.as_slice(), file) {
            (["diff"], Some(file)) => change(&folder.join(file), text),
            ([_], Some(file)) => {
                std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
                std::fs::write(folder.join(file), text).unwrap();
            }
            (["console"], None) => console(&folder, text),
            (["console", "live"], None) => live(&folder, text),
            (["xml", "template"], None) => template = Some(text),
            (["xml", "makes"], None) => {
                let made = makes(template.take().expect("a template before"), "key,value\nH87,PCE\nNPR,PR\n", "");
                assert_eq!(squeezed(&made), squeezed(text), "docs/MAPPING.md:{line}");
            }
            (["toml", "notices"], None) => rules = Some(text),
            ([_, "notice"], None) => notice = Some(text),
            (["json", "facts"], None) => {
                let found = facts(rules.expect("rules before"), notice.take().expect("a notice before"));
                let shown = serde_json::from_str(text).unwrap();
                assert!(holds(&shown, &found), "docs/MAPPING.md:{line}: found {found:#}");
            }
            (["toml", "manifest"], None) => {
                // A part is sound with what it leaves out; it brings its own transport.
                let head = "title = \"A page\"\nversion = \"1.0.0\"\nsource = \"none\"\n";
                let manifest = format!("{head}{text}");
                mapping(&[("mapping.toml", &manifest), ("declaration.xml", "<R/>"), ("waybill.xml", "<W/>")]);
            }
            (["toml", "broker"], None) => broker(text),
            (["toml", "settings"], None) => {
                CaseContext::read(text).unwrap_or_else(|fault| panic!("docs/MAPPING.md:{line}: {fault}"));
            }
            _ => panic!("docs/MAPPING.md:{line}: a fence of no known kind: {info}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A part of a broker's section, put into the example configuration.
fn broker(text: &str) {
    let example = std::fs::read_to_string(root().join("examples/preclear.toml")).unwrap();
    let config = format!("{example}\n{text}");
    preclear::config::load_text(&config, std::iter::empty()).unwrap_or_else(|faults| panic!("{faults:?}"));
}
