use std::error::Error;
use std::time::Duration;

use chrono::DateTime;

use ports::Queue;

use super::{CustomerId, Order, Provider, RechargeRequest, Silence};
use domain::{
    BOUGHT_BY_RECHARGE, Cause, Details, Fingerprint, Paid, Payment, Purchase, PurchaseId, Reference, Stage,
    Step, Verdict, grant,
};
use store::{Claim, Errand, Fault, Ledger, Moment, Settings, Settled, Unsettled, random, system_key};

/// How many steps one drive takes at most: find, charge, grant, and some that rivals force.
const STEPS_MAX: u32 = 8;

/// How long the provider may take to find a charge, and to make one. Both together, for a caller who asks
/// again, leave a function time to answer within API Gateway's 30 seconds: after that it is silence.
const FIND_MOST: Duration = Duration::from_secs(5);
const CHARGE_MOST: Duration = Duration::from_secs(18);

/// How often a purchase that somebody else is finishing is looked at, and how long apart: for 300 ms in all,
/// many times what it takes.
const LOOKS_MAX: u32 = 12;
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Where credits are sold. It drives purchases: each step is written down before the provider is asked, so
/// that whoever finds an unfinished one knows what may have happened and finishes it.
///
/// Its steps lie deep below one another, so each keeps its future off the stack.
#[derive(Clone, Copy)]
pub struct Till<'a> {
    /// The money.
    pub ledger: &'a Ledger,
    /// Organisations.
    pub settings: &'a Settings,
    /// Who takes the payments of this mode.
    pub provider: &'a dyn Provider,
    /// Who is told of automatic purchases that are finished.
    pub recharges: &'a dyn Queue<RechargeRequest>,
}

/// What became of one step.
pub(super) enum After {
    /// Nothing more can be done now.
    Enough(Box<Purchase>),
    /// The next step of it, as it is now.
    Again(Box<Purchase>, Step),
}

