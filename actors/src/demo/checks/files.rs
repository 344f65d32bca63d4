//! Whether the documents are where the tables say.

use stentor::{Client, StoreError, args};
use url::Url;

use super::{Check, number};

/// Looks for the file of every résumé.
pub(super) async fn resumes(client: &Client, students: &str, graduates: i64) -> Result<Check, StoreError> {
    const ADDRESSES: &str =
        "SELECT d.file_url FROM generated_documents d JOIN user_profiles p ON p.id = d.user_id
        WHERE p.email LIKE $1 AND d.template = 'resume'";
    let rows = client.fetch_all(ADDRESSES, args![students]).await?;
    let files = rows.iter().filter(|row| row.get("file_url").is_ok_and(|address: String| is_file(&address)));
    Ok(Check::count("every résumé is in the file that its row names", number(files.count()), graduates))
}

fn is_file(address: &str) -> bool {
    Url::parse(address).ok().and_then(|url| url.to_file_path().ok()).is_some_and(|path| path.is_file())
}
