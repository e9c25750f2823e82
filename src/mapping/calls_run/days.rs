//! Functions of dates and instants.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Zoned};
use rust_decimal::prelude::ToPrimitive;

use super::second;
use crate::domain::fault;
use crate::mapping::code::{CallCode, Extra, Form};
use crate::mapping::eval::Run;
use crate::mapping::functions::Call;
use crate::mapping::value::V;
use crate::mapping::zones;

pub(super) fn run<'a>(run: &mut Run<'a>, call: &'a CallCode, value: &V<'a>) -> V<'a> {
    match call.call {
        Call::AddDays => add_days(run, call, value),
        _ => match zone(run, call) {
            Ok(zone) => date(call, value, zone),
            Err(()) => V::Missing,
        },
    }
}

/// The zone that was asked for, if one was; `Err` when what was asked for is none.
fn zone<'a>(run: &mut Run<'a>, call: &'a CallCode) -> Result<Option<TimeZone>, ()> {
    if let Extra::Zone(zone) = &call.extra {
        return Ok(Some(zone.clone()));
    }
    let Some(code) = call.args.get(1) else { return Ok(None) };
    let name = run.eval(code);
    if name.is_missing() {
        return Err(());
    }
    name.as_str().and_then(zones::zone).map(Some).ok_or_else(|| {
        run.fault(code, fault::MAPPING_VALUE, "this is no time zone of the IANA list, and no offset like +09:00".to_owned());
    })
}

fn date<'a>(call: &CallCode, value: &V<'_>, zone: Option<TimeZone>) -> V<'a> {
    let told = zone.is_some();
    let at = match value {
        V::Time(time) => time.to_zoned(zone.unwrap_or(TimeZone::UTC)),
        V::Date(date) => match date.to_zoned(TimeZone::UTC) {
            Ok(at) => at,
            Err(_) => return V::Missing,
        },
        _ => return V::Missing,
    };
    match (&call.form, value) {
        (Form::Iso, V::Date(date)) => V::text(date.to_string()),
        (Form::Iso, _) if told => V::text(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
        (Form::Iso, _) => V::text(format!("{:.0}", at.timestamp())),
        (Form::Form102, _) => V::text(at.strftime("%Y%m%d").to_string()),
        (Form::Form304, _) => V::text(format!("{}{}", at.strftime("%Y%m%d%H%M%S"), short_offset(&at))),
        (Form::Parts(parts), _) => jiff::fmt::strtime::format(&**parts, &at).map_or(V::Missing, V::text),
    }
}

/// `Z`, `+09`, `-0330`: the zone of UN/EDIFACT form 304.
fn short_offset(at: &Zoned) -> String {
    let seconds = at.offset().seconds();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    match (minutes / 60, minutes % 60) {
        (0, 0) => "Z".to_owned(),
        (hours, 0) => format!("{sign}{hours:02}"),
        (hours, minutes) => format!("{sign}{hours:02}{minutes:02}"),
    }
}

fn add_days<'a>(run: &mut Run<'a>, call: &'a CallCode, value: &V<'a>) -> V<'a> {
    let Some(days) = second(run, call).number() else { return V::Missing };
    let whole = days.to_i64().filter(|_| days.fract().is_zero());
    let later = whole.and_then(|days| match value {
        V::Date(date) => Some(V::Date(date.checked_add(Span::new().try_days(days).ok()?).ok()?)),
        V::Time(time) => Some(V::Time(time.checked_add(SignedDuration::try_from_hours(days.checked_mul(24)?)?).ok()?)),
        _ => Some(V::Missing),
    });
    later.unwrap_or_else(|| {
        if let Some(code) = call.args.get(1) {
            run.fault(code, fault::MAPPING_VALUE, "no date can be computed from this number of days".to_owned());
        }
        V::Missing
    })
}
