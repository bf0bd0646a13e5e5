//! A small bank, face service and SMS sink over real HTTP with scripted faults.
