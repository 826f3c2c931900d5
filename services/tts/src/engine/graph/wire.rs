//! The wire format of protobuf, as far as the outermost messages of a model need it.

/// The fields of a message; `None` at the first that is broken, and then no more.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    /// With its tag.
    pub(super) raw: &'a [u8],
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which nothing here needs.
    Fixed,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self { rest: Some(message) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.rest.filter(|rest| !rest.is_empty())?;
        let read = field(message);
        self.rest = read.map(|(_, rest)| rest);
        Some(read.map(|(field, _)| field))
    }
}

fn field(message: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (tag, rest) = varint(message)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let (value, rest) = match tag & 7 {
        0 => {
            let (value, rest) = varint(rest)?;
            (Value::Integer(value), rest)
        }
        1 => (Value::Fixed, rest.get(8..)?),
        2 => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Value::Bytes(value), rest)
        }
        5 => (Value::Fixed, rest.get(4..)?),
        _ => return None,
    };
    let raw = &message[..message.len() - rest.len()];
    Some((Field { number, raw, value }, rest))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7F).checked_shl(u32::try_from(7 * at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

// === impl Field ===

impl<'a> Field<'a> {
    pub(super) const fn bytes(&self) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Integer(_) | Value::Fixed => None,
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// One integer, or a packed list of them.
    pub(super) fn integers(&self) -> Option<Vec<u64>> {
        let mut rest = match self.value {
            Value::Integer(value) => return Some(vec![value]),
            Value::Bytes(bytes) => bytes,
            Value::Fixed => return None,
        };
        let mut values = Vec::new();
        while !rest.is_empty() {
            let (value, after) = varint(rest)?;
            values.push(value);
            rest = after;
        }
        Some(values)
    }
}

/// Appends a field that is a message, text or bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field that is an integer.
pub(super) fn put_integer(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, 300);
        put_bytes(&mut message, 17, b"text");
        let fields: Vec<_> = Fields::of(&message)
            .map(|field| field.expect("a field"))
            .collect();
        assert_eq!(fields[0].integers(), Some(vec![300]));
        assert_eq!((fields[1].number, fields[1].text()), (17, Some("text")));
        assert_eq!(fields[1].raw.len() + fields[0].raw.len(), message.len());
    }

    #[test]
    fn what_is_broken_is_told() {
        for broken in [&[0x0A, 5, 1][..], &[0xFF; 11], &[0x0B], &[0x08]] {
            assert!(Fields::of(broken).any(|field| field.is_none()), "{broken:?}");
            assert!(Fields::of(broken).count() < 4);
        }
    }
}
