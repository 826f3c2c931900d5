//! What is made of a sentence's frames in which order, several things at once, with the samples in order.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use polyphony_inference::Error;

use crate::domain::Cancel;

/// The frames of the first window, which somebody waits for: 0.28 s of a usual voice.
const FIRST: usize = 24;
/// The frames of the second, so that it is there before the first is over.
const SECOND: usize = 64;
/// The frames of the longest window: what goes through the decoder at once should stay near the processor, and each
/// window makes again what it sees of its neighbours.
const LONGEST: usize = 256;
/// The frames of the longest segment: the windows behind it wait for all of it, while the first is heard.
const LONGEST_SEGMENT: usize = 480;
/// How often who waits for a segment looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// How many frames there are, and how many to either side the networks see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) frames: usize,
    pub(super) flow: usize,
    pub(super) decoder: usize,
}

/// What is done at once, by one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// The latent of a segment of frames.
    Segment(Range<usize>),
    /// The samples of a window of frames, which needs so many of the first segments.
    Window(Range<usize>, usize),
}

/// What workers tell one another.
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Which segments are made.
    made: Vec<bool>,
    stopped: bool,
}

/// The jobs of a sentence, each behind those it needs. The beginning of the first segment is enough for the first window;
/// the other segments are as long as they can be, so that little is made twice. Where several threads work, one makes the
/// second segment while another makes the first window.
pub(super) fn jobs(seen: Seen, width: usize) -> Vec<Job> {
    let windows = windows(seen.frames, width);
    let Some(first) = windows.first() else {
        return Vec::new();
    };
    let head = (first.end + seen.decoder).min(seen.frames);
    let rest = seen.frames - head;
    // Shorter ones would be made of neighbours for the most part.
    let parts = (rest / (2 * seen.flow).max(1)).clamp(1, width.max(1));
    let parts = parts.max(rest.div_ceil(LONGEST_SEGMENT));
    let segments = std::iter::once(0..head).chain(even(head..seen.frames, parts));
    let segments: Vec<Range<usize>> = segments.collect();
    let mut windows = windows.into_iter().peekable();
    let ahead = usize::from(width > 1);
    let mut jobs = Vec::new();
    let count = segments.len();
    for number in 1..=count {
        jobs.push(Job::Segment(segments[number - 1].clone()));
        let enough = if number == count {
            count
        } else {
            number - number.min(ahead)
        };
        while let Some(window) = windows.next_if(|window| {
            let end = (window.end + seen.decoder).min(seen.frames);
            enough > 0 && end <= segments[enough - 1].end
        }) {
            let end = (window.end + seen.decoder).min(seen.frames);
            let needs = segments.iter().take_while(|segment| segment.start < end).count();
            jobs.push(Job::Window(window, needs));
        }
    }
    jobs
}

/// Two short ones first; then all alike, as many for each of `width` threads, so that they are over at about the same time.
fn windows(frames: usize, width: usize) -> Vec<Range<usize>> {
    let second = FIRST.min(frames)..(FIRST + SECOND).min(frames);
    let rest = second.end..frames;
    // Shorter ones would be made of neighbours for the most part.
    let most = rest.len().div_ceil(SECOND);
    let parts = rest
        .len()
        .div_ceil(LONGEST)
        .next_multiple_of(width.max(1))
        .min(most);
    [0..second.start, second]
        .into_iter()
        .filter(|window| !window.is_empty())
        .chain(even(rest, parts))
        .collect()
}

/// Parts of a range that are as long as one another, within one; none is empty.
fn even(range: Range<usize>, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let at = move |part: usize| range.start + range.len() * part / parts.max(1);
    (0..parts)
        .map(move |part| at(part)..at(part + 1))
        .filter(|part| !part.is_empty())
}

