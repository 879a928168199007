//! The public listener's outermost service: hits are answered here, beneath actix-web, and
//! everything else goes to the App behind it.
//!
//! A click, open or short link needs no routing, extractors or middleware, and what those cost is
//! a fifth of the hit (docs/performance.md). The App behind answers the same requests the same
//! way, for listeners that have no front; tests/api/front.rs holds the two together.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use actix_http::body::BoxBody;
use actix_http::{ConnectionType, Request, Response, StatusCode};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::Version;
use actix_web::{App, Error, web};

use crate::domain::hit::Scheme;

use super::asking::{Asking, Place, Running};
use super::worker::Worker;
use super::{Parts, everything, redirect};

type Answer = Result<Response<BoxBody>, Error>;
type Pending = Pin<Box<dyn Future<Output = Answer>>>;

/// Makes the service of each worker of the public listener.
#[derive(Clone)]
pub struct FrontFactory {
    parts: web::Data<Parts>,
    scheme: Scheme,
}

impl FrontFactory {
    /// For connections that speak `scheme`.
    #[must_use]
    pub fn new(parts: web::Data<Parts>, scheme: Scheme) -> Self {
        Self { parts, scheme }
    }
}

impl ServiceFactory<Request> for FrontFactory {
    type Response = Response<BoxBody>;
    type Error = Error;
    type Config = ();
    type Service = Front;
    type InitError = ();
    type Future = Pin<Box<dyn Future<Output = Result<Front, ()>>>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let scheme = self.scheme;
        let worker = Worker::of_this_thread(&self.parts);
        let app = App::new().configure(everything(Rc::clone(&worker), scheme));
        let app = map_config(app.into_factory(), |()| AppConfig::default());
        let service = app.new_service(());
        Box::pin(async move {
            let app = service.await?;
            let app = Rc::new(move |request| {
                let answered = app.call(request);
                Box::pin(async { answered.await.map(response) }) as Pending
            });
            Ok(Front {
                worker,
                scheme,
                app,
            })
        })
    }
}

fn response(answered: ServiceResponse) -> Response<BoxBody> {
    let (_request, response) = answered.into_parts();
    response.into()
}

/// The service of one worker.
pub struct Front {
    worker: Rc<Worker>,
    scheme: Scheme,
    app: Rc<dyn Fn(Request) -> Pending>,
}

impl Service<Request> for Front {
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, request: Request) -> Answering {
        let asking = request.conn_data::<Rc<Asking>>();
        if let Some(asking) = asking {
            asking.stir();
            let last = request.head().connection_type() == ConnectionType::Close;
            if !asking.may_follow(last) {
                return Answering::Now(Some(Response::bad_request()));
            }
        }
        let beside = request.version() == Version::HTTP_2;
        let asking = asking.filter(|_| beside).cloned();
        let answering = match asking {
            Some(asking) => self.answer_beside(request, asking),
            None => self.answer(request),
        };
        if self.worker.stopping.load(Ordering::Relaxed) {
            return answering.map(|mut response| {
                response
                    .head_mut()
                    .set_connection_type(ConnectionType::Close);
                response
            });
        }
        answering
    }
}

impl Front {
    fn answer(&self, request: Request) -> Answering {
        let began = self.worker.begin();
        let Some(reply) = redirect::answer(&self.worker, request.head(), self.scheme) else {
            let running = request.conn_data().map(Running::begin);
            return Answering::Later((self.app)(request), running);
        };
        let Some(kept) = reply.wait_for else {
            self.worker.answered(began);
            return Answering::Now(Some(reply.response));
        };
        let worker = Rc::clone(&self.worker);
        let synced = Box::pin(async move {
            worker.journal.until_synced(kept).await;
            worker.answered(began);
            Ok(reply.response)
        });
        Answering::Later(synced, request.conn_data().map(Running::begin))
    }

    /// Answers one of the requests that a connection may ask beside each other, if its reader has
    /// taken enough of the answers before.
    fn answer_beside(&self, request: Request, asking: Rc<Asking>) -> Answering {
        let Some(place) = Place::take(asking) else {
            let refused = Response::new(StatusCode::SERVICE_UNAVAILABLE);
            return Answering::Now(Some(refused));
        };
        let answering = self.answer(request);
        answering.map(|response| response.map_body(|_, body| place.until_taken(body)))
    }
}

/// An answer that is there, or comes.
pub enum Answering {
    /// There; taken by the first poll.
    Now(Option<Response<BoxBody>>),
    /// Of the App, or waiting for the disk.
    Later(Pending, Option<Running>),
}

impl Answering {
    fn map(self, with: impl FnOnce(Response<BoxBody>) -> Response<BoxBody> + 'static) -> Self {
        match self {
            Self::Now(response) => Self::Now(response.map(with)),
            Self::Later(pending, running) => {
                let mapped = Box::pin(async move { pending.await.map(with) });
                Self::Later(mapped, running)
            }
        }
    }
}

impl Future for Answering {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match self.get_mut() {
            Self::Now(response) => {
                let response = response.take();
                Poll::Ready(Ok(response.unwrap_or_else(Response::internal_server_error)))
            }
            Self::Later(pending, _) => pending.as_mut().poll(context),
        }
    }
}
