//! Dots an inch that a picture says of itself. Only told to the caller, never relied on.

use super::MediaType;

/// What is believed of a scanner or a screen.
const BELIEVED: std::ops::RangeInclusive<f32> = 20.0..=10_000.0;
const METRES: f32 = 0.0254;

/// Dots an inch, 0 where the picture does not say.
pub(super) fn of(bytes: &[u8], media_type: MediaType) -> f32 {
    let said = match media_type {
        MediaType::Png => of_png(bytes),
        MediaType::Jpeg => of_jfif(bytes),
        MediaType::WebP | MediaType::Bmp | MediaType::Gif | MediaType::Tiff | MediaType::Pdf => None,
    };
    believed(said)
}

/// What can be believed of it; else 0.
pub(super) fn believed(said: Option<f32>) -> f32 {
    said.filter(|dpi| BELIEVED.contains(dpi)).unwrap_or(0.0)
}

/// The chunk `pHYs` before the pixels (PNG, third edition, 11.3.5.3).
fn of_png(bytes: &[u8]) -> Option<f32> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (head, body) = rest.split_at_checked(8)?;
        let length = u32::from_be_bytes(head.get(..4)?.try_into().ok()?) as usize;
        match head.get(4..)? {
            b"pHYs" => {
                let across = u32::from_be_bytes(body.get(..4)?.try_into().ok()?);
                let in_metres = *body.get(8)? == 1;
                return in_metres.then_some((across as f32 * METRES).round());
            }
            b"IDAT" | b"IEND" => return None,
            _ => rest = body.get(length.checked_add(4)?..)?,
        }
    }
}

/// The segment APP0 of JFIF 1.02, which stands first.
fn of_jfif(bytes: &[u8]) -> Option<f32> {
    let segment = bytes.get(2..20)?;
    if segment.get(..2)? != b"\xFF\xE0" || segment.get(4..9)? != b"JFIF\0" {
        return None;
    }
    let across = f32::from(u16::from_be_bytes(segment.get(12..14)?.try_into().ok()?));
    match segment.get(11)? {
        1 => Some(across),
        2 => Some((across * 2.54).round()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_a_metre_become_dots_an_inch() {
        let mut png = b"\x89PNG\r\n\x1A\n".to_vec();
        for (name, body) in [
            (b"IHDR", vec![0; 13]),
            (
                b"pHYs",
                [&11_811_u32.to_be_bytes()[..], &11_811_u32.to_be_bytes(), &[1]].concat(),
            ),
        ] {
            png.extend((body.len() as u32).to_be_bytes());
            png.extend(name);
            png.extend(body);
            png.extend([0; 4]);
        }
        assert_eq!(of(&png, MediaType::Png), 300.0);
        assert_eq!(of(&png[..30], MediaType::Png), 0.0);
        let jfif = b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x02\x02\0\x76\0\x76\0\0";
        assert_eq!(of(jfif, MediaType::Jpeg), 300.0);
        assert_eq!(of(b"\xFF\xD8\xFF\xE1", MediaType::Jpeg), 0.0);
    }
}
