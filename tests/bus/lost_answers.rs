//! Connections that break right behind a COMMIT: it happened, but nobody heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use stentor::{Bus, Client, Receipt, StoreOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::effects::{Followed, TABLES, Writer, effects};
use crate::events::happened;
use crate::world::{Kind, World};

/// Commits whose answer gets lost.
const CUTS: i32 = 24;
const PATIENCE: Duration = Duration::from_mins(1);

/// Stands between the bus and the server.
struct Proxy {
    address: SocketAddr,
    /// How many more connections to cut behind a COMMIT.
    cuts: Arc<AtomicI32>,
    /// Ends with the proxy.
    _accepting: JoinSet<()>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicI32::new(0));
        let (shared, mut accepting) = (Arc::clone(&cuts), JoinSet::new());
        accepting.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                relays.spawn(relay(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, cuts, _accepting: accepting }
    }
}

/// Carries bytes both ways until a side ends or it is time to cut.
async fn relay(mut client: TcpStream, mut server: TcpStream, cuts: Arc<AtomicI32>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, to_server) = server.split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        () = questions(&mut from_client, to_server, &cuts) => {}
    }
}

/// Carries what the client says; when it is time to cut, the server gets its COMMIT and the client no answer.
async fn questions(from_client: &mut ReadHalf<'_>, mut to_server: WriteHalf<'_>, cuts: &AtomicI32) {
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        let sent = &buffer[..read];
        let commits = sent.windows(7).any(|bytes| bytes == b"COMMIT\0");
        // Every other one gets through, so that work goes on.
        let is_cut = commits && fastrand::bool() && cuts.fetch_sub(1, Ordering::SeqCst) > 0;
        if to_server.write_all(sent).await.is_err() || is_cut {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_done_twice_while_the_node_lives() {
    let world = World::new(Kind::Postgres).await;
    let (server, database) = world.url.split_once('@').unwrap().1.split_once('/').unwrap();
    let proxy = Proxy::start(server.to_owned()).await;
    let through = format!("postgres://postgres@{}/{database}", proxy.address);
    let builder = Bus::builder().database(through).poll_interval(Duration::from_millis(20));
    let builder = builder.migrations(&TABLES).event::<Followed>();
    let bus = builder.module(|| Writer { fails_first: false }).start().await.unwrap();
    let client = Client::open(&StoreOptions::new().url(world.url.as_str())).await.unwrap();

    // A backlog that has to be claimed, and events that go the short way beside it.
    bus.pause("writer").await.unwrap();
    let receipts = bus.publish_all((0..400).map(happened)).await.unwrap();
    let mut acknowledged: Vec<(Receipt, i64)> = receipts.into_iter().zip(0..).collect();
    proxy.cuts.store(CUTS, Ordering::SeqCst);
    client.resume("writer").await.unwrap();
    let mut number = 1_000;
    while proxy.cuts.load(Ordering::SeqCst) > 0 {
        // Who is told of a failure does not know; whoever is told of success must be right.
        if let Ok(receipt) = bus.publish(happened(number)).await {
            acknowledged.push((receipt, i64::from(number)));
        }
        number += 1;
        // The pace of a caller with other things to do: the backlog is to be claimed meanwhile.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let all = async {
        for (receipt, _) in &acknowledged {
            receipt.processed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("every event whose publish returned is processed");
    let effects = effects(&bus).await;
    assert!(effects.windows(2).all(|pair| pair[0] < pair[1]), "twice: {effects:?}");
    for (_, number) in acknowledged {
        assert!(effects.binary_search(&number).is_ok(), "{number} had no effect");
    }
    client.close().await;
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
}
