//! The bus on a plain thread, with no runtime of its own around it.

#![allow(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;
use std::time::Duration;

use pollster::FutureExt;
use serde::{Deserialize, Serialize};
use stentor::{Bus, Event};

#[derive(Serialize, Deserialize)]
struct DoorOpened {
    door: u32,
}

impl Event for DoorOpened {
    const TYPE: &'static str = "door.opened";
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("bus.db").display());
    let bus = Bus::builder().database(url).start().block_on()?;
    let greet = |event: Arc<DoorOpened>| async move {
        println!("door {} is open", event.door);
        Ok(())
    };
    bus.subscribe("greeter", greet).block_on()?;
    let receipt = bus.publish(DoorOpened { door: 7 }).block_on()?;
    receipt.processed().block_on()?;
    bus.shutdown(Duration::from_secs(5)).block_on()?;
    Ok(())
}
