//! `preclear dead-letters`: what was given up, and what is to become of it, through the ops interface.
//!
//! Why it exists: an operator at a terminal decides on many messages at once; the command says what the interface did in
//! words that a script can read. It knows nothing that the interface does not tell everybody.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::operator::{OpsArgs, Stop, block_on, get, post, print, query};
use crate::domain::delivery::DeadReason;
use crate::domain::operate::ReplayMode;

/// List, replay and purge messages that were given up
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  preclear dead-letters list --broker uk-broker\n  preclear dead-letters replay --reason exhausted --mode same_bytes\n\n\
    Each command has examples of its own: preclear dead-letters COMMAND --help.\n\
    Exit codes: 0 done, 1 refused or no answer, 2 wrong usage."
)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: DeadLetters,
}

#[derive(Debug, Subcommand)]
enum DeadLetters {
    /// List them, the newest first
    #[command(after_help = "Example:\n  preclear dead-letters list --broker uk-broker --reason refused --json")]
    List(ListArgs),
    /// Let them live again
    #[command(
        after_help = "Examples:\n  preclear dead-letters replay --broker uk-broker --reason exhausted --mode same_bytes --dry-run\n  \
        preclear dead-letters replay --reason refused --mode remap --why 'the mapping is mended'\n  \
        preclear dead-letters replay --message 01939d4e-… --mode settle_delivered --why 'the broker confirmed it by telephone'"
    )]
    Replay(ReplayArgs),
    /// Take them back for good; their bytes stay as evidence
    #[command(after_help = "Example:\n  preclear dead-letters purge --message 01939d4e-… --why 'declared by hand'")]
    Purge(PurgeArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Of one broker
    #[arg(long, value_name = "BROKER")]
    broker: Option<String>,
    /// Of one reason
    #[arg(long, value_name = "REASON", value_parser = PossibleValuesParser::new(DeadReason::WORDS))]
    reason: Option<String>,
    /// Of one post
    #[arg(long, value_name = "POST")]
    post: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON object a line in place of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ops: OpsArgs,
}

/// Which. At least one has to be given, and all that are given have to fit
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// This message
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// Of this broker
    #[arg(long, value_name = "BROKER")]
    broker: Option<String>,
    /// With this reason
    #[arg(long, value_name = "REASON", value_parser = PossibleValuesParser::new(DeadReason::WORDS))]
    reason: Option<String>,
    /// Of this post
    #[arg(long, value_name = "POST")]
    post: Option<String>,
    /// Dead for at least so many seconds
    #[arg(long, value_name = "SECONDS")]
    older_than: Option<u64>,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// How: the same bytes under the same id, rendered anew, or said to be delivered
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(ReplayMode::WORDS))]
    mode: String,
    /// Why; kept with the act
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct PurgeArgs {
    #[command(flatten)]
    which: Which,
    /// Why; kept with the act
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    /// At most so many, the longest dead of each broker first
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    ops: OpsArgs,
}

impl Which {
    fn filter(&self) -> Value {
        let texts = [("message_id", &self.message), ("broker", &self.broker), ("reason", &self.reason), ("post", &self.post)];
        let mut filter: Map<String, Value> =
            texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.clone()?)))).collect();
        if let Some(seconds) = self.older_than {
            filter.insert("older_than_s".to_owned(), seconds.into());
        }
        Value::Object(filter)
    }
}

/// Runs the command. Needs no runtime around it.
pub fn run(args: &DeadLettersArgs) -> ExitCode {
    let done = match &args.command {
        DeadLetters::List(args) => list(args),
        DeadLetters::Replay(args) => {
            let order = json!({ "filter": args.which.filter(), "mode": args.mode, "reason": args.why });
            carry_out("/v1/dead-letters/replay", order, &args.how)
        }
        DeadLetters::Purge(args) => {
            let order = json!({ "filter": args.which.filter(), "reason": args.why });
            carry_out("/v1/dead-letters/purge", order, &args.how)
        }
    };
    done.map_or_else(Stop::told, |()| ExitCode::SUCCESS)
}

fn carry_out(path: &str, mut order: Value, how: &How) -> Result<(), Stop> {
    order["dry_run"] = how.dry_run.into();
    order["limit"] = how.limit.into();
    let client = how.ops.client()?;
    let answer = block_on(post(&client, path, &order))?;
    print(&format!("{answer}\n"))?;
    let number = |member: &str| answer[member].as_u64().unwrap_or_default();
    let (matched, done) = (number("matched"), number("done"));
    eprintln!("{}", if how.dry_run { format!("{matched} would be changed") } else { format!("{done} of {matched} changed") });
    Ok(())
}

fn list(args: &ListArgs) -> Result<(), Stop> {
    let members = [
        ("broker", args.broker.clone()),
        ("reason", args.reason.clone()),
        ("post", args.post.clone()),
        ("limit", Some(args.limit.to_string())),
    ];
    let client = args.ops.client()?;
    let answer = block_on(get(&client, &format!("/v1/dead-letters{}", query(members))))?;
    let letters = answer["dead_letters"].as_array().cloned().unwrap_or_default();
    let line = if args.json { |letter: &Value| format!("{letter}\n") } else { row };
    print(&letters.iter().map(line).collect::<String>())?;
    eprintln!("{} listed", letters.len());
    Ok(())
}

/// A line of the table: its columns in the order that a person decides by.
fn row(letter: &Value) -> String {
    let text = |member: &str| letter[member].as_str().unwrap_or("-").to_owned();
    let number = |member: &str| letter[member].as_u64().map_or("-".to_owned(), |number| number.to_string());
    format!(
        "{}  {}  {}  {}  {}  {}  {} s  {} attempts  {} {}\n",
        text("message_id"),
        text("broker"),
        text("post"),
        text("item_id"),
        text("kind"),
        text("reason"),
        number("age_seconds"),
        number("attempts"),
        number("last_status"),
        text("last_outcome")
    )
}
