//! Payloads of older and newer versions, as other builds stored them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stentor::delivery::DeliveryState;
use stentor::event::UpcastError;
use stentor::{Bus, Event, args};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::world::{World, soon};

crate::on_both_databases!(
    an_older_payload_is_brought_up_version_by_version,
    a_newer_payload_is_parked_and_says_so,
    an_upcast_that_fails_is_parked_and_says_why,
);

/// Version 1 had `name`, version 2 `fullName`; this is version 3.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersonMoved {
    full_name: String,
    city: String,
}

impl Event for PersonMoved {
    const TYPE: &'static str = "person.moved";
    const SCHEMA_VERSION: u32 = 3;

    fn upcast(version: u32, mut payload: Value) -> Result<Value, UpcastError> {
        let fields = payload.as_object_mut().ok_or_else(|| UpcastError::new("it is no object"))?;
        match version {
            1 => {
                let name = fields.remove("name").ok_or_else(|| UpcastError::new("version 1 needs a name"))?;
                fields.insert("fullName".to_owned(), name);
            }
            _ => {
                fields.insert("city".to_owned(), json!("unknown"));
            }
        }
        Ok(payload)
    }
}

async fn start(world: &World) -> (Bus, mpsc::UnboundedReceiver<Arc<PersonMoved>>) {
    let bus = world.builder().start().await.unwrap();
    let (sender, seen) = mpsc::unbounded_channel();
    let handler = move |event: Arc<PersonMoved>| {
        let sender = sender.clone();
        async move { Ok(sender.send(event)?) }
    };
    bus.subscribe("movers", handler).await.unwrap();
    (bus, seen)
}

/// Stores an event as another build would have.
async fn stored(bus: &Bus, version: i64, payload: Value) -> Uuid {
    let id = Uuid::now_v7();
    let mut transaction = bus.begin().await.unwrap();
    let insert =
        "INSERT INTO system_events (id, type, payload, schema_version) VALUES ($1, 'person.moved', $2, $3)";
    transaction.execute(insert, args![id, payload, version]).await.unwrap();
    transaction.commit().await.unwrap();
    id
}

/// Waits until the event's only delivery is dead, and returns what its error says.
async fn parked(bus: &Bus, id: Uuid) -> String {
    soon(async {
        loop {
            let detail = bus.client().event(id).await.unwrap().unwrap();
            let is_dead = detail.deliveries.iter().any(|delivery| delivery.state == DeliveryState::Dead);
            if let Some(error) = detail.event.error.filter(|_| is_dead) {
                return error;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn an_older_payload_is_brought_up_version_by_version(world: World) {
    let (bus, mut seen) = start(&world).await;
    stored(&bus, 1, json!({ "name": "Ada" })).await;
    let event = soon(seen.recv()).await.unwrap();
    assert_eq!(*event, PersonMoved { full_name: "Ada".to_owned(), city: "unknown".to_owned() });
    stored(&bus, 2, json!({ "fullName": "Bo" })).await;
    assert_eq!(soon(seen.recv()).await.unwrap().full_name, "Bo");
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn a_newer_payload_is_parked_and_says_so(world: World) {
    let (bus, mut seen) = start(&world).await;
    let newer = stored(&bus, 4, json!({ "fullName": "Cy", "city": "Ur", "planet": "Mars" })).await;
    let error = parked(&bus, newer).await;
    assert!(error.contains("version 4") && error.contains('3'), "{error}");
    assert!(seen.try_recv().is_err());
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}

async fn an_upcast_that_fails_is_parked_and_says_why(world: World) {
    let (bus, mut seen) = start(&world).await;
    let nameless = stored(&bus, 1, json!({ "nom": "Dée" })).await;
    let error = parked(&bus, nameless).await;
    assert!(error.contains("version 1 needs a name"), "{error}");
    assert!(seen.try_recv().is_err());
    bus.shutdown(Duration::from_secs(5)).await.unwrap();
}
