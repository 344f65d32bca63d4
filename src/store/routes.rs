//! Subscriptions and the routes that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::sql::{Row, Statement};
use super::{Store, StoreError, Transaction};
use crate::delivery::Route;

pub(super) static ADD_MODULE: Statement =
    Statement::new("INSERT INTO modules (name) VALUES ($1) ON CONFLICT (name) DO NOTHING");

pub(super) static DROP_SUBSCRIPTIONS: Statement =
    Statement::new("DELETE FROM subscriptions WHERE module = $1 AND NOT event_type {inT $2}");

pub(super) static ADD_SUBSCRIPTION: Statement = Statement::new(
    "INSERT INTO subscriptions (module, event_type) VALUES ($1, $2) ON CONFLICT (module, event_type) DO NOTHING",
);

pub(super) static SUBSCRIPTIONS: Statement =
    Statement::new("SELECT module, event_type FROM subscriptions ORDER BY event_type, module");

pub(super) static SUBSCRIBERS: Statement =
    Statement::new("SELECT module FROM subscriptions WHERE event_type = $1 ORDER BY module");

/// Types that were routed before, so that a type that lost its last subscriber gets an empty route.
pub(super) static ROUTED_TYPES: Statement = Statement::new("SELECT DISTINCT event_type FROM event_routes");

pub(super) static ADD_ROUTE: Statement = Statement::new(
    "INSERT INTO event_routes (event_type, modules) VALUES ($1, $2) ON CONFLICT (event_type, modules) DO NOTHING",
);

pub(super) static FIND_ROUTE: Statement =
    Statement::new("SELECT id FROM event_routes WHERE event_type = $1 AND modules = $2");

impl Store {
    /// Makes a module's subscriptions exactly `types`.
    pub(crate) async fn subscribe(&self, module: &str, types: &[&str]) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        transaction.run(&ADD_MODULE, crate::args![module]).await?;
        let kept: Vec<String> = types.iter().map(ToString::to_string).collect();
        transaction.run(&DROP_SUBSCRIPTIONS, crate::args![module, kept]).await?;
        for event_type in types {
            transaction.run(&ADD_SUBSCRIPTION, crate::args![module, *event_type]).await?;
        }
        transaction.commit().await
    }

    /// Ends all subscriptions of a module.
    pub(crate) async fn unsubscribe(&self, module: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        transaction.run(&DROP_SUBSCRIPTIONS, crate::args![module, Vec::<String>::new()]).await?;
        transaction.commit().await
    }

    /// Returns who subscribes to what: type and modules, in order.
    pub(crate) async fn subscriptions(&self) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
        let rows = self.read().await?.fetch(&SUBSCRIPTIONS, Vec::new()).await?;
        by_type(&rows)
    }

    /// Returns the route in force of every type that is or was subscribed to.
    pub(crate) async fn load_routes(&self) -> Result<Vec<Route>, StoreError> {
        let mut transaction = self.begin_write().await?;
        let subscribed = by_type(&transaction.query(&SUBSCRIPTIONS, Vec::new()).await?)?;
        let routed = transaction.query(&ROUTED_TYPES, Vec::new()).await?;
        let mut types: BTreeSet<String> = subscribed.keys().cloned().collect();
        for row in routed {
            types.insert(row.get("event_type")?);
        }
        let mut in_force = Vec::with_capacity(types.len());
        for event_type in types {
            let modules = subscribed.get(&event_type).cloned().unwrap_or_default();
            in_force.push(store_route(&mut transaction, &event_type, modules).await?);
        }
        transaction.commit().await?;
        Ok(in_force)
    }

    /// Returns the route in force of one type, which nobody may have asked for before.
    pub(crate) async fn route_for(&self, event_type: &str) -> Result<Route, StoreError> {
        let mut transaction = self.begin_write().await?;
        let route = self.route_within(&mut transaction, event_type).await?;
        transaction.commit().await?;
        Ok(route)
    }

    /// Returns the route in force of one type, stored in the caller's transaction if it is new.
    pub(crate) async fn route_within(
        &self,
        transaction: &mut Transaction,
        event_type: &str,
    ) -> Result<Route, StoreError> {
        let rows = transaction.query(&SUBSCRIBERS, crate::args![event_type]).await?;
        let modules = rows.iter().map(|row| row.get("module")).collect::<Result<_, _>>()?;
        store_route(transaction, event_type, modules).await
    }
}

fn by_type(rows: &[Row]) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        types.entry(row.get("event_type")?).or_default().push(row.get("module")?);
    }
    Ok(types)
}

/// Finds the row of a route, or adds it.
pub(super) async fn store_route(
    transaction: &mut Transaction,
    event_type: &str,
    modules: Vec<String>,
) -> Result<Route, StoreError> {
    let list = serde_json::Value::from(modules.clone());
    transaction.run(&ADD_ROUTE, crate::args![event_type, list.clone()]).await?;
    let rows = transaction.query(&FIND_ROUTE, crate::args![event_type, list]).await?;
    Ok(Route {
        id: rows.first().ok_or(StoreError::Sql(sqlx::Error::RowNotFound))?.get("id")?,
        event_type: event_type.into(),
        modules: modules.into_iter().map(Arc::from).collect(),
    })
}
