//! Speech recognition: streaming, unary and batch.
