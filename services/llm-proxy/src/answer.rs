//! An answer that grows: deltas in, the whole messages out.

use std::collections::BTreeMap;

use crate::domain::{Delta, Finish, Message, Part, Role, ToolCall};

/// The answers of one request so far, by their index.
#[derive(Debug, Default)]
pub(crate) struct Answer(BTreeMap<u32, Growing>);

#[derive(Debug, Default)]
struct Growing {
    content: String,
    reasoning: String,
    refusal: String,
    calls: BTreeMap<u32, ToolCall>,
    finish: Option<Finish>,
}

/// How one answer ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) index: u32,
    pub(crate) finish: Finish,
    pub(crate) message: Message,
}

// === impl Answer ===

impl Answer {
    /// More of an answer.
    pub(crate) fn add(&mut self, delta: &Delta) {
        let growing = self.0.entry(delta.index).or_default();
        growing.content.push_str(&delta.content);
        growing.reasoning.push_str(&delta.reasoning);
        growing.refusal.push_str(&delta.refusal);
        for piece in &delta.tool_calls {
            let call = growing.calls.entry(piece.index).or_default();
            if call.id.is_empty() {
                call.id.clone_from(&piece.id);
            }
            if call.name.is_empty() {
                call.name.clone_from(&piece.name);
            }
            call.arguments.push_str(&piece.arguments);
        }
    }

    /// One has ended.
    pub(crate) fn finish(&mut self, index: u32, finish: Finish) {
        self.0.entry(index).or_default().finish = Some(finish);
    }

    /// Whether so many have begun and all have ended.
    pub(crate) fn is_finished(&self, count: u32) -> bool {
        self.0.len() >= count as usize && self.0.values().all(|growing| growing.finish.is_some())
    }

    /// All of them, in order; those that did not say why they ended, ended like this.
    pub(crate) fn choices(self, otherwise: Finish) -> Vec<Choice> {
        let choices = self.0.into_iter().map(|(index, growing)| {
            let Growing {
                content,
                reasoning,
                refusal,
                calls,
                finish,
            } = growing;
            Choice {
                index,
                finish: finish.unwrap_or(otherwise),
                message: Message {
                    role: Role::Assistant,
                    content: (!content.is_empty())
                        .then_some(Part::Text(content))
                        .into_iter()
                        .collect(),
                    name: String::new(),
                    tool_calls: calls.into_values().collect(),
                    tool_call_id: String::new(),
                    reasoning,
                    refusal,
                },
            }
        });
        choices.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallDelta;

    #[test]
    fn pieces_of_several_answers_and_calls_come_together() {
        let mut answer = Answer::default();
        let piece = |index, id: &str, name: &str, arguments: &str| CallDelta {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        for (index, content, tool_calls) in [
            (0, "Let ", vec![]),
            (1, "No.", vec![]),
            (
                0,
                "me see.",
                vec![piece(0, "a", "f", "{"), piece(1, "b", "g", "")],
            ),
            (0, "", vec![piece(0, "", "", "}"), piece(1, "", "", "[]")]),
        ] {
            answer.add(&Delta {
                index,
                content: content.to_owned(),
                tool_calls,
                ..Delta::default()
            });
        }
        answer.finish(0, Finish::ToolCalls);
        assert!(!answer.is_finished(2));
        let choices = answer.choices(Finish::Cancelled);
        assert_eq!(choices[0].message.content, [Part::Text("Let me see.".to_owned())]);
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(
            choices[0].message.tool_calls,
            [call("a", "f", "{}"), call("b", "g", "[]")]
        );
        assert_eq!(
            (choices[0].finish, choices[1].finish),
            (Finish::ToolCalls, Finish::Cancelled)
        );
    }
}
