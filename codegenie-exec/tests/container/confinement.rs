//! What a container confines.
