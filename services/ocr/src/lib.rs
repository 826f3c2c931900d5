//! Text recognition on images and documents.
