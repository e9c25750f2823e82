//! Which brokers a declaration goes to: the first matching rule of each track, or the sender's wish.

use crate::config::Config;
use crate::domain::declaration::Declaration;
use crate::domain::fact::Track;
use crate::domain::fault::{self, Fault};
use crate::error::{ApiError, Code};
use crate::mapping::Condition;

use super::PostProfile;

/// A routing rule whose condition cannot be compiled.
#[derive(Debug, Clone)]
pub struct RoutingFault {
    /// Number of the rule, from 1.
    pub rule: usize,
    /// What is wrong, with its column.
    pub detail: String,
}

/// The compiled rules.
#[derive(Debug)]
pub struct Router {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    number: u32,
    track: Track,
    condition: Option<Condition>,
    why: String,
    broker: String,
}

/// A chosen broker and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'r> {
    /// Track.
    pub track: Track,
    /// Broker.
    pub broker: &'r str,
    /// Number of the rule; 0 when the sender chose.
    pub rule: u32,
    /// The rule as written, or that the sender chose.
    pub why: &'r str,
}

impl Router {
    /// Compiles the rules of a configuration.
    ///
    /// # Errors
    /// Every rule that cannot be compiled.
    pub fn compile(config: &Config) -> Result<Self, Vec<RoutingFault>> {
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        for (index, route) in config.routes.iter().enumerate() {
            let condition = route.when.as_ref().map(|when| Condition::compile(when.as_str())).transpose();
            match condition {
                Ok(condition) => rules.push(Rule {
                    number: u32::try_from(index + 1).unwrap_or(u32::MAX),
                    track: route.track,
                    condition,
                    why: route.when.as_ref().map_or_else(|| "always".to_owned(), ToString::to_string),
                    broker: route.broker.to_string(),
                }),
                Err(found) => faults.extend(found.into_iter().map(|fault| RoutingFault { rule: index + 1, detail: fault.to_string() })),
            }
        }
        if faults.is_empty() { Ok(Self { rules }) } else { Err(faults) }
    }

    /// The choices for a declaration, one per track at most.
    ///
    /// # Errors
    /// `no_route` when no rule takes it.
    pub fn choose<'r>(&'r self, declaration: &'r Declaration, post: &PostProfile) -> Result<Vec<Choice<'r>>, ApiError> {
        let mut choices: Vec<Choice<'r>> = Vec::new();
        if let Some(wish) = &declaration.broker {
            choices.push(self.wish(wish.as_str(), post)?);
        }
        for rule in &self.rules {
            let taken = choices.iter().any(|choice| choice.track == rule.track);
            let matches = || rule.condition.as_ref().is_none_or(|condition| condition.matches(declaration, post.context()));
            if !taken && post.may_use(&rule.broker) && matches() {
                choices.push(Choice { track: rule.track, broker: &rule.broker, rule: rule.number, why: &rule.why });
            }
        }
        if choices.is_empty() { Err(Code::NoRoute.into()) } else { Ok(choices) }
    }

    /// The fault of a wish for a broker that the post may not use; told together with all others.
    pub fn wish_fault(&self, declaration: &Declaration, post: &PostProfile) -> Option<Fault> {
        let wish = declaration.broker.as_ref()?;
        let known = self.rules.iter().any(|rule| rule.broker == wish.as_str() && post.may_use(wish.as_str()));
        (!known).then(|| Fault::new("/broker", fault::UNKNOWN_BROKER, "one of the brokers that this post may use, or none"))
    }

    fn wish<'r>(&'r self, broker: &'r str, post: &PostProfile) -> Result<Choice<'r>, ApiError> {
        let known = self.rules.iter().find(|rule| rule.broker == broker && post.may_use(broker));
        // Reading has told it already ([`Router::wish_fault`]); without a rule there is no route.
        known.map(|rule| Choice { track: rule.track, broker, rule: 0, why: "asked for by the sender" }).ok_or(Code::NoRoute.into())
    }
}
