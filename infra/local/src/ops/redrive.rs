//! `scrip redrive`: sends the messages of a failure queue again.

use anyhow::{Context, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, QueueAttributeName};

/// How many messages SQS returns at once.
const AT_ONCE: i32 = 10;

/// How many seconds SQS waits for messages.
const WAIT_SECONDS: i32 = 2;

/// For how many seconds a received message is hidden from other receivers: long enough to send and delete it.
const HIDDEN_SECONDS: i32 = 60;

/// After how many empty answers in a row the queue counts as empty.
const EMPTY_MAX: u32 = 3;

/// After how many messages a line of progress is printed.
const MESSAGES_A_LINE: u64 = 100;

/// Sends the messages of the failure queue `from` to the queue `to`, at most `most` of them, and returns how many it
/// sent. A message is sent before it is deleted, so an interruption loses none; it may send one twice, which has no
/// effect. It sends no more messages than the queue had at the beginning, so a message that fails again is not sent
/// endlessly.
///
/// # Errors
/// When a queue fails. Messages sent before the failure stay sent; run it again for the rest.
pub async fn redrive(
    client: &Client,
    from: &str,
    to: &str,
    most: Option<u64>,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<u64> {
    ensure!(from != to, "the two queues are the same one");
    let found = count(client, from).await?;
    let most = most.unwrap_or(u64::MAX).min(found);
    print(&format!("{found} messages are there; {most} are sent again"));
    let (mut sent, mut empty) = (0_u64, 0_u32);
    while sent < most && empty < EMPTY_MAX {
        let wanted = i32::try_from(most.saturating_sub(sent)).unwrap_or(AT_ONCE).min(AT_ONCE);
        let received = client.receive_message().queue_url(from).max_number_of_messages(wanted);
        let received = received.wait_time_seconds(WAIT_SECONDS).visibility_timeout(HIDDEN_SECONDS);
        let received = received.send().await.context("cannot receive")?;
        let messages = received.messages.unwrap_or_default();
        empty = if messages.is_empty() { empty.saturating_add(1) } else { 0 };
        for message in messages {
            forward(client, from, to, message).await?;
            sent = sent.saturating_add(1);
            if sent.is_multiple_of(MESSAGES_A_LINE) {
                print(&format!("{sent} of {most}"));
            }
        }
    }
    print(&format!("{sent} messages were sent again"));
    Ok(sent)
}

async fn forward(client: &Client, from: &str, to: &str, message: Message) -> anyhow::Result<()> {
    let body = message.body.context("a message without a body")?;
    client.send_message().queue_url(to).message_body(body).send().await.context("cannot send")?;
    let delete = client.delete_message().queue_url(from).set_receipt_handle(message.receipt_handle);
    delete.send().await.context("cannot delete a message that was sent; it may be sent twice")?;
    Ok(())
}

/// The approximate number of messages in a queue.
pub(crate) async fn count(client: &Client, queue: &str) -> anyhow::Result<u64> {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let answer = client.get_queue_attributes().queue_url(queue).attribute_names(name.clone()).send().await;
    let answer = answer.with_context(|| format!("cannot read the attributes of {queue}"))?;
    let count = answer.attributes.and_then(|attributes| attributes.get(&name)?.parse().ok());
    count.context("the queue does not say how many messages it has")
}
