//! Functions of money: other currencies by the operator's rate of the posting date.

use rust_decimal::{Decimal, RoundingStrategy};

use super::lists::entries;
use super::second;
use crate::domain::fault;
use crate::mapping::code::{CallCode, Code, Extra};
use crate::mapping::eval::{Run, rescaled};
use crate::mapping::functions::Call;
use crate::mapping::rates::CurrencyCode;
use crate::mapping::value::V;

/// Why an amount has no value in another currency.
enum Trouble {
    NoRate,
    TooLarge,
}

pub(super) fn run<'a>(run: &mut Run<'a>, call: &'a CallCode, value: &V<'a>) -> V<'a> {
    let wanted = second(run, call);
    let Some(wanted) = wanted.as_str() else { return V::Missing };
    // A text that is no currency has no rate: told as such where it is needed.
    let to = CurrencyCode::read(wanted);
    match call.call {
        Call::Convert => convert(run, call, value, to),
        _ => total(run, call, value, to),
    }
}

/// The amount of a money record in a currency; missing when a part of it is.
fn in_currency<'a>(run: &mut Run<'a>, call: &CallCode, money: &V<'a>, to: Option<CurrencyCode>) -> Option<Result<Decimal, Trouble>> {
    // What was converted before has the fields of money itself.
    let (amount, from) = match (money, &call.extra) {
        (V::Money(amount, currency), _) => (*amount, Some(*currency)),
        (_, Extra::Money { amount, currency }) => {
            let currency = money.clone().get(&[*currency]);
            (money.clone().get(&[*amount]).number()?, CurrencyCode::read(currency.as_str()?))
        }
        _ => return None,
    };
    let (Some(from), Some(to)) = (from, to) else { return Some(Err(Trouble::NoRate)) };
    if from == to {
        return Some(Ok(amount));
    }
    let day = run.roots.declaration.posted_on();
    let Some(rate) = run.roots.settings.and_then(|settings| settings.rates().find(from, to, day)) else {
        return Some(Err(Trouble::NoRate));
    };
    run.converted(rate.conversion());
    Some(rate.convert(amount).ok_or(Trouble::TooLarge))
}

fn convert<'a>(run: &mut Run<'a>, call: &'a CallCode, money: &V<'a>, to: Option<CurrencyCode>) -> V<'a> {
    match (in_currency(run, call, money, to), to) {
        (Some(Ok(amount)), Some(to)) => V::Money(amount, to),
        (Some(Err(trouble)), _) => {
            let pointer = call.args.first().and_then(|money| run.origin(money)).unwrap_or_default();
            tell(run, call, pointer, &trouble);
            V::Missing
        }
        _ => V::Missing,
    }
}

fn total<'a>(run: &mut Run<'a>, call: &'a CallCode, list: &V<'a>, to: Option<CurrencyCode>) -> V<'a> {
    if list.len().is_none() {
        return V::Missing;
    }
    let (mut total, mut whole) = (Decimal::ZERO, true);
    for (index, entry) in entries(list) {
        let amount = match in_currency(run, call, &entry.get(&call.field), to) {
            None => continue,
            Some(amount) => amount,
        };
        let rounded = amount.map(|amount| match call.whole[0] {
            Some(decimals) => rescaled(amount, decimals, RoundingStrategy::MidpointAwayFromZero),
            None => amount,
        });
        match rounded.and_then(|amount| total.checked_add(amount).ok_or(Trouble::TooLarge)) {
            Ok(more) => total = more,
            Err(trouble) => {
                let entry = call.args.first().and_then(|list| run.entry_origin(list, index));
                let pointer = entry.map(|entry| entry + &call.pointer).unwrap_or_default();
                tell(run, call, pointer, &trouble);
                whole = false;
            }
        }
    }
    match call.whole[0] {
        _ if !whole => V::Missing,
        Some(decimals) => V::Dec(rescaled(total, decimals, RoundingStrategy::MidpointAwayFromZero)),
        None => V::Dec(total),
    }
}

/// A fault of the sender at the money's field. The currency is named when the mapping wrote it out:
/// one that was computed may be the sender's own text.
fn tell(run: &mut Run<'_>, call: &CallCode, pointer: String, trouble: &Trouble) {
    let into = match call.args.get(1) {
        Some(Code::Text(code)) => format!("into {code} "),
        _ => String::new(),
    };
    let (field, detail) = match trouble {
        Trouble::NoRate => ("/currency", format!("there is no rate from this currency {into}on the posting date")),
        Trouble::TooLarge => ("/amount", format!("the amount is too large to be converted {into}at the rate of the posting date")),
    };
    let pointer = if pointer.is_empty() { pointer } else { pointer + field };
    run.fault_at(pointer, fault::MAPPING_VALUE, detail.replace("  ", " "));
}
