//! Rows and records: both databases have the same columns under the same names and, read through sqlx, the same types, so
//! their decoders are one text, compiled once per database.

use sqlx::error::BoxDynError;

use crate::engine::ports::balance::{Balance, Counted};
use crate::engine::ports::store::StoreError;

/// The columns of `requests`, as one SQL text.
macro_rules! request_columns {
    () => {
        "id, process, version, customer, producer, message, channel, reply_to, correlation, traceparent, lane, lane_no, turn, \
         over_limit, seq, head, state, step, reason, parked, review, owner, wake_at, signalled, seen, deaths, person, accepted_at, \
         updated_at, expires_at, ended_at"
    };
}
/// The columns of `reviews`.
macro_rules! review_columns {
    () => {
        "id, request, process, process_version, name, slot, customer, options, role, four_eyes, state, version, claimed_by, \
         claimed_until, escalated, decision, opened_at, due_at, closed_at"
    };
}
/// The columns of `outbox` that make an event.
macro_rules! event_columns {
    () => {
        "id, request, seq, topic, body, reply_to, correlation, at"
    };
}
/// The columns of `rejected`.
macro_rules! rejected_columns {
    () => {
        "id, producer, message, channel, process, code, detail, raw, raw_len, raw_sha256, at"
    };
}
/// The columns of `defects`.
macro_rules! defect_columns {
    () => {
        "fingerprint, process, version, slot, connector, class, code, status, pattern, detail, sample, count, first_seen, last_seen"
    };
}
/// The columns of `controls`.
macro_rules! control_columns {
    () => {
        "group_name, state, reason, changed_by, canary, probe_at, rate, to_version, since, changed_at, version"
    };
}
/// The columns of `tokens`.
macro_rules! token_columns {
    () => {
        "name, sha256, roles, processes, review_roles, created_at, expires_at, revoked_at"
    };
}

