//! A server with OpenAI's API that stands in for a language model: it streams, calls a tool when it has one, and makes
//! vectors; so that clients can be tried without a model. What it says is canned.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};

/// A running stand-in; it runs as long as the process.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
}

impl StandIn {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who goes away goes away.
                std::thread::spawn(move || drop(serve(&stream)));
            }
        });
        Self { address }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (kind, answer) = match path.as_str() {
        "/v1/models" => whole(
            &json!({"object": "list", "data": [{"id": "canned", "object": "model", "created": 0, "owned_by": "stand-in"}]}),
        ),
        "/v1/embeddings" => whole(&embeddings(&asked)),
        "/v1/chat/completions" if asked["stream"] == true => ("text/event-stream", streamed(&asked)),
        "/v1/chat/completions" => whole(&completion(&asked)),
        _ => (
            "application/json",
            r#"{"error":{"message":"not here","type":"invalid_request_error"}}"#.to_owned(),
        ),
    };
    let length = answer.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
    )
}

fn whole(json: &Value) -> (&'static str, String) {
    ("application/json", json.to_string())
}

/// What is said: the last message again, or a call of the first tool before its result has come.
fn message(asked: &Value) -> (Value, &'static str) {
    let last = asked["messages"]
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .unwrap_or_default();
    if let Some(name) = asked["tools"][0]["function"]["name"].as_str()
        && last["role"] != "tool"
    {
        let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": "{\"city\":\"Kyiv\"}"}});
        return (
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            "tool_calls",
        );
    }
    let said = last["content"].as_str().unwrap_or_default();
    (
        json!({"role": "assistant", "content": format!("You said: {said}")}),
        "stop",
    )
}

fn usage() -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
}

fn completion(asked: &Value) -> Value {
    let (message, reason) = message(asked);
    let choice = json!({"index": 0, "message": message, "finish_reason": reason, "logprobs": null});
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked["model"], "choices": [choice], "usage": usage()})
}

/// A word an event.
fn streamed(asked: &Value) -> String {
    let (message, reason) = message(asked);
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": asked["model"], "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let piece = |delta: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "finish_reason": null}]),
            Value::Null,
        )
    };
    let mut events = Vec::new();
    match message["content"].as_str() {
        Some(text) => events.extend(
            text.split_inclusive(' ')
                .map(|word| piece(json!({"content": word}))),
        ),
        None => events.push(piece(json!({"tool_calls": message["tool_calls"]}))),
    }
    events.push(chunk(
        json!([{"index": 0, "delta": {}, "finish_reason": reason}]),
        Value::Null,
    ));
    if asked["stream_options"]["include_usage"] == true {
        events.push(chunk(json!([]), usage()));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events.concat()
}

/// A vector for each text: its length, and 1.
fn embeddings(asked: &Value) -> Value {
    let inputs = match &asked["input"] {
        Value::Array(inputs) => inputs.clone(),
        input => vec![input.clone()],
    };
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let length = input.as_str().map_or(0, str::len) as f32;
        let vector = match asked["encoding_format"] == "base64" {
            true => Value::from(base64(&[length, 1.0].map(f32::to_le_bytes).concat())),
            false => json!([length, 1.0]),
        };
        json!({"object": "embedding", "index": index, "embedding": vector})
    });
    json!({"object": "list", "model": asked["model"], "data": data.collect::<Vec<_>>(), "usage": {"prompt_tokens": 2, "total_tokens": 2}})
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).map(|group| {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        let digit = |at: usize| match at <= group.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]),
            false => '=',
        };
        (0..4).map(digit).collect::<String>()
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_rfc_4648_says() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
