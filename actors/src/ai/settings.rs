//! What a configuration may say about the analysis of conversations.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// The section `[ai]`.
///
/// Without an endpoint nothing leaves the machine: rules find the opportunities.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether the module runs. Default true.
    pub enabled: bool,
    /// Where an API that is compatible with `OpenAI`'s begins, such as `https://api.openai.com/v1`. Default none.
    ///
    /// The messages of conversations are sent there.
    pub endpoint: Option<BaseUrl>,
    /// The model that the endpoint is asked for. Default `gpt-4o-mini`; servers with one model ignore it.
    pub model: String,
    /// The endpoint's key, sent as a bearer token. Default none. Written out, it is null.
    pub api_key: Option<ApiKey>,
    /// How long the endpoint has for its whole answer before the rules decide. Default 15,000 ms; 100 to 60,000.
    pub timeout_ms: TimeoutMs,
    /// How sure somebody must be for an opportunity to be published. Default 0.6; 0 to 1.
    pub confidence_min: Confidence,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: None,
            model: "gpt-4o-mini".to_owned(),
            api_key: None,
            timeout_ms: TimeoutMs::default(),
            confidence_min: Confidence::default(),
        }
    }
}

/// A setting of the section `[ai]` is out of bounds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSetting {
    /// No requests can be sent there. Not shown, as it may hold a password.
    #[error(
        "ai.endpoint must be an http:// or https:// URL with a host, without a password, query or fragment"
    )]
    Endpoint,
    /// It cannot stand in a header. Not shown.
    #[error("ai.api_key must be 1 to 4,096 visible ASCII characters")]
    ApiKey,
    /// Too short or too long.
    #[error("ai.timeout_ms is {0}, allowed are 100 to 60,000")]
    Timeout(u64),
    /// Not a probability.
    #[error("ai.confidence_min is {0}, allowed are 0 to 1")]
    Confidence(f64),
}

/// Where an API begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

impl TryFrom<String> for BaseUrl {
    type Error = InvalidSetting;

    fn try_from(text: String) -> Result<Self, InvalidSetting> {
        let url = Url::parse(&text).map_err(|_| InvalidSetting::Endpoint)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let reachable = matches!(url.scheme(), "http" | "https") && url.has_host();
        if bare && reachable { Ok(Self(url)) } else { Err(InvalidSetting::Endpoint) }
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.0.into()
    }
}

impl BaseUrl {
    /// Returns where chat completions are asked for.
    pub(super) fn chat_completions(&self) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/chat/completions", self.0.path().trim_end_matches('/')));
        url
    }
}

/// The key of an endpoint, which is never shown: not in a log, and not when settings are written out.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct ApiKey(SecretString);

impl TryFrom<String> for ApiKey {
    type Error = InvalidSetting;

    fn try_from(key: String) -> Result<Self, InvalidSetting> {
        let fits = (1..=4_096).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(key.into())) } else { Err(InvalidSetting::ApiKey) }
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_none()
    }
}

impl ApiKey {
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// How long an endpoint has, in milliseconds. Default 15,000; 100 to 60,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct TimeoutMs(u64);

impl TimeoutMs {
    /// The longest timeout.
    pub(super) const MAX: Duration = Duration::from_mins(1);
}

impl Default for TimeoutMs {
    fn default() -> Self {
        Self(15_000)
    }
}

impl TryFrom<u64> for TimeoutMs {
    type Error = InvalidSetting;

    fn try_from(ms: u64) -> Result<Self, InvalidSetting> {
        let allowed = Duration::from_millis(100)..=Self::MAX;
        if allowed.contains(&Duration::from_millis(ms)) {
            Ok(Self(ms))
        } else {
            Err(InvalidSetting::Timeout(ms))
        }
    }
}

impl From<TimeoutMs> for u64 {
    fn from(timeout: TimeoutMs) -> Self {
        timeout.0
    }
}

impl From<TimeoutMs> for Duration {
    fn from(timeout: TimeoutMs) -> Self {
        Self::from_millis(timeout.0)
    }
}

/// How sure somebody is. Default 0.6; 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Confidence(f64);

impl Default for Confidence {
    fn default() -> Self {
        Self(0.6)
    }
}

impl TryFrom<f64> for Confidence {
    type Error = InvalidSetting;

    fn try_from(confidence: f64) -> Result<Self, InvalidSetting> {
        let allowed = (0.0..=1.0).contains(&confidence);
        if allowed { Ok(Self(confidence)) } else { Err(InvalidSetting::Confidence(confidence)) }
    }
}

impl From<Confidence> for f64 {
    fn from(confidence: Confidence) -> Self {
        confidence.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Settings;
    use crate::settings::read;

    #[test]
    fn every_key_has_a_default_and_is_written_out() {
        let written = serde_json::to_value(read::<Settings>(json!({})).unwrap()).unwrap();
        let expected = json!({
            "enabled": true, "endpoint": null, "model": "gpt-4o-mini", "api_key": null,
            "timeout_ms": 15_000, "confidence_min": 0.6,
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn the_key_is_never_shown() {
        let settings = read::<Settings>(json!({ "api_key": "sk-s3cret" })).unwrap();
        let written = serde_json::to_string(&settings).unwrap();
        assert!(!written.contains("s3cret") && !format!("{settings:?}").contains("s3cret"), "{written}");
        for wrong in ["", "s3cret\nX-Other: 1", "s3cret key", "s3cret-ключ"] {
            let error = read::<Settings>(json!({ "api_key": wrong })).unwrap_err();
            assert!(error.contains("ai.api_key") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_endpoint_is_an_url_of_the_web_without_secrets() {
        let completions = |url: &str| {
            let settings = read::<Settings>(json!({ "endpoint": url })).unwrap();
            settings.endpoint.unwrap().chat_completions().to_string()
        };
        assert_eq!(completions("https://api.openai.com/v1"), "https://api.openai.com/v1/chat/completions");
        assert_eq!(completions("http://127.0.0.1:8080/"), "http://127.0.0.1:8080/chat/completions");
        for wrong in [
            "",
            "api.openai.com/v1",
            "ftp://host/s3cret",
            "https://user:s3cret@host/v1",
            "https://host/v1?key=s3cret",
            "https://host/v1#s3cret",
        ] {
            let error = read::<Settings>(json!({ "endpoint": wrong })).unwrap_err();
            assert!(error.contains("ai.endpoint") && !error.contains("s3cret"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        for timeout_ms in [100, 60_000] {
            assert!(read::<Settings>(json!({ "timeout_ms": timeout_ms })).is_ok());
        }
        for timeout_ms in [99, 60_001] {
            let error = read::<Settings>(json!({ "timeout_ms": timeout_ms })).unwrap_err();
            assert_eq!(error, format!("ai.timeout_ms is {timeout_ms}, allowed are 100 to 60,000"));
        }
        for confidence_min in [-0.1, 1.1] {
            let error = read::<Settings>(json!({ "confidence_min": confidence_min })).unwrap_err();
            assert_eq!(error, format!("ai.confidence_min is {confidence_min}, allowed are 0 to 1"));
        }
    }
}
