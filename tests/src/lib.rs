//! What needs more than one service: the mesh under test, conformance, faults, clients in other languages.
