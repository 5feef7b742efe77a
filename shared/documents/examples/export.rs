//! Writes a file of generated transactions, to look at it, or to measure time and memory.
//!
//! `cargo run --profile bench -p scrip-documents --example export -- csv 1000000 PATH`

use std::error::Error;
use std::fs::File;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Balance, Credits, Currency, Details, Direction, Entry, EntryId, KeyId, LotId, Metadata, Money, Move,
    Operation, PaymentDetails, Period, PlanId, Quantity, Receipt, Reference, Source,
};
use scrip_documents::{Export, Fact, FileFormat, TransactionFile};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| arguments.next().ok_or(format!("name {name}"));
    let wanted = next("a format")?;
    let format = FileFormat::ALL.into_iter().find(|format| format.extension() == wanted);
    let format = format.ok_or("the formats are csv, jsonl, xlsx and pdf")?;
    let rows: u64 = next("a number of rows")?.parse()?;
    let path = next("a path")?;
    let path = Path::new(&path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let start = DateTime::from_timestamp(1_704_067_200, 0).unwrap_or_default();
    let export = Export {
        organisation: "Acme Verification Ltd".to_owned(),
        from: Some(start),
        until: start.checked_add_signed(TimeDelta::days(366)),
        filters: vec![Fact::new("Service", "all")],
        made_at: start,
        byte_order_mark: false,
    };
    let mut file = TransactionFile::new(format, export, folder, File::create(path)?)?;
    for number in 1..=rows {
        file.add(&receipt(number, start)?)?;
    }
    let finished = file.finish()?;
    eprintln!("{} rows, {} bytes", finished.totals.transactions, finished.out.metadata()?.len());
    Ok(())
}

/// A debit, or once in fifty rows a purchase.
fn receipt(number: u64, start: DateTime<Utc>) -> Result<Receipt, Box<dyn Error>> {
    let at = start.checked_add_signed(TimeDelta::seconds(i64::try_from(number)?)).unwrap_or(start);
    let id = EntryId::new(at, number.into());
    let is_purchase = number.is_multiple_of(50);
    let (operation, direction, amount) = match is_purchase {
        true => ("credit.purchase", Direction::Credit, Credits::try_from(500)?),
        false => {
            ("verification.standard", Direction::Debit, Credits::try_from(number.wrapping_rem(9).max(1))?)
        }
    };
    let (lot, source) = match number.wrapping_rem(3) {
        0 if !is_purchase => (LotId::Subscription(Period::of(at)), Source::Subscription),
        _ => (LotId::Granted(id), Source::Purchased),
    };
    let part = if is_purchase { Move::into(lot, source, amount) } else { Move::out(lot, source, amount) };
    let entry = Entry {
        id,
        at,
        operation: Operation::try_from(operation.to_owned())?,
        direction,
        amount,
        moves: vec![part],
        claim: None,
        switch: None,
        parts: vec![],
    };
    let details = details(number, is_purchase, id)?;
    Ok(Receipt { entry, sequence: number, details, balance: balance(number, at)? })
}

fn details(number: u64, is_purchase: bool, id: EntryId) -> Result<Details, Box<dyn Error>> {
    let reference = |kind: &str| Reference::try_from(format!("{kind}_{number:012}"));
    if is_purchase {
        let paid = PaymentDetails {
            transaction: id,
            method: reference("pm")?,
            price: Money::new(4_900, Currency::GBP)?,
            rate: None,
            package: None,
            payment: None,
            receipt: None,
        };
        return Ok(Details { paid: Some(paid), key_id: Some(KeyId::from(id)), ..Details::default() });
    }
    let pairs = [("batch".to_owned(), format!("import-{}", number.wrapping_rem(1_000)))];
    Ok(Details {
        quantity: Some(Quantity::ONE),
        price_version: Some(1),
        resource_id: Some(reference("verif")?),
        customer_id: Some(reference("cust")?),
        description: number.is_multiple_of(4).then(|| reference("Check of a tenant")).transpose()?,
        metadata: Metadata::try_from(std::collections::BTreeMap::from(pairs))?,
        key_id: Some(KeyId::from(id)),
        ..Details::default()
    })
}

fn balance(number: u64, at: DateTime<Utc>) -> Result<Balance, Box<dyn Error>> {
    Ok(Balance {
        subscription: Credits::ZERO,
        purchased: Credits::try_from(number.wrapping_mul(7).wrapping_rem(1_000_000))?,
        bonus: Credits::ZERO,
        used: Credits::ZERO,
        plan: PlanId("professional".to_owned()),
        unlimited: false,
        period: Period::of(at),
        post_paid: None,
        lapsed: Credits::ZERO,
        held: Credits::ZERO,
        disputed: Credits::ZERO,
        scoped: Credits::ZERO,
        expiring: vec![],
    })
}
