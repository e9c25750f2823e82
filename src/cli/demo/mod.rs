//! `preclear demo`: the whole road on one machine, with no set-up.
//!
//! Why it exists: a newcomer types one command and sees declarations become customs XML, travel over mutual TLS, come back as
//! notices and reach a tracking sink as signed events; a build runs the same command as its last test. Gateway, simulated
//! broker and sink live in one process and talk over the network as they would between companies.
//!
//! Invariants: it judges by what the published interface tells and by the broker's own ledger; it ends within a deadline, and
//! only with exit code 0 when every item stands where `examples/scenarios.toml` says.

mod board;
mod report;
mod road;
mod screen;
mod script;
mod stage;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use board::Board;
use report::{Figures, Places};
use screen::Screen;
use script::Item;
use stage::{Choices, Folder, Stage};

use super::declare::client::Client;
use crate::domain::time::{Clock as _, SystemClock};

/// How long the items may take to get where they should.
const DEADLINE: Duration = Duration::from_secs(30);
const REDRAW_EVERY: Duration = Duration::from_millis(80);
/// With nothing new for this long after everything has settled, nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(250);

const EXAMPLES: &str = "Examples:\n  preclear demo\n  preclear demo --keep                              # leaves it up, with its dashboard, until Ctrl-C\n  \
    preclear demo --dir demo --schemas ../schemas     # keeps every file; the broker validates with xmllint\n\n\
    Posts the declarations of examples/ as four posts, to a simulated broker that also answers 429, fails, cuts connections,\n\
    repeats and mixes up its notices. Exit codes: 0 every item got where it should, 1 not, 2 wrong usage.";

/// Show the whole road on this machine, with no set-up
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Leave everything running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Empty folder for configuration, certificates, database and messages, which stays; else a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder of mappings [default: ./mappings, else the built-in ones]
    #[arg(long, value_name = "DIR")]
    mappings: Option<PathBuf>,
    /// Your copy of the official schemas (below it hmrc-cds/…): the broker then refuses what xmllint finds invalid
    #[arg(long, value_name = "DIR")]
    schemas: Option<PathBuf>,
}