/// Does jobs, up to `width` at once: `prepare` for segments, `make` for windows, whose samples are handed over in order.
pub(super) fn in_order(
    jobs: &[Job],
    width: usize,
    cancel: &Cancel,
    prepare: &(dyn Fn(Range<usize>) -> Result<(), Error> + Sync),
    make: &(dyn Fn(Range<usize>) -> Result<Vec<f32>, Error> + Sync),
    out: &mut dyn FnMut(Vec<f32>),
) -> Result<(), Error> {
    let is_window = |job: &&Job| matches!(job, Job::Window(..));
    let count = jobs.iter().filter(is_window).count();
    let progress = Progress::new(jobs.len() - count);
    let next = AtomicUsize::new(0);
    // Of the same kind, those before a job.
    let rank = |at: usize| {
        let window = is_window(&&jobs[at]);
        jobs[..at].iter().filter(|job| is_window(job) == window).count()
    };
    std::thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        for _ in 0..width.clamp(1, jobs.len().max(1)) {
            let (done, next, progress, rank) = (done.clone(), &next, &progress, &rank);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(at) else { return };
                    let made = match job {
                        _ if cancel.is_cancelled() || progress.is_stopped() => return,
                        Job::Segment(segment) => {
                            let made = prepare(segment.clone());
                            if made.is_ok() {
                                progress.made(rank(at));
                                continue;
                            }
                            made.map(|()| Vec::new())
                        }
                        Job::Window(window, needs) => match progress.wait(*needs, cancel) {
                            true => make(window.clone()),
                            false => return,
                        },
                    };
                    if made.is_err() {
                        progress.stop();
                    }
                    if done.send((rank(at), made)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut waiting: Vec<Option<Vec<f32>>> = vec![None; count];
        let mut given = 0;
        for (at, made) in finished {
            waiting[at] = Some(made?);
            while let Some(samples) = waiting.get_mut(given).and_then(Option::take) {
                given += 1;
                out(samples);
            }
        }
        if given < count {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    })
}

// === impl Progress ===

impl Progress {
    fn new(segments: usize) -> Self {
        Self {
            state: Mutex::new(State {
                made: vec![false; segments],
                stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn made(&self, segment: usize) {
        self.state().made[segment] = true;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Waits for the first segments; says whether they came.
    fn wait(&self, segments: usize, cancel: &Cancel) -> bool {
        let mut state = self.state();
        while !state.made[..segments].iter().all(|made| *made) {
            if state.stopped || cancel.is_cancelled() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const SEEN: Seen = Seen {
        frames: 500,
        flow: 33,
        decoder: 12,
    };

    #[test]
    fn windows_grow_and_cover_all_frames() {
        assert_eq!(windows(600, 1), [0..24, 24..88, 88..344, 344..600]);
        assert_eq!(
            windows(700, 2),
            [0..24, 24..88, 88..241, 241..394, 394..547, 547..700]
        );
        assert_eq!(windows(200, 8), [0..24, 24..88, 88..144, 144..200]);
        assert_eq!(windows(5, 2), vec![0..5]);
        assert!(windows(0, 2).is_empty());
    }

    #[test]
    fn the_first_window_waits_for_little_and_all_others_for_what_they_see() {
        for (width, frames) in [(1, 500), (2, 500), (4, 2_000), (2, 30), (2, 24), (1, 1)] {
            let jobs = jobs(Seen { frames, ..SEEN }, width);
            let (mut segments, mut heard) = (0, 0);
            let mut ends = Vec::new();
            for job in &jobs {
                match job {
                    Job::Segment(segment) => {
                        assert_eq!(segment.start, segments);
                        segments = segment.end;
                        ends.push(segments);
                    }
                    Job::Window(window, needs) => {
                        assert_eq!(window.start, heard);
                        heard = window.end;
                        let seen = (heard + SEEN.decoder).min(frames);
                        assert!(
                            ends[needs - 1] >= seen && segments >= seen,
                            "{window:?} of {jobs:?}"
                        );
                    }
                }
            }
            assert_eq!((segments, heard), (frames, frames));
        }
        let two = jobs(SEEN, 2);
        assert_eq!(two[0], Job::Segment(0..36));
        assert_eq!(two[1], Job::Segment(36..268));
        assert_eq!(two[2], Job::Window(0..24, 1));
        assert_eq!(jobs(SEEN, 1)[1], Job::Window(0..24, 1));
        assert!(jobs(Seen { frames: 0, ..SEEN }, 2).is_empty());
    }

    fn made(width: usize, fail: Option<usize>, cancel: &Cancel) -> (Vec<f32>, Result<(), Error>) {
        let latent: Vec<AtomicBool> = (0..SEEN.frames).map(|_| AtomicBool::new(false)).collect();
        let trouble = |range: &Range<usize>| match fail {
            Some(at) if range.contains(&at) => Err(Error::unfit("x", "broken")),
            _ => Ok(()),
        };
        let prepare = |segment: Range<usize>| {
            // What is needed first takes longest.
            std::thread::sleep(Duration::from_millis(if segment.start == 0 { 20 } else { 1 }));
            for frame in segment {
                latent[frame].store(true, Ordering::SeqCst);
            }
            Ok(())
        };
        let make = |window: Range<usize>| {
            std::thread::sleep(Duration::from_millis(if window.start == 0 { 20 } else { 1 }));
            let seen =
                window.start.saturating_sub(SEEN.decoder)..(window.end + SEEN.decoder).min(SEEN.frames);
            assert!(latent[seen].iter().all(|made| made.load(Ordering::SeqCst)));
            trouble(&window)?;
            Ok(window.map(|frame| frame as f32).collect())
        };
        let mut all = Vec::new();
        let jobs = jobs(SEEN, width);
        let done = in_order(&jobs, width, cancel, &prepare, &make, &mut |samples| {
            all.extend(samples)
        });
        (all, done)
    }

    #[test]
    fn results_come_in_order_however_they_are_made() {
        for width in [1, 2, 4] {
            let (all, done) = made(width, None, &Cancel::default());
            assert!(done.is_ok());
            assert!(all.len() == 500 && all.is_sorted(), "{width}");
        }
    }

    #[test]
    fn a_failure_ends_it_and_a_cancel_too() {
        for width in [1, 2] {
            let (all, done) = made(width, Some(100), &Cancel::default());
            assert!(matches!(done, Err(Error::Unfit { .. })));
            assert!(all.len() <= 88);
        }
        let jobs = jobs(SEEN, 2);
        let broken = |_: Range<usize>| Err(Error::unfit("x", "broken"));
        let done = in_order(
            &jobs,
            2,
            &Cancel::default(),
            &broken,
            &|_| Ok(Vec::new()),
            &mut |_| {},
        );
        assert!(matches!(done, Err(Error::Unfit { .. })));
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(made(2, None, &cancel).1, Err(Error::Cancelled)));
    }
}
