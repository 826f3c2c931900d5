//! The service as its clients meet it: the real program, with the embedding model that the set-up installs, through a
//! real socket.

mod answers;
mod archives;
mod bad_input;
mod bad_streams;
mod documents;
mod ingestions;
mod llm;
mod owners;
mod spaces;
mod support;
