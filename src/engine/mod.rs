//! The engine: carries requests from intake to outcome. It defines the ports that stores, queues and connectors
//! implement, and knows no driver.

pub mod ports;
