//! `recgate hook`: trying the rules of a trigger.

use clap::Subcommand;

use super::Exit;
use super::trigger::{self, TestArguments};

#[derive(Debug, Subcommand)]
pub(super) enum HookCommand {
    /// Say which rule of a trigger a payload matches and what would be done; nothing is.
    Test(TestArguments),
}

pub(super) fn run(command: &HookCommand) -> Result<(), Exit> {
    match command {
        HookCommand::Test(arguments) => trigger::test(arguments),
    }
}
