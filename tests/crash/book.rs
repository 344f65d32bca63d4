//! The harness's own book, and what it says against the database.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use stentor::{Client, StoreOptions};
use tempfile::TempDir;
use uuid::Uuid;

use crate::world::World;

/// What went wrong. All zeros is what must be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Publishes that returned and are not stored.
    pub(crate) lost: usize,
    /// Targets neither acked nor parked.
    pub(crate) unfinished: i64,
    /// Transactional effects that are missing.
    pub(crate) missing: i64,
    /// Transactional effects that happened more than once.
    pub(crate) doubled: i64,
    /// Events that followed an event other than exactly once.
    pub(crate) followers: i64,
    /// Deliveries after their ack.
    pub(crate) late: usize,
    /// Keys whose order was broken.
    pub(crate) disordered: i64,
}

/// A folder of append-only files; each line is written at once, so a kill cuts none.
pub(crate) struct Book {
    folder: TempDir,
}

/// One file of the book, as the child writes it.
pub(crate) struct Page(File);

impl Page {
    pub(crate) fn open(folder: &Path, name: &str) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap())
    }

    pub(crate) fn write(&self, line: &str) {
        (&self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

impl Book {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Returns when the child of `round` has published its first event.
    pub(crate) async fn wait_for_start(&self, round: u32, child: &mut Child) {
        let page = self.folder.path().join(format!("started-{round}"));
        crate::world::soon(async {
            while !page.exists() {
                assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
                // Another process: its file is the signal.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    fn ids(&self, name: &str) -> HashSet<Uuid> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    pub(crate) fn handled_in(&self, round: u32) -> HashSet<Uuid> {
        self.ids(&format!("handled-{round}"))
    }
}

async fn client(world: &World) -> Client {
    Client::open(&StoreOptions::new().url(&world.url)).await.unwrap()
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.fetch_all(sql, Vec::new()).await.unwrap()[0].get("n").unwrap()
}

/// Returns the events that the module `plain` has acknowledged, durably.
pub(crate) async fn acked(world: &World) -> HashSet<Uuid> {
    let client = client(world).await;
    let sql = "SELECT event_id FROM deliveries WHERE module = 'plain' AND state = 'acked'";
    let rows = client.fetch_all(sql, Vec::new()).await.unwrap();
    client.close().await;
    rows.iter().map(|row| row.get("event_id").unwrap()).collect()
}

/// Compares the book with the database.
pub(crate) async fn judge(world: &World, book: &Book) -> Verdict {
    let client = client(world).await;
    let rows = client
        .fetch_all("SELECT id FROM system_events WHERE type = 'crash.loaded'", Vec::new())
        .await
        .unwrap();
    let stored: HashSet<Uuid> = rows.iter().map(|row| row.get("id").unwrap()).collect();
    let published = book.ids("published");
    assert!(published.len() > 100, "the load was worth the name: {}", published.len());
    let verdict = Verdict {
        lost: published.difference(&stored).count(),
        unfinished: count(&client, "SELECT count(*) AS n FROM deliveries WHERE state = 'pending'").await,
        missing: count(
            &client,
            "SELECT count(*) AS n FROM system_events e WHERE e.type = 'crash.loaded'
             AND NOT EXISTS (SELECT 1 FROM crash_effects f WHERE f.event_id = e.id)",
        )
        .await,
        doubled: count(
            &client,
            "SELECT count(*) AS n FROM (SELECT event_id FROM crash_effects GROUP BY event_id HAVING count(*) > 1) AS t",
        )
        .await,
        followers: count(
            &client,
            "SELECT count(*) AS n FROM (SELECT e.id FROM system_events e
             LEFT JOIN system_events f ON f.causation_id = e.id AND f.type = 'crash.followed'
             WHERE e.type = 'crash.loaded' GROUP BY e.id HAVING count(f.id) <> 1) AS t",
        )
        .await,
        late: 0,
        disordered: count(
            &client,
            "SELECT count(*) AS n FROM (SELECT number, lag(number) OVER (PARTITION BY lane ORDER BY place) AS before
             FROM crash_order) AS t WHERE before >= number",
        )
        .await,
    };
    client.close().await;
    verdict
}
