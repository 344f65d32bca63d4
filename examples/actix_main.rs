//! The bus within `#[actix::main]`.

#![allow(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor::{Bus, Event};

#[derive(Serialize, Deserialize)]
struct DoorOpened {
    door: u32,
}

impl Event for DoorOpened {
    const TYPE: &'static str = "door.opened";
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("bus.db").display());
    let bus = Bus::builder().database(url).start().await?;
    let greet = |event: Arc<DoorOpened>| async move {
        println!("door {} is open", event.door);
        Ok(())
    };
    bus.subscribe("greeter", greet).await?;
    let receipt = bus.publish(DoorOpened { door: 7 }).await?;
    receipt.processed().await?;
    bus.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
