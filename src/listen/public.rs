//! The public listener: from a connection to the service that answers its requests.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_server::Server;
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use actix_tls::accept::rustls_0_23::Acceptor;
use actix_web::rt::net::{ActixStream, TcpStream, UnixStream};
use actix_web::rt::time::timeout;
use actix_web::web as actix;
use rustls::ServerConfig;

use crate::domain::hit::Scheme;
use crate::shutdown::Stop;
use crate::web::{FrontFactory, Parts};

use super::certificates::Certificates;
use super::pace::Paced;
use super::patience::{Connections, Limits};
use super::proxy_header::{self, Said};
use super::sockets::{Listener, Socket};

/// How long a connection that we close may take to be gone.
const DISCONNECT_MAX: Duration = Duration::from_secs(2);

/// What a connection's services need.
#[derive(Clone)]
struct Readers {
    parts: actix::Data<Parts>,
    closing: Stop,
    begins: Arc<dyn Fn(Watch) + Send + Sync>,
}

/// What a worker runs beside its connections.
pub type Watch = Pin<Box<dyn Future<Output = ()>>>;

/// Serves readers on these sockets, if there are any, until it is stopped; TLS on those that speak
/// it. Each worker calls `begins` on its thread, for each socket, with what is to run there; when
/// `closing` is asked for, connections close once they have their answers.
///
/// # Errors
/// A socket cannot be used.
pub fn serve_public(
    listeners: Vec<Listener>,
    parts: &actix::Data<Parts>,
    certificates: Option<&Arc<Certificates>>,
    begins: impl Fn(Watch) + Send + Sync + 'static,
    closing: &Stop,
) -> io::Result<Option<Server>> {
    if listeners.is_empty() {
        return Ok(None);
    }
    let http = &parts.config.http;
    let mut server = Server::build()
        .workers(usize::from(parts.config.journal.rings))
        .max_concurrent_connections(http.connections_max)
        .shutdown_timeout(http.stop.as_secs())
        .disable_signals();
    let readers = Readers {
        parts: parts.clone(),
        closing: closing.clone(),
        begins: Arc::new(begins),
    };
    for listener in listeners {
        let readers = readers.clone();
        let tls = certificates.filter(|_| listener.secure);
        let tls = tls.map(Certificates::server_config).transpose();
        let tls = tls.map_err(io::Error::other)?;
        server = match (listener.socket, tls) {
            (Socket::Tcp(socket), Some(tls)) => server.listen("public", socket, move || {
                secure(readers.clone(), tls.clone())
            })?,
            (Socket::Tcp(socket), None) => server.listen("public", socket, move || {
                clear::<TcpStream>(readers.clone())
            })?,
            (Socket::Unix(socket), _) => server.listen_uds("public", socket, move || {
                clear::<UnixStream>(readers.clone())
            })?,
        };
    }
    Ok(Some(server.run()))
}

/// A connection as it is taken.
trait Taken: ActixStream + 'static {
    /// Who is at its other end; `None` behind a socket file.
    fn peer(&self) -> Result<Option<SocketAddr>, Closed>;
}

impl Taken for TcpStream {
    fn peer(&self) -> Result<Option<SocketAddr>, Closed> {
        // Whoever has gone already has no address, and must not pass for a socket file's.
        self.peer_addr().map(Some).map_err(|_| Closed)
    }
}

impl Taken for UnixStream {
    fn peer(&self) -> Result<Option<SocketAddr>, Closed> {
        Ok(None)
    }
}

impl Readers {
    /// What the connection says of its peer before anything else. Whoever must and does not is
    /// closed without an answer: it is no proxy of ours.
    async fn said(&self, io: &mut impl Taken) -> Result<Said, Closed> {
        let peer = io.peer()?;
        if !self.parts.config.proxy_protocol {
            return Ok(Said {
                peer,
                secure: false,
            });
        }
        let trusted = &self.parts.live.load().trusted_proxies;
        if !peer.map_or(trusted.unix, |peer| {
            trusted.contains(peer.ip().to_canonical())
        }) {
            return Err(Closed);
        }
        let read = timeout(self.parts.config.http.head, proxy_header::read(io)).await;
        let said = read.map_err(|_| Closed)?.map_err(|_| Closed)?;
        Ok(Said {
            peer: said.peer.or(peer),
            ..said
        })
    }

