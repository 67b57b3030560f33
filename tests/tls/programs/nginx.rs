//! nginx that ends TLS in front of a hub.
