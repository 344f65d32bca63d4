//! How a database is opened.

use super::{DatabaseKind, StoreError};

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub(super) url: String,
    pub(super) create: bool,
    pub(super) handler_connections: u32,
    pub(super) read_connections: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            url: "sqlite://stentor.db".to_owned(),
            create: true,
            handler_connections: 8,
            read_connections: 4,
        }
    }
}

impl StoreOptions {
    /// Returns the default options: `sqlite://stentor.db` in the working directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Sets whether an SQLite file that does not exist is made. Default true.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets how many handlers may have a transaction open at once on PostgreSQL. Default 8; at least 1.
    #[must_use]
    pub fn handler_connections(mut self, connections: u32) -> Self {
        self.handler_connections = connections.max(1);
        self
    }

    /// Sets how many connections the audit trail and the dashboards share. Default 4; at least 1.
    #[must_use]
    pub fn read_connections(mut self, connections: u32) -> Self {
        self.read_connections = connections.max(1);
        self
    }

    /// Returns which kind of database the address names.
    ///
    /// # Errors
    ///
    /// Fails if it names none.
    pub fn kind(&self) -> Result<DatabaseKind, StoreError> {
        if self.url.starts_with("sqlite:") {
            Ok(DatabaseKind::Sqlite)
        } else if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            Ok(DatabaseKind::Postgres)
        } else {
            Err(StoreError::BadUrl { url: self.url_without_password() })
        }
    }

    pub(super) fn url_without_password(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return self.url.clone();
        };
        match rest.rsplit_once('@') {
            Some((credentials, host)) => {
                let user = credentials.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{host}")
            }
            None => self.url.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StoreOptions;

    #[test]
    fn a_password_is_never_shown() {
        let options = StoreOptions::new().url("postgres://me:s3cr@t@db/bus");
        assert_eq!(options.url_without_password(), "postgres://me@db/bus");
    }
}
