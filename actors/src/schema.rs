//! The modules' own tables, which live beside the bus's.

use stentor::store::{Migration, MigrationSet};

/// Names one migration's two files.
macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/modules/sqlite/", $file)),
            postgres: include_str!(concat!("../../migrations/modules/postgres/", $file)),
        }
    };
}

/// The tables of all modules, in the order in which they are made.
pub static MIGRATIONS: MigrationSet = MigrationSet {
    table: "_stentor_modules_migrations",
    migrations: &[
        migration!(1, "people", "0001_people.sql"),
        migration!(2, "academy", "0002_academy.sql"),
        migration!(3, "trikala", "0003_trikala.sql"),
        migration!(4, "notifications", "0004_notifications.sql"),
        migration!(5, "recruiting", "0005_recruiting.sql"),
        migration!(6, "productivity", "0006_productivity.sql"),
        migration!(7, "hr", "0007_hr.sql"),
        migration!(8, "achievements", "0008_achievements.sql"),
        migration!(9, "documents", "0009_documents.sql"),
        migration!(10, "pipeline", "0010_pipeline.sql"),
        migration!(11, "conversations", "0011_conversations.sql"),
        migration!(12, "channels", "0012_channels.sql"),
    ],
};
