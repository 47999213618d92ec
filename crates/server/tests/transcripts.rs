//! The transcripts of `tests/transcripts`, each over memory with paused time and over TCP.

use std::collections::BTreeSet;
use std::path::PathBuf;

use waft_proto::verb::TABLE;

use crate::support::network::{Memory, Tcp};
use crate::support::runner::play;
use crate::support::script::Script;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/transcripts"))
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.txt"))
}

/// Makes two tests of each transcript; of those that advance the clock, one.
macro_rules! transcripts {
    (both: $($both:ident)*; memory_only: $($only:ident)*;) => {
        mod memory {
            use super::*;

            $( #[tokio::test(start_paused = true)]
            async fn $both() {
                play::<Memory>(&file(stringify!($both))).await;
            } )*

            $( #[tokio::test(start_paused = true)]
            async fn $only() {
                play::<Memory>(&file(stringify!($only))).await;
            } )*
        }

        mod tcp {
            use super::*;

            $( #[tokio::test]
            async fn $both() {
                play::<Tcp>(&file(stringify!($both))).await;
            } )*
        }

        const BOTH: &[&str] = &[$( stringify!($both) ),*];
        const MEMORY_ONLY: &[&str] = &[$( stringify!($only) ),*];
    };
}

transcripts! {
    both:
        abor_before_the_connection
        abor_download
        abor_idle
        abor_overtakes
        abor_twice
        abor_upload
        acct
        active
        active_lan
        active_nobody_listens
        active_off
        active_refused_addresses
        append
        append_busy
        ascii
        ascii_as_image
        asked_to_leave
        banned
        both_lost_during_an_upload
        checksums
        commands_during_a_transfer
        control_lost_during_a_download
        control_lost_during_an_upload
        data_connection_never_comes
        deleted_while_it_is_read
        directories
        download
        download_broken
        drain
        epsv_all
        facts_changed
        feat
        feat_of_the_session
        filter_connect_drop
        filter_connect_reject
        filter_file_uploads
        filter_files
        filter_listings
        filter_patterns filter_login
        filter_login_account
        filter_login_locked_out
        login_long_names
        foreign_protocols
        greeting
        half_closed
        half_closed_in_a_line
        help
        home
        hook_and_abor
        hook_and_stat
        hook_answers
        hook_answers_clear_what_was_pending
        hook_behind_the_gate
        hook_closes
        hook_closes_during_a_transfer
        hook_generations
        hook_rewords
        hook_rewrites
        hook_rewrites_before_login
        host
        ipv4_mapped
        ipv6
        limits_sessions
        limits_sessions_of_an_address
        lines
        lines_telnet
        lines_too_long
        list
        list_hidden
        list_times
        list_too_many_entries
        login
        login_anonymous
        login_failures
        login_gate
        login_locked_out
        login_sessions_max
        login_undecided
        make_and_remove
        many_commands_during_a_transfer
        may_append_but_not_create
        may_append_only
        may_drop_box
        may_each
        may_nothing
        may_read_only
        mlsd
        mlst
        mode_z
        mode_z_corrupt
        names_are_octets
        names_outside
        names_with_line_ends
        nlst
        no_data_connection_set_up
        opts
        opts_mode_z_off
        passive
        passive_address_by_name
        passive_address_by_rule
        passive_address_fixed
        passive_address_unknown
        passive_outlives_a_refusal
        passive_peers
        passive_peers_of_a_listener
        passive_ports_exhausted
        pipelined
        quit_during_a_transfer
        range_download
        rein
        rein_during_a_transfer
        reload
        rename
        replaced_while_it_is_read
        rest
        rest_is_kept_across_setups_only
        rest_needs_octets
        resume_upload
        size_and_mdtm
        small_talk
        space
        stat_during_a_transfer
        stat_idle
        stat_path
        stat_path_too_long
        stop_now
        stou
        stou_at_the_same_time
        strangers
        strangers_who_vanish
        tls_hello_in_clear
        tls_not_here
        type_mode_stru
        unknown_and_missing
        upload
        upload_empty
        upload_interrupted_delete
        upload_interrupted_keep
        upload_refused;
    memory_only:
        active_firewall
        client_does_not_read
        data_accept_timeout
        download_order
        drain_too_slow
        filter_login_delay
        idle_time_stands_still
        idle_timeout
        login_delay
        login_timeout
        login_timeout_after_rein
        login_timeout_of_the_busy
        passive_address_elsewhere
        passive_of_a_listener
        passive_ports_in_range
        stall_download
        stall_upload;
}

fn scripts() -> Vec<Script> {
    let mut paths: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Script::load(path)).collect()
}

#[test]
fn every_transcript_is_played() {
    for (listed, memory_only) in [(BOTH, false), (MEMORY_ONLY, true)] {
        let listed: BTreeSet<_> = listed.iter().map(|name| (*name).to_owned()).collect();
        let scripts = scripts().into_iter();
        let fit = scripts.filter(|script| script.memory_only.is_some() == memory_only);
        let found: BTreeSet<_> = fit.map(|script| script.name).collect();
        let differences: Vec<_> = listed.symmetric_difference(&found).collect();
        assert!(differences.is_empty(), "memory only: {memory_only}; not listed: {differences:?}");
    }
}

#[test]
fn every_verb_is_in_a_transcript_and_every_missing_one_gets_502() {
    let scripts = scripts();
    let exchanges: Vec<_> = scripts.iter().flat_map(Script::exchanges).collect();
    for row in TABLE {
        let mut about = exchanges.iter().filter(|(line, _)| {
            let verb = line.split(|b| *b == b' ').next().unwrap_or_default();
            verb.eq_ignore_ascii_case(row.name.as_bytes())
        });
        if row.missing {
            let refused = about
                .any(|(_, reply)| reply.is_some_and(|reply| reply.source().starts_with("502 ")));
            assert!(refused, "{} is missing: a transcript must show its 502", row.name);
        } else {
            assert!(about.next().is_some(), "{} is in no transcript", row.name);
        }
    }
}
