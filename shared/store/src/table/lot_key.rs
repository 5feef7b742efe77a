//! The name of a lot in the account's item: its id, bucket and terms in 23 to 32 characters, so that sixteen lots fit into
//! the kilobyte that one write unit pays for. The value under that name is what is left in the lot.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use domain::{Credits, EntryId, Lot, Service, Source, Terms};

/// How many characters an id takes.
const ID_CHARS: usize = 22;

/// The base in which ends are written.
const DIGITS: u32 = 36;

/// The name of a lot.
pub(crate) fn of(id: EntryId, lot: &Lot) -> String {
    format!("{}{}{}", short(id), bucket(lot.source), terms(lot.terms()))
}

/// Reads what [`of`] writes.
pub(crate) fn read(key: &str, left: Credits) -> Option<(EntryId, Lot)> {
    let (id, rest) = key.split_at_checked(ID_CHARS)?;
    let (letter, terms) = rest.split_at_checked(1)?;
    let Terms { service, expires_at } = read_terms(terms)?;
    Some((read_short(id)?, Lot { source: read_bucket(letter)?, left, service, expires_at }))
}

/// An id in 22 characters.
pub(crate) fn short(id: EntryId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id.bytes())
}

/// Reads what [`short`] writes.
pub(crate) fn read_short(text: &str) -> Option<EntryId> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.try_into().ok().map(EntryId::from_bytes)
}

/// Terms in at most eight characters: a letter for the service, and the end in seconds since 1970. Empty for terms without
/// any limit.
pub(crate) fn terms(terms: Terms) -> String {
    let service = terms.service.map_or('-', service);
    match (terms.service, terms.expires_at) {
        (None, None) => String::new(),
        (_, None) => service.to_string(),
        (_, Some(end)) => format!("{service}{}", digits(end.timestamp())),
    }
}

/// Reads what [`terms`] writes.
pub(crate) fn read_terms(text: &str) -> Option<Terms> {
    let Some((letter, end)) = text.split_at_checked(1) else { return text.is_empty().then(Terms::default) };
    let service = match letter {
        "-" => None,
        letter => Some(Service::ALL.into_iter().find(|known| service(*known).to_string() == letter)?),
    };
    let expires_at = match end {
        "" => None,
        end => Some(DateTime::<Utc>::from_timestamp(i64::from_str_radix(end, DIGITS).ok()?, 0)?),
    };
    Some(Terms { service, expires_at })
}

/// A letter for each bucket.
pub(crate) fn bucket(source: Source) -> char {
    match source {
        Source::Subscription => 's',
        Source::Purchased => 'p',
        Source::Bonus => 'b',
        Source::PostPaid => 'o',
    }
}

/// Reads what [`bucket`] writes.
pub(crate) fn read_bucket(letter: &str) -> Option<Source> {
    let all = [Source::Subscription, Source::Purchased, Source::Bonus, Source::PostPaid];
    all.into_iter().find(|source| bucket(*source).to_string() == letter)
}

fn service(service: Service) -> char {
    match service {
        Service::Smartcheck => 'c',
        Service::Smartaccess => 'a',
        Service::Smartenroll => 'e',
        Service::Api => 'i',
        Service::Biometric => 'b',
    }
}

fn digits(number: i64) -> String {
    let mut rest = u64::try_from(number).unwrap_or_default();
    let mut digits = Vec::new();
    loop {
        let digit = rest.checked_rem(DIGITS.into()).and_then(|digit| u32::try_from(digit).ok()).unwrap_or(0);
        digits.extend(char::from_digit(digit, DIGITS));
        rest = rest.checked_div(DIGITS.into()).unwrap_or(0);
        if rest == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lots_name_is_read_back_unchanged() {
        let id = EntryId::FIRST.after(987_654_321);
        let left = Credits::try_from(7).unwrap();
        let ends = ["1970-01-01T00:00:00Z", "2024-04-05T10:30:01Z", "9999-12-31T23:59:59Z"];
        let ends: Vec<_> = ends.iter().map(|end| Some(end.parse().unwrap())).chain([None]).collect();
        let services: Vec<_> = Service::ALL.into_iter().map(Some).chain([None]).collect();
        let mut names = std::collections::BTreeSet::new();
        for source in [Source::Purchased, Source::Bonus] {
            for service in &services {
                for expires_at in &ends {
                    let lot = Lot { source, left, service: *service, expires_at: *expires_at };
                    let name = of(id, &lot);
                    assert!(name.len() <= 32, "{name}");
                    assert_eq!(read(&name, left), Some((id, lot)), "{name}");
                    assert!(names.insert(name), "two lots have one name");
                }
            }
        }
        let id = short(id);
        for wrong in
            [String::new(), "x".into(), id.clone(), format!("{id}q"), format!("{id}pz"), format!("{id}p-!")]
        {
            assert_eq!(read(&wrong, left), None, "{wrong}");
        }
    }
}
