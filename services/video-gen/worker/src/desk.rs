//! The worker's two threads: one reads commands, one does them.
//!
//! The reader never waits for the device, so a cancel is heard at any time. What it hands over is done in the order it came;
//! an order that is cancelled before its turn is answered in its turn, when the device is free for it. When standard input
//! ends, everything is given up.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::protocol::{self, Command, Event, FailureKind, LineError, Order, Weights};
use crate::stop::Stop;
use crate::studio::Studio;

/// What the device is to do next.
enum Task {
    Load {
        model: String,
        weights: Weights,
        offload_text_encoder: bool,
    },
    Unload {
        model: String,
        weights: Weights,
    },
    Generate {
        order: Box<Order>,
        stop: Stop,
    },
}

/// The orders that were not ended, and how to give them up.
#[derive(Clone, Default)]
struct Orders {
    stops: Arc<Mutex<HashMap<String, Stop>>>,
    /// Set when the parent is gone.
    all: Stop,
}

/// Where events go, one line at a time, from either thread.
#[derive(Clone)]
struct Out(Arc<Mutex<Box<dyn Write + Send>>>);

/// Does what is read, until reading ends.
pub fn work(
    commands: impl BufRead + Send + 'static,
    events: impl Write + Send + 'static,
    mut studio: Studio,
) {
    let out = Out(Arc::new(Mutex::new(Box::new(events))));
    out.tell(&studio.ready());
    let orders = Orders::default();
    let (sender, tasks) = mpsc::channel();
    let reader = {
        let (orders, out) = (orders.clone(), out.clone());
        thread::spawn(move || read(commands, &sender, &orders, &out))
    };
    do_tasks(&tasks, &orders, &out, &mut studio);
    // It ended: only then the channel did.
    drop(reader.join());
}

fn read(mut commands: impl BufRead, tasks: &Sender<Task>, orders: &Orders, out: &Out) {
    loop {
        let task = match protocol::read::<Command>(&mut commands) {
            Ok(Some(Command::Load {
                model,
                weights,
                offload_text_encoder,
            })) => Task::Load {
                model,
                weights,
                offload_text_encoder,
            },
            Ok(Some(Command::Unload { model, weights })) => Task::Unload { model, weights },
            Ok(Some(Command::Cancel { id })) => {
                orders.stop(&id);
                continue;
            }
            Ok(Some(Command::Generate { order })) => match orders.enter(&order.id) {
                Some(stop) => Task::Generate { order, stop },
                None => {
                    let what = format!("the order \"{}\" is under way already", order.id);
                    out.refuse(None, &what);
                    continue;
                }
            },
            // What follows can be read again; after the others it cannot.
            Err(error @ LineError::Unknown(_)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                out.refuse(None, &format!("{error}: {}", cause.unwrap_or_default()));
                continue;
            }
            Err(error) => {
                out.refuse(None, &error.to_string());
                break;
            }
            Ok(None) => break,
        };
        if tasks.send(task).is_err() {
            break;
        }
    }
    orders.stop_all();
}

fn do_tasks(tasks: &Receiver<Task>, orders: &Orders, out: &Out, studio: &mut Studio) {
    let _no_gradients = tch::no_grad_guard();
    let mut tell = |event: Event| out.tell(&event);
    for task in tasks {
        match task {
            Task::Load {
                model,
                weights,
                offload_text_encoder,
            } => studio.load(&model, &weights, offload_text_encoder, &orders.all, &mut tell),
            Task::Unload { model, weights } => studio.unload(&model, &weights, &mut tell),
            Task::Generate { order, stop } => {
                let mut last = None;
                studio.generate(&order, &stop, &mut |event| match event {
                    Event::Done { .. } | Event::Cancelled { .. } | Event::Failed { .. } => {
                        last = Some(event);
                        true
                    }
                    event => out.tell(&event),
                });
                // Its id is free before its end is told, for the parent may use it again at once.
                orders.leave(&order.id);
                if let Some(event) = last {
                    out.tell(&event);
                }
            }
        }
    }
}

// === impl Orders ===

impl Orders {
    /// A new order; none if there is one of that name.
    fn enter(&self, id: &str) -> Option<Stop> {
        let mut orders = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.contains_key(id) {
            return None;
        }
        let stop = Stop::default();
        orders.insert(id.to_owned(), stop.clone());
        Some(stop)
    }

    fn leave(&self, id: &str) {
        self.stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    fn stop(&self, id: &str) {
        if let Some(stop) = self.stops.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            stop.stop();
        }
    }

    fn stop_all(&self) {
        self.all.stop();
        for stop in self.stops.lock().unwrap_or_else(PoisonError::into_inner).values() {
            stop.stop();
        }
    }
}

// === impl Out ===

impl Out {
    /// Tells the parent; false when it does not read any more.
    fn tell(&self, event: &Event) -> bool {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        protocol::write(&mut *out, event).is_ok()
    }

    /// Tells that a line cannot be done.
    fn refuse(&self, id: Option<String>, message: &str) {
        self.tell(&Event::Failed {
            id,
            model: None,
            kind: FailureKind::InvalidArgument,
            message: message.to_owned(),
        });
    }
}
