//! What the decoder's convolutions keep of the frames before.

use tch::Tensor;

/// Frames that a convolution of three frames looks back.
const LOOK_BACK: i64 = 2;

/// The last frames that went into each convolution, in the order in which they come by.
#[derive(Debug, Default)]
pub(super) struct FeatureCache {
    kept: Vec<Option<Tensor>>,
    next: usize,
}

// === impl FeatureCache ===

impl FeatureCache {
    /// Begins at the first convolution again.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Puts the last two frames before `x`, `[batch, channels, frames, rows, columns]`, and keeps the last two of both.
    /// Before the first frame there are zeros. It takes `x`, which then is free before the convolution begins.
    pub(super) fn extend(&mut self, x: Tensor) -> Tensor {
        let place = self.place();
        let before = place.take().unwrap_or_else(|| {
            let size = x.size();
            Tensor::zeros(
                [size[0], size[1], LOOK_BACK, size[3], size[4]],
                (x.kind(), x.device()),
            )
        });
        let extended = Tensor::cat(&[&before, &x], 2);
        drop((before, x));
        let frames = extended.size()[2];
        // A copy, so that what is not looked back at is freed.
        *place = Some(extended.narrow(2, frames - LOOK_BACK, LOOK_BACK).copy());
        extended
    }

    /// Whether a convolution comes by for the first time; it then is passed over, and looks back at zeros the next time.
    pub(super) fn begins(&mut self, x: &Tensor) -> bool {
        let place = self.place();
        let begins = place.is_none();
        if begins {
            let size = x.size();
            *place = Some(Tensor::zeros(
                [size[0], size[1], LOOK_BACK, size[3], size[4]],
                (x.kind(), x.device()),
            ));
        } else {
            self.next -= 1;
        }
        begins
    }

    fn place(&mut self) -> &mut Option<Tensor> {
        if self.next == self.kept.len() {
            self.kept.push(None);
        }
        self.next += 1;
        &mut self.kept[self.next - 1]
    }
}
