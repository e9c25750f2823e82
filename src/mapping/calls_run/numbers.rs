//! Functions of numbers: rounding, sums, shares.

use rust_decimal::{Decimal, RoundingStrategy};

use super::lists::entries;
use super::second;
use crate::domain::fault;
use crate::mapping::code::CallCode;
use crate::mapping::eval::{Run, rescaled};
use crate::mapping::functions::Call;
use crate::mapping::value::{V, compare};

pub(super) fn run<'a>(run: &mut Run<'a>, call: &'a CallCode, value: V<'a>) -> V<'a> {
    match call.call {
        Call::Decimals => rounded(&value, Decimal::ONE, call),
        Call::Kg => rounded(&value, Decimal::new(1, 3), call),
        Call::MaxDecimals => match rounded(&value, Decimal::ONE, call) {
            V::Dec(number) => V::Dec(number.normalize()),
            other => other,
        },
        Call::Sum => sum(run, call, &value),
        Call::Apportion => apportion(run, call, &value),
        _ => {
            let other = second(run, call);
            match compare(&value, &other) {
                None => V::Missing,
                Some(order) if order.is_le() == (call.call == Call::Min) => value,
                Some(_) => other,
            }
        }
    }
}

fn rounded<'a>(value: &V<'_>, factor: Decimal, call: &CallCode) -> V<'a> {
    let scaled = value.number().and_then(|value| value.checked_mul(factor));
    scaled.map_or(V::Missing, |value| V::Dec(rescaled(value, call.whole[0].unwrap_or(0), call.rounding)))
}

fn sum<'a>(run: &mut Run<'a>, call: &'a CallCode, list: &V<'a>) -> V<'a> {
    if list.len().is_none() {
        return V::Missing;
    }
    let mut total = Decimal::ZERO;
    for (_, entry) in entries(list) {
        let Some(number) = entry.get(&call.field).number() else { continue };
        match total.checked_add(number) {
            Some(more) => total = more,
            None => {
                if let Some(first) = call.args.first() {
                    run.fault(first, fault::MAPPING_VALUE, "the sum of these is too large".to_owned());
                }
                return V::Missing;
            }
        }
    }
    V::Dec(total)
}

/// The shares of an amount, in proportion to a field of a list's entries.
fn apportion<'a>(run: &mut Run<'a>, call: &'a CallCode, amount: &V<'a>) -> V<'a> {
    let list = second(run, call);
    let (Some(amount), Some(len)) = (amount.number(), list.len()) else { return V::Missing };
    let decimals = call.whole[0].unwrap_or(0);
    let amount = rescaled(amount, decimals, RoundingStrategy::MidpointAwayFromZero);
    let mut indexes = Vec::with_capacity(len);
    let mut weights = Vec::with_capacity(len);
    for (index, entry) in entries(&list) {
        indexes.push(index);
        weights.push(entry.get(&call.field).number().unwrap_or(Decimal::ZERO));
    }
    if weights.iter().all(Decimal::is_zero) {
        weights.fill(Decimal::ONE);
    }
    let shares = match shares(amount, &weights, decimals, RoundingStrategy::MidpointAwayFromZero) {
        // Many small shares rounded up leave less than nothing to the last.
        Some(shares) if shares.last().is_some_and(|last| !last.is_zero() && last.is_sign_negative() != amount.is_sign_negative()) => {
            self::shares(amount, &weights, decimals, RoundingStrategy::ToZero)
        }
        shares => shares,
    };
    let Some(shares) = shares else {
        if let Some(first) = call.args.first() {
            run.fault(first, fault::MAPPING_VALUE, "this amount is too large to be apportioned".to_owned());
        }
        return V::Missing;
    };
    V::Seq(indexes.into_iter().zip(shares.into_iter().map(V::Dec)).collect())
}

/// Rounded shares; the last is what remains. `None` when a number is too large.
fn shares(amount: Decimal, weights: &[Decimal], decimals: u32, rounding: RoundingStrategy) -> Option<Vec<Decimal>> {
    let all = weights.iter().try_fold(Decimal::ZERO, |sum, weight| sum.checked_add(*weight))?;
    let mut left = amount;
    let mut shares = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let share =
            if at + 1 == weights.len() { left } else { rescaled(amount.checked_mul(*weight)?.checked_div(all)?, decimals, rounding) };
        left = left.checked_sub(share)?;
        shares.push(share);
    }
    Some(shares)
}
