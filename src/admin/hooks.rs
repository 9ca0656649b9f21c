//! Deliveries on the operator's side: what was sent to subscribers, and sending it again.

use axum::Json;
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, problem, unreadable};
use crate::ledger::{DeliveryFilter, Redrive};

/// Which of the dead ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dead {
    subscription: Option<String>,
}

/// The routes below `/hooks`.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/hooks/deliveries", get(deliveries))
        .route("/hooks/deliveries/redrive", post(redrive_dead))
        .route("/hooks/deliveries/{id}/redrive", post(redrive_one))
}

/// The newest deliveries, newest first; by the query `subscription` and `state`.
async fn deliveries(
    State(admin): State<Admin>,
    filter: Result<Query<DeliveryFilter>, QueryRejection>,
) -> Response {
    let Ok(Query(filter)) = filter else {
        let message =
            "The query takes subscription and state (pending, delivered, dead), each once.";
        return problem(StatusCode::BAD_REQUEST, "bad.request", message);
    };
    match admin.ledger.deliveries(filter).await {
        Ok(shown) => Json(shown).into_response(),
        Err(_) => unreadable(),
    }
}

async fn redrive_one(State(admin): State<Admin>, id: Result<Path<i64>, PathRejection>) -> Response {
    let again = match id {
        Ok(Path(id)) => admin.ledger.redrive(Redrive::One(id)).await,
        Err(_) => Ok(0),
    };
    match again {
        Ok(0) => problem(StatusCode::NOT_FOUND, "not.found", "There is no such delivery."),
        Ok(again) => Json(json!({ "redriven": again })).into_response(),
        Err(_) => unreadable(),
    }
}

/// Every dead one, or those of one subscription.
async fn redrive_dead(
    State(admin): State<Admin>,
    dead: Result<Query<Dead>, QueryRejection>,
) -> Response {
    let Ok(Query(dead)) = dead else {
        let message = "The query takes subscription, once.";
        return problem(StatusCode::BAD_REQUEST, "bad.request", message);
    };
    if let Some(name) = &dead.subscription {
        let filter = DeliveryFilter { subscription: Some(name.clone()), state: None };
        match admin.ledger.deliveries(filter).await {
            Ok(shown) if shown.knows(name) => {}
            Ok(_) => {
                let message = "There is no such subscription.";
                return problem(StatusCode::NOT_FOUND, "not.found", message);
            }
            Err(_) => return unreadable(),
        }
    }
    match admin.ledger.redrive(Redrive::Dead(dead.subscription)).await {
        Ok(again) => Json(json!({ "redriven": again })).into_response(),
        Err(_) => unreadable(),
    }
}
