//! The port's methods, handed on to the files that do them. The two databases have the same ones under the same names, so
//! this is written once, and a method that one of them lacks does not compile.

/// Implements the port for a database's store by its inherent methods.
macro_rules! implement_store {
    ($store:ty, $kind:literal) => {
        use std::time::Duration;

        use uuid::Uuid;

        use crate::domain::request::chain::Entry;
        use crate::domain::request::signal::Signal;
        use crate::domain::time::Time;
        use crate::engine::ports::balance::{Balance, Went};
        use crate::engine::ports::records::{
            ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow,
            Retention, ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
        };
        use crate::engine::ports::reviewing::ActRow;
        use crate::engine::ports::store::{Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, WorkerId, Write, Written};

        type Answer<T> = Result<T, StoreError>;

        #[async_trait::async_trait]
        impl crate::engine::ports::store::Store for $store {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn side_by_side(&self) -> bool {
                Self::SIDE_BY_SIDE
            }

            async fn now(&self) -> Answer<Time> {
                self.clock().await
            }

            async fn register(&self, worker: &WorkerRow) -> Answer<()> {
                self.add_worker(worker).await
            }

            async fn heartbeat(&self, worker: WorkerId) -> Answer<Heartbeat> {
                self.renew(worker).await
            }

            async fn rescue(&self, by: WorkerId, lease: Duration) -> Answer<Vec<WorkerId>> {
                self.take_over(by, lease).await
            }

            async fn deregister(&self, worker: WorkerId) -> Answer<()> {
                self.remove_worker(worker).await
            }

            async fn commit(&self, worker: WorkerId, batch: &[Write]) -> Answer<Vec<Written>> {
                self.write_batch(worker, batch).await
            }

            async fn claim(&self, worker: WorkerId, limit: usize) -> Answer<Vec<Claimed>> {
                self.take_due(worker, limit).await
            }

            async fn owned(&self, worker: WorkerId, limit: usize) -> Answer<Vec<RequestId>> {
                self.list_owned(worker, limit).await
            }

            async fn load(&self, request: RequestId) -> Answer<Loaded> {
                self.load_all(request).await
            }

            async fn signals(&self, request: RequestId) -> Answer<Vec<(Uuid, Signal)>> {
                self.unconsumed(request).await
            }

            async fn signal(&self, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Answer<Sent> {
                self.send_signal(id, request, signal, at).await
            }

            async fn signal_answer(&self, id: Uuid) -> Answer<Option<String>> {
                self.answer_of(id).await
            }

            async fn review_act(&self, review: Uuid, act: &ReviewAct, signal_id: Uuid, at: Time) -> Answer<ReviewPut> {
                self.act_on_review(review, act, signal_id, at).await
            }

            async fn unpublished(&self, worker: WorkerId, limit: usize) -> Answer<Vec<Event>> {
                self.take_unpublished(worker, limit).await
            }

            async fn publish_none(&self, worker: WorkerId) -> Answer<()> {
                self.drop_unpublished(worker).await
            }

            async fn published(&self, worker: WorkerId, ids: &[Uuid]) -> Answer<()> {
                self.mark_published(worker, ids).await
            }

            async fn events(&self, after: Option<Uuid>, limit: usize) -> Answer<Vec<Event>> {
                self.feed(after, limit).await
            }

            async fn request(&self, request: RequestId) -> Answer<RequestRow> {
                self.one_request(request).await
            }

            async fn entries(&self, request: RequestId, after: u64, limit: usize) -> Answer<Vec<Entry>> {
                self.some_entries(request, after, limit).await
            }

            async fn entries_of(&self, requests: &[RequestId], limit: usize) -> Answer<Vec<(RequestId, Entry)>> {
                self.entries_of_some(requests, limit).await
            }

            async fn requests(&self, filter: &RequestFilter, before: Option<RequestId>, limit: usize) -> Answer<Vec<RequestRow>> {
                self.list_requests(filter, before, limit).await
            }

            async fn end_of_walk(&self, filter: &RequestFilter, before: Option<RequestId>) -> Answer<Option<RequestId>> {
                self.last_looked_at(filter, before).await
            }

            async fn review(&self, review: Uuid) -> Answer<ReviewRow> {
                self.one_review(review).await
            }

            async fn reviews(&self, filter: &ReviewFilter, after: Option<(Time, Uuid)>, limit: usize) -> Answer<Vec<ReviewRow>> {
                self.list_reviews(filter, after, limit).await
            }

            async fn decisions(
                &self,
                filter: &DecisionFilter,
                before: Option<(Time, Uuid)>,
                limit: usize,
            ) -> Answer<Vec<ReviewRow>> {
                self.list_decisions(filter, before, limit).await
            }

            async fn rejected(&self, before: Option<Uuid>, limit: usize) -> Answer<Vec<RejectedRow>> {
                self.list_rejected(before, limit).await
            }

            async fn lately(&self, processes: &[String], since: Time, limit: usize) -> Answer<Vec<Went>> {
                self.list_lately(processes, since, limit).await
            }

            async fn balance(&self) -> Answer<Balance> {
                self.read_balance().await
            }

            async fn workers(&self) -> Answer<Vec<WorkerRow>> {
                self.list_workers().await
            }

            async fn defects(&self, processes: &[String], limit: usize) -> Answer<Vec<DefectRow>> {
                self.list_defects(processes, limit).await
            }

            async fn defect(&self, fingerprint: &str) -> Answer<DefectRow> {
                self.one_defect(fingerprint).await
            }

            async fn controls(&self) -> Answer<Vec<ControlRow>> {
                self.list_controls().await
            }

            async fn put_control(&self, row: &ControlRow, act: Option<&ActRow>) -> Answer<bool> {
                self.replace_control(row, act).await
            }

            async fn resume_some(
                &self,
                group: &str,
                signal: &Signal,
                at: Time,
                before: Time,
                after: RequestId,
                limit: usize,
            ) -> Answer<Vec<RequestId>> {
                self.resume_group(group, signal, at, before, after, limit).await
            }

            async fn parked_groups(&self) -> Answer<Vec<String>> {
                self.list_parked_groups().await
            }

            async fn parked_under(&self, group: &str, cap: u64) -> Answer<u64> {
                self.count_parked(group, cap).await
            }

            async fn publish_process(&self, row: &ProcessRow) -> Answer<String> {
                self.add_process(row).await
            }

            async fn processes(&self, limit: usize) -> Answer<Vec<Version>> {
                self.list_processes(limit).await
            }

            async fn process(&self, name: &str, version: u32) -> Answer<ProcessRow> {
                self.one_process(name, version).await
            }

            async fn add_token(&self, token: &TokenRow) -> Answer<()> {
                self.insert_token(token).await
            }

            async fn token(&self, sha256: &[u8; 32]) -> Answer<TokenRow> {
                self.token_by_hash(sha256).await
            }

            async fn tokens(&self) -> Answer<Vec<TokenRow>> {
                self.list_tokens().await
            }

            async fn revoke_token(&self, name: &str, at: Time) -> Answer<bool> {
                self.end_token(name, at).await
            }

            async fn setting(&self, name: &str, fresh: &[u8]) -> Answer<Vec<u8>> {
                self.setting_or(name, fresh).await
            }

            async fn sweep(&self, now: Time, keep: &Retention, limit: usize) -> Answer<u64> {
                self.remove_old(now, keep, limit).await
            }

            fn sessions(&self) -> &dyn crate::engine::ports::sessions::Sessions {
                self
            }

            fn reviewing(&self) -> &dyn crate::engine::ports::reviewing::Reviewing {
                self
            }

            fn batches(&self) -> &dyn crate::engine::ports::batches::Batches {
                self
            }
        }
    };
}
pub(super) use implement_store;
