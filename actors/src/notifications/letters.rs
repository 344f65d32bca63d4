//! Letters: what is to leave the house, one for each notification and channel.

use secrecy::SecretString;
use stentor::{Context, HandlerError, Row, StoreError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{EmailQueued, SlackQueued, WebhookQueued};
use crate::people::absent;

/// A letter that waits, and where its user wants it.
pub(super) struct Letter {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) title: String,
    pub(super) message: String,
    /// How it is meant, as in `notifications.type`.
    pub(super) kind: String,
    pub(super) created_at: OffsetDateTime,
    /// An e-mail address or an URL, which may itself be a secret.
    pub(super) address: SecretString,
    /// What signs it; webhooks have one.
    pub(super) secret: Option<SecretString>,
}

/// Writes a letter for each channel that the user chose, and sends each on its way.
pub(super) async fn queue(cx: &mut Context<'_>, user: Uuid, notification: Uuid) -> Result<(), HandlerError> {
    const QUEUE: &str = "INSERT INTO notification_letters (notification_id, channel)
        SELECT $1, channel FROM notification_channels WHERE user_id = $2 AND enabled
        RETURNING id, channel";
    let letters = cx.transaction().await?.fetch_all(QUEUE, args![notification, user]).await?;
    for letter in letters {
        let letter_id = letter.get("id")?;
        let channel: String = letter.get("channel")?;
        match channel.as_str() {
            "email" => cx.publish(EmailQueued { letter_id })?,
            "webhook" => cx.publish(WebhookQueued { letter_id })?,
            "slack" => cx.publish(SlackQueued { letter_id })?,
            other => {
                return Err(HandlerError::fatal(format!("channel {other:?} is not known to this build")));
            }
        };
    }
    Ok(())
}

/// Returns a letter; nothing if it has been sent, or its user does not want it any more.
///
/// Reads outside the delivery's transaction, which opens only once the letter is out.
///
/// # Errors
///
/// Fatal if there is no such letter.
pub(super) async fn waiting(cx: &Context<'_>, id: Uuid) -> Result<Option<Letter>, HandlerError> {
    const WAITING: &str =
        "SELECT n.user_id, n.title, n.message, n.type, n.created_at, l.sent_at, c.address, c.secret
        FROM notification_letters l JOIN notifications n ON n.id = l.notification_id
        LEFT JOIN notification_channels c ON c.user_id = n.user_id AND c.channel = l.channel AND c.enabled
        WHERE l.id = $1";
    let rows = cx.fetch_all(WAITING, args![id]).await?;
    let row = rows.first().ok_or_else(|| absent(&format!("letter {id} does not exist")))?;
    let sent_at: Option<OffsetDateTime> = row.get("sent_at")?;
    let address: Option<String> = row.get("address")?;
    match (sent_at, address) {
        (None, Some(address)) => Ok(Some(letter(id, row, address.into())?)),
        _ => Ok(None),
    }
}

fn letter(id: Uuid, row: &Row, address: SecretString) -> Result<Letter, StoreError> {
    Ok(Letter {
        id,
        user_id: row.get("user_id")?,
        title: row.get("title")?,
        message: row.get("message")?,
        kind: row.get("type")?,
        created_at: row.get("created_at")?,
        address,
        secret: row.get::<Option<String>>("secret")?.map(SecretString::from),
    })
}

/// Marks a letter as sent.
pub(super) async fn mark_sent(tx: &mut Transaction, id: Uuid) -> Result<(), HandlerError> {
    const MARK: &str = "UPDATE notification_letters SET sent_at = $2 WHERE id = $1 AND sent_at IS NULL";
    tx.execute(MARK, args![id, OffsetDateTime::now_utc()]).await?;
    Ok(())
}
