//! What an interrupted drawdown leaves: the right rows, numbers, totals and remainder.

use chrono::{DateTime, Duration, Utc};
use domain::{Direction, EntryId, Receipt, Remainder};

use crate::crash::drawdowns::{Interrupted, InterruptedAnswer, InterruptedDrawdown};

impl InterruptedDrawdown {
    pub(super) async fn is_sound(
        &self,
        act: Interrupted,
        answer: InterruptedAnswer,
        case: &str,
        at: DateTime<Utc>,
    ) {
        let rows = self.fixture.rows(self.id, at + Duration::minutes(1)).await;
        let name = match act {
            Interrupted::Refund | Interrupted::RefundLate | Interrupted::RefundReopens => "credit.refund",
            Interrupted::Hold => "credit.hold",
            Interrupted::CapturePart | Interrupted::CaptureAll => "credit.capture",
            Interrupted::Release | Interrupted::Expire => "credit.release",
            Interrupted::Batch | Interrupted::Partial | Interrupted::Once => "verification.standard",
        };
        let mut made: Vec<_> = rows.iter().filter(|row| row.entry.operation.as_str() == name).collect();
        made.reverse();
        let most = if act == Interrupted::Batch { 4 } else { 1 + usize::from(act == Interrupted::Partial) };
        assert!(made.is_empty() || made.len() == most, "{case}: {} lines", made.len());
        match answer {
            InterruptedAnswer::Lines(lines) if !lines.is_empty() => {
                assert_eq!(made, lines.iter().collect::<Vec<_>>(), "{case}");
            }
            InterruptedAnswer::MovedNothing => assert!(made.is_empty(), "{case}: {} lines", made.len()),
            InterruptedAnswer::Lines(_) | InterruptedAnswer::InDoubt => (),
        }
        let numbers: Vec<_> = rows.iter().rev().map(|row| row.sequence).collect();
        let account = self.fixture.ledger.account(self.id).await.unwrap().unwrap();
        assert_eq!(numbers, (1..=account.sequence).collect::<Vec<_>>(), "{case}");
        assert_eq!(self.fixture.ledger.watermark(self.id).await.unwrap(), account.sequence, "{case}");
        let mut held = 0;
        for row in rows.iter().filter(|row| row.is_hold()) {
            held += self
                .remainder(row.entry.id)
                .await
                .map_or(row.entry.amount.get(), |remainder| remainder.left().get());
        }
        assert_eq!(account.held.get(), held, "{case}");
        let this_month = |row: &&Receipt| account.period.start() <= row.entry.at;
        let spent = rows.iter().filter(this_month).filter(|row| row.may_be_refunded().is_ok());
        let spent: u64 = spent.map(|row| row.spent().get()).sum();
        let back = rows.iter().filter(|row| row.entry.operation.as_str() == "credit.refund");
        let back: u64 =
            if act == Interrupted::RefundLate { 0 } else { back.map(|row| row.entry.amount.get()).sum() };
        assert_eq!(account.used.get(), spent - back, "{case}");
        if let Some(from) = &self.from {
            let remainder = self.remainder(from.entry.id).await;
            assert!(remainder.iter().all(|remainder| remainder.open.is_none()), "{case}");
            let drawn: Vec<_> =
                remainder.iter().flat_map(|remainder| &remainder.made).map(|made| made.id).collect();
            let of =
                |row: &&Receipt| row.details.drawn.as_ref().is_some_and(|drawn| drawn.of == from.entry.id);
            let mut lines: Vec<_> = rows.iter().filter(of).map(|row| row.entry.id).collect();
            lines.reverse();
            assert_eq!(drawn, lines, "{case}");
        }
        let moved = |direction| {
            let parts = rows.iter().flat_map(|row| &row.entry.moves);
            parts.filter(|part| part.direction == direction).map(|part| part.amount.get()).sum::<u64>()
        };
        let left =
            account.lots.values().map(|lot| lot.left.get()).sum::<u64>() + account.subscription.left.get();
        assert_eq!(left + moved(Direction::Debit), moved(Direction::Credit), "{case}");
    }

    async fn remainder(&self, of: EntryId) -> Option<Remainder> {
        self.fixture.ledger.remainder(self.id, of).await.unwrap()
    }
}
