//! espeak-ng, opened at run time: phones, speech and the times of both.
