//! A file that is written, full, closed and opened again.

use sqlx::Row as _;

use super::*;
use crate::says_full;

const TABLES: Tables = Tables {
    meta: "meta",
    lock: 1,
    statements: &["CREATE TABLE IF NOT EXISTS words (word NAME PRIMARY KEY)"],
    changes: &[],
};

async fn open(file: &Path) -> Database {
    let place = Place {
        url: None,
        file,
        readers: 2,
        cache_kib: 1024,
    };
    Database::open(&place, &TABLES).await.unwrap()
}

async fn write(database: &Database, word: &str) -> Result<(), sqlx::Error> {
    let mut writing = database.begin().await.unwrap();
    sqlx::query("INSERT INTO words (word) VALUES ($1)")
        .bind(word.to_owned())
        .execute(&mut *writing)
        .await?;
    writing.commit().await
}

async fn words(database: &Database) -> Vec<String> {
    let mut reading = database.reading().await.unwrap();
    let rows = sqlx::query("SELECT word FROM words ORDER BY word").fetch_all(&mut *reading);
    rows.await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_was_committed_is_there_when_it_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    // A folder's name may have anything in it.
    let folder = folder.path().join("50% ?#é");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("a.sqlite");
    let database = open(&file).await;
    write(&database, "one").await.unwrap();
    database.close().await;
    assert!(file.exists());
    assert_eq!(words(&open(&file).await).await, ["one"]);
}

/// SQLite has taken the transaction back by itself by the time the error comes.
#[tokio::test]
async fn after_a_full_disk_what_is_committed_is_seen_and_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.sqlite");
    let database = open(&file).await;
    // The file may not grow: not below what it has.
    let stop = "PRAGMA max_page_count = 1";
    database.writer().execute(stop).await.unwrap();
    let full = write(&database, &"x".repeat(1 << 20)).await.unwrap_err();
    assert!(says_full(&full), "{full:?}");
    // One that is given up, then one that counts.
    drop(database.begin().await.unwrap());
    write(&database, "small").await.unwrap();
    assert_eq!(words(&database).await, ["small"], "readers see it");
    database.close().await;
    assert_eq!(words(&open(&file).await).await, ["small"], "it lasts");
}

#[tokio::test]
async fn what_may_be_there_once_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder.path().join("a.sqlite")).await;
    write(&database, "one").await.unwrap();
    let twice = write(&database, "one").await.unwrap_err();
    assert!(crate::is_twice(&twice) && !says_full(&twice) && !crate::may_pass(&twice));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told() {
    let place = Place {
        url: None,
        file: Path::new("/nowhere/at/all.sqlite"),
        readers: 1,
        cache_kib: 1024,
    };
    let refused = Database::open(&place, &TABLES).await.unwrap_err();
    assert!(
        matches!(refused, Error::Database { doing: "opening", .. }),
        "{refused:?}"
    );
}

#[test]
fn servers_are_known_by_their_scheme() {
    assert!(is_server("postgres://user@host/jobs") && is_server("postgresql://host/jobs"));
    assert!(!is_server("mysql://host/jobs") && !is_server("/var/lib/jobs.sqlite"));
}
