//! The runnable examples of the workspace; the library itself is empty.
