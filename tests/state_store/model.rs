//! Whatever is done to the store in whatever order, it says what a map in memory says.

use std::collections::BTreeMap;

use flashback_rotator::model::{CheckNote, HistoryRow, KeyId, Record};
use flashback_rotator::state::StateStore;
use proptest::prelude::*;

use super::{File, Kind, database, full, key, note, row};

#[derive(Clone, Debug)]
enum Act {
    Save {
        name: u8,
        turn: i64,
        parts: u8,
        with_row: bool,
    },
    Note {
        name: u8,
        turn: i64,
        problem: Option<String>,
    },
    Flush,
    Reopen,
    Compare,
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0..4_u8;
    prop_oneof![
        6 => (name.clone(), 0..1_000_000_i64, any::<u8>(), any::<bool>())
            .prop_map(|(name, turn, parts, with_row)| Act::Save { name, turn, parts, with_row }),
        4 => (name, 0..1_000_000_i64, proptest::option::of(".{0,12}"))
            .prop_map(|(name, turn, problem)| Act::Note { name, turn, problem }),
        1 => Just(Act::Flush),
        1 => Just(Act::Reopen),
        2 => Just(Act::Compare),
    ]
}

/// A record with any of its places empty.
fn some_of(name: &str, turn: i64, parts: u8) -> Record {
    let mut record = full(name, turn);
    let drop_where = |bit: u8| parts & (1 << bit) == 0;
    if drop_where(0) {
        record.ai_llm_id = None;
    }
    if drop_where(1) {
        record.live = None;
    }
    if drop_where(2) {
        record.intent = None;
    }
    if drop_where(3) {
        record.refusal = None;
    }
    if drop_where(4) {
        record.held = None;
        record.verification = None;
        record.acknowledged = None;
    }
    if drop_where(5) {
        record.seen = None;
    }
    if drop_where(6) {
        record.look = CheckNote::default();
    }
    record
}

#[derive(Default)]
struct Model {
    records: BTreeMap<KeyId, Record>,
    history: Vec<HistoryRow>,
}

async fn live_through(kind: &dyn Kind, acts: Vec<Act>) {
    let mut store = kind.open().await;
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Save {
                name,
                turn,
                parts,
                with_row,
            } => {
                let name = format!("key-{name}");
                let record = some_of(&name, turn, parts);
                let row = with_row.then(|| row(&name, turn));
                store.save(&record, row.as_ref()).await.expect("saved");
                model.records.insert(record.key.clone(), record);
                model.history.extend(row);
            }
            Act::Note {
                name,
                turn,
                problem,
            } => {
                let key = key(&format!("key-{name}"));
                let note = note(turn, problem.as_deref());
                store.note_check(&key, note.clone());
                let record = model.records.entry(key.clone());
                record.or_insert_with(|| Record::new(key)).look = note;
            }
            Act::Flush => store.flush().await.expect("flushed"),
            Act::Reopen => {
                kind.close(store).await;
                store = kind.open().await;
            }
            Act::Compare => compare(&*store, &model).await,
        }
    }
    compare(&*store, &model).await;
}

async fn compare(store: &dyn StateStore, model: &Model) {
    let expected: Vec<_> = model.records.values().cloned().collect();
    assert_eq!(store.load_all().await.expect("read"), expected);
    for (key, record) in &model.records {
        assert_eq!(store.load(key).await.expect("read"), *record);
    }
    let history = store.history(None, None, None).await.expect("read");
    assert_eq!(history, model.history);
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_says_what_a_map_says(acts in proptest::collection::vec(act(), 1..40)) {
        run(async { live_through(&File::new(), acts).await });
    }

    #[test]
    fn a_database_says_what_a_map_says(acts in proptest::collection::vec(act(), 1..40)) {
        run(async { live_through(&database().await, acts).await });
    }
}
