//! Asks an API that is compatible with `OpenAI`'s, and believes it nothing that it need not.
//!
//! `POST {endpoint}/chat/completions`. The answer comes from outside, shaped by
//! what strangers wrote in a chat: its size is bounded, each part is checked,
//! and whatever is wrong with it is an error that shows neither it nor the key.

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::conversation::Message;
use super::lead::Finding;
use super::settings::{ApiKey, Settings};
use answer::NotUnderstood;

mod answer;
mod prompt;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A configured endpoint.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    model: String,
    api_key: Option<ApiKey>,
}

/// Why an endpoint did not help. Holds no text of a conversation, none of the answer, and no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("the endpoint gave no answer in time")]
    TimedOut,
    #[error("the endpoint gave no whole answer")]
    Broken(#[source] reqwest::Error),
    #[error("the endpoint answered {0}")]
    Refused(StatusCode),
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer was not understood")]
    NotUnderstood(#[from] NotUnderstood),
}

impl From<reqwest::Error> for EndpointError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::TimedOut } else { Self::Broken(error.without_url()) }
    }
}

impl Endpoint {
    /// Returns the endpoint that is configured, if one is.
    ///
    /// It is reached directly and nowhere else: no proxy, and no redirect that would carry the texts away.
    ///
    /// # Errors
    ///
    /// Fails if TLS cannot be set up.
    pub(super) fn new(settings: &Settings) -> reqwest::Result<Option<Self>> {
        let Some(base) = &settings.endpoint else { return Ok(None) };
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(settings.timeout_ms.into())
            .build()
            .map_err(reqwest::Error::without_url)?;
        let (url, model) = (base.chat_completions(), settings.model.clone());
        Ok(Some(Self { client, url, model, api_key: settings.api_key.clone() }))
    }

    /// Returns what the endpoint finds in `messages`; each lead type once at most.
    ///
    /// # Errors
    ///
    /// Fails if there is no answer in time, or it is not what was asked for.
    pub(super) async fn findings(&self, messages: &[Message]) -> Result<Vec<Finding>, EndpointError> {
        let body = prompt::body(&self.model, messages);
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(EndpointError::Refused(response.status()));
        }
        Ok(answer::findings(&bounded(response).await?)?)
    }
}

/// Reads a body, and stops where it gets too long.
async fn bounded(mut response: Response) -> Result<Vec<u8>, EndpointError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(EndpointError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
