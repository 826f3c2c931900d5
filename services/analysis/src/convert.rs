//! Wire to domain, once, at receipt; domain to wire, without failing. Nothing else.
//!
//! Every message is destructured, so that a new field does not compile until somebody has decided whether it is
//! honoured or refused.

pub(crate) mod features;
pub(crate) mod measured;
pub(crate) mod pitch;
pub(crate) mod separation;

use polyphony_error::Fault;
use polyphony_wire::Refusals;

/// Where every config stands in its request.
pub(crate) const PATH: &str = "config.";

/// What is wrong with the field that a checked noun of the domain names, among what else is wrong with the message.
pub(crate) fn add(refusals: &mut Refusals, checked: Result<(), Fault>) {
    let Err(fault) = checked else { return };
    for violation in fault.violations {
        let field = violation.field.strip_prefix(PATH).unwrap_or(&violation.field);
        refusals.add(field, violation.description);
    }
}
