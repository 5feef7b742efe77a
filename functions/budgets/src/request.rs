//! Budgets as callers send them.

use chrono::{DateTime, Utc};
use domain::{
    Allowed, Budget, BudgetAction, BudgetChange, BudgetFilter, BudgetId, BudgetLevel, BudgetPeriod,
    BudgetSubject, EntryId, KeyId, Operation, PriceList, Reference, Service, TeamId,
};
use scrip_http::{ApiError, OnlyField};
use serde::Deserialize;
use utoipa::ToSchema;

/// A budget to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "scope": "member", "id": "member_42", "limit": 100, "period": "day" }))]
pub(super) struct NewBudget {
    /// Whose spending it limits: organisation, team, member, key, customer, service or operation.
    #[schema(value_type = String)]
    scope: BudgetLevel,
    /// The team, member, key, customer, service or operation. Left out for the organisation.
    #[schema(value_type = Option<String>, max_length = 255)]
    id: Option<Reference>,
    /// Which part of that spending it limits; all of it if left out.
    only: Option<OnlyField>,
    /// How many credits a period may spend or hold.
    #[schema(value_type = u64, maximum = 1_000_000_000_000_u64)]
    limit: Allowed,
    /// day, week (from Monday on), month, in UTC; once for a limit that does not reset.
    #[schema(value_type = String)]
    period: BudgetPeriod,
    /// block (default): requests that would exceed the limit are refused. alert: they are not.
    #[schema(value_type = Option<String>)]
    action: Option<BudgetAction>,
    /// At which percentages of the limit the event budget.reached is sent, at most 10; 50, 80 and 100 if left out.
    #[schema(max_items = 10)]
    alert_at: Option<Vec<u8>>,
}

/// A change of a budget. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "limit": 200 }))]
pub(super) struct BudgetChanges {
    /// How many credits a period may spend or hold. What the present period has used stays used.
    #[schema(value_type = Option<u64>, maximum = 1_000_000_000_000_u64)]
    limit: Option<Allowed>,
    /// block or alert.
    #[schema(value_type = Option<String>)]
    action: Option<BudgetAction>,
    /// At which percentages of the limit the event budget.reached is sent, at most 10.
    #[schema(max_items = 10)]
    alert_at: Option<Vec<u8>>,
}

impl NewBudget {
    /// The budget that the request `id` creates.
    pub(super) fn budget(
        self,
        id: EntryId,
        prices: &PriceList,
        now: DateTime<Utc>,
    ) -> Result<Budget, ApiError> {
        let subject = subject(self.scope, self.id)?;
        if let (BudgetLevel::Operation, Some(name)) = (subject.level, &subject.id) {
            prices.price(name, now)?;
        }
        let only = self.only.map(OnlyField::filter).transpose()?;
        if let Some(BudgetFilter::Operation(operation)) = &only
            && let Ok(name) = Reference::try_from(operation.as_str().to_owned())
        {
            prices.price(&name, now)?;
        }
        let alert_at = self.alert_at.unwrap_or_else(|| Budget::ALERT_AT.to_vec());
        Ok(Budget {
            id: BudgetId::from(id),
            subject,
            only,
            limit: self.limit.into(),
            period: self.period,
            action: self.action.unwrap_or_default(),
            alert_at: Budget::thresholds(alert_at).map_err(|bad| ApiError::field("alertAt", bad))?,
            raises: vec![],
            created_at: id.time(),
        })
    }
}

impl BudgetChanges {
    pub(super) fn change(self) -> Result<BudgetChange, ApiError> {
        let alert_at = self.alert_at.map(Budget::thresholds).transpose();
        Ok(BudgetChange {
            limit: self.limit.map(Into::into),
            action: self.action,
            alert_at: alert_at.map_err(|bad| ApiError::field("alertAt", bad))?,
        })
    }
}

/// The subject of a budget, with an id of the format that its level has.
pub(super) fn subject(level: BudgetLevel, id: Option<Reference>) -> Result<BudgetSubject, ApiError> {
    let Some(id) = id else {
        return match level {
            BudgetLevel::Organisation => Ok(BudgetSubject::ORGANISATION),
            BudgetLevel::Team
            | BudgetLevel::Member
            | BudgetLevel::Key
            | BudgetLevel::Customer
            | BudgetLevel::Service
            | BudgetLevel::Operation => {
                Err(ApiError::field("id", format!("must name the {}", level.as_str())))
            }
        };
    };
    let text = id.as_str().to_owned();
    let checked = match level {
        BudgetLevel::Organisation => {
            return Err(ApiError::field("id", "must be left out for the scope organisation"));
        }
        BudgetLevel::Member | BudgetLevel::Customer => Ok(()),
        BudgetLevel::Team => TeamId::try_from(text).map(|_| ()).map_err(|bad| bad.to_string()),
        BudgetLevel::Key => KeyId::try_from(text).map(|_| ()).map_err(|bad| bad.to_string()),
        BudgetLevel::Operation => Operation::try_from(text).map(|_| ()).map_err(|bad| bad.to_string()),
        BudgetLevel::Service => match Service::ALL.iter().any(|service| service.as_str() == text) {
            true => Ok(()),
            false => Err("must be smartcheck, smartaccess, smartenroll, api or biometric".to_owned()),
        },
    };
    checked.map_err(|problem| ApiError::field("id", problem))?;
    Ok(BudgetSubject::part(level, &id))
}
