//! Moves bytes between two sockets, with the faults of the moment.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Direction, End, Faults};

/// How one direction came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its sender ended it, or it was half-closed: the other goes on.
    Closed,
    /// Both must be closed.
    Cut,
    /// Both must be reset.
    Reset,
}

/// Makes the close of a socket a reset.
pub(super) fn reset(stream: &TcpStream) {
    // If the peer has already gone there is nothing left to reset.
    drop(stream.set_zero_linger());
}

/// Moves bytes both ways until both directions have ended, or one ends them both.
pub(super) async fn join(mut client: TcpStream, mut server: TcpStream, faults: watch::Receiver<Faults>) {
    for stream in [&client, &server] {
        // Without this the kernel would glue together what the faults have sliced.
        drop(stream.set_nodelay(true));
    }
    let outcome = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(from_client, to_server, faults.clone(), |faults| faults.to_server);
        let down = pump(from_server, to_client, faults, |faults| faults.to_client);
        tokio::pin!(up, down);
        let (first, other_is_up) = tokio::select! {
            outcome = &mut up => (outcome, false),
            outcome = &mut down => (outcome, true),
        };
        match first {
            Outcome::Closed if other_is_up => up.await,
            Outcome::Closed => down.await,
            Outcome::Cut | Outcome::Reset => first,
        }
    };
    if outcome == Outcome::Reset {
        reset(&client);
        reset(&server);
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Faults>,
    direction: impl Fn(&Faults) -> Direction,
) -> Outcome {
    let mut buffer = vec![0; 16 << 10];
    let mut passed: u64 = 0;
    loop {
        let now = direction(&faults.borrow_and_update());
        if let Some(outcome) = ended(now.end, passed, &mut to).await {
            if outcome == Outcome::Closed {
                // Only this direction is shut; its sender may write on without noticing.
                drop(tokio::io::copy(&mut from, &mut tokio::io::sink()).await);
            }
            return outcome;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            // A fault that was set while nothing moved.
            Ok(()) = faults.changed() => continue,
        };
        let len = match read {
            Ok(0) => {
                drop(to.shutdown().await);
                return Outcome::Closed;
            }
            Ok(len) => len,
            // A reset goes on as a reset.
            Err(_) => return Outcome::Reset,
        };
        match forward(&buffer[..len], &mut to, now, &mut passed).await {
            Ok(()) => {}
            Err(_) => return Outcome::Reset,
        }
    }
}

/// Whether the direction has come to the end that was set for it.
async fn ended(end: End, passed: u64, to: &mut WriteHalf<'_>) -> Option<Outcome> {
    match end {
        End::CutAfter(most) if passed >= most => Some(Outcome::Cut),
        End::ResetAfter(most) if passed >= most => Some(Outcome::Reset),
        End::HalfCloseAfter(most) if passed >= most => {
            drop(to.shutdown().await);
            Some(Outcome::Closed)
        }
        _ => None,
    }
}

/// Sends on as much as may pass; the rest is swallowed.
async fn forward(bytes: &[u8], to: &mut WriteHalf<'_>, now: Direction, passed: &mut u64) -> io::Result<()> {
    let most = match now.end {
        End::Natural => u64::MAX,
        End::CutAfter(most)
        | End::ResetAfter(most)
        | End::HalfCloseAfter(most)
        | End::BlackholeAfter(most) => most,
    };
    let left = usize::try_from(most.saturating_sub(*passed)).unwrap_or(usize::MAX);
    let bytes = &bytes[..bytes.len().min(left)];
    if !bytes.is_empty() && !now.latency.is_zero() {
        sleep(now.latency).await;
    }
    let slice = now
        .slice
        .map_or_else(|| bytes.len().max(1), std::num::NonZeroUsize::get);
    for piece in bytes.chunks(slice) {
        to.write_all(piece).await?;
        *passed += piece.len() as u64;
        if now.slice.is_some() {
            // Lets the reader run between two packets.
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
