//! The tables of a database: made where they are missing, changed where an older program made them, refused where a newer
//! one did.

use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use crate::{Database, Dialect, Error};

/// What a database is to hold.
///
/// In its statements `BYTES` stands for what a database calls a string of bytes, `NAME` for text that is ordered by its
/// bytes, `NUMBER` for the number of 64 bits that a row is known by.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The table that says of which version the others are, as "meta".
    pub meta: &'static str,
    /// An advisory lock of PostgreSQL, a number like no other's: processes that start together make the tables one after the
    /// other.
    pub lock: i64,
    /// What makes the tables of the newest version where there are none: `CREATE … IF NOT EXISTS`.
    pub statements: &'static [&'static str],
    /// What makes tables of version 1 those of version 2, then those of version 3, and so on. So the newest version is one
    /// more than there are of these.
    pub changes: &'static [&'static [&'static str]],
}

// === impl Tables ===

impl Tables {
    /// Makes them what they should be, all in one transaction.
    pub(crate) async fn make(&self, database: &Database) -> Result<(), Error> {
        let making = || Error::database("making its tables");
        let dialect = database.dialect();
        let mut writing = database.begin().await?;
        if dialect == Dialect::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(self.lock)
                .execute(&mut *writing)
                .await
                .map_err(making())?;
        }
        let changes = self.changes(&mut writing).await?;
        let statements = changes.iter().copied().flatten().chain(self.statements);
        let statements: Vec<String> = statements.map(|text| in_words_of(dialect, text)).collect();
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *writing)
                .await
                .map_err(making())?;
        }
        writing.commit().await.map_err(making())
    }

    /// The changes that the tables need, written down as if they were made.
    async fn changes(
        &self,
        writing: &mut Transaction<'static, Any>,
    ) -> Result<&'static [&'static [&'static str]], Error> {
        let looking = || Error::database("looking for the version of its tables");
        let (meta, known) = (self.meta, self.changes.len() + 1);
        let table = format!("CREATE TABLE IF NOT EXISTS {meta} (name TEXT PRIMARY KEY, value TEXT NOT NULL)");
        sqlx::query(AssertSqlSafe(table))
            .execute(&mut **writing)
            .await
            .map_err(looking())?;
        let version = format!("SELECT value FROM {meta} WHERE name = 'schema'");
        let row = sqlx::query(AssertSqlSafe(version))
            .fetch_optional(&mut **writing)
            .await
            .map_err(looking())?;
        let (changes, write) = match row {
            None => (
                &[][..],
                format!("INSERT INTO {meta} (name, value) VALUES ('schema', $1)"),
            ),
            Some(row) => {
                let found: String = row.try_get(0).map_err(looking())?;
                let made = found.parse().ok().and_then(|found: usize| found.checked_sub(1));
                let Some(changes) = made.and_then(|made| self.changes.get(made..)) else {
                    return Err(Error::Version { found, known });
                };
                (
                    changes,
                    format!("UPDATE {meta} SET value = $1 WHERE name = 'schema'"),
                )
            }
        };
        sqlx::query(AssertSqlSafe(write))
            .bind(known.to_string())
            .execute(&mut **writing)
            .await
            .map_err(looking())?;
        Ok(changes)
    }
}

