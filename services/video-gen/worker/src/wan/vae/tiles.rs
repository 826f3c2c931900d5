//! Decoding in tiles that overlap and are blended where they do: less memory, more work. Tiles are those of diffusers, 256
//! pixels wide and 192 apart.

use tch::{Kind, Tensor};

use super::Decoder;
use crate::error::Result;
use crate::estimate::{TILE_PIXELS, TILE_STRIDE_PIXELS};
use crate::shapes::SPATIAL_SCALE;
use crate::stop::Stop;

/// Rows and columns of latents of a tile.
const TILE: i64 = TILE_PIXELS / SPATIAL_SCALE;
/// Rows and columns of latents from one tile to the next.
const STRIDE: i64 = TILE_STRIDE_PIXELS / SPATIAL_SCALE;
/// Rows and columns of pixels that tiles share.
const SHARED: i64 = (TILE - STRIDE) * SPATIAL_SCALE;

/// Whether there is more than one tile.
pub(super) fn needed(rows: i64, columns: i64) -> bool {
    rows > TILE || columns > TILE
}

/// The frames `[1, 3, frames, rows, columns]` of latents, -1 to 1.
pub(super) fn decode(
    decoder: &Decoder,
    latents: &Tensor,
    stop: &Stop,
    told: &mut dyn FnMut(u32, u32),
) -> Result<Tensor> {
    let size = latents.size();
    let (rows, columns) = (size[3], size[4]);
    let starts = |length: i64| (0..length).step_by(STRIDE as usize);
    let parts = starts(rows).count() * starts(columns).count() * usize::try_from(size[2]).unwrap_or(0);
    let parts = u32::try_from(parts).unwrap_or(u32::MAX);
    let mut done = 0;
    let video = decoder.empty(latents);
    // Of the tiles above and of the one before, only what they share with the next is kept.
    let mut above: Vec<Tensor> = Vec::new();
    for row in starts(rows) {
        let (mut below, mut left) = (Vec::new(), None);
        for (index, column) in starts(columns).enumerate() {
            let piece =
                latents
                    .narrow(3, row, TILE.min(rows - row))
                    .narrow(4, column, TILE.min(columns - column));
            let tile = decoder.decode_whole(&piece, stop, &mut || {
                done += 1;
                told(done, parts);
            })?;
            if let Some(above) = above.get(index) {
                blend(above, &tile, 3);
            }
            if let Some(left) = &left {
                blend(left, &tile, 4);
            }
            below.push(end(&tile, 3));
            left = Some(end(&tile, 4));
            let size = tile.size();
            let own = [size[3], size[4]].map(|length| length.min(STRIDE * SPATIAL_SCALE));
            video
                .narrow(3, row * SPATIAL_SCALE, own[0])
                .narrow(4, column * SPATIAL_SCALE, own[1])
                .copy_(&tile.narrow(3, 0, own[0]).narrow(4, 0, own[1]));
        }
        above = below;
    }
    Ok(super::clamped(video))
}

/// The end of a tile along an axis, as much of it as the next tile shares.
fn end(tile: &Tensor, axis: i64) -> Tensor {
    let length = tile.size()[axis as usize];
    let shared = SHARED.min(length);
    // A copy, so that the rest is freed.
    tile.narrow(axis, length - shared, shared).copy()
}

/// Lets the end of the tile before fade into the beginning of `tile`, along an axis, in place.
fn blend(before: &Tensor, tile: &Tensor, axis: i64) {
    let place = axis as usize;
    let (length, own) = (before.size()[place], tile.size()[place]);
    let shared = length.min(own);
    let mut shape = [1; 5];
    shape[place] = shared;
    let fade = (Tensor::arange(shared, (Kind::Float, tile.device())) / shared as f64).view(shape);
    let mut begin = tile.narrow(axis, 0, shared);
    let mixed = before.narrow(axis, length - shared, shared) * (1.0 - &fade) + &begin * fade;
    begin.copy_(&mixed);
}
