//! The image that containers are made of.

use super::{Daemon, of_daemon, status};
use crate::sandbox::SandboxError;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use std::io;

/// The image, as it was when the sandbox was made.
#[derive(Clone, Debug)]
pub(in crate::container) struct Image {
    /// Its content's digest: what the name stands for later does not matter.
    pub(in crate::container) id: String,
    /// Names of variables that it would set.
    pub(in crate::container) variables: Vec<String>,
}

impl Daemon {
    /// The image of that name, pulled where it is missing and that is allowed.
    pub(in crate::container) async fn image(
        &self,
        name: &str,
        may_pull: bool,
    ) -> Result<Image, SandboxError> {
        check_image_name(name)?;
        let mut found = self.docker.inspect_image(name).await;
        if may_pull && found.as_ref().is_err_and(|error| status(error) == Some(404)) {
            let options = CreateImageOptions { from_image: Some(name.to_owned()), ..Default::default() };
            let mut progress = self.docker.create_image(Some(options), None, None);
            while let Some(step) = progress.next().await {
                step.map_err(|error| of_daemon(&format!("cannot pull the image {name}"), error))?;
            }
            found = self.docker.inspect_image(name).await;
        }
        let image = found.map_err(|error| match status(&error) {
            Some(404) => SandboxError::invalid_request(format!(
                "the daemon has no image {name}, and it is not pulled unless that is allowed: load it, or allow it"
            )),
            _ => of_daemon(&format!("cannot look at the image {name}"), error),
        })?;
        let config = image.config.unwrap_or_default();
        if config.volumes.is_some_and(|volumes| !volumes.is_empty()) {
            return Err(SandboxError::invalid_request(format!(
                "the image {name} declares volumes, which would be writable: use one without"
            )));
        }
        let id = image.id.filter(|id| !id.is_empty()).ok_or_else(|| {
            SandboxError::system("the daemon told no id of the image", io::Error::other(name.to_owned()))
        })?;
        let name = |pair: String| pair.split('=').next().map(str::to_owned);
        let variables = config.env.unwrap_or_default().into_iter().filter_map(name).collect();
        Ok(Image { id, variables })
    }
}

/// A reference: lower-case names, a registry's port, a tag, a digest. It becomes a part of a request's path.
fn check_image_name(name: &str) -> Result<(), SandboxError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let has_empty_part = name.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    if starts_well && name.len() <= 512 && name.bytes().all(known) && !has_empty_part {
        return Ok(());
    }
    Err(SandboxError::invalid_request(format!(
        "{name:?} is no image name: write registry/name:tag or name@sha256:…"
    )))
}
