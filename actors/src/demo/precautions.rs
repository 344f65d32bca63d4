//! What is looked at before a demo runs on a database of the user's own.

use stentor::audit::{EventFilter, EventState, ModuleRecord};
use stentor::{BusBuilder, Client, StoreError, StoreOptions};

use super::DemoError;

/// Refuses a database where work waits, which the demo's node would do, or where the demo's own would wait.
///
/// Nothing is written, but for an SQLite file that is missing: that one is made.
pub(super) async fn refuse_if_work_waits(url: &str, bus: &BusBuilder) -> Result<(), DemoError> {
    let options = StoreOptions::new().url(url);
    if is_empty(&options).await? {
        return Ok(());
    }
    let client = Client::open(&options.create(false)).await?;
    let result = look(&client, bus).await;
    client.close().await;
    result
}

/// Returns whether no bus has used the database yet.
async fn is_empty(options: &StoreOptions) -> Result<bool, StoreError> {
    let client = Client::open_any(options).await?;
    let status = client.migration_status(&[]).await;
    client.close().await;
    Ok(status?.iter().all(|step| step.applied_at.is_none()))
}

async fn look(client: &Client, bus: &BusBuilder) -> Result<(), DemoError> {
    let open = EventFilter { state: Some(EventState::Unprocessed), ..EventFilter::default() };
    let modules = client.modules().await?;
    if let Some(busy) = modules.iter().find(|module| module.pending > 0) {
        return Err(DemoError::WorkWaits(format!("deliveries to the module {}", busy.name)));
    }
    if let Some(event) = client.events(&open, None, 1).await?.items.first() {
        return Err(DemoError::WorkWaits(format!("event {} {}", event.event_type, event.id)));
    }
    match modules.into_iter().find(|module| would_wait(module, bus)) {
        Some(module) => Err(DemoError::WouldWait(module.name)),
        None => Ok(()),
    }
}

/// Returns whether what the demo publishes to a module would wait there.
fn would_wait(module: &ModuleRecord, bus: &BusBuilder) -> bool {
    let catalogue = crate::catalogue();
    let runs = module.paused_at.is_none() && bus.module_names().any(|name| name == module.name);
    !runs && module.subscriptions.iter().any(|event_type| catalogue.get(event_type).is_some())
}
