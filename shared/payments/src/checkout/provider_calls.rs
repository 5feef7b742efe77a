//! Calls to the payment provider for a purchase: charge, find, cancel.

use std::time::Duration;

use super::{Checkout, judged, unanswered};
use crate::{ChargeOrder, CustomerId, NoAnswer, PaymentId};
use domain::{Purchase, PurchaseCause, PurchaseDecision};
use store::{Fault, Moment, Organisation};

/// How long the provider may take to cancel or refund a payment. The deadline of the request limits all its calls together.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the provider may take to create a customer.
const CUSTOMER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the provider may take to find a charge.
const FIND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the provider may take to make a charge.
const CHARGE_TIMEOUT: Duration = Duration::from_secs(18);

/// The order of a charge; or that the provider did not answer when it was asked for a customer.
enum ProviderOrder {
    Ready(ChargeOrder),
    NoAnswer(NoAnswer),
}

impl Checkout<'_> {
    /// Orders the charge that the row has already counted.
    pub(super) async fn charge(
        &self,
        purchase: Purchase,
        moment: Moment,
    ) -> Result<(Purchase, PurchaseDecision), Fault> {
        let order = match self.order(&purchase, moment).await? {
            ProviderOrder::Ready(order) => order,
            ProviderOrder::NoAnswer(no_answer) => return Ok((purchase, unanswered(&no_answer))),
        };
        Ok(match self.deadline.call(CHARGE_TIMEOUT, self.provider.charge(&order)).await {
            Ok(payment) => judged(purchase, &payment, moment),
            Err(no_answer) => (purchase, unanswered(&no_answer)),
        })
    }

    /// Looks up the result of an earlier charge.
    pub(super) async fn find(
        &self,
        purchase: Purchase,
        moment: Moment,
    ) -> Result<(Purchase, PurchaseDecision), Fault> {
        let found = match self.order(&purchase, moment).await? {
            ProviderOrder::Ready(order) => self.deadline.call(FIND_TIMEOUT, self.provider.find(&order)).await,
            ProviderOrder::NoAnswer(no_answer) => Err(no_answer),
        };
        Ok(match found {
            Ok(Some(payment)) => judged(purchase, &payment, moment),
            Ok(None) => {
                let decision = purchase.not_found(moment.now);
                (purchase, decision)
            }
            Err(no_answer) => {
                let PurchaseDecision::Charge = purchase.decide_without_payment(moment.now) else {
                    return Ok((purchase, unanswered(&no_answer)));
                };
                (purchase, PurchaseDecision::Charge)
            }
        })
    }

    /// Cancels a payment that has waited too long, and returns the decision on its state after that.
    pub(super) async fn cancelled(
        &self,
        purchase: Purchase,
        decision: PurchaseDecision,
        moment: Moment,
    ) -> (Purchase, PurchaseDecision) {
        let PurchaseDecision::Cancel(id) = decision else { return (purchase, decision) };
        match self.deadline.call(CALL_TIMEOUT, self.provider.cancel(&id)).await {
            Ok(payment) => match judged(purchase, &payment, moment) {
                (purchase, PurchaseDecision::Cancel(_)) => (purchase, PurchaseDecision::Wait(None)),
                known => known,
            },
            Err(no_answer) => (purchase, unanswered(&no_answer)),
        }
    }

    async fn create_customer(&self, organisation: &Organisation) -> Result<Option<CustomerId>, NoAnswer> {
        let created = self.provider.create_customer(organisation.org, &organisation.name);
        self.deadline.call(CUSTOMER_TIMEOUT, created).await
    }

    /// Refunds a payment.
    pub(super) async fn refund_payment(&self, payment: &PaymentId) -> Result<(), NoAnswer> {
        self.deadline.call(CALL_TIMEOUT, self.provider.refund(payment)).await
    }

    /// The order for the provider, with the organisation's customer id there.
    async fn order(&self, purchase: &Purchase, moment: Moment) -> Result<ProviderOrder, Fault> {
        let org = purchase.id.account.org;
        let organisation = self.organisation(org, moment).await?;
        let customer = match organisation.customer {
            Some(customer) => Some(CustomerId(customer)),
            None => match self.create_customer(&organisation).await {
                Ok(Some(CustomerId(customer))) => {
                    Some(CustomerId(self.settings.add_customer(org, &customer).await?))
                }
                Ok(None) => None,
                Err(no_answer) => return Ok(ProviderOrder::NoAnswer(no_answer)),
            },
        };
        Ok(ProviderOrder::Ready(ChargeOrder {
            purchase: purchase.id,
            customer,
            method: purchase.method.clone(),
            price: purchase.offer.price,
            description: format!("{} credits", u64::from(purchase.offer.credits)),
            off_session: purchase.cause == PurchaseCause::AutoRecharge,
            made_at: purchase.made_at,
            payment: purchase.payment.clone(),
        }))
    }
}
