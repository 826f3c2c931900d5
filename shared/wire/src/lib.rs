//! What every service does with `polyphony.type.v1`: media, encodings, refusals, receipts.
