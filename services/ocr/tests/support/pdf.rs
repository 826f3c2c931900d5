//! PDFs written by hand, good and hostile ones.

use std::fmt::Write as _;

/// A PDF object by object; the first is the catalog.
#[derive(Debug, Default)]
pub(crate) struct Maker {
    objects: Vec<Vec<u8>>,
}

impl Maker {
    /// Adds an object, and says by which number it goes.
    pub(crate) fn add(&mut self, body: impl Into<Vec<u8>>) -> usize {
        self.objects.push(body.into());
        self.objects.len()
    }

    /// Adds a stream with these entries besides its length.
    pub(crate) fn stream(&mut self, entries: &str, data: &[u8]) -> usize {
        let mut body = format!("<< {entries} /Length {} >>\nstream\n", data.len()).into_bytes();
        body.extend(data);
        body.extend(b"\nendstream");
        self.add(body)
    }

    /// The file, with a table of what stands where.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut file = b"%PDF-1.7\n".to_vec();
        let mut table = String::new();
        for (at, object) in self.objects.iter().enumerate() {
            writeln!(table, "{:010} 00000 n ", file.len()).unwrap();
            file.extend(format!("{} 0 obj\n", at + 1).into_bytes());
            file.extend(object);
            file.extend(b"\nendobj\n");
        }
        let (begin, count) = (file.len(), self.objects.len() + 1);
        let tail = format!(
            "xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{begin}\n%%EOF\n"
        );
        file.extend(tail.into_bytes());
        file
    }
}

/// A document whose pages have these contents, in Helvetica, each of this size in points.
pub(crate) fn document(contents: &[&str], width: f32, height: f32) -> Vec<u8> {
    let mut maker = Maker::default();
    maker.add("<< /Type /Catalog /Pages 2 0 R >>");
    let kids: String = (0..contents.len())
        .map(|at| format!("{} 0 R ", 4 + 2 * at))
        .collect();
    maker.add(format!(
        "<< /Type /Pages /Count {} /Kids [{kids}] /MediaBox [0 0 {width} {height}] >>",
        contents.len()
    ));
    maker.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
    for content in contents {
        let at = maker.objects.len() + 1;
        maker.add(format!(
            "<< /Type /Page /Parent 2 0 R /Resources << /Font << /F 3 0 R >> >> /Contents {} 0 R >>",
            at + 1
        ));
        maker.stream("", content.as_bytes());
    }
    maker.finish()
}

/// Operators that write this text in 12 points, its baseline beginning there.
pub(crate) fn say(text: &str, x: f32, y: f32) -> String {
    format!("BT /F 12 Tf {x} {y} Td ({text}) Tj ET\n")
}
