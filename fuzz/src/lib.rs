//! What the targets share: a declaration, and a mapping whose template is theirs.

use std::sync::LazyLock;

use preclear::domain::declaration::Declaration;
use preclear::domain::delivery::MessageKind;
use preclear::domain::ids::{ConversationId, MessageId};
use preclear::domain::json;
use preclear::mapping::{Files, Input, Mapping, MappingFault, MessageContext, PostContext, Registry, Settings, Source};

static HMRC: LazyLock<Files> = LazyLock::new(|| {
    let all = Source::Embedded.read().expect("the built-in set");
    all.into_iter().flatten().find(|files| files.name == "hmrc-cds").expect("hmrc-cds")
});

static DECLARATION: LazyLock<Declaration> = LazyLock::new(|| {
    let body = &HMRC.files["cases/gb-one-line/declaration.json"];
    Declaration::read_shape(&json::parse(body).expect("JSON")).0
});

/// The declaration that everything is tried on.
pub fn declaration() -> &'static Declaration {
    &DECLARATION
}

/// Compiles the template as the declaration of a folder that is otherwise that of hmrc-cds.
///
/// # Errors
/// What is wrong with it.
pub fn compile(template: &[u8]) -> Result<std::sync::Arc<Mapping>, Vec<MappingFault>> {
    let mut files = HMRC.clone();
    files.files.retain(|path, _| !path.starts_with("cases/") && !path.starts_with("notices/"));
    files.files.insert("declaration.xml".to_owned(), template.to_vec());
    let mut registry = Registry::default();
    registry.add(files).map_err(|broken| broken.faults)?;
    Ok(registry.get("hmrc-cds").expect("added"))
}

/// Renders twice: the bytes are the same, or both refuse.
pub fn render_twice(mapping: &Mapping) {
    let settings: toml::Table =
        toml::from_str(std::str::from_utf8(&HMRC.files["cases/gb-one-line/settings.toml"]).expect("UTF-8")).expect("TOML");
    let Ok(settings): Result<Settings, _> = mapping.settings(&settings) else { return };
    let input = || Input {
        declaration: declaration(),
        settings: &settings,
        message: MessageContext {
            lrn: "EE123456785KR26112001",
            id: MessageId(uuid::Uuid::nil()),
            conversation_id: ConversationId(uuid::Uuid::nil()),
            created_at: "2026-11-20T12:00:00Z".parse().expect("instant"),
        },
        mrn: None,
        reason: None,
        previous: None,
        post: PostContext { code: "KRA", name: "Korea Post" },
        broker: "uk-broker",
    };
    let once = mapping.render(MessageKind::Declaration, &input()).map(|message| message.bytes);
    let again = mapping.render(MessageKind::Declaration, &input()).map(|message| message.bytes);
    assert_eq!(once, again, "the same input gives the same bytes");
}

/// Faults stand inside the file that they are about.
pub fn inside(faults: &[MappingFault], template: &[u8]) {
    assert!(!faults.is_empty(), "refused without a fault");
    let lines = 1 + template.iter().filter(|byte| **byte == b'\n').count();
    for fault in faults.iter().filter(|fault| fault.file.ends_with("declaration.xml")) {
        assert!(fault.line as usize <= lines + 1, "line {} of {lines}: {}", fault.line, fault.message);
    }
}
