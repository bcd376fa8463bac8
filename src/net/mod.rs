//! Layer 4: the one place for TLS, proxies, timeouts and retries.
