//! What every store must do. A further implementation is one more world.

mod access;
mod deliveries;
mod jobs;
mod kept;
mod random;
mod retention;
mod runs;
mod sample;
mod subscribers;
mod world;

/// One test for each case, against each world.
macro_rules! contract {
    ($($subject:ident: $($case:ident),+ $(,)?;)+) => {
        mod sqlite {
            $(mod $subject {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::$subject::$case(&crate::world::Sqlite::new()).await;
                })+
            })+
        }
    };
}

contract! {
    deliveries:
        a_delivery_is_kept_once_and_whole,
        a_delivery_sent_again_is_known_and_one_that_failed_is_received_anew,
        deliveries_are_due_when_their_time_has_come_oldest_first,
        what_came_of_a_delivery_is_written_with_its_runs_or_not_at_all,
        a_delivery_that_is_not_received_any_more_makes_no_run,
        a_wish_is_fulfilled_once_with_what_is_written_beside_it,
        deliveries_are_known_by_the_names_that_the_forge_gave_them;
    runs:
        runs_are_numbered_by_workflow_file_of_their_repository,
        a_run_goes_its_way_and_no_other,
        a_new_attempt_leaves_the_old_one_as_it_ended,
        a_run_waits_for_people_in_its_midst_and_goes_on,
        a_run_that_is_cancelled_while_it_waits_says_so_to_its_end,
        a_cancelled_run_tells_its_plan_only_while_it_runs,
        runs_are_found_by_what_is_asked_newest_first,
        unfinished_runs_are_those_that_have_not_ended,
        a_workflow_file_that_can_not_be_read_makes_a_run_that_failed,
        what_was_reported_last_is_what_is_remembered,
        what_was_not_announced_is_found_for_each_attempt,
        what_is_missing_is_said_to_be;
    jobs:
        a_job_goes_its_way_with_its_clock,
        every_transition_of_jobs_is_as_drawn,
        jobs_come_by_their_ranks_and_of_one_rank_by_their_ids,
        the_end_of_a_job_and_what_its_plan_is_told_are_one,
        a_job_whose_machine_failed_begins_anew_and_keeps_the_reason,
        an_illegal_change_takes_all_beside_it_back,
        steps_are_kept_in_order_with_summaries,
        no_step_outlives_its_job,
        annotations_are_kept_in_order;
    kept:
        artifacts_of_all_runs_are_found_newest_first,
        an_artifact_gives_way_to_a_later_one_of_its_name,
        artifacts_expire_when_their_run_has_ended,
        caches_are_found_by_repository_ref_and_beginning_of_their_key,
        a_cache_is_used_and_goes_with_its_file;
    access:
        secrets_and_variables_belong_to_their_scope,
        a_token_is_found_by_its_digest_until_it_is_revoked,
        settings_are_kept_until_they_are_null,
        a_repository_is_one_however_it_is_spelled,
        a_repository_that_was_renamed_is_the_same_and_keeps_its_place,
        a_repository_that_was_made_anew_under_a_name_has_nothing_of_the_old_one,
        checking_reads_and_writes;
    random:
        what_is_answered_after_any_changes_is_answered_after_a_restart;
    retention:
        runs_that_ended_long_ago_go_with_their_logs_and_no_others,
        bodies_of_deliveries_go_before_the_deliveries_do,
        what_a_run_came_of_stays_as_long_as_the_run,
        much_is_forgotten_in_several_calls;
    subscribers:
        subscribers_hear_each_transaction_together_and_only_what_is_durable,
        the_sealed_value_of_a_secret_is_not_told;
}
