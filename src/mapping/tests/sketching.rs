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
    assert!(faults.iter().all(|fault| fault.line > 1 && fault.message.contains(" is still to be decided: ")));
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

#[test]
fn a_value_that_does_not_fit_its_name_is_left_to_be_decided() {
    let sample = r#"<E>
  <Means><transportMode>4</transportMode><transportationNumber>KE917</transportationNumber><transportationCountry>KR</transportationCountry></Means>
  <transportCharges currency="CHF">12.50</transportCharges><freight>3</freight>
  <previousDocument><documentReference>180-12345675</documentReference></previousDocument>
  <consignor><name>Kim</name><street>12 Jong-ro</street><addressSupplement1>Jongno-gu</addressSupplement1><city>1</city></consignor>
  <consignee><street>Bahnhofstrasse 1</street><postalCode>8001</postalCode></consignee>
  <business><incoterms>DDP</incoterms><invoiceCurrencyType>1</invoiceCurrencyType></business>
  <goodsItem><traderItemID>1</traderItemID><description>Tea</description><commodityCode>6109.1000</commodityCode><statisticalCode>911</statisticalCode>
    <grossMass>1.1</grossMass><netMass>1</netMass><value>5</value><VATValue>126.00</VATValue><origin>KR</origin>
    <packaging><type>PK</type><quantity>1</quantity></packaging></goodsItem>
  <goodsItem><traderItemID>2</traderItemID><description>Cup</description></goodsItem>
</E>"#;
    let sketch = sketch("sample.xml", sample).expect("well-formed");
    for line in [
        "<transportMode>{todo('4')}</transportMode>",
        "<transportationNumber>{transport.flight}</transportationNumber>",
        "<transportationCountry>{todo('KR')}</transportationCountry>",
        "<transportCharges currency=\"{postage.currency}\">{postage.amount | decimals(2)}</transportCharges>",
        "<freight>{todo('3')}</freight>",
        "<documentReference>{transport.mawb}</documentReference>",
        "<street>{first(sender.street)}</street>",
        "<addressSupplement1 p:optional=\"true\">{entry(sender.street, 2)}</addressSupplement1>",
        "<city>{todo('1')}</city>",
        "<street>{recipient.street | join(', ')}</street>",
        "<postalCode>{recipient.postcode}</postalCode>",
        "<incoterms>{delivery_terms}</incoterms>",
        "<invoiceCurrencyType>{todo('1')}</invoiceCurrencyType>",
        "<traderItemID>{position}</traderItemID>",
        "<commodityCode>{(line.hs_code | substring(0, 4)) ~ '.' ~ (line.hs_code | substring(4, 8))}</commodityCode>",
        "<statisticalCode>{todo('911')}</statisticalCode>",
        "<grossMass>{todo('1.1')}</grossMass>",
        "<netMass>{line.net_weight_g | kg(3)}</netMass>",
        "<value>{todo('5')}</value>",
        "<VATValue>{todo('126.00')}</VATValue>",
        "<origin>{line.origin_country}</origin>",
        "<quantity>{todo('1')}</quantity>",
    ] {
        assert!(sketch.template.contains(line), "{line} is not in:\n{}", sketch.template);
    }
    let mut files = files(&sketch.template);
    files.files.insert("mapping.toml".to_owned(), format!("draft = true\n{MANIFEST}").into_bytes());
    assert!(Mapping::load(&files).is_ok(), "{:?}", Mapping::load(&files).err());
}
