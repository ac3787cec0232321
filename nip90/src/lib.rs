//! nip90
