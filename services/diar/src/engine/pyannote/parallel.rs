//! The same work on many pieces, on several threads, each with a session of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` on every piece, on at most `threads` threads, and gives what it made, in order. After an error no piece
/// is begun.
///
/// # Errors
/// The first of `work`, in the order of threads.
pub(super) fn map<P: Sync, T: Send, E: Send>(
    pieces: &[P],
    threads: usize,
    work: impl Fn(&P) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let threads = threads.min(pieces.len());
    if threads <= 1 {
        return pieces.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<T>>> = Mutex::new(pieces.iter().map(|_| None).collect());
    let run = || -> Result<(), E> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else {
                return Ok(());
            };
            let made = work(piece).inspect_err(|_| next.store(pieces.len(), Ordering::Relaxed))?;
            done.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(made);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(done.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_pieces() {
        let pieces: Vec<usize> = (0..100).collect();
        for threads in [1, 3] {
            let made = map(&pieces, threads, |piece| Ok::<_, ()>(piece * 2)).expect("no error");
            assert!(made.iter().enumerate().all(|(at, value)| *value == at * 2));
            assert_eq!(made.len(), 100);
        }
    }

    #[test]
    fn an_error_is_told() {
        let pieces: Vec<usize> = (0..100).collect();
        let made = map(
            &pieces,
            2,
            |piece| {
                if *piece == 7 { Err("seven") } else { Ok(()) }
            },
        );
        assert_eq!(made, Err("seven"));
    }
}
