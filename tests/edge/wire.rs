//! Bytes on the wire, from an address of one's choice.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

/// How long an answer may take; whoever waits longer for a close was not closed.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A connection from one of this machine's addresses: all of 127.0.0.0/8 are.
pub(crate) fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    // Whoever takes nothing fills little.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    stream.set_write_timeout(Some(ANSWER_MAX)).unwrap();
    stream
}

/// Begins TLS on a connection; the handshake comes with the first byte.
pub(crate) fn secure(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    StreamOwned::new(connection, stream)
}

/// What an address in a URL is.
pub(crate) fn address(url: &str) -> SocketAddr {
    let address = url.split("://").nth(1).unwrap();
    address.replace("localhost", "127.0.0.1").parse().unwrap()
}

/// Everything that is answered until the other side closes, or says nothing for as long as a
/// shorter patience of the connection lasts. A connection that is cut off is an answer too.
pub(crate) fn exchange(mut stream: impl Patient, sent: &[u8]) -> String {
    // Whoever is refused early may find the door shut while still talking.
    let _written = stream.write_all(sent).and_then(|()| stream.flush());
    let mut answered = Vec::new();
    match stream.read_to_end(&mut answered) {
        Ok(_) => {}
        Err(error) if is_over(&error) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock && stream.is_hasty() => {}
        Err(error) => panic!("{error} after {}", answered.escape_ascii()),
    }
    String::from_utf8_lossy(&answered).into_owned()
}

/// A connection that may be left before it is closed.
pub(crate) trait Patient: Read + Write {
    /// Whether somebody shortened its patience.
    fn is_hasty(&self) -> bool {
        false
    }
}

impl Patient for UnixStream {}

impl Patient for TcpStream {
    fn is_hasty(&self) -> bool {
        self.read_timeout().unwrap() < Some(ANSWER_MAX)
    }
}

impl Patient for StreamOwned<ClientConnection, TcpStream> {
    fn is_hasty(&self) -> bool {
        self.sock.is_hasty()
    }
}

/// Whether an error says that the other side has closed. rustls wants to be told goodbye.
pub(crate) fn is_over(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionAborted
    )
}

/// The status of the first answer; 0 if there is none.
pub(crate) fn status(answer: &str) -> u16 {
    let line = answer.strip_prefix("HTTP/1.1 ").unwrap_or_default();
    line.get(..3).and_then(|it| it.parse().ok()).unwrap_or(0)
}
