//! Sixteen states of one frame at a time, with loops of fixed length that become vector instructions.

/// States that are taken over a frame together.
pub(super) const LANES: usize = 16;
/// Bytes that their moves take: two bits each.
pub(super) const PACKED: usize = LANES / 4;

/// A block of states.
pub(super) type Block = [f32; LANES];

/// What a block of states is reached from, and what that costs.
pub(super) struct Reached<'a> {
    /// The ways that end here, and in the states one, two and three before.
    pub(super) from: [&'a Block; 4],
    /// What staying costs.
    pub(super) stay: &'a Block,
    /// What passing over one state costs, and over two.
    pub(super) pass: [&'a Block; 2],
}

// === impl Reached ===

impl Reached<'_> {
    /// The cheapest ways into each state, and by how many states they move on.
    #[inline]
    pub(super) fn best(&self, emission: &Block) -> (Block, [u8; PACKED]) {
        let [here, one, two, three] = self.from;
        let mut best = [0.0; LANES];
        let mut by = [0_i32; LANES];
        for lane in 0..LANES {
            let mut cost = here[lane] + self.stay[lane];
            let mut moved = 0;
            let ways = [
                one[lane],
                two[lane] + self.pass[0][lane],
                three[lane] + self.pass[1][lane],
            ];
            for (way, states) in ways.into_iter().zip(1..) {
                moved = if way < cost { states } else { moved };
                cost = if way < cost { way } else { cost };
            }
            best[lane] = cost + emission[lane];
            by[lane] = moved;
        }
        (best, pack(by))
    }
}

fn pack(by: [i32; LANES]) -> [u8; PACKED] {
    let mut packed = [0; PACKED];
    for (at, packed) in packed.iter_mut().enumerate() {
        let quarter = |quarter: usize| by[quarter * PACKED + at] << (2 * quarter);
        *packed = (quarter(0) | quarter(1) | quarter(2) | quarter(3)) as u8;
    }
    packed
}

/// By how many states the way into a state moved on, of a row of packed blocks.
pub(super) fn moved(row: &[u8], state: usize) -> usize {
    let (block, lane) = (state / LANES, state % LANES);
    let packed = row[block * PACKED + lane % PACKED];
    usize::from(packed >> (2 * (lane / PACKED)) & 3)
}

/// As many blocks as cover `count` states from `begin`.
pub(super) fn blocks(states: &[f32], begin: usize, count: usize) -> &[Block] {
    let (blocks, _) = states[begin..].as_chunks();
    &blocks[..count.div_ceil(LANES)]
}

/// As [`blocks`], to write to.
pub(super) fn blocks_mut(states: &mut [f32], begin: usize, count: usize) -> &mut [Block] {
    let (blocks, _) = states[begin..].as_chunks_mut();
    &mut blocks[..count.div_ceil(LANES)]
}
