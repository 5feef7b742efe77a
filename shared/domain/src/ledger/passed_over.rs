//! Lots that have credits and cannot pay for a debit.

use chrono::{DateTime, Utc};

use crate::{Account, Credits, LotId, Service, Source};

/// A lot that has credits and cannot pay for a debit that was refused for lack of credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedOverLot {
    /// The lot.
    pub lot: LotId,
    /// Its source.
    pub source: Source,
    /// The credits that it has.
    pub amount: Credits,
    /// Why it cannot pay.
    pub reason: PassedOverReason,
}

/// Why a lot cannot pay for a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOverReason {
    /// It pays only for debits of this service.
    OtherService(Service),
    /// It ended at this instant, and its expiry is not booked yet.
    Expired(DateTime<Utc>),
    /// A dispute of their purchase has set its credits aside.
    Disputed,
}

impl Account {
    /// The lots that have credits and cannot pay at `now` for debits of any of these services (`None` is a debit without
    /// one): granted lots by age, then credits that disputes have set aside.
    #[must_use]
    pub fn passed_over(&self, services: &[Option<Service>], now: DateTime<Utc>) -> Vec<PassedOverLot> {
        let lots = self.lots.iter().filter(|(_, lot)| !lot.left.is_zero());
        let lots = lots.filter(|(_, lot)| !services.iter().any(|service| lot.pays_for(*service, now)));
        let lots = lots.filter_map(|(id, lot)| {
            let ended = lot.expires_at.filter(|end| *end <= now).map(PassedOverReason::Expired);
            let reason = ended.or(lot.service.map(PassedOverReason::OtherService))?;
            Some(PassedOverLot { lot: LotId::Granted(*id), source: lot.source, amount: lot.left, reason })
        });
        let aside = self.disputes.values().filter(|dispute| !dispute.aside.is_zero());
        let aside = aside.map(|dispute| PassedOverLot {
            lot: LotId::Granted(dispute.lot),
            source: Source::Purchased,
            amount: dispute.aside,
            reason: PassedOverReason::Disputed,
        });
        lots.chain(aside).collect()
    }
}
