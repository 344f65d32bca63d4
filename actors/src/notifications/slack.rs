//! The channel Slack: incoming webhooks, of Slack and of whatever speaks as it does.

use reqwest::header::HeaderMap;
use serde_json::json;
use stentor::HandlerError;
use uuid::Uuid;

use super::courier::Channel;
use super::letters::Letter;
use super::post::Post;
use crate::events::SlackQueued;

/// Posts to the address alone, which is as good as a password.
pub(super) struct Slack(pub(super) Post);

impl Channel for Slack {
    const MODULE: &'static str = "notifications-slack";

    type Queued = SlackQueued;

    fn letter_id(event: &SlackQueued) -> Uuid {
        event.letter_id
    }

    async fn send(&self, letter: &Letter) -> Result<(), HandlerError> {
        let text = format!("*{}*\n{}", escaped(&letter.title), escaped(&letter.message));
        let body = json!({ "text": text }).to_string();
        self.0.send(&letter.address, HeaderMap::new(), body).await
    }
}

/// Escapes what Slack would read as a mention or a link, such as `<!channel>`.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nobody_is_called_by_what_others_wrote() {
        assert_eq!(escaped("<!channel> R&D &lt;"), "&lt;!channel&gt; R&amp;D &amp;lt;");
    }
}
