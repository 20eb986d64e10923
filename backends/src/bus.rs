//! Adapters of the bus.

mod memory;
mod redis;

pub use memory::MemoryBus;
pub use redis::RedisBus;