/// The decoders for a database's row type.
macro_rules! decoders {
    ($row:ty) => {
        use sqlx::Row as _;
        use uuid::Uuid;

        use crate::domain::request::signal::Signal;
        use crate::domain::time::Time;
        use crate::engine::ports::balance::{Counted, Went};
        use crate::engine::ports::records::{
            ControlRow, DefectRow, Event, ProcessRow, RejectedRow, RequestRow, ReviewRow, TokenRow, Version, WorkerRow,
        };
        use crate::store::rows::Read;

        /// The database's row.
        pub(super) type Row = $row;

        /// A column that fits its Rust type by way of `i64`.
        pub(super) fn number<T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>>(
            row: &$row,
            column: &str,
        ) -> Read<T> {
            let value: i64 = row.try_get(column)?;
            T::try_from(value).map_err(|error| crate::store::rows::misfit(column, error))
        }

        fn number_or_none<T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>>(
            row: &$row,
            column: &str,
        ) -> Read<Option<T>> {
            let value: Option<i64> = row.try_get(column)?;
            value.map(T::try_from).transpose().map_err(|error| crate::store::rows::misfit(column, error))
        }

        /// A time.
        pub(super) fn time(row: &$row, column: &str) -> Read<Time> {
            row.try_get(column).map(Time)
        }

        /// A time that may be missing.
        pub(super) fn time_or_none(row: &$row, column: &str) -> Read<Option<Time>> {
            row.try_get::<Option<i64>, _>(column).map(|value| value.map(Time))
        }

        /// A SHA-256.
        pub(super) fn hash(row: &$row, column: &str) -> Read<[u8; 32]> {
            let bytes: Vec<u8> = row.try_get(column)?;
            let array = <[u8; 32]>::try_from(bytes.as_slice());
            array.map_err(|error| crate::store::rows::misfit(column, error))
        }

        /// JSON in bytes or text.
        pub(super) fn json<T: serde::de::DeserializeOwned>(bytes: &[u8], column: &str) -> Read<T> {
            serde_json::from_slice(bytes).map_err(|error| crate::store::rows::misfit(column, error))
        }

        /// A list in text.
        pub(super) fn words<T: serde::de::DeserializeOwned>(row: &$row, column: &str) -> Read<T> {
            let text: String = row.try_get(column)?;
            json(text.as_bytes(), column)
        }

        /// A row of `requests`.
        pub(super) fn request(row: &$row) -> Read<RequestRow> {
            Ok(RequestRow {
                id: row.try_get("id")?,
                process: row.try_get("process")?,
                version: number(row, "version")?,
                customer: row.try_get("customer")?,
                producer: row.try_get("producer")?,
                message: row.try_get("message")?,
                channel: row.try_get("channel")?,
                reply_to: row.try_get("reply_to")?,
                correlation: row.try_get("correlation")?,
                traceparent: row.try_get("traceparent")?,
                lane: row.try_get("lane")?,
                lane_no: number_or_none(row, "lane_no")?,
                turn: row.try_get("turn")?,
                over_limit: row.try_get("over_limit")?,
                seq: number(row, "seq")?,
                head: hash(row, "head")?,
                state: row.try_get("state")?,
                step: row.try_get("step")?,
                reason: row.try_get("reason")?,
                parked: row.try_get("parked")?,
                review: row.try_get("review")?,
                owner: row.try_get("owner")?,
                wake_at: time_or_none(row, "wake_at")?,
                signalled: number(row, "signalled")?,
                seen: number(row, "seen")?,
                deaths: number(row, "deaths")?,
                person: row.try_get("person")?,
                accepted_at: time(row, "accepted_at")?,
                updated_at: time(row, "updated_at")?,
                expires_at: time(row, "expires_at")?,
                ended_at: time_or_none(row, "ended_at")?,
            })
        }

        /// A row of `signals`: id and signal.
        pub(super) fn signal(row: &$row) -> Read<(Uuid, Signal)> {
            let body: Vec<u8> = row.try_get("body")?;
            Ok((row.try_get("id")?, json(&body, "body")?))
        }

        /// A row of `reviews`.
        pub(super) fn review(row: &$row) -> Read<ReviewRow> {
            let decision: Option<Vec<u8>> = row.try_get("decision")?;
            Ok(ReviewRow {
                id: row.try_get("id")?,
                request: row.try_get("request")?,
                process: row.try_get("process")?,
                process_version: number(row, "process_version")?,
                name: row.try_get("name")?,
                slot: row.try_get("slot")?,
                customer: row.try_get("customer")?,
                options: words(row, "options")?,
                role: row.try_get("role")?,
                four_eyes: row.try_get("four_eyes")?,
                state: row.try_get("state")?,
                version: number(row, "version")?,
                claimed_by: row.try_get("claimed_by")?,
                claimed_until: time_or_none(row, "claimed_until")?,
                escalated: number(row, "escalated")?,
                decision: decision.map(|bytes| json(&bytes, "decision")).transpose()?,
                opened_at: time(row, "opened_at")?,
                due_at: time(row, "due_at")?,
                closed_at: time_or_none(row, "closed_at")?,
            })
        }

        /// A row of `outbox`.
        pub(super) fn event(row: &$row) -> Read<Event> {
            let body: Vec<u8> = row.try_get("body")?;
            Ok(Event {
                id: row.try_get("id")?,
                request: row.try_get("request")?,
                seq: number(row, "seq")?,
                topic: row.try_get("topic")?,
                body: body.into(),
                reply_to: row.try_get("reply_to")?,
                correlation: row.try_get("correlation")?,
                at: time(row, "at")?,
            })
        }

        /// A row of `rejected`.
        pub(super) fn rejected(row: &$row) -> Read<RejectedRow> {
            let raw: Vec<u8> = row.try_get("raw")?;
            Ok(RejectedRow {
                id: row.try_get("id")?,
                producer: row.try_get("producer")?,
                message: row.try_get("message")?,
                channel: row.try_get("channel")?,
                process: row.try_get("process")?,
                code: row.try_get("code")?,
                detail: row.try_get("detail")?,
                raw: raw.into(),
                raw_len: number(row, "raw_len")?,
                raw_sha256: hash(row, "raw_sha256")?,
                at: time(row, "at")?,
                events: Vec::new(),
            })
        }

        /// A row of `defects`.
        pub(super) fn defect(row: &$row) -> Read<DefectRow> {
            Ok(DefectRow {
                fingerprint: row.try_get("fingerprint")?,
                process: row.try_get("process")?,
                version: number(row, "version")?,
                slot: row.try_get("slot")?,
                connector: row.try_get("connector")?,
                class: row.try_get("class")?,
                code: row.try_get("code")?,
                status: number_or_none(row, "status")?,
                pattern: row.try_get("pattern")?,
                detail: row.try_get("detail")?,
                sample: row.try_get("sample")?,
                count: number(row, "count")?,
                first_seen: time(row, "first_seen")?,
                last_seen: time(row, "last_seen")?,
            })
        }

        /// A row of `controls`.
        pub(super) fn control(row: &$row) -> Read<ControlRow> {
            Ok(ControlRow {
                group: row.try_get("group_name")?,
                state: row.try_get("state")?,
                reason: row.try_get("reason")?,
                by: row.try_get("changed_by")?,
                canary: row.try_get("canary")?,
                probe_at: time_or_none(row, "probe_at")?,
                rate: number(row, "rate")?,
                to_version: number_or_none(row, "to_version")?,
                since: time_or_none(row, "since")?,
                changed_at: time(row, "changed_at")?,
                version: number(row, "version")?,
            })
        }

        /// A row of `workers`.
        pub(super) fn worker(row: &$row) -> Read<WorkerRow> {
            Ok(WorkerRow {
                id: row.try_get("id")?,
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                started_at: time(row, "started_at")?,
                heartbeat_at: time(row, "heartbeat_at")?,
            })
        }

        /// A row of `processes`.
        pub(super) fn process(row: &$row) -> Read<ProcessRow> {
            Ok(ProcessRow {
                name: row.try_get("name")?,
                version: number(row, "version")?,
                digest: row.try_get("digest")?,
                source: row.try_get("source")?,
                published_at: time(row, "published_at")?,
            })
        }

        /// A row of `processes` without its file.
        pub(super) fn version(row: &$row) -> Read<Version> {
            Ok(Version { name: row.try_get("name")?, version: number(row, "version")?, digest: row.try_get("digest")? })
        }

        /// A row of `tokens`.
        pub(super) fn token(row: &$row) -> Read<TokenRow> {
            Ok(TokenRow {
                name: row.try_get("name")?,
                sha256: hash(row, "sha256")?,
                roles: words(row, "roles")?,
                processes: words(row, "processes")?,
                review_roles: words(row, "review_roles")?,
                created_at: time(row, "created_at")?,
                expires_at: time_or_none(row, "expires_at")?,
                revoked_at: time_or_none(row, "revoked_at")?,
            })
        }

        /// How one request went.
        pub(super) fn went(row: &$row) -> Read<Went> {
            Ok(Went {
                process: row.try_get("process")?,
                state: row.try_get("state")?,
                reason: row.try_get("reason")?,
                person: row.try_get("person")?,
                accepted_at: time(row, "accepted_at")?,
                ended_at: time_or_none(row, "ended_at")?,
            })
        }

        /// One number of the balance, see `balance`.
        pub(super) fn counted(row: &$row) -> Read<Counted> {
            Ok(Counted {
                process: row.try_get("process")?,
                state: row.try_get("state")?,
                parked: row.try_get("parked")?,
                step: row.try_get("step")?,
                count: number(row, "n")?,
            })
        }

        /// A review's decision as it is stored.
        pub(super) fn decision(row: &ReviewRow) -> Result<Option<Vec<u8>>, crate::engine::ports::store::StoreError> {
            let json = row.decision.as_ref().map(serde_json::to_vec).transpose();
            json.map_err(|error| crate::engine::ports::store::StoreError::Data(error.to_string()))
        }
    };
}
pub(super) use {
    control_columns, decoders, defect_columns, event_columns, rejected_columns, request_columns, review_columns, token_columns,
};

