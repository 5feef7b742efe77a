//! Who calls as an operator, with which duty.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::audit;
use super::identity::{Identified, OperatorCall, acts_for_none, identify, not_current};
use super::{ApiError, App};
use domain::{Denial, Duty, Principal};

/// An operator whose role includes the duty `D`. A request that does more than read needs a key that was read in the last
/// minute, also while the settings cannot be read, and is written into the audit log before it is carried out.
#[derive(Clone, Debug)]
pub struct Operator<D>(OperatorCall, PhantomData<D>);

impl<D> Deref for Operator<D> {
    type Target = OperatorCall;

    fn deref(&self) -> &OperatorCall {
        &self.0
    }
}

/// An operator whose key may be the last known one: for what must be possible while the settings cannot be read. If the
/// audit log cannot be written then, the request is carried out nevertheless.
#[derive(Clone, Debug)]
pub struct LastKnownOperator<D>(pub Operator<D>);

/// The duty that a route needs.
pub trait HasDuty: Send + Sync {
    /// The duty.
    const DUTY: Duty;
}

/// What a route lets an operator do.
pub mod duty {
    use super::{Duty, HasDuty};

    /// Read.
    #[derive(Clone, Copy, Debug)]
    pub enum Reading {}

    /// Help customers.
    #[derive(Clone, Copy, Debug)]
    pub enum Customers {}

    /// Move credits and money.
    #[derive(Clone, Copy, Debug)]
    pub enum Money {}

    /// Change the catalogue.
    #[derive(Clone, Copy, Debug)]
    pub enum Catalogue {}

    /// Manage operators' keys, and read the audit log.
    #[derive(Clone, Copy, Debug)]
    pub enum Operators {}

    impl HasDuty for Reading {
        const DUTY: Duty = Duty::Reading;
    }

    impl HasDuty for Customers {
        const DUTY: Duty = Duty::Customers;
    }

    impl HasDuty for Money {
        const DUTY: Duty = Duty::Money;
    }

    impl HasDuty for Catalogue {
        const DUTY: Duty = Duty::Catalogue;
    }

    impl HasDuty for Operators {
        const DUTY: Duty = Duty::Operators;
    }
}

impl<D: HasDuty> FromRequestParts<Arc<App>> for Operator<D> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let (operator, is_current) = operator(parts, app).await?;
        if parts.method.is_safe() {
            return Ok(operator);
        }
        if !is_current {
            return Err(not_current());
        }
        audit::begin(app, &operator, parts).await?;
        Ok(operator)
    }
}

impl<D: HasDuty> FromRequestParts<Arc<App>> for LastKnownOperator<D> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let (operator, _) = operator::<D>(parts, app).await?;
        if audit::begin(app, &operator, parts).await.is_err() {
            tracing::warn!(request = %operator.call.id, "the audit log cannot be written");
        }
        Ok(Self(operator))
    }
}

/// The operator who calls, and whether the key is current.
async fn operator<D: HasDuty>(parts: &mut Parts, app: &Arc<App>) -> Result<(Operator<D>, bool), ApiError> {
    let Identified { call, principal, is_current, is_outgoing, .. } = identify(parts, app).await?;
    match principal {
        Principal::Operator { key, role } if role.may(D::DUTY) => {
            acts_for_none(&parts.headers)?;
            Ok((Operator(OperatorCall { key, role, call }, PhantomData), is_current))
        }
        Principal::Operator { .. } if is_outgoing => Err(Denial::Outgoing.into()),
        Principal::Operator { role, .. } => Err(Denial::Role(role, D::DUTY).into()),
        Principal::Organisation { .. } => {
            Err(Denial::WrongSide("/admin/v1/ is for operators; use an operator's key").into())
        }
    }
}
