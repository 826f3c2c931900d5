//! Elements that nobody sees, to their end.

use html5ever::tokenizer::Tag;

use super::writer::BLOCKS;

/// Elements whose content is not for readers.
const HIDDEN: [&str; 14] = [
    "script", "style", "template", "noscript", "svg", "math", "nav", "iframe", "object", "select", "button",
    "canvas", "dialog", "datalist",
];
/// What holds elements whose ends may be left out.
const HOLDERS: [&str; 5] = ["ul", "ol", "menu", "dl", "table"];
/// Elements whose ends may be left out.
const UNENDED: [&str; 10] = ["p", "li", "dt", "dd", "td", "th", "tr", "thead", "tbody", "tfoot"];

/// A hidden element that is open.
pub(super) struct Hidden {
    name: String,
    /// How many of its name are open.
    open: usize,
    /// How many [`HOLDERS`] are open in it.
    held: usize,
}

/// What a tag is to a hidden element.
#[derive(PartialEq, Eq)]
pub(super) enum Met {
    Inside,
    /// It is its end.
    End,
    /// It was at its end before this tag.
    After,
}

pub(super) fn is_hidden(tag: &Tag) -> bool {
    HIDDEN.contains(&&*tag.name)
        || tag.attrs.iter().any(|attribute| {
            &*attribute.name.local == "hidden"
                || (&*attribute.name.local == "aria-hidden" && &*attribute.value == "true")
        })
}

// === impl Hidden ===

impl Hidden {
    pub(super) fn begin(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            open: 1,
            held: 0,
        }
    }

    /// A tag comes; one `is_whole` that has no end of its own.
    pub(super) fn meet(&mut self, name: &str, is_start: bool, is_whole: bool) -> Met {
        let may_be_unended = UNENDED.contains(&self.name.as_str());
        if may_be_unended && self.held == 0 {
            let is_over = if is_start {
                ends(&self.name, name)
            } else {
                HOLDERS.contains(&name)
            };
            if is_over {
                return Met::After;
            }
        }
        if is_whole {
            return Met::Inside;
        }
        if may_be_unended && HOLDERS.contains(&name) {
            self.held = if is_start { self.held + 1 } else { self.held - 1 };
        } else if self.name == name && self.held == 0 {
            self.open = if is_start { self.open + 1 } else { self.open - 1 };
        }
        if self.open == 0 { Met::End } else { Met::Inside }
    }
}

/// Whether an element whose end may be left out ends where another begins (HTML, 13.1.2.4).
fn ends(open: &str, next: &str) -> bool {
    match open {
        "p" => BLOCKS.contains(&next),
        "li" => next == "li",
        "dt" | "dd" => matches!(next, "dt" | "dd"),
        "td" | "th" => matches!(next, "td" | "th" | "tr" | "tbody" | "tfoot"),
        "tr" => matches!(next, "tr" | "tbody" | "tfoot"),
        _ => matches!(next, "tbody" | "tfoot"),
    }
}
