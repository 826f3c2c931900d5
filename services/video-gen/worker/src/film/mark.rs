//! The words that are burnt into a picture whose weights were random.

use super::Frames;

/// What is said.
const WORDS: &str = "DUMMY WEIGHTS";
/// The letters, five dots wide, a bit a dot, the left one highest; seven rows, the top one first.
const LETTERS: &[(char, [u8; 7])] = &[
    ('D', [0x1E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1E]),
    ('E', [0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F]),
    ('G', [0x0E, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0F]),
    ('H', [0x11, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11]),
    ('I', [0x0E, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0E]),
    ('M', [0x11, 0x1B, 0x15, 0x15, 0x11, 0x11, 0x11]),
    ('S', [0x0F, 0x10, 0x10, 0x0E, 0x01, 0x01, 0x1E]),
    ('T', [0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04]),
    ('U', [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E]),
    ('W', [0x11, 0x11, 0x11, 0x15, 0x15, 0x1B, 0x11]),
    ('Y', [0x11, 0x11, 0x0A, 0x04, 0x04, 0x04, 0x04]),
];
/// Dots of a letter with the gap behind it, and of a line with the gaps around it.
const LETTER: usize = 6;
const LINE: usize = 9;

/// Burns the words into every picture, white on black at the lower edge, as wide as the picture allows.
pub fn mark(frames: &mut Frames) {
    let (width, height, bytes) = (
        frames.width as usize,
        frames.height as usize,
        frames.picture_bytes(),
    );
    let dots = WORDS.chars().count() * LETTER + 1;
    // Of dots as large as they fit, up to a third of the height; a picture too small for any has at least a bar.
    let dot = (width / dots).min(height / (3 * LINE));
    let bar = (dot.max(1) * LINE).min(height / 2);
    for picture in frames.rgb.chunks_exact_mut(bytes.max(1)) {
        let ground = &mut picture[(height - bar) * width * 3..];
        ground.fill(0);
        for (place, letter) in WORDS.chars().enumerate() {
            let Some((_, rows)) = LETTERS.iter().find(|(known, _)| *known == letter) else {
                continue;
            };
            for (row, bits) in rows.iter().enumerate() {
                for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                    let (x, y) = ((place * LETTER + column + 1) * dot, (row + 1) * dot);
                    for line in y..y + dot {
                        ground[(line * width + x) * 3..][..dot * 3].fill(255);
                    }
                }
            }
        }
    }
}
