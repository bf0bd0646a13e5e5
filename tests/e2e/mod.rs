//! What is tested here is what no part can promise alone: that nothing is lost, doubled, reordered or forgotten between
//! a producer's confirm and the outcome's event, while processes and servers die.
//!
//! [`world`] starts everything, [`broker`] is the outside (producers and whoever listens), [`bank`] says who and what is
//! asked for, [`books`] checks the promises G1 to G12 after the dust has settled. The other files are the cases.

#![allow(unreachable_pub, dead_code, reason = "the modules of one test program; the chaos suite uses them, too")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

mod bank;
mod books;
mod broker;
mod client;
mod evidence;
mod ledgers;
mod readers;
mod rest;
mod witness;
mod world;

mod backlog;
mod crowd;
mod embedded;
mod fence;
mod freeze;
mod outages;
mod poison;
mod races;
mod reviewers;
mod stopping;
mod story;
