//! A small order service in memory, which keeps the contract but for one thing.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use relays::order::{Answer, ChangeRequest, ChangeType, Directive, OrderState};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use uuid::Uuid;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Nothing.
    None,
    NoHealth,
    /// The first version is 0.
    VersionsFromZero,
    /// 201, and not a word.
    BareCommits,
    /// One sequence for all orders gives the versions beyond the first.
    OneSequence,
    /// What is sent again is made again.
    ForgetsChanges,
    /// What is sent again is refused.
    RefusesRepeats,
    /// It looks whether a change is there, and writes it a little later.
    LooksThenWrites,
    /// It looks how many changes there are, and writes a little later.
    CountsThenWrites,
    /// An order that is not there begins with any change.
    TakesAnyOrder,
    TakesAnyState,
    /// What the state forbids takes a version all the same.
    RefusesAndCounts,
    PlacesAgain,
    /// A status without a body.
    BareRefusals,
    FailsOnMalformed,
    CommitsVetoes,
    RefusesVetoesAndCommits,
    DoesNotHold,
    SmallBodies,
    /// After each answer.
    HangsUp,
    /// The second waits until the first is closed.
    OneConnection,
}

#[derive(Default)]
struct Order {
    state: Option<OrderState>,
    /// By version, which begins at 1.
    changes: Vec<Uuid>,
    /// Versions that were told, by change.
    told: HashMap<Uuid, u32>,
}

struct Shared {
    defect: Defect,
    orders: Mutex<HashMap<Uuid, Order>>,
    sequence: Mutex<u32>,
}

/// It ends with the runtime of its test.
pub struct Tiny {
    address: SocketAddr,
}

/// So long passes between a look and the write that rests on it.
const A_LITTLE: Duration = Duration::from_millis(60);

