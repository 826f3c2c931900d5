//! EPUB: a package of pages in the order of its spine (EPUB 3.3, OPF 2.0).

use super::package::{Package, xml};
use super::{Error, Limits, decode, html};
use crate::domain::Parsed;

const FORMAT: &str = "EPUB";

pub(super) fn parse(bytes: &[u8], limits: Limits) -> Result<Parsed, Error> {
    let mut package = Package::open(FORMAT, bytes, limits)?;
    let name = "META-INF/container.xml";
    let container = package.required(name)?;
    let opf = xml(FORMAT, name, &container, limits)?
        .descendants()
        .find(|node| node.has_tag_name(("urn:oasis:names:tc:opendocument:xmlns:container", "rootfile")))
        .and_then(|node| node.attribute("full-path").map(str::to_owned))
        .ok_or_else(|| Error::Broken {
            format: FORMAT,
            reason: format!("{name} names no package"),
        })?;
    let source = package.required(&opf)?;
    let (title, pages) = spine(&source, &opf, limits)?;
    let mut writer = html::Writer::default();
    for page in &pages {
        // A spine may name what is not there; the rest can be read.
        if let Some(bytes) = package.member(page)? {
            html::read(&decode::html(&bytes)?, limits, &mut writer)?;
        }
    }
    let mut parsed = writer.finish();
    parsed.title = title.or(parsed.title);
    Ok(parsed)
}

/// The title, and the pages in reading order, as names of members.
fn spine(source: &str, opf: &str, limits: Limits) -> Result<(Option<String>, Vec<String>), Error> {
    let package = xml(FORMAT, opf, source, limits)?;
    let named = |name: &'static str| {
        let all = package.descendants();
        all.filter(move |node| node.is_element() && node.tag_name().name() == name)
    };
    let title = named("title")
        .find_map(|node| node.text().map(str::trim))
        .filter(|title| !title.is_empty());
    let folder = opf.rsplit_once('/').map_or("", |(folder, _)| folder);
    let items: std::collections::HashMap<_, _> = named("item")
        .filter_map(|item| Some((item.attribute("id")?, item.attribute("href")?)))
        .collect();
    let pages = named("itemref")
        .filter_map(|page| items.get(page.attribute("idref")?))
        .map(|href| member(folder, href))
        .collect();
    Ok((title.map(str::to_owned), pages))
}

/// The member that a reference means, relative to a folder.
fn member(folder: &str, href: &str) -> String {
    let href = href.split('#').next().unwrap_or(href);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in href.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    percent_decoded(&parts.join("/"))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
