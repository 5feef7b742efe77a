use std::fs::{self, File};
use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::process::{Log, Run};
use crate::project::Project;

/// What `sam` says once it has asked all that it asks, and turns to AWS.
const ALL_ASKED: &str = "Looking for resources needed for deployment";

/// What it asks before it deploys, where Enter means no.
const DECLINED: &str = "Confirm changes before deploy [Y/n]";

/// `sam deploy --guided`, with Enter as every answer, goes on until it turns to AWS, of which there is none here, and
/// does not ask again whether to deploy.
pub(crate) fn check(project: &Project, sam: &Path) -> Result<()> {
    let folder = TempDir::new()?;
    let at = |name: &str| folder.path().join(name);
    // It writes the answers into the file of its settings.
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
    // Nobody's credentials, and nobody listens there.
    let sam =
        sam.without("AWS_PROFILE").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_MAX_ATTEMPTS", "1");
    let sam = sam.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none");
    let (_, sam) = Log::of(sam, at("output"))?;
    let ended = sam.start()?.finish();
    let told = fs::read_to_string(at("output"))?;
    ensure!(ended.is_err() && told.contains(ALL_ASKED), "sam deploy --guided stops at Enter:\n{told}");
    ensure!(
        !told.contains(DECLINED),
        "sam deploy --guided would ask before it deploys, and Enter means no:\n{told}"
    );
    Ok(())
}
