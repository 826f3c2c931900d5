//! A conversation over several turns in one stream: the request, then tool results, further messages or a cancel, an answer
//! at a time.

use std::sync::Arc;

use polyphony_error::{Fault, Kind};
use polyphony_proto::llm::v1 as pb;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::chat::{OUTBOX, Replies, job};
use super::{Call, Llm};
use crate::answer::Choice;
use crate::chat::{self, Job, Told};
use crate::convert::request::{Asked, message};
use crate::convert::response;
use crate::domain::{Message, Part, Role};
use crate::proxy::Proxy;

/// The conversation, and the answer under way.
struct Conversation {
    proxy: Arc<Proxy>,
    call: Call,
    outbox: mpsc::Sender<Result<pb::ChatStreamResponse, Status>>,
    sequence: u64,
    /// As it was asked for first, with all that was said since.
    job: Option<Job>,
    /// Calls of the last answer, whose results are awaited.
    awaited: Vec<String>,
    running: Option<Running>,
}

/// An answer under way.
struct Running {
    told: mpsc::Receiver<Result<Told, Fault>>,
    cancel: CancellationToken,
    _work: AbortOnDropHandle<()>,
}

/// The stream ends, with a status or well.
enum End {
    Gone,
    Failed(Status),
}

const MOST_MESSAGES: usize = 10_000;

/// Opens a stream.
pub(super) fn open(
    llm: &Llm,
    call: Call,
    requests: Streaming<pb::ChatStreamRequest>,
) -> Replies<pb::ChatStreamResponse> {
    let (outbox, inbox) = mpsc::channel(OUTBOX);
    let conversation = Conversation {
        proxy: Arc::clone(&llm.proxy),
        call,
        outbox: outbox.clone(),
        sequence: 0,
        job: None,
        awaited: Vec::new(),
        running: None,
    };
    let work = tokio::spawn(async move {
        if let Err(End::Failed(status)) = Box::pin(conversation.run(requests)).await {
            // If nobody reads any more, nobody needs to know.
            drop(outbox.send(Err(status)).await);
        }
    });
    Replies::new(inbox, AbortOnDropHandle::new(work))
}

// === impl Conversation ===

