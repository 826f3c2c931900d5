use super::*;
use crate::domain::{Chunking, DocumentState, Head, NewSpace, Passage, PassageId};
use crate::engine::Prepared;
use crate::ingest::ConflictPolicy;

fn new_space() -> NewSpace {
    NewSpace {
        embedding_model: "model".to_owned(),
        chunking: Chunking::default(),
        ..NewSpace::default()
    }
}

fn wanted(id: &str, digest: &str) -> Wanted {
    Wanted {
        id: id.to_owned(),
        head: Head::default(),
        digest: digest.to_owned(),
        size: 1,
        staged: format!("staged-{digest}"),
    }
}

fn written(version: i64, text: &str) -> Written {
    let passage = Passage {
        ordinal: 0,
        range: 0..text.len(),
        text: text.to_owned(),
        headings: ["One".to_owned()].into(),
        place: None,
        tokens: 1,
    };
    Written {
        version,
        prepared: Prepared {
            media_type: "text/plain".to_owned(),
            title: "Title".to_owned(),
            language: None,
            doc_type: None,
            passages: vec![passage.clone()],
        },
        passages: vec![NewPassage {
            id: PassageId::of("space", "a", 0, text),
            passage,
            vector: vec![0.5, -0.5],
        }],
    }
}

async fn submit(ledger: &Ledger, space: i64, one: Wanted) -> Admission {
    let request = Request::default();
    let submitted = ledger
        .submit(("me", space), &[one], ConflictPolicy::Replace, &request, 10)
        .await;
    submitted.unwrap().0.remove(0).admission
}

async fn space_of(ledger: &Ledger) -> i64 {
    ledger
        .create_space("me", "space", &new_space(), &Request::default())
        .await
        .unwrap();
    ledger.live_spaces().await.unwrap()[0]
}

#[tokio::test]
async fn a_version_takes_the_place_of_the_one_before_it_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(None, folder.path()).await.unwrap();
    let space = space_of(&ledger).await;
    let Admission::Taken(first) = submit(&ledger, space, wanted("a", "1")).await else {
        panic!("a new document is taken");
    };
    assert_eq!(
        submit(&ledger, space, wanted("a", "1")).await,
        Admission::Joined(first)
    );
    assert_eq!(
        ledger.write_passages(&[written(first, "one")]).await.unwrap(),
        [first]
    );
    assert!(ledger.ready_keys(space).await.unwrap().is_empty());
    assert_eq!(ledger.make_ready(space, &[first]).await.unwrap(), [first]);
    let old = ledger.ready_keys(space).await.unwrap();
    assert_eq!(
        submit(&ledger, space, wanted("a", "1")).await,
        Admission::Unchanged
    );

    let Admission::Taken(second) = submit(&ledger, space, wanted("a", "2")).await else {
        panic!("other content is taken");
    };
    ledger.write_passages(&[written(second, "two")]).await.unwrap();
    assert_eq!(
        ledger.ready_keys(space).await.unwrap(),
        old,
        "the old one is found until the new one is ready"
    );
    let epoch = ledger.epoch(space).await.unwrap();
    ledger.make_ready(space, &[second]).await.unwrap();
    assert_eq!(ledger.epoch(space).await.unwrap(), epoch + 1);
    let new = ledger.ready_keys(space).await.unwrap();
    assert!(new.len() == 1 && new[0] > old[0], "numbers are never given twice");
    assert!(ledger.load(space, &old).await.unwrap().0.is_empty());
    let loaded = ledger.load(space, &new).await.unwrap().0.remove(&new[0]).unwrap();
    assert_eq!(
        (loaded.passage.text.as_str(), &*loaded.passage.headings),
        ("two", &["One".to_owned()][..])
    );
    assert!(
        ledger.load(space + 1, &new).await.unwrap().0.is_empty(),
        "a number is nothing without its space"
    );
    assert_eq!(ledger.vectors(space, &new).await.unwrap()[&new[0]], [0.5, -0.5]);
    let gone = ledger.gone_in(space).await.unwrap();
    assert_eq!(
        gone.iter().map(|(version, _)| *version).collect::<Vec<_>>(),
        [first]
    );
    ledger.forget(&[first]).await.unwrap();
    assert_eq!(ledger.all_keys(space).await.unwrap(), new);
}

#[tokio::test]
async fn a_step_finds_nothing_to_do_when_somebody_was_faster() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(None, folder.path()).await.unwrap();
    let space = space_of(&ledger).await;
    let Admission::Taken(version) = submit(&ledger, space, wanted("a", "1")).await else {
        panic!("a new document is taken");
    };
    assert!(
        ledger.make_ready(space, &[version]).await.unwrap().is_empty(),
        "not before its passages are written"
    );
    ledger.delete_document(space, "a").await.unwrap();
    assert!(
        ledger
            .write_passages(&[written(version, "one")])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(ledger.task(version).await.unwrap().is_none());
    assert!(ledger.document(space, "a").await.is_err());
    let too_many: Vec<Wanted> = (0..11).map(|at| wanted(&format!("d{at}"), "1")).collect();
    let refused = ledger
        .submit(
            ("me", space),
            &too_many,
            ConflictPolicy::Replace,
            &Request::default(),
            10,
        )
        .await;
    assert!(refused.unwrap_err().to_string().contains("rag.max_waiting"));
    assert!(ledger.document(space, "d0").await.is_err(), "all or none");
}

#[tokio::test]
async fn what_was_committed_is_there_when_it_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let space = {
        let ledger = Ledger::open(None, folder.path()).await.unwrap();
        let space = space_of(&ledger).await;
        submit(&ledger, space, wanted("a", "1")).await;
        ledger.close().await;
        space
    };
    let ledger = Ledger::open(None, folder.path()).await.unwrap();
    assert_eq!(
        ledger.document(space, "a").await.unwrap().state,
        DocumentState::Stored
    );
    assert_eq!(ledger.staged().await.unwrap(), ["staged-1"]);
    assert!(folder.path().join("ledger.sqlite").exists());
}

#[tokio::test]
async fn archives_that_nobody_reads_leave_readers_for_searches() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(None, folder.path()).await.unwrap();
    let space = space_of(&ledger).await;
    let mut open = Vec::new();
    for _ in 0..MOST_SNAPSHOTS {
        open.push(ledger.snapshot(space).await.unwrap());
    }
    let refused = ledger.snapshot(space).await.unwrap_err();
    assert_eq!(polyphony_error::Fault::from(refused).reason, "EXPORTS_FULL");
    assert_eq!(ledger.live_spaces().await.unwrap(), [space]);
    open.pop();
    ledger.snapshot(space).await.unwrap();
}

#[tokio::test]
async fn passages_are_found_by_their_keys_and_not_among_all_documents() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(None, folder.path()).await.unwrap();
    let statement = format!(
        "EXPLAIN QUERY PLAN SELECT p.key {} (1, 2) AND d.space = 1 AND d.state = 3",
        passages::OF_KEYS
    );
    let steps = sqlx::query(sqlx::AssertSqlSafe(statement))
        .fetch_all(&mut *ledger.reading().await.unwrap())
        .await
        .unwrap();
    let steps: Vec<String> = steps.iter().map(|row| row.get("detail")).collect();
    assert_eq!(
        steps,
        ["p", "d"].map(|table| format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)"))
    );
}
