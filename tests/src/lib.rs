//! What the tests and the benchmarks work with: real services of their own, and clusters of the real
//! binary.

pub mod ailing;
pub mod bench;
pub mod cluster;
pub mod docker;
pub mod overload;
pub mod process;
pub mod receiver;
pub mod served;
pub mod service;
pub mod soak;
pub mod tap;
