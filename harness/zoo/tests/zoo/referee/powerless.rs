//! A Toxiproxy without power: its admin API takes every order and reads every one back, and behind
//! it plain forwarders pass everything on.

use super::forwarder::Forwarder;
use crate::bench::Ran;
use crate::case::Case;
use crate::stacks;
use crate::turn::Turn;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// Runs the case with it in Toxiproxy's place.
pub fn run(case: &Case, turn: &Turn) -> Ran {
    let runtime = Runtime::new().unwrap();
    let mut stack = stacks::of(turn).clone();
    stack.toxiproxy_url = runtime.block_on(serve());
    turn.run_on(&stack, case.defect, &case.scenario(), |_| {})
}

struct Proxy {
    told: Map<String, Value>,
    toxics: Vec<Value>,
    _forwarder: Forwarder,
}

impl Proxy {
    fn described(&self) -> Json<Value> {
        let mut described = self.told.clone();
        described.insert("toxics".to_owned(), self.toxics.clone().into());
        Json(described.into())
    }
}

type Proxies = Arc<Mutex<BTreeMap<String, Proxy>>>;
type Answer = Result<Json<Value>, StatusCode>;

/// Serves for as long as the runtime lives; its URL.
async fn serve() -> String {
    let router = Router::new()
        .route("/version", get(|| async { Json(json!({"version": "0"})) }))
        .route("/proxies", get(list).post(create))
        .route("/proxies/{name}", get(inspect).patch(change).delete(delete))
        .route("/proxies/{name}/toxics", axum::routing::post(add))
        .route(
            "/proxies/{name}/toxics/{toxic}",
            get(read_back).delete(remove),
        )
        .with_state(Proxies::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn list(State(proxies): State<Proxies>) -> Json<Value> {
    let proxies = proxies.lock().await;
    let all = proxies
        .iter()
        .map(|(name, proxy)| (name.clone(), proxy.described().0));
    Json(all.collect::<Map<_, _>>().into())
}

async fn create(
    State(proxies): State<Proxies>,
    Json(told): Json<Map<String, Value>>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    let forwarder = Forwarder::start(&text("listen"), text("upstream")).await;
    let proxy = Proxy {
        _forwarder: forwarder.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?,
        toxics: Vec::new(),
        told: told.clone(),
    };
    let described = proxy.described();
    proxies.lock().await.insert(text("name"), proxy);
    Ok((StatusCode::CREATED, described))
}

async fn inspect(State(proxies): State<Proxies>, Path(name): Path<String>) -> Answer {
    let proxies = proxies.lock().await;
    proxies
        .get(&name)
        .map(Proxy::described)
        .ok_or(StatusCode::NOT_FOUND)
}

/// `{"enabled": false}` is noted down, and that is all.
async fn change(
    State(proxies): State<Proxies>,
    Path(name): Path<String>,
    Json(told): Json<Map<String, Value>>,
) -> Answer {
    let mut proxies = proxies.lock().await;
    let proxy = proxies.get_mut(&name).ok_or(StatusCode::NOT_FOUND)?;
    proxy.told.extend(told);
    Ok(proxy.described())
}

async fn delete(State(proxies): State<Proxies>, Path(name): Path<String>) -> StatusCode {
    match proxies.lock().await.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// So is a toxic.
async fn add(
    State(proxies): State<Proxies>,
    Path(name): Path<String>,
    Json(toxic): Json<Value>,
) -> Answer {
    let mut proxies = proxies.lock().await;
    let proxy = proxies.get_mut(&name).ok_or(StatusCode::NOT_FOUND)?;
    proxy.toxics.push(toxic.clone());
    Ok(Json(toxic))
}

async fn read_back(
    State(proxies): State<Proxies>,
    Path((name, toxic)): Path<(String, String)>,
) -> Answer {
    let proxies = proxies.lock().await;
    let mut toxics = proxies
        .get(&name)
        .into_iter()
        .flat_map(|proxy| &proxy.toxics);
    let found = toxics.find(|there| there["name"] == toxic.as_str());
    found.cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn remove(
    State(proxies): State<Proxies>,
    Path((name, toxic)): Path<(String, String)>,
) -> StatusCode {
    if let Some(proxy) = proxies.lock().await.get_mut(&name) {
        proxy.toxics.retain(|there| there["name"] != toxic.as_str());
    }
    StatusCode::NO_CONTENT
}