impl Conversation {
    async fn run(mut self, mut requests: Streaming<pb::ChatStreamRequest>) -> Result<(), End> {
        let mut is_open = true;
        while is_open || self.running.is_some() {
            let told = async {
                match &mut self.running {
                    Some(running) => running.told.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = told => match told {
                    Some(Ok(told)) => self.tell(told).await?,
                    Some(Err(fault)) => return Err(fault.into()),
                    None => self.running = None,
                },
                request = requests.message(), if is_open => match request.map_err(End::Failed)? {
                    Some(request) => self.take(request)?,
                    None => is_open = false,
                },
            }
        }
        match self.job {
            Some(_) => Ok(()),
            None => {
                Err(Fault::invalid("chat", "is missing; the first message of a stream is the request").into())
            }
        }
    }

    /// A message of the client.
    fn take(&mut self, request: pb::ChatStreamRequest) -> Result<(), End> {
        use pb::chat_stream_request::Request;
        let request = request
            .request
            .ok_or_else(|| Fault::invalid("request", "must be chat, tool_results, messages or cancel"))?;
        match (request, &self.running) {
            (Request::Chat(chat), _) => self.begin(chat)?,
            (_, _) if self.job.is_none() => {
                return Err(Fault::invalid("chat", "must be the first message of a stream").into());
            }
            // It may have ended while this was on its way.
            (Request::Cancel(pb::CancelAnswer {}), None) => {}
            (Request::Cancel(pb::CancelAnswer {}), Some(running)) => running.cancel.cancel(),
            (_, Some(_)) => {
                let text = "an answer is under way; wait for its end, or send cancel before";
                return Err(Fault::new(Kind::FailedPrecondition, "ANSWER_UNDER_WAY", text).into());
            }
            (Request::ToolResults(results), None) => {
                let said = self.results(results)?;
                self.more(said)?;
            }
            (Request::Messages(pb::ChatMessages { messages }), None) => {
                if messages.is_empty() {
                    return Err(Fault::invalid("messages.messages", "must be at least one").into());
                }
                let said = messages.into_iter().enumerate();
                let said = said.map(|(at, one)| message(one, &format!("messages.messages[{at}]")));
                let said = said.collect::<Result<Vec<_>, Fault>>()?;
                // Results may come as messages too.
                let is_result = |id: &String| said.iter().any(|one| one.tool_call_id == *id);
                if let Some(id) = self.awaited.iter().find(|id| !is_result(id)) {
                    let text =
                        format!("has no result of call \"{id}\"; every call of the last answer needs one");
                    return Err(Fault::invalid("messages.messages", text).into());
                }
                self.more(said)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, chat: pb::ChatRequest) -> Result<(), Fault> {
        if self.job.is_some() {
            let text = "must be sent once; open another stream for another request";
            return Err(Fault::invalid("chat", text));
        }
        let asked = Asked::parse(chat, "chat.")?;
        if !asked.request_id.is_empty() {
            return Err(Fault::invalid(
                "chat.request_id",
                "is for Chat alone; a stream has one client",
            ));
        }
        if asked.ask.candidates() > 1 {
            let text = "must be 1 in a stream, whose conversation goes on with the answer";
            return Err(Fault::invalid("chat.sampling.candidate_count", text));
        }
        self.job = Some(job(&self.call, asked));
        self.answer();
        Ok(())
    }

    /// Results of all calls of the last answer, as messages.
    fn results(&self, results: pb::ToolResults) -> Result<Vec<Message>, Fault> {
        let pb::ToolResults { results } = results;
        if self.awaited.is_empty() {
            return Err(Fault::invalid(
                "tool_results",
                "must follow an answer that calls tools",
            ));
        }
        let mut open = self.awaited.clone();
        let mut said = Vec::with_capacity(results.len());
        for (at, result) in results.into_iter().enumerate() {
            let pb::ToolResult {
                tool_call_id,
                content,
            } = result;
            let Some(place) = open.iter().position(|id| *id == tool_call_id) else {
                let text = "is not that of a call of the last answer, or was given before";
                return Err(Fault::invalid(
                    format!("tool_results.results[{at}].tool_call_id"),
                    text,
                ));
            };
            open.swap_remove(place);
            said.push(Message {
                role: Role::Tool,
                content: vec![Part::Text(content)],
                tool_call_id,
                name: String::new(),
                tool_calls: Vec::new(),
                reasoning: String::new(),
                refusal: String::new(),
            });
        }
        match open.first() {
            None => Ok(said),
            Some(id) => {
                let text = format!("has no result of call \"{id}\"; every call of the last answer needs one");
                Err(Fault::invalid("tool_results.results", text))
            }
        }
    }

    /// The conversation goes on.
    fn more(&mut self, said: Vec<Message>) -> Result<(), Fault> {
        let Some(job) = &mut self.job else { return Ok(()) };
        let ask = Arc::make_mut(&mut job.ask);
        if ask.messages.len() + said.len() > MOST_MESSAGES {
            let text = format!("make the conversation longer than {MOST_MESSAGES} messages; begin another");
            return Err(Fault::invalid("messages.messages", text));
        }
        let bytes: usize = ask.messages.iter().chain(&said).map(Message::bytes).sum();
        let most = self.proxy.config.server.limits.receive().as_usize();
        if bytes > most {
            let text = format!("make the conversation longer than {most} bytes; begin another");
            return Err(Fault::invalid("messages.messages", text));
        }
        ask.messages.extend(said);
        self.awaited.clear();
        self.answer();
        Ok(())
    }

    /// The next answer begins. Each has the time that one answer may take, within the deadline of the call.
    fn answer(&mut self) {
        let Some(job) = &mut self.job else { return };
        job.cancel = CancellationToken::new();
        job.deadline = self.proxy.deadline(self.call.own_deadline);
        let (out, told) = mpsc::channel(OUTBOX);
        let (proxy, job) = (Arc::clone(&self.proxy), job.clone());
        self.running = Some(Running {
            told,
            cancel: job.cancel.clone(),
            _work: AbortOnDropHandle::new(tokio::spawn(async move {
                Box::pin(chat::run(&proxy, &job, &out)).await;
            })),
        });
    }

    async fn tell(&mut self, told: Told) -> Result<(), End> {
        if let Told::Completed(completed) = &told
            && let Some(choice) = completed.choices.first()
        {
            self.remember(choice);
        }
        // The last event of an answer: what the client says next does not come while it is under way.
        if matches!(told, Told::Completed(_)) {
            self.running = None;
        }
        self.sequence += 1;
        let message = pb::ChatStreamResponse {
            sequence: self.sequence,
            response: Some(response::event(told, &self.call.id)),
        };
        self.outbox.send(Ok(message)).await.map_err(|_| End::Gone)
    }

    /// What was answered is part of the conversation.
    fn remember(&mut self, choice: &Choice) {
        let Some(job) = &mut self.job else { return };
        // Thoughts of former turns are not sent again, as their makers ask.
        let mut said = Message {
            reasoning: String::new(),
            ..choice.message.clone()
        };
        if choice.finish == crate::domain::Finish::Cancelled {
            // A call that was cut off cannot be answered.
            said.tool_calls.clear();
        }
        if said.content.is_empty() && said.tool_calls.is_empty() {
            return;
        }
        self.awaited = said.tool_calls.iter().map(|call| call.id.clone()).collect();
        Arc::make_mut(&mut job.ask).messages.push(said);
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}
