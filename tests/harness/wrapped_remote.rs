//! Remote systems behind something that looks at their calls: the rest of the port is written down once, for all wrappers.

/// All of the port but `call`, for a wrapper whose `inner` is the remote behind it.
#[macro_export]
macro_rules! the_rest_of_the_remote {
    () => {
        fn timeout(&self, connector: &str) -> std::time::Duration {
            self.inner.timeout(connector)
        }

        fn key_window(&self, connector: &str) -> Option<std::time::Duration> {
            self.inner.key_window(connector)
        }

        fn breaker(&self, connector: &str) -> mozhao::engine::ports::remote::BreakerSettings {
            self.inner.breaker(connector)
        }

        fn names(&self) -> Vec<String> {
            self.inner.names()
        }
    };
}