/// A decoded row or column.
pub(super) type Read<T> = Result<T, sqlx::Error>;

/// A stored value that does not fit its type: not written by this program, or by a newer one.
pub(super) fn misfit(column: &str, error: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() }
}

/// The balance from its numbers: open rows by their place, and what belongs to no process by its name instead of a state.
pub(super) fn balance(mut numbers: Vec<Counted>) -> Balance {
    numbers.sort();
    let mut balance = Balance::default();
    for number in numbers {
        match (number.process.as_str(), number.state.as_str()) {
            ("", "accepted") => balance.accepted = number.count,
            ("", "removed") => balance.removed = number.count,
            ("", "done") => balance.done = number.count,
            ("", "refused") => balance.refused = number.count,
            ("", "withdrawn") => balance.withdrawn = number.count,
            ("", "expired") => balance.expired = number.count,
            ("", "rejected") => balance.rejected = number.count,
            ("", "automated") => balance.automated = number.count,
            ("", "unpublished") => balance.unpublished = number.count,
            ("", "overdue") => balance.overdue = number.count,
            ("", _) => {}
            _ => balance.add(number),
        }
    }
    balance
}

/// An unsigned number as the databases hold it.
pub(super) fn int<T: TryInto<i64>>(number: T) -> Result<i64, StoreError> {
    number.try_into().map_err(|_| StoreError::Data("a number above 2^63".into()))
}

/// JSON as text.
pub(super) fn json_text<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Data(error.to_string()))
}
