//! The rows of a file that is imported.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use scrip_http::Instant;
use serde::Deserialize;

/// The columns that a file may have. `externalId` and `name` must be there.
const COLUMNS: [&str; 9] = [
    "externalId",
    "name",
    "plan",
    "allowance",
    "currency",
    "selfServicePlans",
    "purchased",
    "bonus",
    "bonusExpiresAt",
];

/// How many problems of a file are named.
const PROBLEMS_MAX: usize = 20;

/// One organisation. Fields that are empty are left out of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ImportRow {
    /// The operator's own id of it.
    pub(super) external_id: String,
    /// Its name.
    pub(super) name: String,
    /// Its plan.
    pub(super) plan: Option<String>,
    /// Its negotiated allowance.
    pub(super) allowance: Option<u64>,
    /// Its currency.
    pub(super) currency: Option<String>,
    /// Whether its own keys may choose a more expensive plan.
    pub(super) self_service_plans: Option<bool>,
    /// Purchased credits that it brings.
    pub(super) purchased: Option<u64>,
    /// Bonus credits that it brings.
    pub(super) bonus: Option<u64>,
    /// When the bonus credits expire.
    pub(super) bonus_expires_at: Option<String>,
}

/// Reads and checks a whole file, so that nothing is sent of one that is invalid.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<ImportRow>> {
    let reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file);
    let mut reader = reader.with_context(|| format!("cannot read {}", file.display()))?;
    let columns = reader.headers().context("the file has no header line")?.clone();
    for column in &columns {
        ensure!(
            COLUMNS.contains(&column),
            "the column `{column}` is unknown; a file may have {}",
            COLUMNS.join(", ")
        );
    }
    for needed in ["externalId", "name"] {
        ensure!(columns.iter().any(|column| column == needed), "the file has no column `{needed}`");
    }
    let (mut rows, mut problems, mut lines) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (place, row) in reader.deserialize::<ImportRow>().enumerate() {
        // The header is line 1.
        let line = place.saturating_add(2);
        match row {
            Ok(row) => {
                problems.extend(row.problem().map(|problem| format!("line {line}: {problem}")));
                if let Some(first) = lines.insert(row.external_id.clone(), line) {
                    problems.push(format!("line {line}: the externalId is that of line {first}, too"));
                }
                rows.push(row);
            }
            Err(error) => problems.push(format!("line {line}: {error}")),
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        problems.extend((more > 0).then(|| format!("and {more} more")));
        bail!("nothing was sent, because the file is invalid:\n{}", problems.join("\n"));
    }
    ensure!(!rows.is_empty(), "the file has no organisations");
    Ok(rows)
}

/// Checks that no bonus has expired at `now`.
pub(super) fn expire_later(rows: &[ImportRow], now: DateTime<Utc>) -> anyhow::Result<()> {
    let has_passed = |row: &&ImportRow| {
        let end = row.bonus_expires_at.as_deref().and_then(Instant::read);
        end.is_some_and(|Instant(end)| end <= now)
    };
    let passed: Vec<_> = rows.iter().filter(has_passed).map(|row| row.external_id.as_str()).collect();
    let shown = passed.iter().take(PROBLEMS_MAX).copied().collect::<Vec<_>>().join(", ");
    ensure!(
        passed.is_empty(),
        "nothing was sent, because {} rows have a bonusExpiresAt that has passed: {shown}",
        passed.len()
    );
    Ok(())
}

impl ImportRow {
    fn problem(&self) -> Option<&'static str> {
        let is_sendable = |id: &str| id.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let expires = self.bonus_expires_at.as_deref();
        if self.external_id.is_empty() || 255 < self.external_id.len() || !is_sendable(&self.external_id) {
            Some("externalId must have 1 to 255 visible ASCII characters")
        } else if self.name.is_empty() || 255 < self.name.chars().count() {
            Some("name must have 1 to 255 characters")
        } else if self.purchased == Some(0) || self.bonus == Some(0) {
            Some("credits must be at least 1; leave the field empty for none")
        } else if expires.is_some() && self.bonus.is_none() {
            Some("bonusExpiresAt needs bonus")
        } else if expires.is_some_and(|text| Instant::read(text).is_none()) {
            Some("bonusExpiresAt must be a time such as 2027-01-31T00:00:00Z")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<ImportRow>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("customers.csv");
        std::fs::write(&file, text).unwrap();
        read(&file).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_is_read_whole() {
        let text = "externalId,name,plan,allowance,purchased,bonus,bonusExpiresAt\n\
                    c-1, Altona Bank ,basic,,1000,5,2027-01-31T00:00:00Z\nc-2,\"Beta, Ltd\",,,,,\n";
        let first = ImportRow {
            external_id: "c-1".into(),
            name: "Altona Bank".into(),
            plan: Some("basic".into()),
            purchased: Some(1_000),
            bonus: Some(5),
            bonus_expires_at: Some("2027-01-31T00:00:00Z".into()),
            ..ImportRow::default()
        };
        let second =
            ImportRow { external_id: "c-2".into(), name: "Beta, Ltd".into(), ..ImportRow::default() };
        assert_eq!(rows(text), Ok(vec![first, second]));
    }

    #[test]
    fn an_invalid_file_names_its_lines() {
        for (text, expected) in [
            ("", "no column `externalId`"),
            ("externalId\nc-1\n", "no column `name`"),
            ("externalId,name\n", "no organisations"),
            ("externalId,name,credits\nc-1,A,5\n", "the column `credits` is unknown"),
            ("externalId,name\nc-1,A\nc-1,B\n", "line 3: the externalId is that of line 2, too"),
            ("externalId,name\nc-1,A\n,B\n", "line 3: externalId must have"),
            ("externalId,name\n\u{e4},B\n", "line 2: externalId must have"),
            ("externalId,name\nc-1,\n", "line 2: name must have"),
            ("externalId,name,bonus\nc-1,A,x\n", "line 2"),
            ("externalId,name,bonus\nc-1,A,0\n", "line 2: credits must be at least 1"),
            (
                "externalId,name,bonus,bonusExpiresAt\nc-1,A,,2027-01-31T00:00:00Z\n",
                "bonusExpiresAt needs bonus",
            ),
            ("externalId,name,bonus,bonusExpiresAt\nc-1,A,1,tomorrow\n", "line 2: bonusExpiresAt must be"),
            ("externalId,name\nc-1,A,B\n", "line 2"),
        ] {
            let problem = rows(text).unwrap_err();
            assert!(problem.contains(expected), "{text:?}: {problem}");
        }
        let many: String = (0..30).map(|_| ",x\n").collect();
        assert!(rows(&format!("externalId,name\n{many}")).unwrap_err().contains("and "));
    }
}
