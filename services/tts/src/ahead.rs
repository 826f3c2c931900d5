//! Speaking ahead: the next utterance is begun while one is still being made.
//!
//! An utterance keeps all cores busy in its middle only: at its beginning one thing follows another, at its end the last
//! window is waited for. Where what comes next is known, it fills those gaps. It takes turns with what is heard now, so it
//! is begun only when the listener has enough in hand ([`Lead`]).

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::domain::{Cancel, Piece, Utterance};
use crate::engine::Engine;
use crate::error::Error;

/// An utterance that is spoken on a thread of its own, whose audio is kept until its turn. Dropped, it stops.
#[derive(Debug)]
pub struct Ahead {
    utterance: Arc<Utterance>,
    pieces: Receiver<Piece>,
    stop: Cancel,
    /// Taken when it is waited for.
    work: Option<JoinHandle<Result<(), Error>>>,
}

/// How far the audio of an utterance is before a listener who hears it from its first piece on.
#[derive(Debug, Default)]
pub struct Lead {
    began: Option<Instant>,
    made: Duration,
}

/// Who has so much in hand after the first pieces hears audio made at several times the speed at which it is heard: it may
/// share the cores.
const ENOUGH: Duration = Duration::from_millis(500);
/// How often who waits for a piece looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

// === impl Ahead ===

impl Ahead {
    /// Begins an utterance. What it makes is kept in memory, so it should be no longer than a sentence.
    pub fn begin(engine: Arc<dyn Engine>, utterance: Utterance) -> Self {
        let (utterance, stop) = (Arc::new(utterance), Cancel::default());
        let (give, pieces) = mpsc::channel();
        let (own, cancel) = (Arc::clone(&utterance), stop.clone());
        let work = std::thread::spawn(move || {
            engine.speak(&own, &cancel, &mut |piece| {
                if give.send(piece).is_err() {
                    cancel.cancel();
                }
            })
        });
        Self {
            utterance,
            pieces,
            stop,
            work: Some(work),
        }
    }

    /// Speaks an utterance as its engine does, with what was made of it ahead, if it is that which was begun.
    ///
    /// # Errors
    /// Those of [`Engine::speak`].
    pub fn speak(
        ahead: Option<Self>,
        engine: &dyn Engine,
        utterance: &Utterance,
        cancel: &Cancel,
        out: &mut dyn FnMut(Piece),
    ) -> Result<(), Error> {
        match ahead.filter(|ahead| *ahead.utterance == *utterance) {
            Some(ahead) => ahead.hand_over(cancel, out),
            None => engine.speak(utterance, cancel, out),
        }
    }

    fn hand_over(mut self, cancel: &Cancel, out: &mut dyn FnMut(Piece)) -> Result<(), Error> {
        loop {
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => out(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        match self.work.take().map(JoinHandle::join) {
            Some(Ok(spoke)) => spoke,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Lead ===

impl Lead {
    /// Notes samples that were made just now; says whether there is enough to begin the next utterance.
    pub fn add(&mut self, samples: usize, rate: u32) -> bool {
        self.made += Duration::from_secs_f64(samples as f64 / f64::from(rate.max(1)));
        let began = *self.began.get_or_insert_with(Instant::now);
        self.made > began.elapsed() + ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::{EngineInfo, Script};

    /// Gives three pieces, as many samples each as the voice's name is long, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Engine for Counting {
        fn info(&self) -> &EngineInfo {
            unreachable!("nobody asks")
        }

        fn speak(
            &self,
            utterance: &Utterance,
            cancel: &Cancel,
            out: &mut dyn FnMut(Piece),
        ) -> Result<(), Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            for _ in 0..3 {
                out(Piece {
                    samples: vec![0.0; utterance.voice.len()],
                    ..Piece::default()
                });
            }
            while utterance.voice == "endless" && !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            match utterance.voice.as_str() {
                "endless" => Err(Error::Cancelled),
                "broken" => Err(Error::refused("config.voice", "it is broken")),
                _ => Ok(()),
            }
        }
    }

    fn script() -> Script {
        Script::plain("x", 0)
    }

    fn spoken(
        engine: &Arc<Counting>,
        begun: Option<&str>,
        voice: &str,
        cancel: &Cancel,
    ) -> (usize, Result<(), Error>) {
        let ahead = begun.map(|voice| Ahead::begin(Arc::clone(engine) as _, Utterance::new(voice, script())));
        let mut samples = 0;
        let utterance = Utterance::new(voice, script());
        let done = Ahead::speak(ahead, &**engine, &utterance, cancel, &mut |piece| {
            samples += piece.samples.len()
        });
        (samples, done)
    }

    #[test]
    fn what_was_begun_is_not_begun_again_and_anything_else_is() {
        let engine = Arc::new(Counting::default());
        let (samples, done) = spoken(&engine, Some("abc"), "abc", &Cancel::default());
        assert_eq!(
            (samples, done.is_ok(), engine.0.load(Ordering::SeqCst)),
            (9, true, 1)
        );
        let (samples, done) = spoken(&engine, Some("endless"), "ab", &Cancel::default());
        assert_eq!((samples, done.is_ok()), (6, true));
        let (samples, _) = spoken(&engine, None, "a", &Cancel::default());
        assert_eq!(samples, 3);
    }

    #[test]
    fn an_error_and_a_cancel_come_through() {
        let engine = Arc::new(Counting::default());
        let (samples, done) = spoken(&engine, Some("broken"), "broken", &Cancel::default());
        assert!(
            samples == 18 && matches!(done, Err(Error::Request { .. })),
            "{done:?}"
        );
        let cancel = Cancel::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                cancel.cancel();
            });
            let (_, done) = spoken(&engine, Some("endless"), "endless", &cancel);
            assert!(matches!(done, Err(Error::Cancelled)));
        });
    }

    #[test]
    fn a_lead_is_what_is_made_beyond_what_was_heard() {
        let mut lead = Lead::default();
        assert!(!lead.add(4_800, 16_000));
        assert!(!lead.add(1_600, 16_000));
        assert!(lead.add(960_000, 16_000));
    }
}
