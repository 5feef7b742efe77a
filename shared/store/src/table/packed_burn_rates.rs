//! The rates of API keys beside the watermark, in as few bytes as they fit in.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::table::error::Fault;
use domain::{BurnRate, BurnRates, KeyTag};

/// The rates, the least recently used key first.
#[derive(Serialize, Deserialize)]
struct PackedRates {
    /// The latest hour of any key.
    hour: u32,
    keys: Vec<PackedRate>,
}

#[derive(Serialize, Deserialize)]
struct PackedRate {
    tag: KeyTag,
    /// How many hours before the latest one.
    ago: u32,
    spent: u64,
    today: u64,
    yesterday: u64,
    busiest: u64,
    watched: u8,
    used: u8,
    quiet: u8,
}

/// The first byte of what is written: the format that follows.
const FORMAT: u8 = 1;

/// The rates as an attribute; `None` without any.
pub(crate) fn pack_burn_rates(rates: &BurnRates) -> Result<Option<AttributeValue>, Fault> {
    let rates = rates.rates();
    let Some(hour) = rates.iter().map(|(_, rate)| rate.hour).max() else { return Ok(None) };
    let keys = rates.iter().map(|(tag, rate)| {
        let BurnRate { spent, today, yesterday, busiest, watched, used, quiet, .. } = *rate;
        let ago = hour.saturating_sub(rate.hour);
        PackedRate { tag: *tag, ago, spent, today, yesterday, busiest, watched, used, quiet }
    });
    let packed = PackedRates { hour, keys: keys.collect() };
    let bytes = postcard::to_allocvec(&(FORMAT, packed))
        .map_err(|source| Fault::corrupt("the rates of keys to be written", source))?;
    Ok(Some(AttributeValue::B(Blob::new(bytes))))
}

/// Reads what [`pack_burn_rates`] writes; `None` if it is unreadable.
pub(crate) fn unpack_burn_rates(bytes: &Blob) -> Option<BurnRates> {
    let (format, PackedRates { hour, keys }): (u8, PackedRates) =
        postcard::from_bytes(bytes.as_ref()).ok()?;
    let rate = |packed: PackedRate| {
        let PackedRate { tag, ago, spent, today, yesterday, busiest, watched, used, quiet } = packed;
        let hour = hour.saturating_sub(ago);
        (tag, BurnRate { hour, spent, today, yesterday, busiest, watched, used, quiet })
    };
    (format == FORMAT).then(|| BurnRates::of(keys.into_iter().map(rate).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(count: u8, credits: u64) -> BurnRates {
        let rate = |number: u8| BurnRate {
            hour: 473_000 + u32::from(number),
            spent: credits,
            today: credits,
            yesterday: credits / 2,
            busiest: credits,
            watched: 255,
            used: number,
            quiet: 24,
        };
        BurnRates::of((0..count).map(|number| ([number; 6], rate(number))).collect())
    }

    fn packed(rates: &BurnRates) -> Blob {
        let Some(AttributeValue::B(bytes)) = pack_burn_rates(rates).unwrap() else { panic!("no bytes") };
        bytes
    }

    #[test]
    fn rates_read_as_they_were_written() {
        for rates in [rates(1, 0), rates(3, 250), rates(64, u64::MAX)] {
            assert_eq!(unpack_burn_rates(&packed(&rates)), Some(rates));
        }
        assert_eq!(pack_burn_rates(&BurnRates::default()).unwrap(), None);
        assert_eq!(unpack_burn_rates(&Blob::new(b"what".to_vec())), None);
    }

    /// What a watermark grows by: some 19 bytes for a key of a hundred credits an hour, 23 for one of ten thousand.
    #[test]
    fn a_key_takes_few_bytes() {
        let bytes = |count, credits| packed(&rates(count, credits)).as_ref().len();
        assert_eq!((bytes(1, 100), bytes(1, 10_000), bytes(3, 100)), (19, 23, 47));
        assert!(bytes(64, 10_000) <= 1_160, "{}", bytes(64, 10_000));
    }
}
