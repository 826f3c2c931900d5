//! What is refused of the config of a stream: it is the first message, and no other.

use polyphony_error::Fault;

/// The first message is no config: it is empty (`is_missing`), or another message. `field` is the config's.
pub fn no_config(field: &'static str, is_missing: bool) -> Fault {
    let problem = if is_missing {
        "is missing; the first message of a stream is its config"
    } else {
        "must be the first message of a stream"
    };
    Fault::invalid(field, problem)
}

/// A later message is a config, too.
pub fn another_config(field: &'static str) -> Fault {
    Fault::invalid(field, "must be sent once; open another stream for another config")
}
