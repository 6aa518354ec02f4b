//! The conformance kit over containers.

use crate::host::{WithoutLandlock, open, sandbox};
use codegenie_exec::testing::{self, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn containers_keep_the_laws_of_sandboxes() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    open(directory.path());
    let options = Options::confining(directory.path()).text_only();
    let options = options.adding(crate::ADDED_VARIABLES.iter().map(|(name, _)| *name));
    if let Err(error) = testing::sandbox(&WithoutLandlock(sandbox().await), &options).await {
        panic!("{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the kit leaves nothing behind");
}