/// Runs `preclear demo`. Needs no runtime around it.
pub fn run(args: DemoArgs) -> ExitCode {
    let folder = match Folder::open(args.dir.as_deref()) {
        Ok(folder) => folder,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            eprintln!("the demo cannot start: {}", fault.kind());
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(demo(&args, folder));
    // Whatever still waits on the network has nothing to say any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("the demo cannot go on: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// How the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Settled,
    /// Something has gone where it should not, and nothing else is on its way.
    Failed,
    Late,
    Interrupted,
}

async fn demo(args: &DemoArgs, mut folder: Folder) -> Result<bool, String> {
    let mut signals = Signals::new()?;
    let began = Instant::now();
    let items = script::items(SystemClock.today())?;
    let mut screen = Screen::new();
    screen.lines(&report::legend());
    let choices = Choices { mappings: args.mappings.as_deref(), schemas: args.schemas.as_deref() };
    let stage = Stage::start(folder.path(), &items, &choices).await?;
    let clients = road::clients(&stage.gateway.addresses().intake)?;
    road::subscribe(&clients, &stage.sink).await?;

    let (board, posting, end) = travel(&stage, &clients, items, &mut screen, &mut signals).await?;
    if end == End::Interrupted {
        stage.stop().await;
        return Err("interrupted".to_owned());
    }
    let figures = Figures {
        board: &board,
        ledger: &stage.sandbox.ledger,
        received: *stage.sink.received().borrow(),
        posting,
        whole: began.elapsed(),
    };
    let good = verdict(&figures, end);
    if !good {
        folder.keep();
    }
    show(&screen, &clients, &figures, folder.path().join("messages").as_path(), folder.stays()).await;
    let addresses = stage.gateway.addresses();
    let stays = args.keep && good;
    let folder_name = folder.path().display().to_string();
    let places = Places { dashboard: &addresses.ops, intake: &addresses.intake, folder: &folder_name, stays, kept: folder.stays() };
    screen.lines(&places.lines());
    if stays {
        signals.next().await;
    }
    stage.stop().await;
    Ok(good)
}

/// Posts everything and watches until each item stands where it should, the time is up, or the person ends it.
async fn travel(
    stage: &Stage,
    clients: &[Client],
    items: Vec<Item>,
    screen: &mut Screen,
    signals: &mut Signals,
) -> Result<(Board, Duration, End), String> {
    let board: road::Shared = Arc::new(watch::Sender::new(Board::new(items)));
    let mut watchers = JoinSet::new();
    for client in clients {
        watchers.spawn(road::follow(client.clone(), board.clone()));
    }
    watchers.spawn(road::ask(clients.to_vec(), board.clone()));

    let mut posting = None;
    let mut posted = std::pin::pin!(road::post_all(clients, &board));
    let mut settled = std::pin::pin!(settle(stage, clients, &board));
    let mut changes = board.subscribe();
    let mut failed = std::pin::pin!(changes.wait_for(Board::failed));
    let mut deadline = std::pin::pin!(tokio::time::sleep(DEADLINE));
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    let end = loop {
        tokio::select! {
            done = &mut posted, if posting.is_none() => posting = Some(done?),
            () = &mut settled, if posting.is_some() => break End::Settled,
            _ = &mut failed, if posting.is_some() => break End::Failed,
            () = &mut deadline => break End::Late,
            () = signals.next() => break End::Interrupted,
            _ = redraw.tick() => screen.show(&board.borrow().clone()),
        }
    };
    watchers.shutdown().await;
    let board = board.borrow().clone();
    screen.finish(&board);
    Ok((board, posting.unwrap_or(DEADLINE), end))
}

/// Waits until every item stands where it should, every notice is taken, every webhook has come, and it stays so.
async fn settle(stage: &Stage, clients: &[Client], board: &road::Shared) {
    let mut changes = board.subscribe();
    let mut received = stage.sink.received();
    loop {
        // Both senders live in this process for longer than this.
        let _ = changes.wait_for(Board::settled).await;
        stage.sandbox.idle().await;
        road::ask_once(clients, board, true).await;
        changes.borrow_and_update();
        received.borrow_and_update();
        tokio::select! {
            _ = changes.changed() => {}
            _ = received.changed() => {}
            () = tokio::time::sleep(QUIET) => {
                let board = board.borrow();
                if board.settled() && received.borrow().verified == board.events() {
                    return;
                }
            }
        }
    }
}

/// Says what is missing or must not have happened; whether all is well.
fn verdict(figures: &Figures<'_>, end: End) -> bool {
    let mut faults: Vec<String> =
        figures.board.rows.iter().filter_map(|row| Some(format!("{}: {}", row.item.item_id, row.missing()?))).collect();
    faults.extend(figures.faults());
    if faults.is_empty() && end == End::Settled {
        return true;
    }
    let why = if end == End::Late {
        format!("not all items got where they should within {} s:", DEADLINE.as_secs())
    } else {
        "something is wrong:".to_owned()
    };
    eprintln!("\n{why}");
    for fault in faults {
        eprintln!("  {fault}");
    }
    false
}

/// One of each thing as it is, then the times. With `keep` every message is also written to a file of its own.
async fn show(screen: &Screen, clients: &[Client], figures: &Figures<'_>, messages: &Path, keep: bool) {
    screen.lines(&report::refused(figures.board));
    let specimen = report::specimen(figures.board).map(|row| row.item.item_id.as_str());
    if keep && let Err(fault) = std::fs::create_dir_all(messages) {
        eprintln!("{}: {}", messages.display(), fault.kind());
    }
    for row in figures.board.rows.iter().filter(|row| row.taken()) {
        let is_specimen = Some(row.item.item_id.as_str()) == specimen;
        let Some(id) = row.declaration_id.as_deref().filter(|_| keep || is_specimen) else { continue };
        let answer = clients[row.item.post].get(&format!("/v1/declarations/{id}/messages?content=1")).await;
        let Some(text) = answer.ok().and_then(|answer| report::message_text(&answer.json())) else {
            eprintln!("{}: its message cannot be read back", row.item.item_id);
            continue;
        };
        if is_specimen {
            screen.lines(&report::message(&row.item.item_id, &text));
        }
        let file = messages.join(format!("{}.xml", row.item.item_id));
        if keep && let Err(fault) = std::fs::write(&file, text) {
            eprintln!("{}: {}", file.display(), fault.kind());
        }
    }
    screen.lines(&report::event(figures.board));
    screen.lines(&figures.lines());
}

/// Ctrl-C and SIGTERM, taken from the very start so that an early one leaves nothing half made.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let of = |kind| signal(kind).map_err(|fault| format!("signals: {}", fault.kind()));
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
