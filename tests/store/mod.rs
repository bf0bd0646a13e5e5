//! The list of what every store must do. Each case is a function over a [`world::World`]; the macro makes one test of it per store.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod accepting;
mod advancing;
mod batches;
mod claiming;
mod groups;
mod lane_locks;
mod lanes;
mod long_lists;
mod months;
#[cfg(feature = "faults")]
mod mutants;
mod only_postgres;
mod only_sqlite;
mod outbox;
mod presences;
mod queries;
mod random;
mod reading;
mod reviewing;
mod sessions;
mod setting_aside;
mod settings;
mod side_by_side;
mod signals;
mod users;
mod who;
mod workers;
mod world;

macro_rules! conformance {
    ($($module:ident: $($case:ident),+;)+) => {
        conformance!(@on memory, memory; $($module: $($case),+;)+);
        conformance!(@on sqlite, sqlite; $($module: $($case),+;)+);
        conformance!(@on postgres, postgres; $($module: $($case),+;)+);
    };
    (@on $store:ident, $make:ident; $($module:ident: $($case:ident),+;)+) => {
        mod $store {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let world = crate::suite::world::World::$make().await;
                    crate::suite::$module::$case(&world).await;
                })+
            })+
        }
    };
}

conformance! {
    accepting: a_request_is_stored_as_it_was_sent, a_key_is_accepted_once, a_key_twice_in_one_batch, one_of_many_racing_duplicates_wins,
        rejected_messages_take_their_key, a_rejection_is_recorded_once, a_limit_counts_what_is_accepted, limits_hold_under_concurrency,
        bad_data_refuses_the_whole_batch, text_with_nul_is_data_and_bytes_may_hold_anything;
    advancing: a_step_moves_the_head, a_stale_or_foreign_step_is_lost_and_the_rest_stands, a_second_step_in_a_batch_is_lost,
        wrong_numbering_is_data, a_worker_without_a_row_is_fenced, endings_are_counted, everything_of_a_step_is_written,
        nothing_of_a_lost_step_is_written, defects_are_counted_and_keep_their_first_example, a_review_opens_and_closes,
        an_owner_cannot_have_seen_more_than_was_sent;
    lanes: turns_are_taken_in_order, a_queued_one_that_ends_does_not_move_the_head, one_batch_accepts_and_ends,
        several_ends_in_one_batch, out_of_turn_rests_until_its_expiry, a_turn_that_comes_while_it_is_owned_is_not_lost,
        out_of_turn_cannot_run, lanes_hold_under_concurrency;
    claiming: due_ones_oldest_first, own_ones_are_reported_once, a_limit_leaves_the_rest, one_suspect_at_a_time, two_workers_share_without_overlap,
        only_living_workers_claim, loading_gives_everything;
    signals: a_signal_wakes_and_waits, the_same_id_is_stored_once, ended_and_unknown_requests_take_none, quiet_steps_see_signals_first,
        a_release_with_an_unseen_signal_is_due, answers_reach_the_sender, a_pending_wake_survives_an_owned_step,
        intent_and_withdrawal_race, release_and_signal_race, the_same_signal_races_with_itself;
    reviewing: claiming_is_a_lease, deciding_once, four_eyes, the_first_of_two_decisions_again,
        a_tool_does_not_make_two_of_one, stale_decisions, two_decisions_race, the_same_decision_again,
        escalating_releases, decisions_on_ended_requests,
        a_decision_that_is_not_applied_is_asked_anew, who_took_over_is_on_record, lists_are_filtered_and_paged, decisions_are_listed_last_first;
    workers: heartbeats_renew, the_stale_are_rescued, the_fenced_do_not_rescue, owners_without_a_row_lose_their_requests,
        deregistering_hands_back, counters_survive_their_worker, rescue_and_commit_race;
    outbox: events_wait_for_their_worker, events_of_the_gone_are_adopted, published_ones_are_done, without_a_broker_none_waits, the_feed_has_a_cursor;
    queries: lists_are_filtered_and_paged, a_request_is_found_by_its_message, how_the_last_ones_went, entries_are_paged, rejected_ones_are_paged, the_balance_holds, open_ones_are_counted;
    groups: controls_have_one_winner, resuming_is_bounded_and_once, two_resumers_share_without_overlap, parked_ones_are_counted_to_a_cap;
    sessions: a_link_is_used_once, sessions_end, links_and_sessions_are_swept_and_looks_stay, rights_are_those_of_now, looks_are_listed;
    batches: a_batch_is_kept_as_it_was_made, a_batch_is_taken_worked_off_and_done, one_of_several_takes_a_batch,
        stopped_or_sent_and_never_both, one_too_many_is_not_added;
    setting_aside: a_decision_is_held_and_taken_back_or_told, what_cannot_be_sent_keeps_nothing_back, taken_back_or_carried_out_and_never_both, reviews_are_put_aside,
        what_was_done_is_told_with_it, a_held_decision_that_comes_to_nothing_is_kept, an_answer_wakes,
        carried_out_or_decided_by_another_and_never_both, views_are_shared;
    presences: who_has_a_review_open_is_believed_for_a_while;
    users: somebody_is_added_changed_and_removed, nobody_gets_in_beside_their_own_removal, tries_are_counted_one_after_the_other;
    settings: a_version_is_published_once, tokens, a_setting_has_one_first_value, sweeping_removes_what_is_past_its_window,
        sweeping_forgets_people, ended_requests_go_after_their_window;
}
