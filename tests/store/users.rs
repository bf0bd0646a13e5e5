//! People who sign in with a password, and tries that did not succeed.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::time::Time;
use mozhao::engine::ports::sessions::{LinkRow, Person, SessionRow};
use mozhao::engine::ports::store::StoreError;
use mozhao::engine::ports::users::{Tries, UserRow};
use tokio::sync::Barrier;

use super::world::{T0, World};

fn person(name: &str) -> Person {
    Person {
        name: name.into(),
        roles: vec!["reviewer".into()],
        processes: vec!["card_unbind".into()],
        review_roles: vec!["identity".into()],
    }
}

fn user(name: &str) -> UserRow {
    UserRow {
        person: person(name),
        password: "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into(),
        version: 1,
        created_at: T0,
        changed_at: T0,
        signed_in_at: None,
    }
}

fn session(number: u8, name: &str, at: Time) -> SessionRow {
    let expires_at = at.plus(Duration::from_hours(24));
    SessionRow { sha256: [number; 32], person: person(name), created_at: at, seen_at: at, expires_at, ended_at: None }
}

pub(super) async fn somebody_is_added_changed_and_removed(world: &World) {
    let users = world.store.sessions();
    assert!(users.add_user(&user("li")).await.unwrap());
    assert!(!users.add_user(&UserRow { created_at: Time(7), ..user("li") }).await.unwrap(), "the name is taken");
    assert!(users.add_user(&user("an")).await.unwrap());
    assert_eq!(users.user("li").await.unwrap(), user("li"));
    assert_eq!(users.users(9).await.unwrap(), [user("an"), user("li")], "by name");
    assert_eq!(users.users(1).await.unwrap(), [user("an")]);
    for nobody in ["wang", "Li", "l\0i", ""] {
        assert!(matches!(users.user(nobody).await, Err(StoreError::NotFound(_))), "{nobody:?}");
    }
    assert!(users.enter(1, &session(1, "li", Time(T0.0 + 1))).await.unwrap());
    assert_eq!(users.user("li").await.unwrap().signed_in_at, Some(Time(T0.0 + 1)));
    let link = LinkRow {
        sha256: [7; 32],
        person: person("li"),
        created_at: T0,
        expires_at: T0.plus(Duration::from_hours(1)),
        used_at: None,
        revoked_at: None,
    };
    users.add_link(&link).await.unwrap();
    let mut changed = user("li");
    changed.person.roles = vec!["operator".into()];
    changed.person.processes.clear();
    changed.password = "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$b3RoZXI".into();
    changed.changed_at = Time(T0.0 + 2);
    assert!(users.change_user(&changed).await.unwrap());
    assert!(!users.change_user(&changed).await.unwrap(), "it was another version's");
    let expected = UserRow { version: 2, signed_in_at: Some(Time(T0.0 + 1)), ..changed.clone() };
    assert_eq!(users.user("li").await.unwrap(), expected);
    assert_eq!(users.session(&[1; 32]).await.unwrap().ended_at, Some(Time(T0.0 + 2)), "rights were changed");
    assert_eq!(users.link(&[7; 32]).await.unwrap().revoked_at, Some(Time(T0.0 + 2)));
    assert!(!users.enter(1, &session(2, "li", Time(T0.0 + 3))).await.unwrap(), "the old password's version");
    assert!(users.enter(2, &session(3, "li", Time(T0.0 + 3))).await.unwrap());
    assert!(users.enter(1, &session(4, "an", Time(T0.0 + 3))).await.unwrap());
    assert!(users.remove_user("li", Time(T0.0 + 4)).await.unwrap());
    assert!(!users.remove_user("li", Time(T0.0 + 5)).await.unwrap());
    assert_eq!(users.session(&[3; 32]).await.unwrap().ended_at, Some(Time(T0.0 + 4)));
    assert_eq!(users.session(&[4; 32]).await.unwrap().ended_at, None, "somebody else's");
    assert!(!users.enter(2, &session(5, "li", Time(T0.0 + 6))).await.unwrap());
    assert!(!users.change_user(&expected).await.unwrap());
    assert!(matches!(users.add_user(&user("nul\0")).await, Err(StoreError::Data(_))));
}

pub(super) async fn nobody_gets_in_beside_their_own_removal(world: &World) {
    for round in 0..8_u8 {
        let name = format!("user{round}");
        assert!(world.store.sessions().add_user(&user(&name)).await.unwrap());
        let barrier = Arc::new(Barrier::new(2));
        let (store, meet, who) = (world.store.clone(), barrier.clone(), name.clone());
        let entering = tokio::spawn(async move {
            meet.wait().await;
            store.sessions().enter(1, &session(100 + round, &who, T0)).await.unwrap()
        });
        barrier.wait().await;
        assert!(world.store.sessions().remove_user(&name, Time(T0.0 + 9)).await.unwrap());
        let entered = entering.await.unwrap();
        let row = world.store.sessions().session(&[100 + round; 32]).await;
        match row {
            Ok(row) => assert!(entered && row.ended_at.is_some(), "a session outlived its person"),
            Err(_) => assert!(!entered),
        }
    }
}

pub(super) async fn tries_are_counted_one_after_the_other(world: &World) {
    let users = world.store.sessions();
    assert_eq!(users.tries(65_535).await.unwrap(), None);
    let tries = |failures, at| Tries { failures, last_at: Time(at) };
    assert!(users.count_try(65_535, None, tries(1, 5)).await.unwrap());
    assert!(!users.count_try(65_535, None, tries(1, 6)).await.unwrap(), "somebody was there before");
    assert!(!users.count_try(65_535, Some(tries(1, 4)), tries(2, 6)).await.unwrap());
    assert!(users.count_try(65_535, Some(tries(1, 5)), tries(2, 6)).await.unwrap());
    assert_eq!(users.tries(65_535).await.unwrap(), Some(tries(2, 6)));
    assert_eq!(users.tries(0).await.unwrap(), None);
    let barrier = Arc::new(Barrier::new(6));
    let racers = (0..6).map(|at| {
        let (store, barrier) = (world.store.clone(), barrier.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            store.sessions().count_try(65_535, Some(tries(2, 6)), tries(3, 10 + at)).await.unwrap()
        })
    });
    let mut counted = 0;
    for racer in racers.collect::<Vec<_>>() {
        counted += usize::from(racer.await.unwrap());
    }
    assert_eq!(counted, 1);
    users.forget_tries(65_535).await.unwrap();
    users.forget_tries(65_535).await.unwrap();
    assert_eq!(users.tries(65_535).await.unwrap(), None);
}
