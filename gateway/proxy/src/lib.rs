//! The built-in L7 data plane: HTTP/2 in, HTTP/2 out, no message ever decoded.
