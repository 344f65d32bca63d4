//! Companions: documents for people, made from what the tables know of them.
//!
//! A document is made and kept as a file before the delivery's transaction
//! begins, as that takes longer than a transaction may. Cut short in between, the
//! next attempt makes the same file again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stentor::{
    Context, Fatal, Handle, HandlerError, Module, ModuleOptions, Subscriptions, Transaction, args,
};
use url::Url;

use crate::events::{CourseGraduated, check_score};
use crate::people::unknown;
use facts::Facts;
use typesetter::Typesetter;

mod cabinet;
mod facts;
mod fonts;
mod resume;
mod spaces;
mod typesetter;

/// The section `[companions]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether the module runs. Default true.
    pub enabled: bool,
    /// The folder that documents are kept in, made when the first one is. Default `documents`, in the working directory.
    ///
    /// Where several nodes run, each of them must reach it by the same path.
    pub folder: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, folder: "documents".into() }
    }
}

/// Writes the résumés of graduates.
#[derive(Debug)]
pub struct Companions {
    folder: PathBuf,
    /// `None` while it is at work.
    typesetter: Option<Typesetter>,
}

impl Companions {
    /// Makes the module.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { folder: settings.folder.clone(), typesetter: None }
    }
}

impl Module for Companions {
    const NAME: &'static str = "companions";

    fn subscriptions(on: &mut Subscriptions<Self>) {
        on.event::<CourseGraduated>();
    }

    /// Several workers, as each waits for the disk for a good part of its time.
    fn options() -> ModuleOptions {
        ModuleOptions::default().workers(4)
    }
}

/// A document that has been made and kept.
struct Document {
    address: Url,
    sha256: Vec<u8>,
}

impl Handle<CourseGraduated> for Companions {
    async fn handle(&mut self, event: &CourseGraduated, cx: &mut Context<'_>) -> Result<(), HandlerError> {
        const RECORD: &str = "INSERT INTO generated_documents
                (user_id, template, course_id, file_url, content_sha256, created_at)
            VALUES ($1, 'resume', $2, $3, $4, $5)
            ON CONFLICT (user_id, template, course_id) DO UPDATE
                SET file_url = excluded.file_url, content_sha256 = excluded.content_sha256";
        let CourseGraduated { user_id, course_id, final_score } = *event;
        check_score(final_score).fatal()?;
        let facts = facts::read(event, cx).await?;
        // Of ids alone: a name could be anything, and two people may share one.
        let file_name = format!("resume-{user_id}-{course_id}.pdf");
        let Document { address, sha256 } = self.make(facts, file_name).await?;
        let at = cx.envelope().created_at;
        let tx: &mut Transaction = cx.transaction().await?;
        tx.execute(RECORD, args![user_id, course_id, address.as_str(), sha256, at]).await.map_err(
            |error| unknown(error, || format!("user {user_id} or course {course_id} does not exist")),
        )?;
        Ok(())
    }
}

impl Companions {
    /// Makes a résumé and keeps it, where neither holds up other modules.
    async fn make(&mut self, facts: Facts, file_name: String) -> Result<Document, HandlerError> {
        let mut typesetter = self.typesetter.take().unwrap_or_default();
        let folder = self.folder.clone();
        let making = tokio::task::spawn_blocking(move || -> Result<_, HandlerError> {
            let bytes = resume::write(&facts, &mut typesetter)?;
            let address = cabinet::keep(&folder, &file_name, &bytes)?;
            Ok((Document { address, sha256: Sha256::digest(&bytes).to_vec() }, typesetter))
        });
        let (document, typesetter) = making.await??;
        self.typesetter = Some(typesetter);
        Ok(document)
    }
}
