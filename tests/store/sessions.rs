//! Links, sessions, and who has looked at what is masked.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::time::Time;
use mozhao::engine::ports::sessions::{LinkRow, LookFilter, LookRow, Person, SessionRow};
use mozhao::engine::ports::store::StoreError;
use tokio::sync::Barrier;

use super::world::{T0, World};

const HOUR: Duration = Duration::from_hours(1);

fn person(name: &str) -> Person {
    Person {
        name: name.into(),
        roles: vec!["reviewer".into(), "operator".into()],
        processes: vec!["card_unbind".into()],
        review_roles: vec!["identity".into()],
    }
}

fn link(number: u8, name: &str) -> LinkRow {
    LinkRow {
        sha256: [number; 32],
        person: person(name),
        created_at: T0,
        expires_at: T0.plus(HOUR),
        used_at: None,
        revoked_at: None,
    }
}

fn session(number: u8, name: &str, at: Time) -> SessionRow {
    SessionRow {
        sha256: [number; 32],
        person: person(name),
        created_at: at,
        seen_at: at,
        expires_at: at.plus(HOUR * 24),
        ended_at: None,
    }
}

pub(super) async fn a_link_is_used_once(world: &World) {
    let sessions = world.store.sessions();
    let row = link(1, "li");
    sessions.add_link(&row).await.unwrap();
    assert_eq!(sessions.link(&[1; 32]).await.unwrap(), row);
    assert!(matches!(sessions.link(&[9; 32]).await, Err(StoreError::NotFound(_))));
    assert!(!sessions.redeem(&[9; 32], &session(9, "li", T0)).await.unwrap());
    assert!(!sessions.redeem(&[1; 32], &session(8, "li", T0.plus(HOUR))).await.unwrap(), "its time is over");
    assert!(matches!(sessions.session(&[8; 32]).await, Err(StoreError::NotFound(_))));
    let barrier = Arc::new(Barrier::new(6));
    let racers = (10..16_u8).map(|number| {
        let (store, barrier) = (world.store.clone(), barrier.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            store.sessions().redeem(&[1; 32], &session(number, "li", Time(T0.0 + 5))).await.unwrap()
        })
    });
    let mut winners = Vec::new();
    for (number, racer) in (10..16_u8).zip(racers.collect::<Vec<_>>()) {
        if racer.await.unwrap() {
            winners.push(number);
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(sessions.link(&[1; 32]).await.unwrap().used_at, Some(Time(T0.0 + 5)));
    assert_eq!(sessions.sessions(9).await.unwrap(), [session(winners[0], "li", Time(T0.0 + 5))]);
}

pub(super) async fn rights_are_those_of_now(world: &World) {
    let (store, sessions) = (&world.store, world.store.sessions());
    assert_eq!(sessions.rights_of("li", T0).await.unwrap(), []);
    // Who came by a link: signed out is not revoked.
    sessions.add_session(&session(1, "li", T0)).await.unwrap();
    let mut other = session(2, "li", T0.plus(HOUR));
    other.person.roles = vec!["auditor".into()];
    sessions.add_session(&other).await.unwrap();
    assert_eq!(sessions.rights_of("li", T0).await.unwrap(), std::slice::from_ref(&other.person), "as they came in last");
    sessions.end_session(&[2; 32], T0).await.unwrap();
    assert_eq!(sessions.rights_of("li", T0).await.unwrap(), [other.person]);
    assert_eq!(sessions.rights_of("li", T0.plus(HOUR * 25)).await.unwrap(), []);
    sessions.end_sessions_of("li", T0.plus(HOUR)).await.unwrap();
    assert_eq!(sessions.rights_of("li", T0).await.unwrap(), []);
    // And with a token.
    let token = mozhao::engine::ports::records::TokenRow {
        name: "li".into(),
        sha256: [7; 32],
        roles: vec!["reviewer".into(), "operator".into()],
        processes: vec!["card_unbind".into()],
        review_roles: vec!["identity".into()],
        created_at: T0,
        expires_at: Some(T0.plus(HOUR)),
        revoked_at: None,
    };
    store.add_token(&token).await.unwrap();
    assert_eq!(sessions.rights_of("li", T0).await.unwrap(), [person("li")]);
    assert_eq!(sessions.rights_of("li", T0.plus(HOUR)).await.unwrap(), []);
    store.revoke_token("li", T0).await.unwrap();
    assert_eq!(sessions.rights_of("li", T0).await.unwrap(), []);
}

pub(super) async fn sessions_end(world: &World) {
    let sessions = world.store.sessions();
    for (number, name) in [(1, "li"), (2, "li"), (3, "wang")] {
        sessions.add_link(&link(number, name)).await.unwrap();
        let at = Time(T0.0 + i64::from(number));
        assert!(sessions.redeem(&[number; 32], &session(number, name, at)).await.unwrap());
    }
    sessions.session_seen(&[1; 32], Time(T0.0 + 50)).await.unwrap();
    sessions.session_seen(&[1; 32], Time(T0.0 + 40)).await.unwrap();
    assert_eq!(sessions.session(&[1; 32]).await.unwrap().seen_at, Time(T0.0 + 50), "time does not go back");
    sessions.end_session(&[1; 32], Time(T0.0 + 60)).await.unwrap();
    sessions.end_session(&[1; 32], Time(T0.0 + 70)).await.unwrap();
    assert_eq!(sessions.session(&[1; 32]).await.unwrap().ended_at, Some(Time(T0.0 + 60)), "since the first time");
    sessions.add_link(&link(4, "li")).await.unwrap();
    assert_eq!(sessions.end_sessions_of("li", Time(T0.0 + 80)).await.unwrap(), 2, "one session and one unused link");
    assert_eq!(sessions.end_sessions_of("li", Time(T0.0 + 90)).await.unwrap(), 0);
    assert_eq!(sessions.session(&[2; 32]).await.unwrap().ended_at, Some(Time(T0.0 + 80)));
    assert_eq!(sessions.link(&[4; 32]).await.unwrap().revoked_at, Some(Time(T0.0 + 80)));
    assert!(!sessions.redeem(&[4; 32], &session(4, "li", Time(T0.0 + 95))).await.unwrap());
    assert_eq!(sessions.session(&[3; 32]).await.unwrap().ended_at, None);
    let listed: Vec<u8> = sessions.sessions(2).await.unwrap().iter().map(|row| row.sha256[0]).collect();
    assert_eq!(listed, [3, 2], "newest first");
}

pub(super) async fn links_and_sessions_are_swept_and_looks_stay(world: &World) {
    let sessions = world.store.sessions();
    for number in 1..=3 {
        sessions.add_link(&link(number, "li")).await.unwrap();
        assert!(sessions.redeem(&[number; 32], &session(number, "li", T0)).await.unwrap());
    }
    let look = LookRow {
        id: world.id(),
        at: T0,
        by: "li".into(),
        request: world.id(),
        field: "/phone".into(),
        reason: "call back".into(),
    };
    sessions.add_look(&look).await.unwrap();
    assert_eq!(sessions.sweep_sessions(T0.plus(HOUR), 9).await.unwrap(), 0);
    assert_eq!(sessions.sweep_sessions(T0.plus(HOUR * 2), 2).await.unwrap(), 2, "links, two at a time");
    assert_eq!(sessions.sweep_sessions(T0.plus(HOUR * 25), 9).await.unwrap(), 4);
    assert_eq!(sessions.looks(&LookFilter::default(), None, 9).await.unwrap(), [look]);
}

pub(super) async fn looks_are_listed(world: &World) {
    let sessions = world.store.sessions();
    let (one, two) = (world.id(), world.id());
    let mut rows = Vec::new();
    for (by, request) in [("li", one), ("wang", one), ("li", two)] {
        let (field, reason) = ("/id_number".to_owned(), "a \"quoted\" 原因".to_owned());
        let row = LookRow { id: world.id(), at: T0, by: by.into(), request, field, reason };
        sessions.add_look(&row).await.unwrap();
        rows.insert(0, row);
    }
    let list = async |by: Option<&str>, request, before, limit| {
        sessions.looks(&LookFilter { by: by.map(str::to_owned), request }, before, limit).await.unwrap()
    };
    assert_eq!(list(None, None, None, 9).await, rows, "newest first");
    assert_eq!(list(None, None, None, 2).await, rows[..2]);
    assert_eq!(list(None, None, Some(rows[1].id), 9).await, rows[2..]);
    assert_eq!(list(Some("li"), None, None, 9).await, [rows[0].clone(), rows[2].clone()]);
    assert_eq!(list(None, Some(one), None, 9).await, rows[1..]);
    assert_eq!(list(Some("wang"), Some(one), None, 9).await, rows[1..2]);
    let nul = LookRow { reason: "\0".into(), id: world.id(), ..rows[0].clone() };
    assert!(matches!(sessions.add_look(&nul).await, Err(StoreError::Data(_))));
}
