//! What a call gives, and what it can be given as money.

use super::Given;
use crate::domain::declaration::Money;
use crate::mapping::code::{Code, Extra};
use crate::mapping::expr::Compiler;
use crate::mapping::functions::{Call, Function};
use crate::mapping::scope::field;
use crate::mapping::value::Ty;

impl Compiler<'_> {
    pub(super) fn result(&mut self, call: Call, given: &[Given]) -> Ty {
        let ty = |index: usize| given.get(index).map_or(Ty::Any, |given| given.ty.clone());
        let list = |of: Ty| Ty::List(Box::new(of));
        match call {
            Call::Decimals | Call::MaxDecimals | Call::Kg | Call::Total => Ty::Dec,
            Call::Count | Call::Length => Ty::Int,
            Call::StartsWith => Ty::Bool,
            Call::Where | Call::AddDays => ty(0),
            Call::Default | Call::Min | Call::Max => ty(0).join(ty(1)),
            Call::Code if given.len() > 2 => Ty::Text.join(ty(2)),
            Call::First | Call::Pick | Call::Entry => match ty(0) {
                Ty::List(of) => *of,
                _ => Ty::Any,
            },
            Call::Sum => self.sum_kind(given),
            Call::Convert => Ty::Record(Money::DESCRIPTOR),
            Call::Apportion => {
                self.weight_kind(given);
                list(Ty::Dec)
            }
            Call::GroupBy | Call::Ungrouped => list(ty(0)),
            Call::Wrap | Call::Split => list(Ty::Text),
            _ => Ty::Text,
        }
    }

    fn sum_kind(&mut self, given: &[Given]) -> Ty {
        let Some(list) = given.first() else { return Ty::Any };
        let summed = match given.get(1) {
            Some(Given { code: Code::Text(path), at, .. }) => self.field_path(&list.ty.clone(), &path.clone(), *at).1,
            Some(_) => Ty::Any,
            None => match &list.ty {
                Ty::List(of) => (**of).clone(),
                _ => Ty::Any,
            },
        };
        if !summed.is_number() {
            self.fault(list.at, format!("only numbers can be summed, not {}", summed.noun()));
        }
        summed
    }

    /// The field that an amount is apportioned by is a number.
    fn weight_kind(&mut self, given: &[Given]) {
        let (Some(list), Some(Given { code: Code::Text(path), at, .. })) = (given.get(1), given.get(2)) else { return };
        let weight = self.field_path(&list.ty.clone(), &path.clone(), *at).1;
        if !weight.is_number() {
            self.fault(*at, format!("an amount is apportioned by a number, not by {}", weight.noun()));
        }
    }

    /// Two values of which one is the smaller.
    pub(super) fn one_order(&mut self, given: &[Given]) {
        if let [a, b] = given
            && !a.ty.comparable(&b.ty)
        {
            self.fault(b.at, format!("{} cannot be compared with {}", a.ty.noun(), b.ty.noun()));
        }
    }

    /// Where a record has its amount and currency; a fault when it is no money.
    pub(super) fn money(&mut self, given: &Given, ty: &Ty, function: &Function) -> Extra {
        if let Some(extra) = money_fields(ty) {
            return extra;
        }
        if !given.is_broken() && !matches!(ty, Ty::None) {
            let message = format!("{} needs a record with amount and currency, not {}: `{}`", function.name, ty.noun(), function.signature);
            self.fault(given.at, message);
        }
        Extra::None
    }

    /// Where the entries of a list, or a field of theirs, have their amount and currency.
    pub(super) fn total_money(&mut self, given: &[Given]) -> Extra {
        let Some(list) = given.first() else { return Extra::None };
        let of = match &list.ty {
            Ty::List(of) => (**of).clone(),
            // Something else is told as an argument that does not fit.
            _ => return Extra::None,
        };
        let (ty, at) = match given.get(2) {
            Some(Given { code: Code::Text(path), at, .. }) if !path.is_empty() => {
                let faults = self.fault_count();
                let found = self.field_path(&list.ty.clone(), &path.clone(), *at).1;
                if self.fault_count() > faults {
                    return Extra::None;
                }
                (found, *at)
            }
            _ => (of, list.at),
        };
        let found = money_fields(&ty);
        if found.is_none() && !matches!(ty, Ty::None) {
            self.fault(at, format!("total adds records with amount and currency, not {}", ty.noun()));
        }
        found.unwrap_or(Extra::None)
    }
}

fn money_fields(ty: &Ty) -> Option<Extra> {
    let Ty::Record(_) = ty else { return None };
    let (amount, amount_ty) = field(ty, "amount").ok()?;
    let (currency, currency_ty) = field(ty, "currency").ok()?;
    (amount_ty.is_number() && currency_ty.is_text()).then_some(Extra::Money { amount, currency })
}
