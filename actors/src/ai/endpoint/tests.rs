//! A real HTTP server on the other side, kind and unkind.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::conversation::{Author, Message};
use super::super::lead::{Finding, LeadType};
use super::super::settings::Settings;
use super::{ANSWER_BYTES_MAX, Endpoint, EndpointError};

fn endpoint(url: &str) -> Endpoint {
    let section = json!({ "endpoint": url, "api_key": "sk-s3cret", "model": "a-model", "timeout_ms": 5_000 });
    let settings: Settings = serde_json::from_value(section).unwrap();
    Endpoint::new(&settings).unwrap().unwrap()
}

async fn ask(url: &str) -> Result<Vec<Finding>, EndpointError> {
    let text = "We are hiring, psst, s3cret.".to_owned();
    endpoint(url).findings(&[Message { author: Author::User, text }]).await
}

fn completion(content: &Value) -> Value {
    json!({ "choices": [{ "message": { "role": "assistant", "content": content.to_string() } }] })
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", "Bearer sk-s3cret"))
        .and(header("content-type", "application/json"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// Asks a server that answers `bytes`, and nothing after them.
async fn ask_raw(bytes: &[u8]) -> Result<Vec<Finding>, EndpointError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let answer = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        assert!(connection.read(&mut vec![0; 16_384]).await.unwrap() > 0);
        // Who reads no further than needed makes this fail, and is right.
        drop(connection.write_all(bytes).await);
    };
    tokio::join!(answer, ask(&url)).1
}

#[tokio::test]
async fn a_good_answer_is_believed() {
    let content =
        json!({ "opportunities": [{ "type": "recruiting", "confidence": 0.9, "reason": "We are hiring." }] });
    let server = server(ResponseTemplate::new(200).set_body_json(completion(&content))).await;
    let reason = "We are hiring.".to_owned();
    let expected = Finding { lead: LeadType::Recruiting, confidence: 0.9, reason };
    assert_eq!(ask(&format!("{}/v1/", server.uri())).await.unwrap(), [expected]);
    let request: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!(request["model"], "a-model");
    assert_eq!(request["response_format"]["type"], "json_object");
}

#[tokio::test]
async fn whatever_else_comes_is_an_error_that_shows_neither_texts_nor_the_key() {
    let too_long = json!({ "choices": [], "padding": "s3cret".repeat(ANSWER_BYTES_MAX / 6) });
    let elsewhere = server(ResponseTemplate::new(200)).await;
    for answer in [
        ResponseTemplate::new(500).set_body_string("s3cret"),
        ResponseTemplate::new(401).set_body_string("wrong key sk-s3cret"),
        ResponseTemplate::new(307).insert_header("location", elsewhere.uri().as_str()),
        ResponseTemplate::new(200).set_body_string("<html>s3cret</html>"),
        ResponseTemplate::new(200).set_body_json(completion(&json!({ "opportunities": "s3cret" }))),
        ResponseTemplate::new(200).set_body_json(too_long),
    ] {
        let server = server(answer).await;
        let error = ask(&format!("{}/v1", server.uri())).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let broken = ask_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\": [").await;
    assert!(matches!(broken, Err(EndpointError::Broken(_))), "{broken:?}");
    let error = ask_raw(b"s3cret, and no HTTP").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn an_endless_answer_is_read_up_to_the_limit() {
    let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_vec();
    endless.resize(endless.len() + 2 * ANSWER_BYTES_MAX, b' ');
    let answer = ask_raw(&endless).await;
    assert!(matches!(answer, Err(EndpointError::TooLong)), "{answer:?}");
}

#[tokio::test]
async fn silence_ends_at_the_timeout_and_a_closed_port_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let section =
        json!({ "endpoint": format!("http://{}", listener.local_addr().unwrap()), "timeout_ms": 100 });
    let settings: Settings = serde_json::from_value(section).unwrap();
    let asked = Endpoint::new(&settings).unwrap().unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), asked.findings(&[])).await.unwrap();
    assert!(matches!(answer, Err(EndpointError::TimedOut)), "{answer:?}");
    drop(listener);
    let answer = asked.findings(&[]).await;
    assert!(matches!(answer, Err(EndpointError::Broken(_))), "{answer:?}");
}
