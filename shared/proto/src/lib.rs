//! Generated wire types, clients, servers and descriptor sets of the contract; no logic.
