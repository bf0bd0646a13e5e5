//! Workers of two programs side by side: which versions of a process a worker takes up.

use std::sync::Arc;

use mozhao::domain::time::Time;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::records::ProcessRow;
use mozhao::engine::ports::store::Store;
use mozhao::engine::processes::Processes;
use mozhao::store::memory::MemoryStore;

use crate::support::TRANSFER;

#[tokio::test]
async fn a_newer_version_is_taken_up_where_its_connectors_are() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("transfer.yaml"), TRANSFER).unwrap();
    let store = MemoryStore::new(Arc::new(SystemClock));
    let connectors = ["bank", "post_office"].map(str::to_owned);
    let here = Processes::default();
    here.load(&store, Some(folder.path()), &connectors, Time(0)).await.unwrap();
    let published = |version: u32, connector: &str| ProcessRow {
        name: "transfer".into(),
        version,
        digest: version.to_string(),
        source: TRANSFER
            .replace("version: 1\n", &format!("version: {version}\n"))
            .replace("connector: bank", &format!("connector: {connector}")),
        published_at: Time(0),
    };
    store.publish_process(&published(2, "bank")).await.unwrap();
    store.publish_process(&published(3, "vault")).await.unwrap();
    here.learn(&store).await.unwrap();
    assert_eq!(here.latest("transfer").unwrap().version, 2, "3 names a connector that is not here");
    assert!(here.get("transfer", 3).is_none());
    // A worker that has only the newest in its folder still carries what began on an older one.
    std::fs::write(folder.path().join("transfer.yaml"), published(4, "post_office").source).unwrap();
    let next = Processes::default();
    next.load(&store, Some(folder.path()), &["post_office".to_owned()], Time(0)).await.unwrap();
    assert_eq!(next.versions("transfer").len(), 4);
}
