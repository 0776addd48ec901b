//! Floor 1. x
