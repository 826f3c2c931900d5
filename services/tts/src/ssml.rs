//! SSML as what is spoken: a subset of W3C SSML 1.1, compiled to items that every engine understands.
//!
//! Understood are [`ELEMENTS`], each with the attributes that can be honoured. Whatever else a document has is refused
//! by its name and place: an engine that would silently leave out an `emphasis` has not done what it was asked to.
//!
//! Documents are untrusted: their size, the number of their elements and their depth are bounded before anything is made
//! of them, and no entities but XML's own five are known, so none can grow.

mod prosody;
mod say_as;
mod text;

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use roxmltree::{Document, Node, NodeType, ParsingOptions};

use crate::domain::{Item, Prosody, Script};
use crate::phones::{self, Notation};

/// The elements that are understood.
pub const ELEMENTS: [&str; 6] = ["break", "mark", "phoneme", "prosody", "say-as", "speak"];
/// The most bytes of a document.
pub const MOST_BYTES: usize = 64 << 10;
/// The deepest that elements may lie in one another.
pub const DEEPEST: usize = 32;
/// The most elements and texts.
const MOST_NODES: u32 = 5_000;
/// The longest pause.
const LONGEST_BREAK: Duration = Duration::from_secs(10);
/// All pauses of a document together.
const LONGEST_BREAKS: Duration = Duration::from_secs(60);
/// The longest name of a mark.
const LONGEST_NAME: usize = 128;
const NAMESPACE: &str = "http://www.w3.org/2001/10/synthesis";

/// A document as what is spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// What is said, in order. Scripts know where they stand in the document.
    pub items: Vec<Item>,
    /// The language that the document says it is in (`xml:lang` of `speak`).
    pub language: Option<String>,
}

/// What is wrong with a document: the first thing that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SSML, line {line}, column {column}: {problem}")]
pub struct Error {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// What is wrong there, and what is accepted.
    pub problem: String,
}

/// What is gathered on the way through a document.
struct Compiler<'a> {
    document: &'a Document<'a>,
    source: u64,
    language: &'a str,
    items: Vec<Item>,
    /// Said in the prosody that holds now.
    script: Script,
    marks: HashSet<String>,
    breaks: Duration,
}

