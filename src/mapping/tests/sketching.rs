//! A sample becomes a template that compiles, gives the sample back where nothing was recognised, and asks for decisions.

use super::*;
use crate::mapping::sketch::sketch;

const SAMPLE: &str = r#"<?xml version="1.0"?>
<d:Entry xmlns:d="urn:d" version="2.1">
  <d:LocalReference>ABC 1</d:LocalReference>
  <Note>O'Neill &amp; "Sons" {x} \ y</Note><Empty/>
  <Consignor><Name>Kim</Name><Address><City>Seoul</City><Country>KR</Country></Address></Consignor>
  <Parcel weight="1.50">EE123456785KR</Parcel>
  <Goods><Item no="1"><Description>Tea</Description><CommodityCode>090210</CommodityCode><Amount currency="EUR">3.00</Amount></Item>
    <Item no="2"><Description>Cup</Description><CommodityCode>691110</CommodityCode><Amount currency="EUR">4.00</Amount></Item></Goods>
</d:Entry>"#;

#[test]
fn a_sample_becomes_a_template_that_compiles() {
    let sketch = sketch("sample.xml", SAMPLE).expect("well-formed");
    for line in [
        "<d:LocalReference>{message.lrn}</d:LocalReference> <!-- sample: ABC 1 -->",
        "<Parcel weight=\"{gross_weight_g | kg(2)}\">{item_id}</Parcel> <!-- sample: 1.50, EE123456785KR -->",
        "<City>{sender.city}</City> <!-- sample: Seoul -->",
        "<Item no=\"{position}\" p:each=\"line in contents\">",
        "<Amount currency=\"{line.value.currency}\">{line.value.amount | decimals(2)}</Amount> <!-- sample: EUR, 3.00 -->",
        "<CommodityCode>{line.hs_code | substring(0, 6)}</CommodityCode> <!-- sample: 090210 -->",
    ] {
        assert!(sketch.template.contains(line), "{line} is not in:\n{}", sketch.template);
    }
    assert_eq!((sketch.proposed, sketch.undecided), (11, 2));
    let mut files = files(&sketch.template);
    let faults = Mapping::load(&files).expect_err("undecided");
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.line > 1 && fault.message.starts_with("this place is still to be decided")));
    files.files.insert("mapping.toml".to_owned(), format!("draft = true\n{MANIFEST}").into_bytes());
    let mapping = Mapping::load(&files).expect("a draft may be undecided");
    let table: toml::Table = toml::from_str("office = \"A1\"").expect("TOML");
    assert!(mapping.settings(&table).is_ok());
    let declaration = declaration_with(|json| {
        json["contents"].as_array_mut().expect("lines").remove(1);
    });
    let message = String::from_utf8(render(&mapping, &declaration).expect("renders").bytes).expect("UTF-8");
    assert!(message.contains("<Note>O'Neill &amp; \"Sons\" {x} \\ y</Note><Empty/>"), "{message}");
    assert!(message.contains("version=\"2.1\"") && message.matches("<Item ").count() == 2, "{message}");
}

#[test]
fn what_is_no_sample_is_told_with_its_place() {
    let faults = sketch("bad.xml", "<a>\n<b></a>").expect_err("not well-formed");
    assert!(faults[0].to_string().starts_with("bad.xml:2:"), "{}", faults[0]);
}
