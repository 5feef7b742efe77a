use anyhow::{Context, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, QueueAttributeName};

/// How many messages SQS hands out at once.
const AT_ONCE: i32 = 10;

/// How many seconds SQS waits for messages that it has not found yet.
const WAIT_SECONDS: i32 = 2;

/// For how many seconds a message that was taken is hidden from others: by then it is sent and deleted.
const HIDDEN_SECONDS: i32 = 60;

/// How often one after the other nothing may be found until there is nothing.
const EMPTY_MAX: u32 = 3;

/// After how many messages it is told how far it is.
const A_WORD: u64 = 100;

/// Sends the messages of a queue of failures again: to the queue that they come from. A message is sent before it
/// is deleted, so what breaks off loses none and may send one twice, which does no harm. No more than were there at
/// the beginning: one that fails again does not go round and round. How many were sent.
///
/// # Errors
/// When a queue does not serve. What was sent by then stays sent; run it again for the rest.
pub async fn redrive(
    client: &Client,
    (from, to): (&str, &str),
    most: Option<u64>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<u64> {
    ensure!(from != to, "the two queues are the same one");
    let there = count(client, from).await?;
    let most = most.unwrap_or(u64::MAX).min(there);
    tell(&format!("{there} messages are there; {most} are sent again"));
    let (mut sent, mut empty) = (0_u64, 0_u32);
    while sent < most && empty < EMPTY_MAX {
        let wanted = i32::try_from(most.saturating_sub(sent)).unwrap_or(AT_ONCE).min(AT_ONCE);
        let taken = client.receive_message().queue_url(from).max_number_of_messages(wanted);
        let taken = taken.wait_time_seconds(WAIT_SECONDS).visibility_timeout(HIDDEN_SECONDS).send().await;
        let messages = taken.context("cannot receive")?.messages.unwrap_or_default();
        empty = if messages.is_empty() { empty.saturating_add(1) } else { 0 };
        for message in messages {
            forward(client, (from, to), message).await?;
            sent = sent.saturating_add(1);
            if sent.is_multiple_of(A_WORD) {
                tell(&format!("{sent} of {most}"));
            }
        }
    }
    tell(&format!("{sent} messages were sent again"));
    Ok(sent)
}

async fn forward(client: &Client, (from, to): (&str, &str), message: Message) -> anyhow::Result<()> {
    let body = message.body.context("a message without a body")?;
    client.send_message().queue_url(to).message_body(body).send().await.context("cannot send")?;
    let delete = client.delete_message().queue_url(from).set_receipt_handle(message.receipt_handle);
    delete.send().await.context("cannot delete what was sent; it may be sent twice")?;
    Ok(())
}

/// How many messages a queue has, about.
pub(crate) async fn count(client: &Client, queue: &str) -> anyhow::Result<u64> {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let asked = client.get_queue_attributes().queue_url(queue).attribute_names(name.clone()).send().await;
    let asked = asked.with_context(|| format!("cannot look at {queue}"))?;
    let count = asked.attributes.and_then(|attributes| attributes.get(&name)?.parse().ok());
    count.context("the queue does not say how many messages it has")
}
