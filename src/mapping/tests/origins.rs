//! Where a value came from, through everything that picks, filters, groups and shares.

use super::*;

#[test]
fn a_fault_names_the_field_whatever_the_list_went_through() {
    // Lines 0 and 2 are in GBP, only line 1 in EUR; no line has an origin.
    for (inner, expected) in [
        ("<A>{first(contents | where('value.currency', 'EUR')).origin_country}</A>", vec!["/contents/1/origin_country"]),
        ("<A>{entry(contents | where('value.currency', 'GBP'), 2).origin_country}</A>", vec!["/contents/2/origin_country"]),
        ("<A>{(contents | where('value.currency', 'GBP'))[1].origin_country}</A>", vec!["/contents/2/origin_country"]),
        ("<A>{pick(sender.identifiers or identifiers, 'ioss').country}</A>", vec!["/identifiers/1/country"]),
        // Nothing is there: the list is named, not a field of an entry that does not exist.
        ("<A>{first(contents | where('value.currency', 'USD')).origin_country}</A>", vec!["/contents"]),
        ("<A>{entry(contents, 7).origin_country}</A>", vec!["/contents"]),
        ("<A>{sender.street[5]}</A>", vec!["/sender/street/5"]),
        // An entry of a list written out is what stands there.
        ("<A>{first([recipient.company, sender.company])}</A>", vec!["/recipient/company"]),
        ("<A p:each=\"n in [sender.company, recipient.region]\">{n}</A>", vec!["/sender/company", "/recipient/region"]),
        // A group's entry is its own line, a group the list.
        (
            "<G p:each=\"g in contents | group_by('value.currency')\"><A p:each=\"l in g\">{l.origin_country}</A></G>",
            vec!["/contents/0/origin_country", "/contents/2/origin_country", "/contents/1/origin_country"],
        ),
        (
            "<G p:each=\"g in contents | where('value.currency', 'GBP') | ungrouped\"><A>{first(g).origin_country}</A></G>",
            vec!["/contents/0/origin_country", "/contents/2/origin_country"],
        ),
        (
            "<G p:let-groups=\"(contents | group_by('value.currency')) if settings.office else (contents | ungrouped)\">\
             <A p:each=\"l in entry(groups, 2)\">{l.origin_country}</A></G>",
            vec!["/contents/1/origin_country"],
        ),
        (
            "<A p:each=\"g in contents | group_by('value.currency')\">{g | join(sender.company) or settings.limit}</A>",
            vec!["/contents", "/contents"],
        ),
        // A share belongs to its line.
        (
            "<A p:each=\"s in apportion(1, contents | where('value.currency', 'GBP'), 'quantity', 0)\">{s / 0}</A>",
            vec!["/contents/0", "/contents/2"],
        ),
        // What was really used is told, not the alternative.
        ("<A>{(sender.name or sender.company) | code('modes')}</A>", vec!["/sender/name"]),
        ("<A>{sender.company | default(sender.city) | code('modes')}</A>", vec!["/sender/city"]),
        ("<A>{max(gross_weight_g, contents[0].net_weight_g) / 0}</A>", vec!["/gross_weight_g"]),
        ("<A>{min(gross_weight_g, contents[0].net_weight_g) / 0}</A>", vec!["/contents/0/net_weight_g"]),
        ("<A p:each=\"w in split(sender.name, ' ')\">{w | code('modes')}</A>", vec!["/sender/name", "/sender/name"]),
    ] {
        let faults = render(&mapping(inner), &declaration()).expect_err(inner);
        let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{inner}");
    }
}

#[test]
fn a_check_in_a_group_names_the_lines_of_the_group() {
    let check = "<p:check that=\"false\" code=\"no\" field=\"contents[].hs_code\">No.</p:check>";
    for (inner, expected) in [
        (
            format!(
                "<p:group p:each=\"g in contents | group_by('value.currency')\"><p:group p:if=\"position == 1\">{check}</p:group></p:group>"
            ),
            vec!["/contents/0/hs_code", "/contents/2/hs_code"],
        ),
        (
            format!(
                "<p:group p:each=\"g in contents | group_by('value.currency')\"><p:group p:each=\"l in g\"><p:group p:if=\"position == 2\">{check}</p:group></p:group></p:group>"
            ),
            vec!["/contents/2/hs_code"],
        ),
        (
            format!(
                "<p:group p:each=\"l in contents\"><p:group p:each=\"t in l.tariff_codes\"><p:group p:if=\"position == 1\">{check}</p:group></p:group></p:group>"
            ),
            vec!["/contents/1/hs_code"],
        ),
    ] {
        let faults = render(&mapping(&inner), &declaration()).expect_err(&inner);
        let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{inner}");
    }
}

/// Looking for a place looks at values again; that tells nothing twice.
#[test]
fn a_fault_is_told_once_however_it_is_found() {
    for inner in [
        "<A>{((channel | code('modes')) or item_id) | cut(3)}</A>",
        "<A>{gross_weight_g / 0 + 1}</A>",
        "<A>{first([gross_weight_g / 0]) + 1}</A>",
    ] {
        assert_eq!(render(&mapping(inner), &declaration()).expect_err(inner).len(), 1, "{inner}");
    }
}
