//! Which container the bytes are, by their first bytes alone: names and media types lie.

use std::fmt;

use crate::Error;

/// The containers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// RIFF WAVE: PCM 8, 16, 24, 32 bit, float, mu-law, A-law.
    Wav,
    /// Native FLAC.
    Flac,
    /// MPEG-1, 2 and 2.5 layer III.
    Mp3,
    /// Ogg: Opus, Vorbis, FLAC.
    Ogg,
    /// ISO base media, M4A, MP4, MOV: AAC-LC.
    Mp4,
    /// WebM and Matroska: Opus, Vorbis, FLAC, AAC-LC, MP3, PCM.
    Matroska,
    /// No container: samples in a known encoding.
    Raw,
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A container that can be read.
    Found(Container),
    /// An ID3v2 tag of so many bytes comes first; look again after it.
    Tag(u64),
}

/// Bytes that are enough to decide.
pub const PROBE_LEN: usize = 12;

/// Looks at the first bytes; [`PROBE_LEN`] of them are enough, fewer only when there are no more.
///
/// # Errors
/// [`Error::Empty`], [`Error::UnsupportedContainer`] by name where the name is known, [`Error::NotAudio`] else.
pub fn probe(head: &[u8]) -> Result<Probe, Error> {
    let found = |container| Ok(Probe::Found(container));
    match head {
        [] => Err(Error::Empty),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => found(Container::Wav),
        [b'f', b'L', b'a', b'C', ..] => found(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => found(Container::Ogg),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => found(Container::Matroska),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => found(Container::Mp4),
        // The size is four times seven bits (ID3v2.4 §3.1), the ten bytes of its own header not counted; a flag
        // says that ten more follow as a footer.
        [
            b'I',
            b'D',
            b'3',
            _,
            _,
            flags,
            a @ 0..0x80,
            b @ 0..0x80,
            c @ 0..0x80,
            d @ 0..0x80,
            ..,
        ] => {
            let size = [a, b, c, d]
                .iter()
                .fold(0, |size, part| size << 7 | u64::from(**part));
            let footer = if flags & 0x10 != 0 { 10 } else { 0 };
            Ok(Probe::Tag(10 + size + footer))
        }
        [0xff, second, third, ..] if is_mpeg(*second, *third) => found(Container::Mp3),
        other => Err(unknown(other)),
    }
}

/// Eleven bits of sync, a layer, a bit rate and a sample rate that are not reserved.
const fn is_mpeg(second: u8, third: u8) -> bool {
    let layer = second >> 1 & 3;
    let version = second >> 3 & 3;
    second & 0xe0 == 0xe0 && version != 1 && layer != 0 && third >> 4 != 0x0f && third >> 2 & 3 != 3
}

fn unknown(head: &[u8]) -> Error {
    let name = match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => "AVI",
        [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..] => "RF64 (WAV over 4 GiB)",
        [b'R', b'I', b'F', b'X', ..] => "big-endian WAV (RIFX)",
        [b'F', b'O', b'R', b'M', ..] => "AIFF",
        [b'c', b'a', b'f', b'f', ..] => "Core Audio Format",
        [b'#', b'!', b'A', b'M', b'R', ..] => "AMR",
        [b'.', b's', b'n', b'd', ..] => "Sun AU",
        [b'F', b'L', b'V', ..] => "Flash video",
        [b'M', b'T', b'h', b'd', ..] => "MIDI",
        [0x30, 0x26, 0xb2, 0x75, ..] => "Windows Media (ASF)",
        [0xff, 0xf0 | 0xf1 | 0xf8 | 0xf9, ..] => "raw AAC (ADTS)",
        _ => {
            let hex: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let begins = hex.join(" ");
            return Error::NotAudio { begins };
        }
    };
    Error::UnsupportedContainer { found: name }
}

// === impl Container ===

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Mp3 => "MP3",
            Self::Ogg => "Ogg",
            Self::Mp4 => "MP4",
            Self::Matroska => "WebM/Matroska",
            Self::Raw => "raw samples",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        let cases: [(&[u8], Container); 7] = [
            (b"RIFF\0\0\0\0WAVEfmt ", Container::Wav),
            (b"fLaC\0\0\0\x22", Container::Flac),
            (b"OggS\0\x02", Container::Ogg),
            (b"\0\0\0\x1cftypM4A ", Container::Mp4),
            (&[0x1a, 0x45, 0xdf, 0xa3, 0x9f], Container::Matroska),
            (&[0xff, 0xfb, 0x90, 0x64], Container::Mp3),
            (&[0xff, 0xf3, 0x18, 0xc4], Container::Mp3),
        ];
        for (head, container) in cases {
            assert_eq!(probe(head), Ok(Probe::Found(container)));
        }
        assert_eq!(probe(b"ID3\x04\0\0\0\0\x02\x01"), Ok(Probe::Tag(10 + 257)));
        assert_eq!(probe(b"ID3\x04\0\x10\0\0\x02\x01"), Ok(Probe::Tag(20 + 257)));
    }

    #[test]
    fn what_is_not_audio_is_named_where_it_has_a_name() {
        assert_eq!(probe(b""), Err(Error::Empty));
        assert_eq!(
            probe(b"FORM\0\0\0\0AIFF"),
            Err(Error::UnsupportedContainer { found: "AIFF" })
        );
        assert_eq!(
            probe(&[0xff, 0xf1, 0x50]),
            Err(Error::UnsupportedContainer {
                found: "raw AAC (ADTS)"
            })
        );
        let Err(Error::NotAudio { begins }) = probe(b"%PDF-1.7") else {
            panic!("a PDF is not audio");
        };
        assert_eq!(begins, "25 50 44 46");
    }
}
