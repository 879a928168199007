//! Reference servers: a redirect that knows nothing, in the frameworks that Cupel is built on.
//!
//! They answer with the headers of Cupel's redirect and keep no record, so that what Cupel takes
//! more is what it does more. Settings of the listener are Cupel's. Refuses to be useful.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_server::Server;
use actix_service::fn_service;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION, REFERRER_POLICY};
use actix_web::{App, HttpResponse, HttpServer, web};
use clap::{Parser, ValueEnum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where every link leads.
const DESTINATION: &str = "https://www.example.com/spring/sale";
const NO_STORE: &str = "no-store";
const NO_REFERRER: &str = "no-referrer";

const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
const DISCONNECT_TIME_MAX: Duration = Duration::from_secs(2);
const LAST_REQUESTS_SECONDS_MAX: u64 = 1;

/// A reference server; prints its address and serves until SIGTERM
#[derive(Debug, Parser)]
#[command(name = "bare")]
struct Arguments {
    /// How the redirect is written
    #[arg(long, value_enum)]
    mode: Mode,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Worker threads; as many as processors if not given
    #[arg(long)]
    workers: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// actix-web as its guide shows it: a route with a pattern, and the response builder
    Idiomatic,
    /// actix-web without routing, with header values made once
    Stripped,
    /// actix-http alone, without an App
    Front,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let processors = std::thread::available_parallelism()?.get();
    let workers = arguments.workers.unwrap_or(processors);
    let listener = TcpListener::bind(&arguments.listen)?;
    let address = listener.local_addr()?;
    actix_web::rt::System::new().block_on(async {
        let server = match arguments.mode {
            Mode::Idiomatic => idiomatic(listener, workers)?,
            Mode::Stripped => stripped(listener, workers)?,
            Mode::Front => front(listener, workers)?,
        };
        writeln!(std::io::stdout(), "http://{address}")?;
        Ok(server.await?)
    })
}

fn idiomatic(listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    async fn click(_path: web::Path<(String, u32)>) -> HttpResponse {
        HttpResponse::Found()
            .insert_header((LOCATION, DESTINATION))
            .insert_header((CACHE_CONTROL, NO_STORE))
            .insert_header((REFERRER_POLICY, NO_REFERRER))
            .finish()
    }
    let routes = || App::new().route("/c/{token}/{n}", web::get().to(click));
    let server = HttpServer::new(routes)
        .workers(workers)
        .client_request_timeout(REQUEST_TIME_MAX)
        .client_disconnect_timeout(DISCONNECT_TIME_MAX)
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .listen(listener)?;
    Ok(server.run())
}

/// The redirect's headers, their values made once.
fn fill(headers: &mut HeaderMap) {
    headers.insert(LOCATION, HeaderValue::from_static(DESTINATION));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(NO_REFERRER));
}

fn stripped(listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    async fn click() -> HttpResponse {
        let mut answer = HttpResponse::new(StatusCode::FOUND);
        fill(answer.headers_mut());
        answer
    }
    let routes = || App::new().default_service(web::to(click));
    let server = HttpServer::new(routes)
        .workers(workers)
        .client_request_timeout(REQUEST_TIME_MAX)
        .client_disconnect_timeout(DISCONNECT_TIME_MAX)
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .listen(listener)?;
    Ok(server.run())
}

fn front(listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    async fn click(_request: Request) -> Result<Response<()>, actix_http::Error> {
        let mut answer = Response::new(StatusCode::FOUND).drop_body();
        fill(answer.headers_mut());
        Ok(answer)
    }
    let factory = || {
        HttpService::build()
            .client_request_timeout(REQUEST_TIME_MAX)
            .client_disconnect_timeout(DISCONNECT_TIME_MAX)
            .h1(fn_service(click))
            .tcp()
    };
    let server = Server::build()
        .workers(workers)
        .shutdown_timeout(LAST_REQUESTS_SECONDS_MAX)
        .listen("front", listener, factory)?;
    Ok(server.run())
}
