//! The baseline: a bare actix-web handler, an append, one fdatasync for a group.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::sync::oneshot;

use crate::gateway::Sizes;

type Job = (Bytes, oneshot::Sender<()>);

struct State {
    writer: mpsc::SyncSender<Job>,
    answer: Bytes,
}

/// Starts it on a free port with as many workers as the product has.
pub fn start(path: &Path, sizes: &Sizes) -> anyhow::Result<SocketAddr> {
    let (writer, jobs) = mpsc::sync_channel(4096);
    let file = File::create(path)?;
    let filler = vec![b'x'; sizes.message + sizes.answer];
    std::thread::spawn(move || write_groups(file, &jobs, &filler));
    let state = Data::new(State { writer, answer: Bytes::from(vec![b'x'; sizes.answer]) });
    let server = HttpServer::new(move || App::new().app_data(state.clone()).route("/v1/declarations", web::post().to(take)))
        .workers(preclear::app::workers())
        .disable_signals()
        .bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    Ok(address)
}

async fn take(body: Bytes, state: Data<State>) -> HttpResponse {
    let (done, durable) = oneshot::channel();
    if state.writer.try_send((body, done)).is_err() || durable.await.is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Accepted().content_type("application/json").body(state.answer.clone())
}

/// Takes what waits, appends it, syncs once, answers all: the product's way of committing, and nothing else.
fn write_groups(mut file: File, jobs: &mpsc::Receiver<Job>, filler: &[u8]) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(511));
        let mut bytes = Vec::new();
        for (body, _) in &group {
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(filler);
        }
        if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        for (_, done) in group {
            let _ = done.send(());
        }
    }
}
