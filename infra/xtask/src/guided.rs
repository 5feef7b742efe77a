//! Checks that `sam deploy --guided` works with Enter as every answer.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::process::{ProcessLog, Run};
use crate::project::Project;

/// What `sam` prints after its last question, before it calls AWS.
const ALL_ASKED: &str = "Looking for resources needed for deployment";

/// A question that `sam` may ask before it deploys. There Enter means no.
const DECLINED: &str = "Confirm changes before deploy [Y/n]";

/// Runs `sam deploy --guided` with Enter as every answer. It has to reach its first call to AWS, which is unreachable,
/// and must not ask whether to deploy.
pub(crate) fn check(project: &Project, sam: &Path) -> Result<()> {
    let folder = TempDir::new()?;
    let at = |name: &str| folder.path().join(name);
    // A copy, because `sam` writes the answers into samconfig.toml.
    for name in ["template.yaml", "samconfig.toml"] {
        fs::copy(project.root.join(name), at(name))?;
    }
    for function in fs::read_dir(project.root.join("functions"))? {
        fs::create_dir_all(at("functions").join(function?.file_name()))?;
    }
    fs::write(at("answers"), "\n".repeat(500))?;
    let sam =
        Run::new(sam).within(folder.path()).args(["deploy", "--guided"]).stdin(File::open(at("answers"))?);
    let sam = sam.env("SAM_CLI_TELEMETRY", "0").env("AWS_DEFAULT_REGION", "eu-west-2");
    // With credentials of no account and an endpoint at which nothing listens, `sam` cannot reach AWS.
    let sam =
        sam.without("AWS_PROFILE").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_MAX_ATTEMPTS", "1");
    let sam = sam.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none");
    let (_, sam) = ProcessLog::of(sam, at("output"))?;
    let ended = sam.start()?.finish();
    let output = fs::read_to_string(at("output"))?;
    ensure!(ended.is_err() && output.contains(ALL_ASKED), "sam deploy --guided stops at Enter:\n{output}");
    ensure!(
        !output.contains(DECLINED),
        "sam deploy --guided would ask before it deploys, and Enter means no:\n{output}"
    );
    Ok(())
}