/// Compiles a document that begins `source` bytes from the beginning of the input. `language` is that of the voice, as
/// BCP-47, for what is written out differently from language to language.
///
/// # Errors
/// [`Error`] names the first thing that is wrong, and where.
pub fn compile(document: &str, source: u64, language: &str) -> Result<Speech, Error> {
    let whole = |problem: String| Error {
        line: 1,
        column: 1,
        problem,
    };
    if document.len() > MOST_BYTES {
        return Err(whole(format!(
            "the document has {} bytes, at most {MOST_BYTES} are read",
            document.len()
        )));
    }
    if document.trim().is_empty() {
        return Err(whole(
            "the document is empty; it must be a `speak` element".to_owned(),
        ));
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    let tree = Document::parse_with_options(document, options).map_err(|error| {
        let at = error.pos();
        let problem = match error {
            roxmltree::Error::DtdDetected => "a document type is not accepted".to_owned(),
            roxmltree::Error::NodesLimitReached => format!("more than {MOST_NODES} elements and texts"),
            // It names the place, too, at its end.
            error => error
                .to_string()
                .split(" at ")
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        Error {
            line: at.row,
            column: at.col,
            problem: format!("not well-formed: {problem}"),
        }
    })?;
    let mut compiler = Compiler {
        document: &tree,
        source,
        language,
        items: Vec::new(),
        script: Script::default(),
        marks: HashSet::new(),
        breaks: Duration::ZERO,
    };
    let root = tree.root_element();
    if root.tag_name().name() != "speak" {
        return Err(compiler.wrong(
            root,
            format!(
                "the document is a `{}`; it must be a `speak`",
                root.tag_name().name()
            ),
        ));
    }
    compiler.named(root, &["version", "lang"])?;
    compiler.content(root, Prosody::NATURAL, 1)?;
    compiler.end_script(Prosody::NATURAL);
    Ok(Speech {
        items: compiler.items,
        language: root.attribute((roxmltree::NS_XML_URI, "lang")).map(str::to_owned),
    })
}

// === impl Compiler ===

impl Compiler<'_> {
    fn content(&mut self, parent: Node<'_, '_>, prosody: Prosody, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(self.wrong(
                parent,
                format!("elements lie deeper than {DEEPEST} in one another"),
            ));
        }
        for node in parent.children() {
            match node.node_type() {
                NodeType::Text => {
                    for bit in text::bits(self.document.input_text(), self.range(node)) {
                        bit.push(&mut self.script, self.source);
                    }
                }
                NodeType::Element => self.element(node, prosody, depth)?,
                NodeType::Comment | NodeType::PI | NodeType::Root => {}
            }
        }
        Ok(())
    }

    fn element(&mut self, node: Node<'_, '_>, prosody: Prosody, depth: usize) -> Result<(), Error> {
        let name = node.tag_name().name();
        let attributes: &[&str] = match name {
            "break" => &["time", "strength"],
            "mark" => &["name"],
            "phoneme" => &["alphabet", "ph"],
            "prosody" => &["rate", "pitch", "volume"],
            "say-as" => &["interpret-as", "format"],
            "speak" => return Err(self.wrong(node, "a `speak` cannot lie in another".to_owned())),
            _ => {
                let known = ELEMENTS.join(", ");
                return Err(self.wrong(
                    node,
                    format!("the element `{name}` is not understood; {known} are"),
                ));
            }
        };
        self.named(node, attributes)?;
        match name {
            "break" => self.pause(node, prosody),
            "mark" => self.mark(node),
            "phoneme" => self.phoneme(node),
            "say-as" => self.say_as(node),
            _ => {
                let inner = prosody::of(node)
                    .map_err(|problem| self.wrong(node, problem))?
                    .over(prosody);
                self.end_script(prosody);
                self.content(node, inner, depth + 1)?;
                self.end_script(inner);
                Ok(())
            }
        }
    }

    fn pause(&mut self, node: Node<'_, '_>, prosody: Prosody) -> Result<(), Error> {
        self.childless(node)?;
        let pause = prosody::pause(node).map_err(|problem| self.wrong(node, problem))?;
        if pause > LONGEST_BREAK {
            return Err(self.wrong(
                node,
                format!("a break of {pause:?} is longer than {LONGEST_BREAK:?}"),
            ));
        }
        self.breaks += pause;
        if self.breaks > LONGEST_BREAKS {
            return Err(self.wrong(
                node,
                format!("all breaks together are longer than {LONGEST_BREAKS:?}"),
            ));
        }
        self.end_script(prosody);
        if !pause.is_zero() {
            self.items.push(Item::Break(pause));
        }
        Ok(())
    }

    fn mark(&mut self, node: Node<'_, '_>) -> Result<(), Error> {
        self.childless(node)?;
        let name = self.required(node, "name")?;
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            return Err(self.wrong(
                node,
                format!("the name of a mark has 1 to {LONGEST_NAME} characters"),
            ));
        }
        if !self.marks.insert(name.to_owned()) {
            return Err(self.wrong(node, format!("there are two marks \"{name}\"")));
        }
        self.script.push_mark(name);
        Ok(())
    }

    fn phoneme(&mut self, node: Node<'_, '_>) -> Result<(), Error> {
        let pronunciation = self.required(node, "ph")?;
        let notation = match node.attribute("alphabet").unwrap_or("ipa") {
            "ipa" => Notation::Ipa,
            "x-sampa" => Notation::XSampa,
            other => {
                let problem = format!("the alphabet \"{other}\" is not known; \"ipa\" and \"x-sampa\" are");
                return Err(self.wrong(node, problem));
            }
        };
        let ipa = phones::ipa(pronunciation, notation).map_err(|problem| self.wrong(node, problem))?;
        let (written, source) = self.only_text(node)?;
        // Something must stand for it where words are told.
        let written = if written.trim().is_empty() {
            ipa.clone()
        } else {
            written
        };
        self.script.push_phones(&written, source, ipa);
        Ok(())
    }

    fn say_as(&mut self, node: Node<'_, '_>) -> Result<(), Error> {
        let kind = self.required(node, "interpret-as")?;
        let (written, source) = self.only_text(node)?;
        let spoken = say_as::spoken(&written, kind, node.attribute("format"), self.language)
            .map_err(|problem| self.wrong(node, problem))?;
        self.script.push_instead(&spoken, source);
        Ok(())
    }

    /// The text of an element that has nothing else in it, and where it stands in the input.
    fn only_text(&self, node: Node<'_, '_>) -> Result<(String, Range<u64>), Error> {
        if let Some(inner) = node.children().find(Node::is_element) {
            let problem = format!("a `{}` has text in it and no elements", node.tag_name().name());
            return Err(self.wrong(inner, problem));
        }
        let mut written = String::new();
        let mut range: Option<Range<usize>> = None;
        for child in node.children().filter(Node::is_text) {
            let place = self.range(child);
            for bit in text::bits(self.document.input_text(), place.clone()) {
                written.push_str(&bit.text);
            }
            range = Some(range.map_or(place.start, |range| range.start)..place.end);
        }
        let range = range.unwrap_or_else(|| node.range());
        Ok((
            written,
            self.source + range.start as u64..self.source + range.end as u64,
        ))
    }

    /// Where a text stands: to the next node, or to the end tag around it. The tree tells only its first bytes when it is
    /// made of several.
    fn range(&self, text: Node<'_, '_>) -> Range<usize> {
        let start = text.range().start;
        let end = text.next_sibling().map(|next| next.range().start).or_else(|| {
            let parent = text.parent()?.range();
            self.document.input_text()[parent.clone()]
                .rfind("</")
                .map(|tag| parent.start + tag)
        });
        start..end.unwrap_or(start).max(start)
    }

    /// What was said so far is said in this prosody.
    fn end_script(&mut self, prosody: Prosody) {
        let script = std::mem::take(&mut self.script);
        if !script.is_empty() {
            self.items.push(Item::Say(script, prosody));
        }
    }

    /// Refuses attributes that are not in `known`, and names of other vocabularies.
    fn named(&self, node: Node<'_, '_>, known: &[&str]) -> Result<(), Error> {
        if node
            .tag_name()
            .namespace()
            .is_some_and(|space| space != NAMESPACE)
        {
            let problem = format!("the element `{}` is not one of SSML", node.tag_name().name());
            return Err(self.wrong(node, problem));
        }
        for attribute in node.attributes() {
            let of_xml = attribute.namespace() == Some(roxmltree::NS_XML_URI);
            let plain = attribute.namespace().is_none() && attribute.name() != "lang";
            if !known.contains(&attribute.name()) || !(plain || of_xml && attribute.name() == "lang") {
                // `xsi:schemaLocation` of a whole document says nothing about how it is spoken.
                if node.tag_name().name() == "speak" && attribute.namespace().is_some() && !of_xml {
                    continue;
                }
                let (name, element) = (attribute.name(), node.tag_name().name());
                return Err(self.wrong(
                    node,
                    format!("the attribute `{name}` of `{element}` is not understood"),
                ));
            }
        }
        Ok(())
    }

    fn required<'n>(&self, node: Node<'n, '_>, name: &str) -> Result<&'n str, Error> {
        node.attribute(name).map(str::trim).ok_or_else(|| {
            self.wrong(
                node,
                format!("a `{}` needs the attribute `{name}`", node.tag_name().name()),
            )
        })
    }

    fn childless(&self, node: Node<'_, '_>) -> Result<(), Error> {
        let blank = |child: Node<'_, '_>| {
            child.is_comment() || child.text().is_some_and(|text| text.trim().is_empty())
        };
        if node.children().all(blank) {
            return Ok(());
        }
        Err(self.wrong(node, format!("a `{}` has nothing in it", node.tag_name().name())))
    }

    fn wrong(&self, node: Node<'_, '_>, problem: String) -> Error {
        let at = self.document.text_pos_at(node.range().start);
        // What is said back of a caller's text.
        let problem = if problem.chars().count() > 400 {
            problem.chars().take(400).chain(['…']).collect()
        } else {
            problem
        };
        Error {
            line: at.row,
            column: at.col,
            problem,
        }
    }
}

#[cfg(test)]
mod tests;
