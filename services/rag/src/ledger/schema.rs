//! The tables of the ledger.

use polyphony_database::Tables;

/// Times are microseconds since 1970.
pub(super) const TABLES: Tables = Tables {
    meta: "meta",
    lock: 1_347_375_193,
    statements: &STATEMENTS,
    changes: &[],
};

const STATEMENTS: [&str; 11] = [
    "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, next BIGINT NOT NULL)",
    "INSERT INTO counters (name, next) VALUES ('space', 1), ('version', 1), ('passage', 1) ON CONFLICT (name) DO NOTHING",
    "CREATE TABLE IF NOT EXISTS spaces (
        key NUMBER, owner NAME NOT NULL, id NAME NOT NULL, display_name TEXT NOT NULL,
        model TEXT NOT NULL, language TEXT, target_tokens BIGINT NOT NULL, max_tokens BIGINT NOT NULL,
        overlap_tokens BIGINT NOT NULL, epoch BIGINT NOT NULL, version BIGINT NOT NULL, gone BIGINT NOT NULL,
        created BIGINT NOT NULL, updated BIGINT NOT NULL)",
    // A name is free again as soon as its space is gone.
    "CREATE UNIQUE INDEX IF NOT EXISTS spaces_by_name ON spaces (owner, id) WHERE gone = 0",
    "CREATE TABLE IF NOT EXISTS documents (
        version NUMBER, space BIGINT NOT NULL, id NAME NOT NULL, state BIGINT NOT NULL,
        title TEXT NOT NULL, media_type TEXT NOT NULL, doc_type TEXT, tags TEXT NOT NULL, time BIGINT,
        language TEXT, head TEXT NOT NULL, head_digest TEXT NOT NULL, size BIGINT NOT NULL, digest TEXT NOT NULL,
        staged TEXT NOT NULL,
        failure TEXT, passages BIGINT NOT NULL, bytes BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS documents_by_name ON documents (space, id)",
    "CREATE INDEX IF NOT EXISTS documents_by_state ON documents (state)",
    "CREATE UNIQUE INDEX IF NOT EXISTS documents_ready ON documents (space, id) WHERE state = 3",
    "CREATE TABLE IF NOT EXISTS passages (
        key NUMBER, version BIGINT NOT NULL, ordinal BIGINT NOT NULL, id TEXT NOT NULL,
        text TEXT NOT NULL, headings TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, place TEXT,
        tokens BIGINT NOT NULL, vector BYTES)",
    "CREATE INDEX IF NOT EXISTS passages_by_version ON passages (version, ordinal)",
    "CREATE TABLE IF NOT EXISTS requests (
        owner TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL, answer TEXT NOT NULL,
        created BIGINT NOT NULL, PRIMARY KEY (owner, id))",
];
