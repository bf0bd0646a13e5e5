//! A store behind something that looks at every call: each method of the port is written down once, for all wrappers.
//!
//! `wrapped_store!(Wrapper)` implements the port for a wrapper that has
//! - `through(kind, name, call)`: makes the call, or not, or twice;
//! - `through_commit(worker, batch)`, `through_rescue(by, lease)`, `through_published(worker, ids)`: the same for calls whose
//!   arguments matter to it;
//! - `inner`: the store behind it.

/// Without a reply from the database a read did nothing; of a change nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Read,
    Change,
}

/// Implements the store's port for a wrapper.
#[macro_export]
macro_rules! wrapped_store {
    ($wrapper:ident) => {
        $crate::wrapped_store! { $wrapper
            Read now [] [] -> Time;
            Change register [worker: &WorkerRow] [worker] -> ();
            Change heartbeat [worker: WorkerId] [worker] -> Heartbeat;
            Change deregister [worker: WorkerId] [worker] -> ();
            Change claim [worker: WorkerId, limit: usize] [worker, limit] -> Vec<Claimed>;
            Read owned [worker: WorkerId, limit: usize] [worker, limit] -> Vec<RequestId>;
            Read load [request: RequestId] [request] -> Loaded;
            Read signals [request: RequestId] [request] -> Vec<(Uuid, Signal)>;
            Change signal [id: Uuid, request: RequestId, signal: &Signal, at: Time] [id, request, signal, at] -> Sent;
            Read signal_answer [id: Uuid] [id] -> Option<String>;
            Change review_act [review: Uuid, act: &ReviewAct, signal: Uuid, at: Time] [review, act, signal, at] -> ReviewPut;
            Change unpublished [worker: WorkerId, limit: usize] [worker, limit] -> Vec<Event>;
            Change publish_none [worker: WorkerId] [worker] -> ();
        Read events [after: Option<Uuid>, limit: usize] [after, limit] -> Vec<Event>;
            Read request [request: RequestId] [request] -> RequestRow;
            Read entries [request: RequestId, after: u64, limit: usize] [request, after, limit] -> Vec<Entry>;
            Read entries_of [requests: &[RequestId], limit: usize] [requests, limit] -> Vec<(RequestId, Entry)>;
            Read requests [filter: &RequestFilter, before: Option<RequestId>, limit: usize] [filter, before, limit] -> Vec<RequestRow>;
            Read end_of_walk [filter: &RequestFilter, before: Option<RequestId>] [filter, before] -> Option<RequestId>;
            Read review [review: Uuid] [review] -> ReviewRow;
            Read reviews [filter: &ReviewFilter, after: Option<(Time, Uuid)>, limit: usize] [filter, after, limit] -> Vec<ReviewRow>;
            Read decisions [filter: &DecisionFilter, before: Option<(Time, Uuid)>, limit: usize] [filter, before, limit] -> Vec<ReviewRow>;
            Read rejected [before: Option<Uuid>, limit: usize] [before, limit] -> Vec<RejectedRow>;
            Read balance [] [] -> Balance;
            Read lately [processes: &[String], since: Time, limit: usize] [processes, since, limit] -> Vec<Went>;
            Read workers [] [] -> Vec<WorkerRow>;
            Read defects [processes: &[String], limit: usize] [processes, limit] -> Vec<DefectRow>;
            Read defect [fingerprint: &str] [fingerprint] -> DefectRow;
            Read controls [] [] -> Vec<ControlRow>;
            Change put_control [row: &ControlRow, act: Option<&mozhao::engine::ports::reviewing::ActRow>]
                [row, act] -> bool;
            Change resume_some [group: &str, signal: &Signal, at: Time, before: Time, after: RequestId, limit: usize]
                [group, signal, at, before, after, limit] -> Vec<RequestId>;
            Read parked_groups [] [] -> Vec<String>;
        Read parked_under [group: &str, cap: u64] [group, cap] -> u64;
            Change publish_process [row: &ProcessRow] [row] -> String;
            Read processes [limit: usize] [limit] -> Vec<Version>;
            Read process [name: &str, version: u32] [name, version] -> ProcessRow;
            Change add_token [token: &TokenRow] [token] -> ();
            Read token [sha256: &[u8; 32]] [sha256] -> TokenRow;
            Read tokens [] [] -> Vec<TokenRow>;
            Change revoke_token [name: &str, at: Time] [name, at] -> bool;
            Change setting [name: &str, fresh: &[u8]] [name, fresh] -> Vec<u8>;
            Change sweep [now: Time, keep: &Retention, limit: usize] [now, keep, limit] -> u64;
        }
    };
    ($wrapper:ident $($kind:ident $name:ident [$($signature:tt)*] [$($argument:ident),*] -> $out:ty;)*) => {
        #[async_trait::async_trait]
        impl Store for $wrapper {
            fn kind(&self) -> &'static str {
                self.inner.kind()
            }

            fn side_by_side(&self) -> bool {
                self.inner.side_by_side()
            }

            async fn commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
                self.through_commit(worker, batch).await
            }

            async fn rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
                self.through_rescue(by, lease).await
            }

            async fn published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
                self.through_published(worker, ids).await
            }

            // The console's own; no worker calls it.
            fn sessions(&self) -> &dyn mozhao::engine::ports::sessions::Sessions {
                self.inner.sessions()
            }

            fn reviewing(&self) -> &dyn mozhao::engine::ports::reviewing::Reviewing {
                self.inner.reviewing()
            }

            fn batches(&self) -> &dyn mozhao::engine::ports::batches::Batches {
                self.inner.batches()
            }

            $(async fn $name(&self, $($signature)*) -> Result<$out, StoreError> {
                self.through(Kind::$kind, stringify!($name), self.inner.$name($($argument),*)).await
            })*
        }
    };
}
