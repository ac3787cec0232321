//! The wallet executor: the money seed, its log and its Lightning node, in a process of its own.
