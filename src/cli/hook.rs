//! `recgate hook`: what was sent to subscribers, and sending it again.

use clap::Subcommand;

use super::Exit;
use super::deliveries::{self, DeliveriesArguments, RedriveArguments};

#[derive(Debug, Subcommand)]
pub(super) enum HookCommand {
    /// List deliveries to subscriptions, newest first.
    Deliveries(DeliveriesArguments),
    /// Send deliveries again, from the first try on; their subscriptions are enabled.
    Redrive(RedriveArguments),
}

pub(super) fn run(command: &HookCommand) -> Result<(), Exit> {
    match command {
        HookCommand::Deliveries(arguments) => deliveries::list(arguments),
        HookCommand::Redrive(arguments) => deliveries::redrive(arguments),
    }
}
