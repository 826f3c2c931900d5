//! Frames to a file: H.264 in MP4, with the receipt in its metadata, and JPEG for previews.
//!
//! The same frames and the same receipt make the same bytes: no time of day goes in, and the encoder has one thread. A
//! file appears whole or not at all: it is written aside, synced and renamed. A picture whose weights were random says so in
//! itself, for files lose their metadata on the way.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Result;

mod aside;
mod encoder;
mod mark;
mod mp4;
mod planes;
mod preview;

pub use mark::mark;
pub use preview::preview;

/// Pictures in RGB, row by row, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Pixels across, an even number.
    pub width: u32,
    /// Pixels down, an even number.
    pub height: u32,
    /// Three bytes a pixel.
    pub rgb: Vec<u8>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

// === impl Frames ===

impl Frames {
    /// The bytes of one picture.
    pub fn picture_bytes(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// How many pictures there are.
    pub fn count(&self) -> usize {
        self.rgb.len() / self.picture_bytes().max(1)
    }

    /// The pictures, one by one.
    pub fn pictures(&self) -> impl Iterator<Item = &[u8]> {
        self.rgb.chunks_exact(self.picture_bytes().max(1))
    }
}

/// Writes a video of so many frames a second, with `receipt` as the comment in its metadata. `go_on` is asked before each
/// frame and may end it with an error.
///
/// # Errors
///
/// Frames that cannot be encoded, a file that cannot be written, or what `go_on` says. Nothing is left then.
pub fn write(
    output: &Path,
    frames: &Frames,
    frame_rate: f32,
    receipt: &str,
    go_on: &mut dyn FnMut() -> Result<()>,
) -> Result<Written> {
    let stream = encoder::encode(frames, frame_rate, go_on)?;
    let file = mp4::mux(frames, frame_rate, &stream, receipt)?;
    aside::write(output, &file, true)?;
    Ok(Written {
        size_bytes: file.len() as u64,
        sha256: Sha256::digest(&file)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
