//! Video generation: prompts in, videos out, through a queue that tells the truth.
