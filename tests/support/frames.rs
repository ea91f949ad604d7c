//! HTTP/2 frames, written by hand: what a well-made client never sends.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::SOON;
use super::client::Offer;

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame (RFC 9113, section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A GET of `/` on a stream: fields of HPACK's static table.
pub fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0x82, 0x84, 0x87, 0x41, 1, b'x'])
}

pub fn reset(stream: u32) -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    frame(RST_STREAM, 0, stream, &cancel)
}

/// A connection that has begun to speak HTTP/2.
pub async fn connect(roots: Arc<RootCertStore>, address: SocketAddr) -> TlsStream<TcpStream> {
    let mut stream = Offer::new(roots, &["h2"]).connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// All that the server says until it closes, or resets, the connection.
pub async fn until_closed(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut said)).await.expect("it is closed");
    said
}

/// Whether whole frames in `said` include one of `kind`.
pub fn has(mut said: &[u8], kind: u8) -> bool {
    while said.len() >= 9 {
        if said[3] == kind {
            return true;
        }
        let length = u32::from_be_bytes([0, said[0], said[1], said[2]]) as usize;
        said = said.get(9 + length..).unwrap_or_default();
    }
    false
}