impl Till<'_> {
    /// Begins a purchase and drives it as far as it goes. The row comes before the provider is asked, and
    /// the errand before the row: what is begun is finished by somebody.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] with [`Refusal::SpendingLimit`](domain::Refusal::SpendingLimit) when the organisation may not spend that much
    /// today. [`Unsettled::InProgress`] when somebody else is at work on it. [`Unsettled::Failed`] when it could
    /// not be begun; nothing was charged then. Once the provider may have been asked, there are no errors:
    /// the purchase comes back as it is known.
    pub async fn sell(&self, purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        let leased_until = Purchase::lease(moment.wall);
        let counted = Some(moment.now.date_naive());
        let begun = Purchase { charges: 1, leased_until, counted, ..purchase };
        self.count(&begun).await?;
        self.ledger.note(Errand::Purchase(begun.id), begun.look_at(moment.now)).await?;
        if let Some(existing) = self.ledger.begin_purchase(&begun).await? {
            self.uncount(&begun).await;
            return self.resume(existing, moment).await;
        }
        match Box::pin(self.drive(begun.clone(), Step::Charge, moment)).await {
            Ok(purchase) => Ok(purchase),
            Err(unsettled) => Ok(Box::pin(self.left(begun, &unsettled)).await),
        }
    }

    /// Goes on with a purchase that somebody has begun.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] when somebody else is at work on it; [`Unsettled::Failed`] when that can't
    /// be told.
    pub async fn resume(&self, purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        if purchase.next() == Step::Rest {
            // Whoever wrote that it has failed may have crashed before its owner was told.
            self.tell_of(&purchase, moment).await?;
            return Ok(purchase);
        }
        if purchase.is_leased(moment.wall) {
            return Err(Unsettled::InProgress);
        }
        let looks = purchase.looks.saturating_add(1);
        let leased = Purchase { looks, leased_until: Purchase::lease(moment.wall), ..purchase };
        let Some(leased) = self.ledger.save_purchase(&leased).await? else {
            return Err(Unsettled::InProgress);
        };
        match Box::pin(self.drive(leased.clone(), leased.next(), moment)).await {
            Ok(purchase) => Ok(purchase),
            Err(unsettled) => Ok(Box::pin(self.left(leased, &unsettled)).await),
        }
    }

    /// What is known of a purchase that could not be finished now. It stays pending, and the reconcile
    /// schedule finishes it.
    async fn left(&self, known: Purchase, unsettled: &Unsettled) -> Purchase {
        if let Unsettled::InProgress = unsettled
            && let Some(finished) = self.finished_by_another(known.id, |now| now.next() == Step::Rest).await
        {
            return finished;
        }
        tracing::warn!(purchase = %known.id.transaction, cause = unsettled as &dyn Error, "purchase left to reconcile");
        match self.ledger.purchase(known.id).await {
            Ok(Some(purchase)) if purchase.leased_until == known.leased_until => self.let_go(purchase).await,
            Ok(Some(purchase)) => purchase,
            Ok(None) | Err(_) => known,
        }
    }

    /// The purchase once another process has finished what was asked. The payment's own event may be at it just
    /// now: then it is finished a moment later, and the caller is spared a second request.
    pub(super) async fn finished_by_another(
        &self,
        id: PurchaseId,
        is_finished: impl Fn(&Purchase) -> bool,
    ) -> Option<Purchase> {
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK_AGAIN).await;
            let purchase = self.ledger.purchase(id).await.ok()??;
            if is_finished(&purchase) {
                return Some(purchase);
            }
        }
        None
    }

    /// Gives a lease of ours back: nobody is at work any more. It ends by itself where that fails.
    async fn let_go(&self, purchase: Purchase) -> Purchase {
        if purchase.next() == Step::Rest {
            return purchase;
        }
        let free = Purchase { leased_until: DateTime::UNIX_EPOCH, ..purchase.clone() };
        match self.ledger.save_purchase(&free).await {
            Ok(Some(free)) => free,
            Ok(None) | Err(_) => purchase,
        }
    }

    /// Takes the provider's word on a payment, whenever it comes. No lease is needed: what it proves is
    /// true whoever else is at work.
    ///
    /// # Errors
    /// As [`Ledger::settle`]; the word should then be given again.
    pub async fn hear(&self, payment: &Payment, moment: Moment) -> Result<Option<Purchase>, Unsettled> {
        let Some(id) = payment.purchase else { return Ok(None) };
        let Some(mut purchase) = self.ledger.purchase(id).await? else { return Ok(None) };
        for _ in 0..STEPS_MAX {
            let verdict = purchase.hear(payment, moment.now);
            match verdict {
                Verdict::Nothing => return Ok(Some(purchase)),
                // Whoever is at work finds that by itself.
                Verdict::Wait(_) if purchase.is_leased(moment.wall) => return Ok(Some(purchase)),
                Verdict::Grant
                | Verdict::Fail(_)
                | Verdict::Wait(_)
                | Verdict::Charge
                | Verdict::Cancel(_)
                | Verdict::Refund(_) => (),
            }
            match Box::pin(self.apply(named(purchase, payment), verdict, moment)).await? {
                After::Enough(purchase) => return Ok(Some(*purchase)),
                After::Again(again, _) => purchase = *again,
            }
        }
        Err(Fault::Busy.into())
    }

    /// Takes one step after the other.
    async fn drive(
        &self,
        mut purchase: Purchase,
        mut step: Step,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        for _ in 0..STEPS_MAX {
            let (known, verdict) = match step {
                Step::Rest => return Ok(purchase),
                Step::Return => return self.return_money(purchase).await,
                Step::Charge => Box::pin(self.charge(purchase, moment)).await?,
                Step::Find => Box::pin(self.find(purchase, moment)).await?,
            };
            match Box::pin(self.apply(known, verdict, moment)).await? {
                After::Enough(purchase) => return Ok(*purchase),
                After::Again(again, next) => (purchase, step) = (*again, next),
            }
        }
        Err(Fault::Busy.into())
    }

    /// Asks for the charge that the row has already counted.
    async fn charge(&self, purchase: Purchase, moment: Moment) -> Result<(Purchase, Verdict), Fault> {
        let answer = match self.order(&purchase).await? {
            Ok(order) => within(CHARGE_MOST, self.provider.charge(&order)).await,
            Err(silence) => Err(silence),
        };
        Ok(match answer {
            Ok(payment) => heard(purchase, &payment, moment),
            Err(silence) => (purchase, silent(&silence)),
        })
    }

    /// Asks what became of an earlier charge.
    async fn find(&self, purchase: Purchase, moment: Moment) -> Result<(Purchase, Verdict), Fault> {
        let found = match self.order(&purchase).await? {
            Ok(order) => within(FIND_MOST, self.provider.find(&order)).await,
            Err(silence) => Err(silence),
        };
        Ok(match found {
            Ok(Some(payment)) => heard(purchase, &payment, moment),
            Ok(None) => {
                let verdict = purchase.not_found(moment.now);
                (purchase, verdict)
            }
            Err(silence) => {
                let Verdict::Charge = purchase.unheard(moment.now) else {
                    return Ok((purchase, silent(&silence)));
                };
                (purchase, Verdict::Charge)
            }
        })
    }

    /// Does what follows from the provider's word.
    async fn apply(&self, purchase: Purchase, verdict: Verdict, moment: Moment) -> Result<After, Unsettled> {
        let (purchase, verdict) = Box::pin(self.given_up(purchase, verdict, moment)).await;
        let has_failed = matches!(verdict, Verdict::Fail(_));
        let is_granted = has_failed && !Box::pin(self.decide_failed(&purchase, moment)).await?;
        match verdict {
            Verdict::Grant => Box::pin(self.granted(purchase, moment)).await,
            // Somebody has heard that it is paid, and is granting it.
            Verdict::Fail(_) if is_granted => Box::pin(self.granted(purchase, moment)).await,
            Verdict::Fail(decline) => self.save(purchase, Stage::Failed(decline), moment).await,
            Verdict::Wait(link) => {
                // Nobody is at work any more.
                let waiting = Purchase { leased_until: DateTime::UNIX_EPOCH, ..purchase };
                self.save(waiting, Stage::Pending(link), moment).await
            }
            Verdict::Charge => {
                let counted = Purchase { charges: purchase.charges.saturating_add(1), ..purchase };
                let saved = self.ledger.save_purchase(&counted).await?.ok_or(Unsettled::InProgress)?;
                Ok(After::Again(saved.into(), Step::Charge))
            }
            Verdict::Refund(id) => Box::pin(self.paid_too_late(purchase, id, moment)).await,
            Verdict::Cancel(_) | Verdict::Nothing => {
                tracing::error!(purchase = %purchase.id.transaction, "the payment is not the one that was asked for");
                Ok(After::Enough(purchase.into()))
            }
        }
    }

    /// Has the provider cancel a payment that has waited too long, and goes by what it then is.
    async fn given_up(&self, purchase: Purchase, verdict: Verdict, moment: Moment) -> (Purchase, Verdict) {
        let Verdict::Cancel(id) = verdict else { return (purchase, verdict) };
        match self.provider.cancel(&id).await {
            Ok(payment) => match heard(purchase, &payment, moment) {
                // What still waits after that is looked at again.
                (purchase, Verdict::Cancel(_)) => (purchase, Verdict::Wait(None)),
                known => known,
            },
            Err(silence) => (purchase, silent(&silence)),
        }
    }

    /// Grants what was paid for. When it can't be granted, or was decided to have failed, the money goes back.
    async fn granted(&self, purchase: Purchase, moment: Moment) -> Result<After, Unsettled> {
        match Box::pin(self.grant(&purchase, moment)).await {
            Ok(settled) => self.save(purchase, Stage::Approved(settled.receipt.entry.id), moment).await,
            Err(Unsettled::Refused(refusal)) => {
                Box::pin(self.give_back(purchase, Some(&refusal), moment)).await
            }
            Err(Unsettled::KeyReused) => Box::pin(self.give_back(purchase, None, moment)).await,
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Grants what was paid for: once, however many find out, for they all post under one key.
    async fn grant(&self, purchase: &Purchase, moment: Moment) -> Result<Settled, Unsettled> {
        let Purchase { id, offer, .. } = purchase;
        let details = Details {
            price_version: Some(offer.version),
            paid: Some(Paid::by(purchase)),
            description: describe(purchase),
            key_id: purchase.key_id,
            request_id: purchase.request_id.clone(),
            ..Details::default()
        };
        let name = format!("purchase/{}", id.transaction);
        let key = system_key(&name)?;
        let wanted = purchase.grant();
        let asked = Fingerprint(name);
        self.ledger
            .settle(id.account, Claim::new(&key, &asked, &details), moment, |account, head| {
                grant(account, &wanted, head)
            })
            .await
    }

    /// Writes how far a purchase is; goes on with what somebody else has written meanwhile.
    pub(super) async fn save(
        &self,
        purchase: Purchase,
        stage: Stage,
        moment: Moment,
    ) -> Result<After, Unsettled> {
        let counted = purchase.counted.filter(|_| !matches!(stage, Stage::Failed(_)));
        let before = Purchase { stage, ..purchase };
        let uncounted_by = match before.counted == counted {
            true => before.uncounted_by.clone(),
            false => Some(format!("{:032x}", random())),
        };
        let closed = Purchase { counted, uncounted_by, ..before.clone() };
        let Some(saved) = self.ledger.save_purchase(&closed).await? else {
            let known = self.ledger.purchase(closed.id).await?;
            let known = known.ok_or_else(|| Fault::corrupt("a purchase", "it is gone"))?;
            let next = known.next();
            return Ok(After::Again(known.into(), next));
        };
        if saved.counted != before.counted {
            self.uncount(&before).await;
        }
        if let Err(fault) = self.tell_of(&saved, moment).await {
            tracing::warn!(purchase = %saved.id.transaction, cause = &fault as &dyn Error, "its errand tells that it has failed");
        }
        self.count_top_up(&saved).await;
        if saved.cause == Cause::Recharge
            && saved.next() == Step::Rest
            && let Err(error) = self.recharges.send(&RechargeRequest { account: saved.id.account }, 0).await
        {
            tracing::warn!(account = %saved.id.account, cause = &error as &dyn Error, "auto-recharge left to its errand");
        }
        Ok(After::Enough(saved.into()))
    }

    /// What the provider is asked, with the organisation's name there.
    async fn order(&self, purchase: &Purchase) -> Result<Result<Order, Silence>, Fault> {
        let org = purchase.id.account.org;
        let organisation = self.organisation(org).await?;
        let customer = match organisation.customer {
            Some(customer) => Some(CustomerId(customer)),
            None => match self.provider.enrol(org, &organisation.name).await {
                Ok(Some(CustomerId(customer))) => {
                    Some(CustomerId(self.settings.add_customer(org, &customer).await?))
                }
                Ok(None) => None,
                Err(silence) => return Ok(Err(silence)),
            },
        };
        Ok(Ok(Order {
            purchase: purchase.id,
            customer,
            method: purchase.method.clone(),
            price: purchase.offer.price,
            description: format!("{} credits", u64::from(purchase.offer.credits)),
            off_session: purchase.cause == Cause::Recharge,
            made_at: purchase.made_at,
            payment: purchase.payment.clone(),
        }))
    }
}

/// What is not answered in time is not answered.
async fn within<T>(most: Duration, call: impl Future<Output = Result<T, Silence>>) -> Result<T, Silence> {
    tokio::time::timeout(most, call).await.unwrap_or_else(|_| Err(Silence("it takes too long".to_owned())))
}

/// The purchase with what the provider calls it.
fn named(purchase: Purchase, payment: &Payment) -> Purchase {
    Purchase {
        payment: payment.id.clone().or(purchase.payment),
        receipt: payment.receipt.clone().or(purchase.receipt),
        ..purchase
    }
}

/// What follows from a payment, and the purchase with what the provider calls it.
fn heard(purchase: Purchase, payment: &Payment, moment: Moment) -> (Purchase, Verdict) {
    let verdict = purchase.hear(payment, moment.now);
    (named(purchase, payment), verdict)
}

fn describe(purchase: &Purchase) -> Option<Reference> {
    let cause = match purchase.cause {
        Cause::Caller => return None,
        Cause::Recharge => BOUGHT_BY_RECHARGE,
    };
    Reference::try_from(cause.to_owned()).ok()
}

fn silent(silence: &Silence) -> Verdict {
    tracing::warn!(cause = silence as &dyn Error, "no answer from the payment provider");
    Verdict::Wait(None)
}
