//! `recgate hook test`: what a trigger would make of a payload.
//!
//! Signatures, times and ids are not looked at: what is tried are the rules. 0: a rule matches. 1:
//! none does, what it asks for cannot be done, or the payload is too long. 2: the arguments or the
//! configuration cannot be used.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Exit, Settings, print};
use crate::hook::trigger::payload::Asked;
use crate::hook::trigger::{Hold, Message, OnExpiry, Order};

#[derive(Args, Debug)]
pub(super) struct TestArguments {
    /// The trigger's name.
    name: String,
    /// The payload, as its sender would send it.
    file: PathBuf,
    /// A header that is sent with it.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The query it is sent with.
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn test(arguments: &TestArguments) -> Result<(), Exit> {
    let config = arguments.settings.load()?;
    let trigger = config.triggers.iter().find(|it| *it.name == *arguments.name);
    let trigger = trigger.ok_or_else(|| {
        let known: Vec<&str> = config.triggers.iter().map(|it| &*it.name).collect();
        let known = if known.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        Exit::Unusable(format!("no trigger `{}`; {known}", arguments.name))
    })?;
    let most = config.limits.trigger_body_bytes;
    let body = payload(&arguments.file, most)
        .map_err(|error| Exit::Unusable(format!("{}: {error}", arguments.file.display())))?;
    if body.len() > most {
        // What is tried here has to come to what would come of it there.
        return Err(Exit::Wrong(format!(
            "its payload is longer than limits.trigger_body_bytes ({most}): the gateway answers 413"
        )));
    }
    let headers: HeaderMap = arguments.headers.iter().cloned().collect();
    let message = Message {
        headers: &headers,
        query: arguments.query.as_deref(),
        body: &body,
        certificate: None,
    };
    let (rule, order) =
        trigger.rehearse(&message).map_err(|refusal| Exit::Wrong(refusal.to_string()))?;
    let Some(rule) = rule else {
        print("no rule matches: nothing would be done\n")?;
        return Err(Exit::Wrong("no rule matches".to_owned()));
    };
    print(&format!("rule {rule} matches\n{}", would(&order)))
}

/// What a file holds, up to a byte more than may be.
fn payload(file: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    std::fs::File::open(file)?.take(most as u64 + 1).read_to_end(&mut body)?;
    Ok(body)
}

/// What would be done, for a person.
fn would(order: &Order) -> String {
    match order {
        Order::Pause(hold) => {
            let terms = hold.terms;
            let expiry = match terms.on_expiry {
                OnExpiry::Resume => "the lease ends",
                OnExpiry::Alarm => "it stays paused and a person is called",
            };
            format!("pause{}  held for at most {:?}; then {expiry}\n", place(hold), terms.max_pause)
        }
        Order::Resume(hold) => {
            let settle = hold.terms.settle;
            format!("resume{}  after {settle:?}, unless anyone else holds the pause\n", place(hold))
        }
        Order::Protect(asked) => listed("protect", asked),
        Order::Revoke(asked) => listed("revoke the protection of", asked),
        Order::Nothing => "nothing\n".to_owned(),
    }
}

fn place(hold: &Hold) -> String {
    let medium = hold.medium.as_deref().unwrap_or("(the vendor is asked)");
    format!(
        "\n  conversation  {}\n  medium        {medium}\n  source        {}\n  reason        {}\n",
        hold.conversation, hold.source, hold.reason
    )
}

fn listed(what: &str, asked: &Asked) -> String {
    format!("{what}\n  {}\n", asked.conversations.join("\n  "))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wanted = "a header is `name: value`";
    let (name, value) = text.split_once(':').ok_or(wanted)?;
    let name = name.trim().parse().map_err(|_| wanted)?;
    let value = value.trim().parse().map_err(|_| wanted)?;
    Ok((name, value))
}
