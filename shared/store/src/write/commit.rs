//! The conditional write of an account.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::write::expression::Expression;
use domain::{Account, Posting};

/// How one attempt to post ended.
#[derive(Debug)]
pub(crate) enum Commit {
    /// It was written; the account after it.
    Landed(Account),
    /// A guard did not hold and nothing was written; the current account.
    Lost(Account),
    /// There is no such account.
    Missing,
    /// DynamoDB throttled the write and nothing was written.
    Throttled(Fault),
    /// Nothing was written, and a retry does not help.
    Refused(Fault),
    /// No answer says whether it was written. Never send it again: [`Ledger::resolve`] finds out.
    Doubtful(Fault),
}

impl Ledger {
    /// Writes `posting`, which was decided on `known`, in one conditional write, sent once. This write alone ensures
    /// that credits are never oversold.
    pub(crate) async fn commit(&self, known: &Account, posting: &Posting) -> Result<Commit, Fault> {
        let account = known.id;
        let mut update = Expression::of(posting, known)?;
        if let Some(shards) = self.heat.wanted(known, posting) {
            update.spread_rows(shards);
        }
        let request = self
            .once
            .client
            .update_item()
            .table_name(&self.once.name)
            .set_key(Some(Key::Account(account).attributes()))
            .update_expression(update.update())
            .condition_expression(update.condition())
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let sent = Box::pin(request.send()).await;
        let read = |item| self.read_account(account, item);
        match sent {
            Ok(answer) => Ok(match read(answer.attributes.unwrap_or_default()) {
                Ok(landed) => {
                    self.accounts.put(&landed);
                    Commit::Landed(landed)
                }
                // It has landed, so the answer must not be that nothing was moved.
                Err(fault) => Commit::Doubtful(fault),
            }),
            Err(SdkError::ServiceError(error)) => {
                if let UpdateItemError::ConditionalCheckFailedException(lost) = error.err() {
                    let Some(item) = lost.item.clone() else { return Ok(Commit::Missing) };
                    let known = read(item)?;
                    self.accounts.put(&known);
                    // A layer below sent it twice: this is the answer to the second one.
                    let landed = known.ends_with(posting.entry.id);
                    return Ok(if landed { Commit::Landed(known) } else { Commit::Lost(known) });
                }
                let outcome = classify(error.err().code(), error.raw().status().as_u16());
                Ok(outcome(fault(SdkError::ServiceError(error))))
            }
            Err(error @ SdkError::ConstructionFailure(_)) => Ok(Commit::Refused(fault(error))),
            Err(error) => Ok(Commit::Doubtful(fault(error))),
        }
    }
}

fn fault<R>(error: SdkError<UpdateItemError, R>) -> Fault
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    Fault::unavailable("post an entry", error)
}

/// Sorts the errors of DynamoDB: after a 400 nothing was written, after a 500 something may have been.
fn classify(code: Option<&str>, status: u16) -> fn(Fault) -> Commit {
    /// Errors that pass without a change of the request.
    const PASSING: [&str; 6] = [
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ReplicatedWriteConflictException",
    ];
    match code {
        Some(code) if PASSING.contains(&code) => Commit::Throttled,
        Some(_) if (400..500).contains(&status) => Commit::Refused,
        // An answer without a code of DynamoDB's comes from somewhere else.
        Some(_) | None => Commit::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_400_proves_that_nothing_was_written() {
        let outcome = |code, status| match classify(code, status)(Fault::Busy) {
            Commit::Throttled(_) => "try again",
            Commit::Refused(_) => "give up",
            Commit::Doubtful(_) => "in doubt",
            Commit::Landed(_) | Commit::Lost(_) | Commit::Missing => "impossible",
        };
        for (code, status, expected) in [
            (Some("ProvisionedThroughputExceededException"), 400, "try again"),
            (Some("ThrottlingException"), 400, "try again"),
            (Some("RequestLimitExceeded"), 400, "try again"),
            (Some("TransactionConflictException"), 400, "try again"),
            (Some("TransactionInProgressException"), 400, "try again"),
            (Some("ReplicatedWriteConflictException"), 400, "try again"),
            (Some("ValidationException"), 400, "give up"),
            (Some("ResourceNotFoundException"), 400, "give up"),
            (Some("AccessDeniedException"), 400, "give up"),
            (Some("ItemCollectionSizeLimitExceededException"), 400, "give up"),
            (Some("RequestExpired"), 403, "give up"),
            (Some("InternalServerError"), 500, "in doubt"),
            (Some("ServiceUnavailable"), 503, "in doubt"),
            (None, 400, "in doubt"),
            (None, 408, "in doubt"),
            (None, 500, "in doubt"),
            (None, 502, "in doubt"),
        ] {
            assert_eq!(outcome(code, status), expected, "{code:?} {status}");
        }
    }
}
