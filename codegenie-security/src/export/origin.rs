//! What an exported event says about where it comes from.

/// The product and the machine that exported events name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub(super) vendor: String,
    pub(super) product: String,
    pub(super) version: String,
    pub(super) hostname: Option<String>,
}

impl Origin {
    /// This crate, on a machine that is not named.
    #[must_use]
    pub fn new() -> Self {
        Self::of_product("CodeGenie", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    /// A product of the host's own.
    #[must_use]
    pub fn of_product(
        vendor: impl Into<String>,
        product: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self { vendor: vendor.into(), product: product.into(), version: version.into(), hostname: None }
    }

    /// Names the machine on which the events happened, best by its fully qualified domain name.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into()).filter(|name| !name.is_empty());
        self
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}
