//! Posting to addresses that users chose, without reaching what only this machine may reach.
//!
//! A name is resolved when a letter is sent, and every address that it has is
//! checked. The connection goes to those addresses and nowhere else: there is no
//! second look at the name that could find another one, no proxy, and no redirect.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use stentor::HandlerError;

use super::addresses::is_public;
use super::settings::Settings;

/// How long a receiver has for its whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Posts JSON. Of an answer only the head is read, which hyper bounds; the body may be endless.
#[derive(Debug, Clone, Copy)]
pub(super) struct Post {
    allow_private: bool,
    timeout: Duration,
}

/// Why nothing was delivered. Shows the host alone, as the rest of an URL may be a secret.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("the address is not an https:// URL with a host; correct notification_channels, then redrive")]
    BadUrl,
    #[error(
        "{host} has the address {address}, which is not public; only with notifications.allow_private is it used"
    )]
    Private { host: String, address: IpAddr },
    #[error("{host} could not be resolved")]
    Unresolved {
        host: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("{host} gave no answer")]
    NoAnswer {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{host} answered {status}")]
    Refused { host: String, status: StatusCode },
}

impl PostError {
    /// Returns whether no retry can help.
    fn is_final(&self) -> bool {
        match self {
            Self::BadUrl | Self::Private { .. } => true,
            Self::Refused { status, .. } => !is_temporary(*status),
            Self::Unresolved { .. } | Self::NoAddress { .. } | Self::NoAnswer { .. } => false,
        }
    }
}

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

impl Post {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { allow_private: settings.allow_private, timeout: TIMEOUT }
    }

    /// Posts `body`, which is JSON.
    ///
    /// # Errors
    ///
    /// Fatal if the address is wrong, not public, or answers with a redirect or an error of ours.
    pub(super) async fn send(
        &self,
        url: &SecretString,
        headers: HeaderMap,
        body: String,
    ) -> Result<(), HandlerError> {
        match self.try_send(url, headers, body).await {
            Err(error) if error.is_final() => Err(HandlerError::fatal(error)),
            other => Ok(other?),
        }
    }

    async fn try_send(
        &self,
        url: &SecretString,
        mut headers: HeaderMap,
        body: String,
    ) -> Result<(), PostError> {
        let (url, host) = self.parse(url)?;
        let addresses = self.resolve(&url, &host).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = match client(addresses, self.timeout) {
            Ok(client) => client.post(url).headers(headers).body(body).send().await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(PostError::Refused { host, status: answer.status() }),
            Err(error) => Err(PostError::NoAnswer { host, source: error.without_url() }),
        }
    }

    /// Returns the URL and its host. Without encryption only private networks are written to.
    fn parse(&self, url: &SecretString) -> Result<(Url, String), PostError> {
        let url = Url::parse(url.expose_secret()).map_err(|_| PostError::BadUrl)?;
        let encrypted = url.scheme() == "https" || (self.allow_private && url.scheme() == "http");
        match url.host_str().map(str::to_owned) {
            Some(host) if encrypted => Ok((url, host)),
            _ => Err(PostError::BadUrl),
        }
    }

    /// Returns the addresses of a host, which must all be allowed.
    async fn resolve(&self, url: &Url, host: &str) -> Result<Vec<SocketAddr>, PostError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port))
            .await
            .map_err(|source| PostError::Unresolved { host: host.to_owned(), source })?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(PostError::NoAddress { host: host.to_owned() });
        }
        match addresses.iter().find(|address| !self.allow_private && !is_public(address.ip())) {
            Some(address) => Err(PostError::Private { host: host.to_owned(), address: address.ip() }),
            None => Ok(addresses),
        }
    }
}

/// Makes a client for one post: it can connect to `addresses` only.
fn client(addresses: Vec<SocketAddr>, timeout: Duration) -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(timeout)
        .dns_resolver(Arc::new(Checked(addresses)))
        .build()
}

/// Answers every question for an address with those that were checked.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

#[cfg(test)]
mod tests;
