//! Archives of spaces on the wire: how one is asked for, and how it comes in.

use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_wire::Refusals;

use super::{names, space};

/// A space to send.
#[derive(Debug)]
pub(crate) struct Export {
    /// The space's id.
    pub(crate) space: String,
    pub(crate) with_vectors: bool,
}

/// How to import an archive.
#[derive(Debug)]
pub(crate) struct Import {
    /// The new space's id; none: as in the archive.
    pub(crate) space: Option<String>,
    /// A UUID; empty: none.
    pub(crate) request_id: String,
}

/// Parses a request for an archive.
pub(crate) fn export(wire: pb::ExportSpaceRequest) -> Result<Export, Fault> {
    let pb::ExportSpaceRequest { name, omit_vectors } = wire;
    Ok(Export {
        space: names::space(&name, "name")?,
        with_vectors: !omit_vectors,
    })
}

/// Parses the first message of an import.
pub(crate) fn import(wire: pb::ImportSpaceConfig) -> Result<Import, Fault> {
    let pb::ImportSpaceConfig { space_id, request_id } = wire;
    let mut refusals = Refusals::at("config.");
    if !space_id.is_empty() && !names::is_space_id(&space_id) {
        refusals.add("space_id", names::SPACE_RULE);
    }
    space::request_id(&request_id, "request_id", &mut refusals);
    refusals.finish()?;
    Ok(Import {
        space: (!space_id.is_empty()).then_some(space_id),
        request_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_checked() {
        let wire = pb::ImportSpaceConfig {
            space_id: "A".to_owned(),
            request_id: "x".to_owned(),
        };
        let fault = import(wire).expect_err("refused");
        assert_eq!(fault.violations.len(), 2);
        let wire = pb::ExportSpaceRequest {
            name: "a".to_owned(),
            omit_vectors: false,
        };
        assert_eq!(export(wire).expect_err("refused").violations[0].field, "name");
    }
}
