//! The service as its clients see it: the real program on a real socket, with the models that the set-up installs.

mod enrolment;
mod pyannote;
mod recordings;
mod streams;
mod support;
