//! `recgate mock`: the mock vendor alone.

use std::io::Write;

use anyhow::Context;

use super::{Exit, Settings, serve};
use crate::config::Config;
use crate::mock::{BoundMock, Mock, MockConfig, MockDate};
use crate::telemetry;

pub(super) fn run(settings: &Settings) -> Result<(), Exit> {
    let config = settings.load()?;
    telemetry::log_to_stderr(&config.log);
    let runtime = serve::runtime()?;
    runtime.block_on(async {
        // First: a signal that comes early ends it as any other does.
        let terminated = serve::terminated()?;
        let mock = bind(&config).await?;
        let address = mock.local_addr();
        serve::greeted(writeln!(std::io::stdout(), "mock     http://{address}"));
        mock.serve(terminated).await.context("the mock vendor")?;
        Ok(())
    })
}

/// The mock that a configuration describes, on its port.
pub(super) async fn bind(config: &Config) -> Result<BoundMock, anyhow::Error> {
    let listen = config.mock.listen;
    prepare(config)
        .context("mock.world")?
        .bind(listen)
        .await
        .with_context(|| format!("mock.listen: cannot listen on {listen}"))
}

/// The same before it has a port. What is wrong is `mock.world`, which the error does not say again.
pub(super) fn prepare(config: &Config) -> Result<Mock, anyhow::Error> {
    let world = match &config.mock.world {
        None => None,
        Some(file) => Some(
            std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?,
        ),
    };
    let settings = MockConfig {
        listen: config.mock.listen,
        date: config.mock.date.map_or(MockDate::Today, MockDate::On),
        protection_limit: config.mock.protection_limit,
        world,
        unpublished: config.mock.unpublished.clone(),
    };
    Ok(Mock::new(&settings)?)
}
