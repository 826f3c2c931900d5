//! Where the few fields that matter stand in the body of a request, without building anything of the rest.
//!
//! Only the outermost object is taken apart; values within are skipped by their brackets and quotes, and it is the upstream
//! that judges them.

use std::ops::Range;

use memchr::memchr2;

/// What is found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The value of `model`, quotes and all, and what it says.
    pub(crate) model: Option<(Range<usize>, String)>,
    pub(crate) stream: bool,
    /// The value of `n`: how many answers are wanted.
    pub(crate) answers: Option<u32>,
    /// The value of `stream_options`.
    pub(crate) stream_options: Option<Range<usize>>,
    /// The value of `messages`, `prompt`, `input` or `query`.
    pub(crate) prompt: Option<Range<usize>>,
    /// The value of `temperature` is zero.
    pub(crate) is_repeatable: bool,
    /// Just behind the opening brace.
    pub(crate) start: usize,
    /// There is nothing in the object.
    pub(crate) is_empty: bool,
}

/// The body is no JSON object, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnObject(pub(crate) usize);

/// Reads along.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Finds them.
///
/// # Errors
/// When the body is not one JSON object as far as it was looked at, or names a model twice, of which each reader could take
/// another.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, NotAnObject> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut scan = Scan::default();
    cursor.expect(b'{')?;
    scan.start = cursor.at;
    if cursor.peek()? == b'}' {
        scan.is_empty = true;
        cursor.at += 1;
    } else {
        loop {
            cursor.peek()?;
            let key = cursor.string()?;
            let key_at = key.start;
            let key = text(&bytes[key]).ok_or(NotAnObject(key_at))?;
            cursor.expect(b':')?;
            cursor.peek()?;
            let value = cursor.value()?;
            scan.note(&key, value, bytes)?;
            match cursor.peek()? {
                b',' => cursor.at += 1,
                b'}' => {
                    cursor.at += 1;
                    break;
                }
                _ => return Err(NotAnObject(cursor.at)),
            }
        }
    }
    match bytes[cursor.at..].iter().all(u8::is_ascii_whitespace) {
        true => Ok(scan),
        false => Err(NotAnObject(cursor.at)),
    }
}

/// What a string in quotes says.
fn text(quoted: &[u8]) -> Option<String> {
    serde_json::from_slice(quoted).ok()
}

// === impl Scan ===

impl Scan {
    fn note(&mut self, key: &str, value: Range<usize>, bytes: &[u8]) -> Result<(), NotAnObject> {
        let raw = &bytes[value.clone()];
        match key {
            "model" => {
                let name = text(raw)
                    .filter(|_| self.model.is_none())
                    .ok_or(NotAnObject(value.start))?;
                self.model = Some((value, name));
            }
            "stream" => self.stream = raw == b"true",
            "n" => self.answers = std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()),
            "stream_options" => self.stream_options = Some(value),
            "messages" | "prompt" | "input" | "query" => self.prompt = Some(value),
            "temperature" => {
                let number = std::str::from_utf8(raw)
                    .ok()
                    .and_then(|text| text.parse::<f64>().ok());
                self.is_repeatable = number == Some(0.0);
            }
            _ => {}
        }
        Ok(())
    }
}

// === impl Cursor ===

impl Cursor<'_> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<u8, NotAnObject> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(NotAnObject(self.at))
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotAnObject> {
        if self.peek()? != byte {
            return Err(NotAnObject(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<Range<usize>, NotAnObject> {
        let start = self.at;
        if self.bytes.get(start) != Some(&b'"') {
            return Err(NotAnObject(start));
        }
        self.at += 1;
        loop {
            let found = memchr2(b'"', b'\\', &self.bytes[self.at..]).ok_or(NotAnObject(self.bytes.len()))?;
            self.at += found;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Ok(start..self.at);
            }
            // What is escaped is no end.
            self.at += 2;
            if self.at > self.bytes.len() {
                return Err(NotAnObject(self.bytes.len()));
            }
        }
    }

    /// Any value.
    fn value(&mut self) -> Result<Range<usize>, NotAnObject> {
        let start = self.at;
        match self.bytes.get(start) {
            Some(b'"') => return self.string(),
            Some(b'{' | b'[') => {}
            Some(_) => {
                let rest = &self.bytes[start..];
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                let length = rest.iter().take_while(|byte| plain(byte)).count();
                if length == 0 {
                    return Err(NotAnObject(start));
                }
                self.at += length;
                return Ok(start..self.at);
            }
            None => return Err(NotAnObject(start)),
        }
        let mut depth = 0_usize;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Ok(start..self.at);
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        Err(NotAnObject(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_fields_count() {
        let body = br#" {"messages": [{"model": "inner", "content": "a \"}]\\"}], "mod\u0065l" : "qw\u0065n","stream":true, "temperature":0.0, "stream_options":{"x":[1,2]},"n":3 } "#;
        let scan = scan(body).expect("an object");
        let (range, model) = scan.model.expect("a model");
        assert_eq!((model.as_str(), &body[range]), ("qwen", &br#""qw\u0065n""#[..]));
        assert!(scan.stream && scan.is_repeatable && scan.answers == Some(3));
        assert_eq!(&body[scan.stream_options.expect("options")], br#"{"x":[1,2]}"#);
        assert_eq!(
            &body[scan.prompt.expect("messages")],
            br#"[{"model": "inner", "content": "a \"}]\\"}]"#
        );
        assert!(self::scan(b"{}").expect("an object").is_empty);
    }

    #[test]
    fn what_is_no_object_or_has_two_models_is_refused() {
        for body in [
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1} x",
            "{\"a\":[1}",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"model\":7}",
            "{\"model\":\"a\",\"model\":\"b\"}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":\"\\\"}",
        ] {
            assert!(scan(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let alphabet = b"{}[]\":,\\ atrue01-model";
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let length = random.usize(..24);
            let body: Vec<u8> = (0..length)
                .map(|_| alphabet[random.usize(..alphabet.len())])
                .collect();
            let wrapped = [b"{\"a\":", body.as_slice(), b"}"].concat();
            drop((scan(&body), scan(&wrapped)));
        }
    }
}
