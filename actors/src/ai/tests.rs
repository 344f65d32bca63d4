//! When an endpoint is asked, and what is logged when it fails.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::conversation::{Author, Message};
use super::{Ai, Finder, LeadType};

/// Keeps what is written, to be read by the test.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_failure_of_the_endpoint_is_logged_without_texts_and_without_the_key() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let content = r#"{"opportunities": "we are hiring, psst"}"#;
    let answer = json!({ "choices": [{ "message": { "content": content } }] });
    for answer in [
        ResponseTemplate::new(500).set_body_string("psst"),
        ResponseTemplate::new(200).set_body_json(answer),
        ResponseTemplate::new(200).set_body_string("psst"),
    ] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let section = json!({ "endpoint": server.uri(), "api_key": "sk-s3cret" });
        let ai = Ai::new(&serde_json::from_value(section).unwrap());
        let text = "We are hiring engineers, psst.".to_owned();
        let conversation = Uuid::now_v7();
        let (finder, found) = ai.findings(conversation, &[Message { author: Author::User, text }]).await;
        assert_eq!((finder, found.len(), found[0].lead), (Finder::Rules, 1, LeadType::Recruiting));
        let logged = String::from_utf8(log.0.lock().unwrap().split_off(0)).unwrap();
        let warning = logged.lines().find(|line| line.contains("WARN")).unwrap();
        assert!(warning.contains(&conversation.to_string()), "{warning}");
        assert!(!logged.contains("psst") && !logged.contains("s3cret"), "{logged}");
    }
}

#[tokio::test]
async fn an_endpoint_is_not_asked_what_somebody_meant_who_said_nothing() {
    let server = MockServer::start().await;
    let ai = Ai::new(&serde_json::from_value(json!({ "endpoint": server.uri() })).unwrap());
    let said = |author, text: &str| Message { author, text: text.to_owned() };
    for messages in [vec![], vec![said(Author::Assistant, "Do you need people?"), said(Author::User, " \n")]]
    {
        let (finder, found) = ai.findings(Uuid::now_v7(), &messages).await;
        assert_eq!((finder, found.len()), (Finder::Rules, 0));
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}
