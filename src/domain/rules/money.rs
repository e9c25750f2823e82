//! Money: known currencies, no more decimals than the currency has, and payments that can be.

use jiff::ToSpan;
use rust_decimal::Decimal;

use super::findings::{At, Findings};
use crate::domain::codes;
use crate::domain::declaration::{Declaration, Money, Prepayment};
use crate::domain::fault;
use crate::domain::time::{Date, date_of};

const ROOT: At<'static> = At::Root;

pub(super) fn check(declaration: &Declaration, today: Date, findings: &mut Findings<'_>) {
    for (name, money) in [("postage", &declaration.postage), ("insured_value", &declaration.insured_value)] {
        if let Some(money) = money {
            check_money(money, ROOT.name(name), findings);
        }
    }
    for (index, cost) in declaration.costs.iter().enumerate() {
        check_amount(cost.amount.0, cost.currency.as_str(), ROOT.name("costs").index(index), findings);
    }
    if let Some(prepayment) = declaration.duty.as_ref().and_then(|duty| duty.prepayment.as_ref()) {
        check_prepayment(prepayment, ROOT.name("duty").name("prepayment"), findings);
    }
    let payment = declaration.transaction.as_ref().and_then(|transaction| transaction.payment.as_ref());
    if let Some(paid_at) = payment.and_then(|payment| payment.paid_at) {
        // One day more than today in UTC: elsewhere it is tomorrow already.
        if today.checked_add(1.day()).is_ok_and(|tomorrow| date_of(paid_at.0) > tomorrow) {
            let at = ROOT.name("transaction");
            findings.fault(at.name("payment").name("paid_at"), fault::OUT_OF_RANGE, "not in the future");
        }
    }
}

/// Judges a member that holds an amount and its currency.
pub(super) fn check_money(money: &Money, at: At<'_>, findings: &mut Findings<'_>) {
    check_amount(money.amount.0, money.currency.as_str(), at, findings);
}

/// Noughts at the end are no decimals: `100.00` is a sum that exists in yen.
fn check_amount(amount: Decimal, currency: &str, at: At<'_>, findings: &mut Findings<'_>) {
    match codes::currency_decimals(currency) {
        None => findings.fault(at.name("currency"), fault::UNKNOWN_CURRENCY, "a current ISO 4217 currency code, like GBP"),
        Some(decimals) if amount.scale() > decimals && amount.normalize().scale() > decimals => {
            findings.fault(at.name("amount"), fault::OUT_OF_RANGE, format!("at most {decimals} decimals in this currency"));
        }
        Some(_) => {}
    }
}

fn check_prepayment(prepayment: &Prepayment, at: At<'_>, findings: &mut Findings<'_>) {
    match (&prepayment.amount, &prepayment.currency) {
        (Some(amount), Some(currency)) => check_amount(amount.0, currency.as_str(), at, findings),
        (Some(_), None) => findings.fault(at.name("currency"), fault::CONDITION, "has to be given because amount is"),
        (None, Some(_)) => findings.fault(at.name("amount"), fault::CONDITION, "has to be given because currency is"),
        (None, None) => {}
    }
}