    /// The connections that a worker will have on one of its sockets.
    fn begin(&self) -> Rc<Connections> {
        let connections = Rc::new(Connections::default());
        let limits = Limits::of(&self.parts.config.http);
        let watch = Rc::clone(&connections).watch(limits, self.closing.clone());
        (self.begins)(Box::pin(watch));
        connections
    }

    /// The service of connections whose requests came over `scheme`.
    fn http<IO: ActixStream + 'static>(
        &self,
        scheme: Scheme,
        connections: &Rc<Connections>,
    ) -> HttpService<Paced<IO>, FrontFactory, BoxBody> {
        let (http, connections) = (&self.parts.config.http, Rc::clone(connections));
        HttpService::build()
            .keep_alive(KeepAlive::Timeout(http.keep_alive))
            .client_request_timeout(http.head)
            .client_disconnect_timeout(DISCONNECT_MAX)
            .graceful_shutdown_signal(move || connections.closing())
            .on_connect_ext(|io: &Paced<IO>, data| {
                data.insert(io.asking());
            })
            .finish(FrontFactory::new(self.parts.clone(), scheme))
    }
}

/// Connections in clear text. A proxy may say that its reader came over TLS.
fn clear<IO: Taken>(
    readers: Readers,
) -> impl ServiceFactory<IO, Config = (), Response = (), Error = Closed, InitError = ()> {
    fn_factory(move || {
        let readers = readers.clone();
        async move {
            let connections = readers.begin();
            let clear = readers.http(Scheme::Http, &connections);
            let secure = readers.http(Scheme::Https, &connections);
            let services = (clear.new_service(()).await?, secure.new_service(()).await?);
            let services = Rc::new((services, connections));
            Ok(fn_service(move |mut io: IO| {
                let (readers, services) = (readers.clone(), Rc::clone(&services));
                async move {
                    let said = readers.said(&mut io).await?;
                    let ((clear, secure), connections) = &*services;
                    let service = if said.secure { secure } else { clear };
                    let io = Paced::new(io, connections);
                    let served = service.call((io, Protocol::Http1, said.peer));
                    served.await.map_err(|_| Closed)
                }
            }))
        }
    })
}

/// Connections that begin with a handshake.
fn secure(
    readers: Readers,
    tls: ServerConfig,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = Closed, InitError = ()> {
    fn_factory(move || {
        let readers = readers.clone();
        let mut acceptor = Acceptor::new(tls.clone());
        acceptor.set_handshake_timeout(readers.parts.config.http.head);
        async move {
            let connections = readers.begin();
            let http = readers.http(Scheme::Https, &connections);
            let http = http.new_service(()).await?;
            let acceptor = ServiceFactory::<TcpStream>::new_service(&acceptor, ()).await?;
            let services = Rc::new((acceptor, http, connections));
            Ok(fn_service(move |mut io: TcpStream| {
                let (readers, services) = (readers.clone(), Rc::clone(&services));
                async move {
                    let said = readers.said(&mut io).await?;
                    let (acceptor, http, connections) = &*services;
                    let io = acceptor.call(io).await.map_err(|_| Closed)?;
                    let protocol = match io.get_ref().1.alpn_protocol() {
                        Some(b"h2") => Protocol::Http2,
                        _ => Protocol::Http1,
                    };
                    let io = Paced::new(io, connections);
                    let served = http.call((io, protocol, said.peer));
                    served.await.map_err(|_| Closed)
                }
            }))
        }
    })
}

/// A connection has ended, well or not: there is nobody to tell.
#[derive(Debug)]
struct Closed;
