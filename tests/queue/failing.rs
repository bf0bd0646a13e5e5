//! A broker that dies, falls silent, or is short of memory. Each test has one of its own.

use std::time::{Duration, Instant};

use mozhao::engine::ports::broker::Taken;
use mozhao::queue::{Queue, QueueConfig};

use super::harness::rabbitmq::{Alarm, RabbitMq};
use super::harness::wait;
use super::support::{Raw, SOON, Sink, config, event, left};

#[tokio::test]
async fn kill_9_of_the_broker_loses_nothing_that_was_confirmed() {
    let mut broker = RabbitMq::start().await;
    let queue = Queue::start(config(&broker.url(), "mozhao")).unwrap();
    // Half of the messages wait for their commit when the broker dies.
    let sink = Sink::gated(30, |_, _| Taken::Stored);
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    queue.publishing().wait_up().await;
    let raw = Raw::new(&broker.url()).await;
    for number in 0..60 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    let publisher = queue.publisher();
    assert_eq!(publisher.publish(&[event("request.a.done", None)]).await, [true]);
    broker.settle().await;
    broker.kill();
    assert_eq!(publisher.publish(&[event("request.a.done", None)]).await, [false]);
    queue.consuming().wait_down().await;
    queue.publishing().wait_down().await;
    assert_eq!(publisher.publish(&[event("request.a.done", None)]).await, [false]);

    broker.restart().await;
    let open = Instant::now();
    queue.consuming().wait_up().await;
    let consuming = open.elapsed();
    queue.publishing().wait_up().await;
    // What had not been acknowledged comes again; what is still being taken holds its place until it ends.
    sink.gate.add_permits(1000);
    sink.wait(60).await;
    wait::until_true("all takes to end", SOON, || sink.running() == 0).await;
    assert_eq!(publisher.publish(&[event("request.a.done", None)]).await, [true]);
    queue.stop().await;
    assert_eq!(left(&broker.url(), &queue).await, 0);
    assert!(consuming < Duration::from_secs(5), "consuming {consuming:?} after the port opened");
}

#[tokio::test]
async fn silence_is_noticed_and_short_memory_blocks_no_acknowledgement() {
    let broker = RabbitMq::start().await;
    let settings = QueueConfig { publish_deadline: Duration::from_secs(2), ..config(&broker.url(), "mozhao") };
    let queue = Queue::start(settings).unwrap();
    let sink = Sink::gated(0, |_, _| Taken::Stored);
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    queue.publishing().wait_up().await;
    let (raw, publisher) = (Raw::new(&broker.url()).await, queue.publisher());
    for number in 0..10 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    wait::until_true("ten takes", SOON, || sink.running() == 10).await;

    broker.raise(Alarm::Memory).await;
    let start = Instant::now();
    let events: Vec<_> = (0..500).map(|_| event("request.a.done", None)).collect();
    assert_eq!(publisher.publish(&events).await, vec![false; 500]);
    assert!(start.elapsed() < Duration::from_secs(4), "the deadline holds: {:?}", start.elapsed());
    // The other connection still acknowledges: nothing is left when it is gone.
    sink.gate.add_permits(100);
    wait::until_true("all takes to end", SOON, || sink.running() == 0).await;
    queue.stop_consuming();
    queue.consuming().wait_down().await;
    broker.clear(Alarm::Memory).await;
    wait::until("events to be published again", SOON, async || publisher.publish(&events[..1]).await == [true]).await;
    assert_eq!(left(&broker.url(), &queue).await, 0);

    let start = Instant::now();
    broker.freeze();
    let link = queue.publishing();
    link.wait_down().await;
    let noticed = start.elapsed();
    broker.thaw();
    link.wait_up().await;
    wait::until("events to be published again", SOON, async || publisher.publish(&events[..1]).await == [true]).await;
    queue.stop().await;
    assert!(noticed < Duration::from_secs(15), "silence was noticed after {noticed:?}");
}
