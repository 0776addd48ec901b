//! Floor 5. A connector that is a server, with clients and programs.
