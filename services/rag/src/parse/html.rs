//! HTML, by its tags alone. The text is extracted: what is not shown is left out, and each block is a line.
//!
//! No tree is built: browsers' rules for one look at all open elements for each that comes, which pages of many open
//! elements make slow on purpose. Tags in order are enough to tell blocks.

mod hidden;
mod writer;

use std::cell::RefCell;

use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::{Error, Limits};
use crate::domain::Parsed;
use hidden::{Hidden, Met, is_hidden};
pub(super) use writer::Writer;

/// Elements without an end.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
];
/// The tokenizer is fed so many bytes at a time.
const PIECE: usize = 1024;
/// The tokenizer compares each attribute of a tag with all before it; more comparisons than this take too long.
const MOST_COMPARISONS: usize = 200_000_000;

pub(super) fn parse(source: &str, limits: Limits) -> Result<Parsed, Error> {
    let mut writer = Writer::default();
    read(source, limits, &mut writer)?;
    Ok(writer.finish())
}

/// Reads a page to the end of what was read before.
pub(super) fn read(source: &str, limits: Limits, writer: &mut Writer) -> Result<(), Error> {
    let too_large = |what: String| Err(Error::TooLarge { what });
    let sink = Sink {
        page: RefCell::new(Page {
            writer: std::mem::take(writer),
            hidden: None,
            goes_on: false,
        }),
    };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let queue = BufferQueue::default();
    // What is neither text nor ends may be one tag, and every word of it an attribute.
    let (mut attributes, mut comparisons) = (0, 0);
    let mut rest = source;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE));
        rest = more;
        queue.push_back(StrTendril::from(piece));
        // Scripts end the feeding; nothing waits for them here.
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        let mut page = tokenizer.sink.page.borrow_mut();
        if std::mem::take(&mut page.goes_on) {
            comparisons += attributes * attributes / 2;
            attributes = 0;
        } else {
            attributes += words(piece);
        }
        if comparisons + attributes * attributes / 2 > MOST_COMPARISONS {
            return too_large("it has tags or comments that are too long".to_owned());
        }
        if page.writer.blocks() > limits.blocks {
            return too_large(format!("it has more than {} parts", limits.blocks));
        }
    }
    tokenizer.end();
    *writer = tokenizer.sink.page.into_inner().writer;
    writer.end_all();
    Ok(())
}

/// How many attributes may begin in a part of a tag, at most.
fn words(piece: &str) -> usize {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"/\"'".contains(byte);
    piece
        .as_bytes()
        .split(is_between)
        .filter(|word| !word.is_empty())
        .count()
}

/// Takes what the tokenizer finds.
struct Sink {
    page: RefCell<Page>,
}

/// A page on its way to the writer.
struct Page {
    writer: Writer,
    /// The element that hides all that comes.
    hidden: Option<Hidden>,
    /// Something was found since this was last looked at.
    goes_on: bool,
}

// === impl Sink ===

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut page = self.page.borrow_mut();
        page.goes_on |= !matches!(token, Token::ParseError(_));
        match token {
            Token::TagToken(tag) => return page.tag(&tag),
            Token::CharacterTokens(text) if page.hidden.is_none() => page.writer.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

// === impl Page ===

impl Page {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        let is_start = tag.kind == TagKind::StartTag;
        let is_whole = tag.self_closing || VOID.contains(&name);
        if let Some(hidden) = &mut self.hidden {
            let met = hidden.meet(name, is_start, is_whole);
            if met != Met::Inside {
                self.hidden = None;
            }
            if met != Met::After {
                return raw(tag, is_start && !is_whole);
            }
        }
        if is_start && !is_whole && is_hidden(tag) {
            self.hidden = Some(Hidden::begin(name));
        } else if is_start {
            self.writer.open(name);
            if is_whole {
                self.writer.close(name);
            }
        } else {
            self.writer.close(name);
        }
        raw(tag, is_start && !is_whole)
    }
}

/// In these elements tags are text.
fn raw(tag: &Tag, begins: bool) -> TokenSinkResult<()> {
    match &*tag.name {
        "script" if begins => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noembed" | "noframes" if begins => TokenSinkResult::RawData(RawKind::Rawtext),
        "title" | "textarea" if begins => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}
