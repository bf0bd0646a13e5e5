//! Data that is wrong or differs: a row that the database refuses, ledger rows that somebody changed, two versions of a
//! process in two workers.

use std::fs;

use mozhao::engine::ports::balance::Balance;
use uuid::Uuid;

use super::scenario::Scenario;
use super::world::{On, PATIENCE};
use crate::harness::ports::free_port;
use crate::harness::record;

/// One request in ten cannot write its intent: it alone is parked, whoever shares its batches goes on.
async fn one_bad_row(name: &'static str, on: On) {
    let scenario = Scenario::new(name).on(on).load(200, 200);
    scenario
        .run_and(async |case| {
            let digit = case.dice.below(10);
            let bad = |body: &str| {
                format!("{body} LIKE '%\"kind\":\"intent\"%' AND (SELECT message FROM requests WHERE id = NEW.request) LIKE '%{digit}'")
            };
            let (trigger, healed) = if case.world.is_embedded() {
                let trigger = format!(
                    "CREATE TRIGGER bad_row BEFORE INSERT ON entries WHEN {}
                    BEGIN SELECT RAISE(ABORT, 'this row cannot be kept'); END",
                    bad("CAST(NEW.body AS TEXT)")
                );
                (trigger, "DROP TRIGGER bad_row")
            } else {
                let trigger = format!(
                    "CREATE FUNCTION bad_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        IF {} THEN RAISE EXCEPTION 'this row cannot be kept' USING ERRCODE = '22000'; END IF;
                        RETURN NEW;
                    END $$;
                    CREATE TRIGGER bad_row BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION bad_row()",
                    bad("encode(NEW.packed, 'escape')")
                );
                (trigger, "DROP TRIGGER bad_row ON entries; DROP FUNCTION bad_row()")
            };
            case.world.sql(&trigger).await;
            record::fault();
            let good = |balance: &Balance| balance.parked >= 15 && balance.ended() >= 150;
            case.world.until("the others to go on", PATIENCE, good).await;
            case.world.sql(healed).await;
        }, async |_, books| {
            // Parked without an entry, for none could be written; but who brought them back stands in their ledgers.
            let back = books.ledgers.iter().filter(|ledger| ledger.count("resumed") > 0).count();
            println!("{back} came back from their defect");
            assert!(back >= 15, "{back}");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_of_a_batch_is_refused() {
    one_bad_row("one_row_of_a_batch_is_refused", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_one_row_of_a_batch_is_refused() {
    one_bad_row("embedded_one_row_of_a_batch_is_refused", On::Embedded).await;
}

/// Entries are edited, deleted and swapped: `mozhao ledger verify` and `mozhao doctor` name each of them, and nobody else.
async fn changed_rows(name: &'static str, on: On) {
    let scenario = Scenario::new(name).on(on).workers(1).load(40, 1_000);
    scenario
        .run(async |case| {
            let all = case.sent.len() as u64;
            case.all_confirmed().await;
            case.world.until("most to be done", PATIENCE, |balance| balance.ended() + balance.in_review == all).await;
            let requests = case.world.requests().await;
            let mut ended: Vec<_> = requests.iter().filter(|row| row.ended_at.is_some()).map(|row| row.id).collect();
            case.dice.shuffle(&mut ended);
            let embedded = case.world.is_embedded();
            let id = |id: &Uuid| if embedded { format!("X'{}'", id.simple()) } else { format!("'{id}'") };
            let [edited, deleted, swapped, ..] = &ended[..] else { panic!("three ended requests") };
            let edit = if embedded {
                r#"body = CAST(replace(CAST(body AS TEXT), '"kind"', '"Kind"') AS BLOB)"#
            } else {
                r#"packed = replace(encode(packed, 'escape'), '"kind"', '"Kind"')::bytea"#
            };
            let changes = format!(
                "CREATE TABLE entries_before AS SELECT * FROM entries;
                UPDATE entries SET {edit} WHERE request = {} AND seq = 2;
                DELETE FROM entries WHERE request = {} AND seq = 2;
                UPDATE entries SET seq = 1000 WHERE request = {swapped} AND seq = 1;
                UPDATE entries SET seq = 1 WHERE request = {swapped} AND seq = 2;
                UPDATE entries SET seq = 2 WHERE request = {swapped} AND seq = 1000",
                id(edited),
                id(deleted),
                swapped = id(swapped)
            );
            case.world.sql(&changes).await;
            record::faults(3);
            let verify = case.world.command(&["ledger", "verify", "--json"], 1, &[]).output().await;
            let found = String::from_utf8_lossy(&verify.stdout).into_owned();
            assert_eq!(verify.status.code(), Some(7), "{found}");
            for request in &requests {
                let broken = [edited, deleted, swapped].contains(&&request.id);
                assert_eq!(found.contains(&request.id.to_string()), broken, "{}: {found}", request.id);
            }
            let doctor = case.world.command(&["doctor"], 1, &[]).output().await;
            let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
            assert!(doctor.status.code() == Some(7) && told.contains("3 of"), "{told}");
            let back = "DELETE FROM entries; INSERT INTO entries SELECT * FROM entries_before; DROP TABLE entries_before";
            case.world.sql(back).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_rows_are_changed() {
    changed_rows("ledger_rows_are_changed", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_ledger_rows_are_changed() {
    changed_rows("embedded_ledger_rows_are_changed", On::Embedded).await;
}

/// An upgrade under load: the second worker brings a second version of the process, the first has never heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_a_process_run_side_by_side() {
    let scenario = Scenario::new("two_versions_of_a_process_run_side_by_side").workers(1).load(240, 40);
    scenario
        .run_and(
            async |case| {
                case.more(20).await;
                let next = case.world.file("processes-next");
                fs::create_dir(&next).unwrap();
                for entry in fs::read_dir(case.world.file("processes")).unwrap().flatten() {
                    let text = fs::read_to_string(entry.path()).unwrap();
                    let name = entry.file_name().into_string().unwrap();
                    if name == "card_unbind.yaml" {
                        let second = text.replacen("version: 1\n", "version: 2\n", 1);
                        fs::write(next.join("card_unbind_2.yaml"), second).unwrap();
                    }
                    fs::write(next.join(name), text).unwrap();
                }
                record::fault();
                let folder = next.display().to_string();
                let second = case.world.worker_on(free_port(), &[("MOZHAO__PROCESSES", &folder)]).await;
                case.workers.push(second);
                case.more(60).await;
                // The old one dies in the middle: the new one carries both versions.
                case.kill(0);
            },
            async |_, books| {
                let versions = |version| books.ledgers.iter().filter(|ledger| ledger.row.version == version).count();
                println!("{} on the first version, {} on the second", versions(1), versions(2));
                assert!(versions(1) > 60 && versions(2) > 0);
            },
        )
        .await;
}
