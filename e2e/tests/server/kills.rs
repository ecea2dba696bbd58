//! A server that is killed over and over while webhooks come in.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use hearth_e2e::served::http::Connection;
use hearth_e2e::served::{Forge, Repository, Server, sign};
use serde_json::Value as Json;

const FLOW: &str = "\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: 'echo spark; sleep 0.2'}]
";

/// When the lives end, one after the other: nothing is made of webhooks yet, or runs have begun, or the first have
/// ended. Always others are at other moments.
const ENDS: [&str; 5] = ["", "queued", "running", "ended", ""];

/// Webhooks that a life acknowledges before its end: some of them wait for those before.
const WEBHOOKS_OF_A_LIFE: usize = 7;

/// Connections that webhooks come on.
const SENDERS: usize = 3;

/// Webhooks that one of these carries in a life, at most: more together than the life acknowledges before its end.
const WEBHOOKS_OF_A_SENDER: usize = 5;

/// What senders know: of each webhook, by its delivery id, whether it was acknowledged. If not, its connection broke.
#[derive(Default)]
struct Book {
    told: Mutex<BTreeMap<String, bool>>,
    more: Condvar,
}

impl Book {
    fn note(&self, guid: &str, is_acknowledged: bool) {
        self.told.lock().expect("whole").insert(guid.to_owned(), is_acknowledged);
        self.more.notify_all();
    }

    fn wait_for(&self, acknowledged: usize) {
        let told = self.told.lock().expect("whole");
        let is_less = |told: &mut BTreeMap<String, bool>| {
            told.values().filter(|is_acknowledged| **is_acknowledged).count() < acknowledged
        };
        drop(self.more.wait_while(told, is_less).expect("whole"));
    }
}

#[test]
fn whatever_was_acknowledged_before_any_of_many_kills_runs_once() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let payload = repository.push(&sha).to_string();
    let mut server = Server::start(&repository, &forge);
    let book = Arc::new(Book::default());
    for (life, end) in ENDS.iter().enumerate() {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| send(server.address(), format!("{life}-{sender}"), &payload, &book))
            .collect();
        book.wait_for((life + 1) * WEBHOOKS_OF_A_LIFE);
        if !end.is_empty() {
            server.some_run_is(end);
        }
        server.kill();
        for sender in senders {
            // Most find their connection broken; that is what they are for.
            let _ = sender.join().expect("a sender has panicked");
        }
        server.start_again();
    }
    let told = book.told.lock().expect("whole").clone();
    let deliveries = server.all("/api/v1/deliveries", "deliveries");
    for (guid, is_acknowledged) in &told {
        let found = deliveries.iter().filter(|delivery| delivery["guid"] == **guid).count();
        assert!(found == 1 || !is_acknowledged && found == 0, "{guid} is there {found} times");
    }
    for delivery in &deliveries {
        server.delivery_is(delivery["id"].as_u64().expect("a number"), "expanded");
    }
    let runs = server.all("/api/v1/runs", "runs");
    let of: Vec<&Json> = runs.iter().map(|run| &run["delivery_id"]).collect();
    for delivery in &deliveries {
        let runs = of.iter().filter(|of| **of == &delivery["id"]).count();
        assert_eq!(runs, 1, "{delivery}");
    }
    for run in &runs {
        let id = run["id"].as_u64().expect("a number");
        let ended = server.ended(id);
        let job = &server.get(&format!("/api/v1/runs/{id}/jobs")).1["jobs"][0];
        // Whom two kills have met runs no third time, and says that it was no step of its own.
        let was_met_twice = job["infrastructure_error"].as_str().is_some_and(|why| why.contains("and again"));
        let expected = if was_met_twice { "failure" } else { "success" };
        assert!(job["tries"].as_u64() <= Some(2), "{job}");
        assert_eq!(ended["conclusion"], expected, "{job}");
    }
    assert_eq!(runs.len(), deliveries.len());
    server.no_machine_is_left();
}

/// Sends webhooks, one behind the other, as long as the server is there.
fn send(address: SocketAddr, name: String, payload: &str, book: &Arc<Book>) -> JoinHandle<io::Result<()>> {
    let (book, payload) = (Arc::clone(book), payload.to_owned());
    thread::spawn(move || {
        let signature = sign(&payload);
        let mut connection = Connection::open(address)?;
        for number in 0..WEBHOOKS_OF_A_SENDER {
            let guid = format!("{name}-{number}");
            let headers = [
                ("X-GitHub-Event", "push"),
                ("X-GitHub-Delivery", &guid),
                ("X-Hub-Signature-256", &signature),
            ];
            let answer = connection.ask("POST /webhook", &headers, &payload);
            book.note(&guid, matches!(&answer, Ok((200, _))));
            answer?;
        }
        Ok(())
    })
}
