//! Conversations in the tables: how they end, are read, and what is kept of the reading.

use stentor::{Bus, Context, HandlerError, Publication, PublishError, Row, StoreError, Transaction, args};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Finder;
use super::lead::Finding;
use crate::events::ConversationEnded;
use crate::people::absent;

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// Whoever held the conversation.
    User,
    /// Our own side, whose words are no opportunity.
    Assistant,
}

/// What somebody said.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) author: Author,
    pub(super) text: String,
}

/// A conversation could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndConversationError {
    /// There is no such conversation.
    #[error("conversation {0} does not exist")]
    Unknown(Uuid),
    /// It has ended before, and its end has been published.
    #[error("conversation {0} has ended before")]
    AlreadyEnded(Uuid),
    /// The event could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed; unless the connection broke while committing, nothing happened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Ends a conversation and publishes `conversation.ended`, both or neither. Returns the event's id.
///
/// # Errors
///
/// Fails if there is no such conversation, if it has ended before, or if the database fails.
pub async fn end_conversation(bus: &Bus, conversation: Uuid) -> Result<Uuid, EndConversationError> {
    const END: &str = "UPDATE conversations SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL
        RETURNING user_id";
    const KNOWN: &str = "SELECT 1 AS known FROM conversations WHERE id = $1";
    let mut tx = bus.begin().await?;
    let Some(ended) = tx.fetch_optional(END, args![conversation, OffsetDateTime::now_utc()]).await? else {
        return Err(match tx.fetch_optional(KNOWN, args![conversation]).await? {
            Some(_) => EndConversationError::AlreadyEnded(conversation),
            None => EndConversationError::Unknown(conversation),
        });
    };
    let user_id = ended.get("user_id")?;
    let event = ConversationEnded { conversation_id: conversation, user_id };
    let id = tx.publish(Publication::new(event).created_by(user_id))?;
    tx.commit().await?;
    Ok(id)
}

/// Returns what was said in a conversation; nothing if it has been read before.
///
/// Reads outside the delivery's transaction, at most the last 200 messages and 4,000 characters of each.
///
/// # Errors
///
/// Fatal if there is no such conversation, or the event names somebody else.
pub(super) async fn unread(
    cx: &Context<'_>,
    event: &ConversationEnded,
) -> Result<Option<Vec<Message>>, HandlerError> {
    const CONVERSATION: &str = "SELECT user_id, analysed_at FROM conversations WHERE id = $1";
    const MESSAGES: &str = "SELECT author, substr(text, 1, 4000) AS text FROM conversation_messages
        WHERE conversation_id = $1 ORDER BY position DESC LIMIT 200";
    let ConversationEnded { conversation_id, user_id } = *event;
    let found = cx.fetch_all(CONVERSATION, args![conversation_id]).await?;
    let row =
        found.first().ok_or_else(|| absent(&format!("conversation {conversation_id} does not exist")))?;
    let holder: Uuid = row.get("user_id")?;
    if holder != user_id {
        let wrong = format!("conversation {conversation_id} was held by {holder}, not by {user_id}");
        return Err(HandlerError::fatal(wrong));
    }
    if row.get::<Option<OffsetDateTime>>("analysed_at")?.is_some() {
        return Ok(None);
    }
    let newest_first = cx.fetch_all(MESSAGES, args![conversation_id]).await?;
    let messages: Result<Vec<Message>, StoreError> = newest_first.iter().rev().map(message).collect();
    Ok(Some(messages?))
}

fn message(row: &Row) -> Result<Message, StoreError> {
    let author: String = row.get("author")?;
    let author = if author == "user" { Author::User } else { Author::Assistant };
    Ok(Message { author, text: row.get("text")? })
}

/// Marks a conversation as read; returns false if it had been marked before.
///
/// Of two deliveries at once the second waits here for the first one's commit.
pub(super) async fn mark_read(
    tx: &mut Transaction,
    conversation: Uuid,
    at: OffsetDateTime,
) -> Result<bool, HandlerError> {
    const MARK: &str = "UPDATE conversations SET analysed_at = $2 WHERE id = $1 AND analysed_at IS NULL";
    Ok(tx.execute(MARK, args![conversation, at]).await? > 0)
}

/// Keeps what was found, with the sentence that was the reason.
pub(super) async fn record(
    tx: &mut Transaction,
    conversation: Uuid,
    finding: &Finding,
    finder: Finder,
    at: OffsetDateTime,
) -> Result<(), HandlerError> {
    const RECORD: &str =
        "INSERT INTO ai_findings (conversation_id, lead_type, score, reason, finder, found_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let Finding { lead, confidence, reason } = finding;
    let values = args![conversation, lead.as_str(), *confidence, reason, finder.as_str(), at];
    tx.execute(RECORD, values).await?;
    Ok(())
}
