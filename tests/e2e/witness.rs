//! What the database itself saw (PostgreSQL). The books read the end; who wrote on the way there, and when, no ledger tells: a
//! stale write is one that leaves everything consistent. So triggers watch every step of a request's row, and compare three that
//! must be one: who the transaction says that it is (`mozhao.worker`, set by the fence), who owns the row, and who lives.

use sqlx::{Connection as _, PgConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// The triggers, and what they write.
pub const TRIGGERS: &str = "
    CREATE TABLE e2e_breaches (what TEXT NOT NULL, writer UUID, owner UUID, request UUID);
    CREATE TABLE e2e_steps (request UUID NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL);
    CREATE FUNCTION e2e_writer() RETURNS UUID LANGUAGE sql STABLE AS
        $$ SELECT id FROM workers WHERE id = NULLIF(current_setting('mozhao.worker', TRUE), '')::UUID $$;
    CREATE FUNCTION e2e_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE writer UUID := e2e_writer(); BEGIN
        IF writer IS NULL OR NEW.owner <> writer THEN
            INSERT INTO e2e_breaches VALUES ('accepted', writer, NEW.owner, NEW.id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION e2e_moved() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE writer UUID := e2e_writer(); BEGIN
        IF NEW.seq <> OLD.seq THEN
            INSERT INTO e2e_steps VALUES (NEW.id, NEW.seq, (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT);
            IF writer IS NULL OR OLD.owner IS DISTINCT FROM writer THEN
                INSERT INTO e2e_breaches VALUES ('ledger', writer, OLD.owner, OLD.id);
            END IF;
        END IF;
        IF NEW.owner IS DISTINCT FROM OLD.owner AND NEW.owner IS NOT NULL
            AND (OLD.owner IS NOT NULL OR writer IS NULL OR NEW.owner <> writer) THEN
            INSERT INTO e2e_breaches VALUES ('claim', writer, OLD.owner, OLD.id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION e2e_ended() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE writer UUID := e2e_writer(); BEGIN
        IF writer IS NULL OR OLD.owner IS DISTINCT FROM writer THEN
            INSERT INTO e2e_breaches VALUES ('ledger', writer, OLD.owner, OLD.id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION e2e_past() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO e2e_steps VALUES (NEW.id, NEW.seq, (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT);
        RETURN NULL;
    END $$;
    CREATE FUNCTION e2e_sent() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE writer UUID := e2e_writer(); BEGIN
        IF NEW.worker IS DISTINCT FROM writer THEN
            INSERT INTO e2e_breaches VALUES ('event', writer, NEW.worker, (SELECT request FROM outbox WHERE id = NEW.ids[1]));
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER e2e_accepted AFTER INSERT ON open_requests FOR EACH ROW EXECUTE FUNCTION e2e_accepted();
    CREATE TRIGGER e2e_moved AFTER UPDATE ON open_requests FOR EACH ROW EXECUTE FUNCTION e2e_moved();
    CREATE TRIGGER e2e_ended AFTER DELETE ON open_requests FOR EACH ROW EXECUTE FUNCTION e2e_ended();
    CREATE TRIGGER e2e_past AFTER INSERT ON past_requests FOR EACH ROW EXECUTE FUNCTION e2e_past();
    CREATE TRIGGER e2e_sent AFTER INSERT ON unpublished FOR EACH ROW EXECUTE FUNCTION e2e_sent();";

const BREACHES: &str =
    "SELECT concat_ws(' ', what, 'of', request, 'written by', COALESCE(writer::TEXT, 'nobody who lives'), 'owned by',
    COALESCE(owner::TEXT, 'nobody')) FROM e2e_breaches";

/// Writes by somebody who was not the owner, or not alive (G5).
pub async fn breaches(database: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::query_scalar(BREACHES).fetch_all(&mut connection).await.unwrap()
}

/// Each request's steps: the head that it came to, and when, by the database's clock; in order.
pub async fn steps(database: &str) -> HashMap<Uuid, Vec<(u64, i64)>> {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let rows: Vec<(Uuid, i64, i64)> =
        sqlx::query_as("SELECT request, seq, at FROM e2e_steps ORDER BY seq").fetch_all(&mut connection).await.unwrap();
    let mut steps: HashMap<Uuid, Vec<(u64, i64)>> = HashMap::new();
    for (request, seq, at) in rows {
        steps.entry(request).or_default().push((u64::try_from(seq).unwrap(), at));
    }
    steps
}