impl Tiny {
    pub async fn start(defect: Defect) -> Self {
        let shared = Arc::new(Shared {
            defect,
            orders: Mutex::default(),
            sequence: Mutex::new(1),
        });
        let mut router = Router::new()
            .route("/orders", post(place))
            .route("/orders/{id}/transitions", post(transition));
        if defect != Defect::NoHealth {
            router = router.route("/health", get(|| async { "ready" }));
        }
        let most = match defect {
            Defect::SmallBodies => 100_000,
            _ => 1_000_000,
        };
        let router = router.layer(DefaultBodyLimit::max(most)).with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        if defect == Defect::OneConnection {
            // In front of it stands one who lets in one at a time.
            let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let behind = inner.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(inner, router).await });
            tokio::spawn(async move {
                while let Ok((mut outer, _)) = listener.accept().await {
                    let mut to = tokio::net::TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut to).await;
                }
            });
        } else {
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn place(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Some(request) = read(&body) else {
        return shared.malformed();
    };
    match request.order_id {
        Some(order) if request.to.is_none_or(|to| to == ChangeType::Placed) => {
            shared.change(order, ChangeType::Placed, request).await
        }
        _ => shared.malformed(),
    }
}

async fn transition(
    State(shared): State<Arc<Shared>>,
    Path(order): Path<String>,
    body: Bytes,
) -> Response {
    let order = Uuid::try_parse(&order).ok();
    let request = read(&body).filter(|r| r.to.is_some_and(|to| to != ChangeType::Placed));
    match (order, request) {
        (Some(order), Some(request)) => {
            let kind = request.to.unwrap();
            shared.change(order, kind, request).await
        }
        _ => shared.malformed(),
    }
}

fn read(body: &[u8]) -> Option<ChangeRequest> {
    serde_json::from_slice(body).ok()
}

impl Shared {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    async fn change(&self, id: Uuid, kind: ChangeType, request: ChangeRequest) -> Response {
        let change = request.change_id;
        let before = self.look(id, change);
        if let Some(version) = before
            && !self.is(Defect::ForgetsChanges)
        {
            return match self.defect {
                Defect::RefusesRepeats => self.refused(StatusCode::CONFLICT),
                _ => self.committed(version, kind),
            };
        }
        let counted = self.count(id);
        if self.is(Defect::LooksThenWrites) || self.is(Defect::CountsThenWrites) {
            tokio::time::sleep(A_LITTLE).await;
        }
        if let Directive::HoldMs(ms) = request.directive
            && !self.is(Defect::DoesNotHold)
        {
            tokio::time::sleep(Duration::from_millis(ms.into())).await;
        }
        self.write(id, kind, &request, counted)
    }

    fn look(&self, id: Uuid, change: Uuid) -> Option<u32> {
        let orders = self.orders.lock().unwrap();
        orders.get(&id)?.told.get(&change).copied()
    }

    fn count(&self, id: Uuid) -> u32 {
        let orders = self.orders.lock().unwrap();
        orders
            .get(&id)
            .map_or(0, |order| order.changes.len() as u32)
    }

    fn write(&self, id: Uuid, kind: ChangeType, request: &ChangeRequest, counted: u32) -> Response {
        let mut orders = self.orders.lock().unwrap();
        let any = self.is(Defect::TakesAnyOrder);
        if !orders.contains_key(&id) && kind != ChangeType::Placed && !any {
            return self.refused(StatusCode::NOT_FOUND);
        }
        let order = orders.entry(id).or_default();
        let careless = [Defect::LooksThenWrites, Defect::ForgetsChanges];
        if let Some(version) = order.told.get(&request.change_id)
            && !careless.contains(&self.defect)
        {
            return self.committed(*version, kind);
        }
        let allowed = kind.allowed_in(order.state)
            || (kind == ChangeType::Placed && self.is(Defect::PlacesAgain))
            || (kind == ChangeType::Placed && order.told.contains_key(&request.change_id))
            || (kind != ChangeType::Placed && self.is(Defect::TakesAnyState))
            || (order.state.is_none() && any);
        if !allowed {
            if self.is(Defect::RefusesAndCounts) {
                order.changes.push(request.change_id);
            }
            return self.refused(StatusCode::CONFLICT);
        }
        let commits = [Defect::CommitsVetoes, Defect::RefusesVetoesAndCommits];
        if request.directive == Directive::Veto && !commits.contains(&self.defect) {
            return self.refused(StatusCode::UNPROCESSABLE_ENTITY);
        }
        order.state = kind.next_state().or(order.state);
        order.changes.push(request.change_id);
        let version = match self.defect {
            Defect::VersionsFromZero => order.changes.len() as u32 - 1,
            Defect::CountsThenWrites => counted + 1,
            Defect::OneSequence if kind != ChangeType::Placed => {
                let mut sequence = self.sequence.lock().unwrap();
                *sequence += 2;
                *sequence
            }
            _ => order.changes.len() as u32,
        };
        order.told.insert(request.change_id, version);
        match request.directive {
            Directive::Veto if self.is(Defect::RefusesVetoesAndCommits) => {
                self.refused(StatusCode::UNPROCESSABLE_ENTITY)
            }
            _ => self.committed(version, kind),
        }
    }

    fn committed(&self, version: u32, kind: ChangeType) -> Response {
        let status = match kind {
            ChangeType::Placed => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        match self.defect {
            Defect::BareCommits => status.into_response(),
            _ => self.json(status, &Answer::Committed { version }),
        }
    }

    fn refused(&self, status: StatusCode) -> Response {
        match self.defect {
            Defect::BareRefusals => status.into_response(),
            _ => {
                let reason = "no".to_owned();
                self.json(status, &Answer::Rejected { reason })
            }
        }
    }

    fn malformed(&self) -> Response {
        match self.defect {
            Defect::FailsOnMalformed => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            _ => self.refused(StatusCode::BAD_REQUEST),
        }
    }

    fn json(&self, status: StatusCode, answer: &Answer) -> Response {
        let text = serde_json::to_vec(answer).unwrap();
        let kind = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (status, kind, text).into_response();
        if self.is(Defect::HangsUp) {
            let close = "close".parse().unwrap();
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}
