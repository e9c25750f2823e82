//! One slip is told once: what only follows from it is not.

use super::*;

fn faults(files: &Files) -> Vec<String> {
    Mapping::load(files).expect_err("has faults").iter().map(ToString::to_string).collect()
}

const TEMPLATE: &str = r#"<R xmlns:p="urn:preclear:mapping:1">
  <A>{settings.office | upper}{settings.limit + 1}{todo('x')}</A>
  <B p:if="settings.office == 'A1' and mail_class in ['E']">{settings.office ~ item_id}</B>
  <p:check that="gross_weight_g &lt; settings.limit" code="heavy" field="gross_weight_g">text</p:check>
  <C p:let-named="settings.office or 'none'">{named}{mail_class | code('modes')}</C>
</R>"#;

#[test]
fn templates_are_not_judged_by_a_manifest_that_cannot_be_read() {
    let mut files = files(TEMPLATE);
    files.files.insert("waybill.xml".to_owned(), b"<W/>".to_vec());
    for manifest in [&MANIFEST.replace("version = \"1.2.3\"", "version = 1.2.3\""), "\u{0}"] {
        files.files.insert("mapping.toml".to_owned(), manifest.as_bytes().to_vec());
        let found = faults(&files);
        assert!(matches!(&found[..], [one] if one.starts_with("test/mapping.toml:")), "{found:#?}");
    }
    files.files.remove("mapping.toml");
    assert_eq!(faults(&files), ["test/mapping.toml:0:0: the file is missing"]);
    // What is wrong whatever the manifest says is told beside it.
    files.files.insert("declaration.xml".to_owned(), TEMPLATE.replace("item_id", "item_idd").into_bytes());
    assert_eq!(faults(&files).len(), 2);
}

#[test]
fn a_list_with_a_bad_row_is_there() {
    let mut files = files(&TEMPLATE.replace("{todo('x')}", ""));
    for (list, expected) in [
        ("key,value,meaning\nE,1,express\nU,3\n", "test/codes/modes.csv:3:1: each row needs as many columns as the first line"),
        ("key,value,meaning\nE,1,a\nE,2,b\n", "test/codes/modes.csv:3:1: the key \"E\" stands twice"),
        ("code,value\nE,1\n", "test/codes/modes.csv:1:1: the first line has to be: key,value,meaning"),
    ] {
        files.files.insert("codes/modes.csv".to_owned(), list.as_bytes().to_vec());
        assert_eq!(faults(&files), [expected]);
    }
}

#[test]
fn a_secret_in_a_header_is_a_fault() {
    for name in ["Authorization", "proxy-authorization", "Cookie"] {
        let mut files = files("<R/>");
        let manifest = MANIFEST.replacen("[[settings]]", &format!("[transport.headers]\n{name} = \"Bearer x\"\n[[settings]]"), 1);
        files.files.insert("mapping.toml".to_owned(), manifest.into_bytes());
        let found = faults(&files);
        assert!(matches!(&found[..], [one] if one.starts_with("test/mapping.toml:8:1: secrets never stand in a mapping")), "{found:#?}");
    }
}

#[test]
fn an_element_that_is_not_closed_is_told_where_it_is_opened_and_what_stands_before_it_is_judged() {
    let found = faults(&files("<R>\n  <A>{item_idd}</A>\n  <B>{item_id}\n</R>"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].starts_with("test/declaration.xml:4:") && found[1].ends_with(": <B> at 3:4 is not closed"), "{found:#?}");
    assert!(found[0].starts_with("test/declaration.xml:2:7: unknown name item_idd"), "{found:#?}");
    let found = faults(&files("<R>{item_idd}\n"));
    assert_eq!(found.len(), 2, "{found:#?}");
}
