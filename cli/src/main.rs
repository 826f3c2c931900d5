//! `polyphony`: run the mesh, talk to it, manage models.
fn main() {}
