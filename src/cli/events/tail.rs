//! `events tail`: events as they are stored.
//!
//! Sequence numbers commit out of order, so this looks at the newest events
//! again and again and shows those that it has not shown.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use crate::audit::{EventFilter, EventRecord, PAGE_MAX};
use crate::cli::{CliError, Format, Session, when};
use crate::client::Client;

/// How often the store is asked.
const INTERVAL: Duration = Duration::from_millis(500);
/// Events of the past that are shown first.
const FIRST: usize = 10;
/// Events that are remembered as shown. More than this many in one interval end up in `events list` alone.
const REMEMBERED: usize = 10_000;

pub(super) async fn run(session: &Session, event_type: Option<String>) -> Result<(), CliError> {
    let client = session.client().await?;
    let filter = EventFilter { event_type, ..EventFilter::default() };
    let mut seen = Seen::default();
    let mut fresh = unseen(&client, &filter, &mut seen, Pages::First).await?;
    fresh.drain(..fresh.len().saturating_sub(FIRST));
    loop {
        for event in &fresh {
            show(session, event)?;
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            interrupted = tokio::signal::ctrl_c() => {
                client.close().await;
                return Ok(interrupted?);
            }
        }
        fresh = unseen(&client, &filter, &mut seen, Pages::UntilKnown).await?;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Pages {
    First,
    UntilKnown,
}

/// The ids that were shown last.
#[derive(Default)]
struct Seen {
    ids: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Seen {
    /// Returns whether `id` is new, and remembers it.
    fn add(&mut self, id: Uuid) -> bool {
        let new = self.ids.insert(id);
        if new {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        new
    }
}

/// Returns the events that were not shown, oldest first. Older pages are read only while a page is all new.
async fn unseen(
    client: &Client,
    filter: &EventFilter,
    seen: &mut Seen,
    pages: Pages,
) -> Result<Vec<EventRecord>, CliError> {
    let (mut fresh, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.events(filter, cursor, PAGE_MAX).await?;
        let count = page.items.len();
        let new: Vec<_> = page.items.into_iter().filter(|event| !seen.ids.contains(&event.id)).collect();
        let all_new = new.len() == count;
        fresh.extend(new);
        cursor = page.next_cursor;
        if pages == Pages::First || !all_new || cursor.is_none() || fresh.len() >= REMEMBERED / 2 {
            break;
        }
    }
    fresh.reverse();
    fresh.retain(|event| seen.add(event.id));
    Ok(fresh)
}

fn show(session: &Session, event: &EventRecord) -> Result<(), CliError> {
    let output = session.output();
    if output.format() != Format::Table {
        return output.line(event);
    }
    output.text(|out| writeln!(out, "{}  {}  {}", when::show(event.created_at), event.id, event.event_type))
}
