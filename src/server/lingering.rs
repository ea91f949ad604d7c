//! The end of a connection whose client may still be sending.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How much of what a client still sends is read after the last answer, and thrown away: a head of
/// 1 MiB and more.
const MAX_DISCARDED: u64 = 4 * 1024 * 1024;

/// How long a client may take to read the last answer and to close its side.
const MAX_LINGERING: Duration = Duration::from_secs(5);

/// Closes this side of a connection and reads on until the client has closed its own. A socket that
/// is closed with bytes unread is reset, and a reset takes the answer out of the client's hands (RFC
/// 9112, section 9.6).
pub async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let discard = async {
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(MAX_DISCARDED), &mut tokio::io::sink()).await
    };
    // However it ends, there is nobody left to tell.
    let _ = timeout(MAX_LINGERING, discard).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{duplex, empty, repeat};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lingering_ends_with_the_client_and_is_bounded_in_time_and_bytes() {
        let begun = Instant::now();
        linger(tokio::io::join(empty(), empty())).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "the client has closed already");
        linger(tokio::io::join(repeat(b'x'), empty())).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "enough was read");

        let (client, server) = duplex(1);
        linger(server).await;
        assert_eq!(begun.elapsed(), MAX_LINGERING, "it says nothing");
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_still_sending_reads_the_end_first() {
        let (mut client, server) = duplex(1024);
        let lingering = tokio::spawn(linger(server));
        let sent = vec![b'x'; 2 * 1024 * 1024];
        client.write_all(&sent).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the server has said all it has");
        drop(client);
        lingering.await.unwrap();
    }
}
