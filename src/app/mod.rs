//! Where everything meets: the one place that knows every concrete type.

mod assembly;
mod demo;
mod serve;

pub use assembly::{Assembly, Broker, Running};
pub use demo::{DemoOptions, demo};
pub use serve::serve;
