//! The console over real sockets, on the real engine with the store in memory: what each role sees and may do, and what
//! nobody may do to it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

#[path = "console/aside.rs"]
mod aside;
#[path = "console/asked.rs"]
mod asked;
#[path = "console/asks.rs"]
mod asks;
#[path = "console/beside.rs"]
mod beside;
#[path = "console/browser.rs"]
mod browser;
#[path = "api/contract.rs"]
mod contract;
#[path = "console/drafts.rs"]
mod drafts;
#[path = "console/identity.rs"]
mod identity;
#[path = "console/live.rs"]
mod live;
#[path = "console/next.rs"]
mod next;
#[path = "console/pages.rs"]
mod pages;
#[path = "console/provider.rs"]
mod provider;
#[path = "console/reviewer.rs"]
mod reviewer;
#[path = "console/safety.rs"]
mod safety;
#[path = "console/signing_in.rs"]
mod signing_in;
#[path = "console/together.rs"]
mod together;
#[path = "console/troubles.rs"]
mod troubles;
#[path = "console/views.rs"]
mod views;
#[path = "api/world.rs"]
#[allow(dead_code, reason = "the API's tests use the rest of it")]
mod world;
#[path = "harness/wrapped_store.rs"]
mod wrapped_store;
