//! `polyphony chat`: a conversation with a language model, on a terminal, or one question and its answer.
//!
//! The answer goes to standard output as it comes; thoughts, the queue and what it took go to standard error, where a person
//! watches. Ctrl-C ends the answer under way, and the conversation when none is.

mod turn;

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::llm_service_client::LlmServiceClient;
use tokio::sync::mpsc;

use crate::args::{Chat, Mesh};
use crate::{client, output};
use turn::{Ended, Turn};

/// As shells do for a program that was interrupted.
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(mesh: &Mesh, json: bool, args: Chat) -> anyhow::Result<ExitCode> {
    let prompt = match args.prompt.as_deref() {
        Some("-") => Some(whole_input()?),
        None if !io::stdin().is_terminal() => Some(whole_input()?),
        prompt => prompt.map(str::to_owned),
    };
    let mut messages: Vec<pb::ChatMessage> = args
        .system
        .iter()
        .map(|text| said(pb::Role::System, text))
        .collect();
    let mut turn = Turn {
        client: LlmServiceClient::new(client::connect(mesh).await?),
        args: &args,
        json,
    };
    if let Some(prompt) = prompt {
        if prompt.trim().is_empty() {
            bail!("the question is empty");
        }
        messages.push(said(pb::Role::User, &prompt));
        return Ok(match turn.answer(messages).await? {
            Ended::Complete(_) => ExitCode::SUCCESS,
            Ended::Interrupted => ExitCode::from(INTERRUPTED),
        });
    }
    output::remark("Ctrl-C ends an answer, Ctrl-D the conversation.");
    let mut lines = typed();
    loop {
        prompt_for_more();
        let line = tokio::select! {
            line = lines.recv() => line,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("cannot hear Ctrl-C")?;
                None
            }
        };
        let Some(line) = line else {
            return Ok(ExitCode::SUCCESS);
        };
        if line.trim().is_empty() {
            continue;
        }
        messages.push(said(pb::Role::User, &line));
        match turn.answer(messages.clone()).await {
            Ok(Ended::Complete(message)) => messages.push(message),
            // As if it had not been asked.
            Ok(Ended::Interrupted) => drop(messages.pop()),
            Err(error) => {
                output::failure(&error, json);
                messages.pop();
            }
        }
    }
}

fn said(role: pb::Role, text: &str) -> pb::ChatMessage {
    pb::ChatMessage {
        role: role.into(),
        content: vec![pb::ContentPart {
            part: Some(pb::content_part::Part::Text(text.to_owned())),
        }],
        ..pb::ChatMessage::default()
    }
}

fn whole_input() -> anyhow::Result<String> {
    io::read_to_string(io::stdin()).context("cannot read standard input")
}

fn prompt_for_more() {
    let mut out = io::stderr().lock();
    // Where nobody can read it, that is not worth an end.
    drop(write!(out, "> ").and_then(|()| out.flush()));
}

/// Lines as they are typed. Reading a terminal blocks its thread.
fn typed() -> mpsc::Receiver<String> {
    let (lines, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            // Input that is no text ends the conversation.
            let Ok(line) = line else { return };
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
