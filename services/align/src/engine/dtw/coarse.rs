//! Where the path must be, about: the same search on means of eight frames, so that the fine one need not look
//! everywhere (as FastDTW, Salvador and Chan 2007). The work of both is proportional to the length.

use super::costs::Compared;
use super::front::WIDTH;
use super::voice::Kind;
use crate::Error;
use crate::domain::Cancel;
use crate::trellis::{Band, Chain, Costs as _, End, search};

/// Frames that become one.
const STEP: usize = 8;
/// The farthest that the coarse path may be from a line through the speech, in its states: four minutes.
const HALF: usize = 4 * 60 * 100 / STEP;
/// The farthest that the fine path may be from the coarse one, in states: three seconds.
const AROUND: usize = 300;
/// A path of fewer cells is searched as it is.
const FEW: usize = 24 << 20;

/// The band for a search: all of it if that is little work.
pub(super) fn band(
    compared: &Compared,
    rows: &[[f32; WIDTH]],
    allowed: Option<&Band>,
    end: End,
    cancel: &Cancel,
) -> Result<Band, Error> {
    let (frames, states) = (compared.frames(), compared.states());
    let cells = allowed.map_or_else(|| frames.saturating_mul(states), Band::cells);
    if cells <= FEW || end == End::Open {
        return Ok(allowed.cloned().unwrap_or_else(|| Band::full(frames, states)));
    }
    let few = Coarse::new(compared, rows);
    let chain = &few.chain;
    let band = match allowed {
        None => Band::along(&few.compared.speech(), chain.len(), HALF),
        Some(allowed) => few.coarsen(allowed),
    };
    let path = search(chain, &few.compared, &band, end, cancel)?;
    let fine: Vec<_> = (0..frames)
        .map(|frame| {
            let block = (frame / STEP).min(path.states.len() - 1);
            let (begin, end) = few.states[path.states[block] as usize];
            begin.saturating_sub(AROUND as u32)..(end + AROUND as u32).min(states as u32)
        })
        .collect();
    let fine = Band::of(fine, states);
    Ok(match allowed {
        None => fine,
        Some(allowed) => fine.within(allowed, states),
    })
}

/// The same recording and text, an eighth as long.
struct Coarse {
    compared: Compared,
    chain: Chain,
    /// The states that each coarse one stands for.
    states: Vec<(u32, u32)>,
}

impl Coarse {
    fn new(compared: &Compared, rows: &[[f32; WIDTH]]) -> Self {
        let mut chain = Chain::default();
        let (mut states, mut kinds, mut means) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        while at < compared.states() {
            let kind = compared.kind(at);
            let mut end = at + 1;
            while kind == Kind::Spoken
                && end < at + STEP
                && end < compared.states()
                && compared.kind(end) == Kind::Spoken
            {
                end += 1;
            }
            match kind {
                // What little is left of a word may be passed over for little.
                Kind::Spoken => chain.push(0.05, 0.6 * (end - at) as f32 / STEP as f32),
                Kind::Gap | Kind::Rest => chain.push(0.0, 0.0),
                Kind::Wild => chain.push(0.0, f32::INFINITY),
            }
            states.push((at as u32, end as u32));
            kinds.push(kind);
            means.push(mean(rows[at..end].iter()));
            at = end;
        }
        let blocks = (0..compared.frames())
            .step_by(STEP)
            .map(|from| from..(from + STEP).min(compared.frames()));
        let (audio, gaps) = blocks
            .map(|block| {
                let gap = block.clone().map(|frame| compared.gap(frame)).sum::<f32>() / block.len() as f32;
                (mean(block.map(|frame| compared.frame(frame))), gap)
            })
            .unzip();
        Self {
            compared: compared.like(audio, &means, kinds, gaps),
            chain,
            states,
        }
    }

    /// A band of the fine states as one of these.
    fn coarsen(&self, band: &Band) -> Band {
        let block = |block: usize| {
            let (from, to) = (block * STEP, ((block + 1) * STEP).min(band.frames()) - 1);
            let (begin, end) = (band.states(from).start as u32, band.states(to).end as u32);
            let first = self.states.partition_point(|(_, last)| *last <= begin) as u32;
            let last = self.states.partition_point(|(first, _)| *first < end) as u32;
            first..last.max(first + 1)
        };
        Band::of(
            (0..self.compared.frames()).map(block).collect(),
            self.states.len(),
        )
    }
}

fn mean<'a>(rows: impl Iterator<Item = &'a [f32; WIDTH]>) -> [f32; WIDTH] {
    let mut sum = [0.0; WIDTH];
    let mut count = 0.0_f32;
    for row in rows {
        count += 1.0;
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sum.map(|sum| sum / count.max(1.0))
}
