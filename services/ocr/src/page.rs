//! The pixels and shapes of pages: what finding and cutting lines needs, on plain buffers. It knows no model.

pub mod contour;
pub mod cut;
pub mod grow;
pub mod rectangle;
pub mod resize;