/// A statement with a database's own words for what has none that both know.
fn in_words_of(dialect: Dialect, statement: &str) -> String {
    let own = |word| match (dialect, word) {
        (Dialect::Sqlite, "BYTES") => "BLOB",
        (Dialect::Sqlite, "NAME") => "TEXT",
        // Of these very words SQLite makes the number that rows are stored by; of others a second index.
        (Dialect::Sqlite, "NUMBER") => "INTEGER PRIMARY KEY",
        (Dialect::Postgres, "BYTES") => "BYTEA",
        (Dialect::Postgres, "NAME") => "TEXT COLLATE \"C\"",
        (Dialect::Postgres, "NUMBER") => "BIGINT PRIMARY KEY",
        _ => word,
    };
    let mut text = String::with_capacity(statement.len());
    for part in statement.split_inclusive(|letter: char| !letter.is_ascii_alphabetic()) {
        let word = part.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic());
        text.push_str(own(word));
        text.push_str(&part[word.len()..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::Executor as _;

    use super::*;
    use crate::Place;

    const FIRST: Tables = Tables {
        meta: "about",
        lock: 1,
        statements: &["CREATE TABLE IF NOT EXISTS things (key NUMBER, name NAME NOT NULL)"],
        changes: &[],
    };

    const THIRD: Tables = Tables {
        statements: &[
            "CREATE TABLE IF NOT EXISTS things (key NUMBER, called NAME NOT NULL, content BYTES)",
            "CREATE INDEX IF NOT EXISTS things_by_name ON things (called)",
        ],
        changes: &[
            &["ALTER TABLE things ADD COLUMN content BYTES"],
            &["ALTER TABLE things RENAME COLUMN name TO called"],
        ],
        ..FIRST
    };

    async fn open(folder: &Path, tables: &Tables) -> Result<Database, Error> {
        let place = Place {
            url: None,
            file: &folder.join("a.sqlite"),
            readers: 1,
            cache_kib: 1024,
        };
        Database::open(&place, tables).await
    }

    #[tokio::test]
    async fn older_tables_are_changed_and_newer_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), &FIRST).await.unwrap();
        let thing = "INSERT INTO things (key, name) VALUES (1, 'a')";
        first.writer().execute(thing).await.unwrap();
        first.close().await;
        // Twice: the second time nothing is to be done.
        for _ in 0..2 {
            let third = open(folder.path(), &THIRD).await.unwrap();
            let row = "SELECT called, content FROM things WHERE key = 1";
            let row = third.readers().fetch_one(row).await.unwrap();
            assert_eq!(row.get::<String, _>(0), "a");
            assert_eq!(row.get::<Option<Vec<u8>>, _>(1), None);
            third.close().await;
        }
        let refused = open(folder.path(), &FIRST).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "its tables are of version 3, and this program knows version 1"
        );
        open(folder.path(), &THIRD).await.unwrap();
    }

    #[tokio::test]
    async fn new_tables_are_those_that_old_ones_become() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(old.path(), &FIRST).await.unwrap().close().await;
        let mut columns = Vec::new();
        for folder in [&old, &new] {
            let database = open(folder.path(), &THIRD).await.unwrap();
            let named = "SELECT name FROM pragma_table_info('things') UNION ALL SELECT value FROM about";
            let rows = database.readers().fetch_all(named).await.unwrap();
            columns.push(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>());
        }
        columns.iter_mut().for_each(|columns| columns.sort());
        assert_eq!(columns[0], ["3", "called", "content", "key"]);
        assert_eq!(columns[0], columns[1]);
    }

    #[tokio::test]
    async fn a_version_that_is_none_is_refused() {
        for nonsense in ["0", "-1", "two"] {
            let folder = tempfile::tempdir().unwrap();
            let database = open(folder.path(), &FIRST).await.unwrap();
            let write = AssertSqlSafe(format!("UPDATE about SET value = '{nonsense}'"));
            database.writer().execute(write).await.unwrap();
            database.close().await;
            let refused = open(folder.path(), &FIRST).await;
            assert!(matches!(refused, Err(Error::Version { found, known: 1 }) if found == nonsense));
        }
    }

    #[test]
    fn only_whole_words_are_a_databases_own() {
        let statement = "RENAME TO NAMES; (a NAME, b BYTES, c NUMBER)";
        assert_eq!(
            in_words_of(Dialect::Sqlite, statement),
            "RENAME TO NAMES; (a TEXT, b BLOB, c INTEGER PRIMARY KEY)"
        );
        assert_eq!(
            in_words_of(Dialect::Postgres, statement),
            "RENAME TO NAMES; (a TEXT COLLATE \"C\", b BYTEA, c BIGINT PRIMARY KEY)"
        );
    }
}
