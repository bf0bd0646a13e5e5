//! The harness itself: private servers are real, keep what was committed through kill -9, and do not meet.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use futures_util::StreamExt;
use harness::postgres::{self, Postgres};
use harness::process::Mozhao;
use harness::rabbitmq::{self, Alarm, RabbitMq};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use sqlx::{Connection as _, PgConnection};

async fn channel(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, queue: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, arguments).await.unwrap();
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties).await.unwrap();
    assert!(confirm.await.unwrap().is_ack());
}

async fn consume_one(channel: &Channel, queue: &str) -> Vec<u8> {
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap();
    let delivery = consumer.next().await.unwrap().unwrap();
    assert!(delivery.ack(BasicAckOptions::default()).await.unwrap());
    delivery.data
}

async fn insert(url: &str, number: i64) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query("CREATE TABLE IF NOT EXISTS numbers (n BIGINT PRIMARY KEY)").execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO numbers VALUES ($1)").bind(number).execute(&mut connection).await.unwrap();
}

async fn numbers(url: &str) -> Vec<i64> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT n FROM numbers ORDER BY n").fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn two_tests_get_two_databases() {
    let (first, second) = (postgres::database().await, postgres::database().await);
    insert(first.url(), 1).await;
    insert(second.url(), 2).await;
    assert_eq!(numbers(first.url()).await, [1]);
    assert_eq!(numbers(second.url()).await, [2]);
}

#[tokio::test]
async fn two_tests_get_two_prefixes_on_a_broker() {
    let (first, second) = (rabbitmq::broker().await, rabbitmq::broker().await);
    assert_ne!(first.prefix, second.prefix);
    let (_connection, channel) = channel(&first.url).await;
    let queue = format!("{}.q", first.prefix);
    declare(&channel, &queue).await;
    publish(&channel, &queue, b"one").await;
    assert_eq!(consume_one(&channel, &queue).await, b"one");
}

#[tokio::test]
async fn kill_and_restart_of_postgres_keep_what_was_committed() {
    let (mut killed, other) = (Postgres::start().await, Postgres::start().await);
    let (url, other_url) = (killed.create_database().await, other.create_database().await);
    insert(&url, 1).await;
    insert(&other_url, 2).await;
    killed.kill();
    assert!(PgConnection::connect(&url).await.is_err());
    assert_eq!(numbers(&other_url).await, [2]);
    killed.restart().await;
    assert_eq!(numbers(&url).await, [1]);
    killed.stop().await;
    killed.restart().await;
    assert_eq!(numbers(&url).await, [1]);
}

#[tokio::test]
async fn kill_and_restart_of_rabbitmq_keep_what_was_confirmed() {
    let (mut killed, other) = tokio::join!(RabbitMq::start(), RabbitMq::start());
    let (killed_connection, killed_channel) = channel(&killed.url()).await;
    declare(&killed_channel, "q").await;
    killed.settle().await;
    publish(&killed_channel, "q", b"kept").await;
    let (_other_connection, other_channel) = channel(&other.url()).await;
    declare(&other_channel, "q").await;
    publish(&other_channel, "q", b"beside").await;
    killed.kill();
    drop((killed_channel, killed_connection));
    assert_eq!(consume_one(&other_channel, "q").await, b"beside");
    killed.restart().await;
    let (_connection, channel) = channel(&killed.url()).await;
    assert_eq!(consume_one(&channel, "q").await, b"kept");
    killed.stop().await;
}

#[tokio::test]
async fn a_vhost_and_a_memory_alarm() {
    let node = RabbitMq::start().await;
    let vhost = node.create_vhost().await;
    let (connection, channel) = channel(&vhost).await;
    declare(&channel, "q").await;
    node.raise(Alarm::Memory).await;
    let options = BasicPublishOptions::default();
    let publish = channel.basic_publish("".into(), "q".into(), options, b"late", BasicProperties::default());
    drop(publish.await);
    harness::wait::until_true("the connection to be blocked", std::time::Duration::from_secs(20), || {
        connection.status().blocked()
    })
    .await;
    node.clear(Alarm::Memory).await;
    assert_eq!(consume_one(&channel, "q").await, b"late");
}

#[tokio::test]
async fn the_program_runs_and_its_output_is_kept() {
    let output = Mozhao::new(["--version"]).output().await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
