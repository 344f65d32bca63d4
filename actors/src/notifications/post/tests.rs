//! Real connections to real listeners, and to none.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;
use stentor::HandlerError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Post, client};

const STRICT: Post = Post { allow_private: false, timeout: Duration::from_secs(5) };
const IN_HOUSE: Post = Post { allow_private: true, ..STRICT };

async fn post(post: Post, url: &str) -> Result<(), HandlerError> {
    post.send(&url.into(), HeaderMap::new(), "{}".to_owned()).await
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn no_spelling_of_a_private_address_gets_through() {
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a00:1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "user:password@127.0.0.1",
    ] {
        let refused = post(STRICT, &format!("https://{host}/hook/s3cret")).await;
        let Err(HandlerError::Fatal(error)) = refused else { panic!("{host}: {refused:?}") };
        let text = error.to_string();
        assert!(text.contains("which is not public"), "{host}: {text}");
        assert!(!text.contains("s3cret") && !text.contains("password"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_address_of_the_web_is_refused_and_not_shown() {
    for url in ["", "s3cret", "http://example.com/s3cret", "file:///s3cret", "https:///", "ftp://h/s3cret"] {
        let refused = post(STRICT, url).await;
        let Err(HandlerError::Fatal(error)) = refused else { panic!("{url}: {refused:?}") };
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn answers_decide_whether_there_is_another_try() {
    for (status, retry) in
        [(400, false), (404, false), (408, true), (410, false), (429, true), (500, true), (503, true)]
    {
        let server = server(ResponseTemplate::new(status)).await;
        let error = post(IN_HOUSE, &format!("{}/s3cret", server.uri())).await.unwrap_err();
        assert_eq!(matches!(error, HandlerError::Retryable(_)), retry, "{status}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = server(ResponseTemplate::new(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = ResponseTemplate::new(status).insert_header("location", elsewhere.uri().as_str());
        let server = server(redirect).await;
        let refused = post(IN_HOUSE, &server.uri()).await;
        assert!(matches!(refused, Err(HandlerError::Fatal(_))), "{refused:?}");
    }
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked_whatever_the_name_means_now() {
    let server = server(ResponseTemplate::new(200)).await;
    // No resolver knows a name below .invalid (RFC 6761): whoever asked one again would find nothing.
    let url = Url::parse(&format!("http://elsewhere.invalid:{}/", server.address().port())).unwrap();
    let answer = client(vec![*server.address()], STRICT.timeout).unwrap().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn silence_ends_at_the_timeout_and_a_closed_port_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
    let hasty = Post { timeout: Duration::from_millis(50), ..IN_HOUSE };
    let silent = post(hasty, &url).await.unwrap_err();
    drop(listener);
    let closed = post(IN_HOUSE, &url).await.unwrap_err();
    for error in [silent, closed] {
        assert!(matches!(error, HandlerError::Retryable(_)), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let endless = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        assert!(connection.read(&mut [0; 1024]).await.unwrap() > 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await.unwrap();
        while connection.write_all(&[b'x'; 1024]).await.is_ok() {}
    };
    // The receiver's side ends when nobody reads any more, and the post when it knows the status.
    let ((), sent) = tokio::join!(endless, post(IN_HOUSE, &url));
    assert!(sent.is_ok(), "{sent:?}");
}
