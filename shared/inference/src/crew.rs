//! Does one thing to each of many items, on as many threads as are worth it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What `work` gives for each of `count` items, in order; the first error otherwise. Threads take the next item as they
/// become free, so that long ones keep nobody waiting. The caller's thread is one of them.
pub fn each<T: Send, E: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let threads = threads.min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= count {
                return done;
            }
            match work(item) {
                Ok(result) => done.push((item, result)),
                Err(error) => {
                    next.store(count, Ordering::Relaxed);
                    failed
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(error);
                    return done;
                }
            }
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    done.sort_unstable_by_key(|(item, _)| *item);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_the_first_error_ends_it() {
        let doubled = each(100, 4, |item| Ok::<_, ()>(item * 2)).expect("no error");
        assert_eq!(doubled, (0..100).map(|item| item * 2).collect::<Vec<_>>());
        let failed = each(1000, 4, |item| if item == 7 { Err("seven") } else { Ok(item) });
        assert_eq!(failed, Err("seven"));
        assert_eq!(each(0, 4, Ok::<usize, ()>), Ok(Vec::new()));
    }
}
