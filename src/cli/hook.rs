//! `recgate hook`: the rules of triggers, and what was sent to subscribers.

use clap::Subcommand;

use super::Exit;
use super::deliveries::{self, DeliveriesArguments, RedriveArguments};
use super::trigger::{self, TestArguments};

#[derive(Debug, Subcommand)]
pub(super) enum HookCommand {
    /// Say which rule of a trigger a payload matches and what would be done; nothing is.
    Test(TestArguments),
    /// List deliveries to subscriptions, newest first.
    Deliveries(DeliveriesArguments),
    /// Send deliveries again, from the first try on; their subscriptions are enabled.
    Redrive(RedriveArguments),
}

pub(super) fn run(command: &HookCommand) -> Result<(), Exit> {
    match command {
        HookCommand::Deliveries(arguments) => deliveries::list(arguments),
        HookCommand::Redrive(arguments) => deliveries::redrive(arguments),
        HookCommand::Test(arguments) => trigger::test(arguments),
    }
}
