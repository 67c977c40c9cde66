//! The suite: every test by its promise. A test that is not named here is dead code, which the
//! compiler does not let pass.

/// Runs tests of [`super`] on an engine.
macro_rules! run {
    ($engine:ty; $($file:ident { $($test:ident)+ })+) => { $(
        mod $file {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::outbox::conformance::$file::$test::<$engine>().await;
                }
            )+
        }
    )+ };
}

/// What an engine promises whatever it is made of.
macro_rules! suite {
    ($engine:ty) => {
        crate::outbox::conformance::suite::run! { $engine;
            accept {
                an_accepted_lead_is_due_at_once_and_survives_reopening
                what_was_acknowledged_is_there_after_a_crash_with_all_that_belongs_to_it
                what_nobody_was_told_of_is_there_whole_or_not_at_all
                equal_content_is_a_duplicate_also_inside_one_group_and_against_old_revisions
                an_older_modification_is_kept_as_history_and_not_delivered
                a_condition_that_failed_makes_a_dead_letter
                large_bodies_come_back_whole
                bytes_that_are_no_text_are_kept_beside_the_text
                the_same_push_is_quarantined_once
                a_lead_for_a_sink_that_is_not_there_is_refused_and_nothing_of_it_stays
            }
            finish {
                a_delivery_moves_from_waiting_to_retry_to_done_and_counts_follow
                finishing_twice_changes_nothing
                a_crash_repeats_attempts_and_loses_no_delivery
                a_dead_letter_goes_to_the_fallback_once
                a_step_record_is_there_after_a_crash_and_ended_deliveries_take_none
            }
            claims {
                what_is_claimed_is_not_given_again_until_it_is_given_back
                a_crash_gives_all_claims_back
                a_backlog_of_one_source_does_not_starve_the_fresh_leads_of_another
                with_more_sources_than_a_page_holds_each_has_its_turn
                the_newest_are_claimed_first_where_that_is_wanted
                one_delivery_is_claimed_by_its_id_due_or_not
                a_newer_revision_is_an_update_only_if_the_sink_was_given_the_older
                a_lane_is_woken_when_something_becomes_due
            }
            formats {
                a_newer_format_is_refused_and_not_touched
            }
            retention {
                what_is_over_leaves_after_its_time_and_nothing_else_does
                dead_letters_stay_until_they_were_announced
                nothing_leaves_while_the_clock_is_not_believed
                what_came_while_the_clock_was_far_behind_is_not_old_once_it_is_right
                a_disk_that_is_almost_full_refuses_arrivals_but_not_the_ends_of_attempts
            }
            faults {
                a_store_that_is_closed_has_no_fault_and_takes_nothing
                a_store_that_is_open_is_not_opened_again
            }
            erase {
                an_erased_lead_is_in_no_list_no_count_and_no_index
                a_lead_is_not_erased_under_an_attempt
                what_was_erased_stays_erased_after_a_crash
                many_are_erased_at_once_and_those_under_an_attempt_are_named
            }
            counts {
                counts_are_a_recount_after_every_kind_of_change_and_after_a_crash
                a_source_fills_its_part_of_quarantine_and_the_rest_is_counted
            }
            failures {
                what_failed_alike_is_one_group_and_follows_every_change
                deliveries_are_listed_by_group_rule_reason_and_source
                what_is_stored_is_counted_by_sink_source_and_state
                deliveries_of_a_sink_that_is_gone_are_listed_as_orphaned
            }
            unrouted {
                a_lead_that_no_sink_wants_is_counted_and_listed_page_by_page
                a_re_push_of_a_lead_without_any_delivery_is_routed_again_once
                a_newer_revision_that_a_sink_wants_takes_the_lead_off_the_list
                content_older_than_what_is_known_is_not_routed_again
                an_erased_lead_is_not_counted_any_more
            }
            operations {
                lists_page_through_all_and_filter_by_sink_state_and_age
                a_page_is_continued_by_its_own_list_only
                a_retried_dead_letter_starts_with_a_fresh_budget
                a_pause_outlives_a_crash_and_a_resume_wakes_the_lane
                a_quarantined_push_is_released_as_a_lead_or_discarded_and_may_come_again
                what_is_known_of_the_time_outlives_a_crash
                deliveries_of_a_sink_that_is_gone_stay_and_are_not_retried
            }
            jobs {
                a_job_and_how_far_it_is_outlive_a_crash
                a_crash_between_steps_does_nothing_twice_and_leaves_nothing_out
                a_stopped_job_makes_no_step_until_it_goes_on
                leads_that_no_sink_had_are_replayed_behind_what_is_fresh
                what_a_removed_sink_had_to_do_moves_to_another_and_none_is_lost
                pushes_are_released_and_leads_erased_by_jobs
            }
            audit {
                entries_outlive_a_crash_and_are_listed_newest_first
                a_filter_takes_what_it_says_page_by_page
                what_is_old_leaves_on_purpose_and_the_rest_is_sound
                a_store_that_is_closed_keeps_no_entry
                an_erasure_leaves_the_log_alone
                those_who_come_together_get_numbers_without_a_gap
            }
            tokens {
                tokens_and_that_one_was_revoked_outlive_a_crash
            }
            sink_state {
                a_value_outlives_a_crash_belongs_to_one_sink_and_can_be_forgotten
                a_sink_keeps_so_many_values_and_no_more
            }
            sinks {
                a_sink_that_is_added_takes_leads_and_one_that_is_gone_keeps_its_deliveries
                what_a_sink_is_configured_to_do_changes_for_what_comes_then
                a_store_that_is_closed_takes_no_other_sinks
            }
            model {
                the_store_does_what_the_model_says
            }
        }
    };
}

/// What an engine promises that keeps its lists in order.
macro_rules! ordered {
    ($engine:ty) => {
        crate::outbox::conformance::suite::run! { $engine;
            order {
                lists_are_in_the_order_of_time_whatever_is_in_them
            }
        }
    };
}

/// What an engine promises that has writers, which can be broken.
macro_rules! writers {
    ($engine:ty) => {
        crate::outbox::conformance::suite::run! { $engine;
            group_commit {
                a_full_queue_refuses_at_once
                those_who_come_together_are_committed_together
                commits_follow_each_other_in_the_order_of_their_answers
            }
            writers {
                a_panic_of_the_committer_is_a_fault_in_words
                a_panic_of_the_syncer_is_a_fault_in_words
            }
        }
    };
}

/// What an engine promises that makes whole stores of copies.
macro_rules! copies {
    ($engine:ty) => {
        crate::outbox::conformance::suite::run! { $engine;
            copies {
                a_backup_under_load_is_the_state_at_its_end
                a_damaged_backup_is_refused
                a_backup_holds_what_is_standing
                what_was_exported_is_imported_as_it_was
                an_export_that_cannot_be_written_says_so
                an_export_of_version_1_is_imported
                what_was_erased_is_in_no_export
                a_backup_takes_the_audit_log_along
                an_export_takes_the_audit_log_along_and_an_import_knows_it
            }
        }
    };
}

/// What an engine promises whose bytes lie on a disk that someone may take.
macro_rules! sealed {
    ($engine:ty) => {
        crate::outbox::conformance::suite::run! { $engine;
            sealed {
                what_is_stored_shows_nothing_of_a_person_when_there_is_a_key
                a_new_key_seals_old_records_again_and_then_the_old_one_can_go
                a_sealed_store_does_not_open_without_its_key_and_says_which
                the_audit_log_is_sealed_and_sealed_again_with_a_new_key
            }
        }
    };
}

pub(super) use {copies, ordered, run, sealed, suite, writers};
