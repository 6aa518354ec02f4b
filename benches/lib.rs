//! The runnable benches of the workspace; the library itself is empty.
