//! The inventory: per client, which legacy operations it still uses, since when, how often and how.
//!
//! The ledger counts, by client and by what tells uses apart; here counts become an answer to the
//! question whether a client can migrate. What the ledger holds may be of another version of
//! recgate: a key that cannot be read is left out, and counted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::inventory::{NEW_PERMISSION, PARTIAL_RESULT, SHIELDED};
use crate::ledger::Counted;

/// The whole inventory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// By name.
    pub clients: Vec<Client>,
    /// Entries of the ledger that were not understood.
    pub unread: u64,
}

/// One client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// Its name in the configuration.
    pub client: String,
    /// The first use of a legacy operation.
    pub first_seen: Timestamp,
    /// The last.
    pub last_seen: Timestamp,
    /// Uses of legacy operations.
    pub count: u64,
    /// Versions of its SDK, the newest use of each kind.
    pub sdks: Vec<String>,
    /// What the vendor said of the permission that the new operation needs.
    pub new_permission: Permission,
    /// Partial results that it was kept from taking for whole ones.
    pub shielded: u64,
    /// Its uses, by what tells them apart.
    pub uses: Vec<Shown>,
}

/// Uses by what the vendor said of the new permission.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Permission {
    /// The token passes.
    pub accepted: u64,
    /// 403.
    pub refused: u64,
    /// It was not asked.
    pub untold: u64,
}

/// Uses that are alike.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What they are.
    #[serde(flatten)]
    pub key: Key,
    /// The SDK's version at the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<String>,
    /// The first.
    pub first_seen: Timestamp,
    /// The last.
    pub last_seen: Timestamp,
    /// How many.
    pub count: u64,
}

/// What tells uses apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The announcement's id.
    pub change: String,
    /// The upstream's name.
    pub upstream: String,
    /// The legacy operation.
    pub operation: String,
    /// The change's own words.
    pub marks: BTreeMap<String, String>,
}

// === impl Inventory ===

impl Inventory {
    /// What was counted, by client.
    #[must_use]
    pub fn of(counted: Vec<Counted>) -> Self {
        let mut inventory = Self::default();
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        for counted in counted {
            let Ok(key) = serde_json::from_str::<Key>(&counted.key) else {
                inventory.unread += 1;
                continue;
            };
            let sdk = counted.detail["sdk"].as_str().map(str::to_owned);
            let new = || Client::new(&counted);
            clients.entry(counted.client.clone()).or_insert_with(new).add(Shown {
                key,
                sdk,
                first_seen: counted.first_seen,
                last_seen: counted.last_seen,
                count: counted.count,
            });
        }
        inventory.clients = clients.into_values().collect();
        inventory
    }
}

// === impl Client ===

impl Client {
    fn new(counted: &Counted) -> Self {
        Self {
            client: counted.client.clone(),
            first_seen: counted.first_seen,
            last_seen: counted.last_seen,
            count: 0,
            sdks: Vec::new(),
            new_permission: Permission::default(),
            shielded: 0,
            uses: Vec::new(),
        }
    }

    fn add(&mut self, uses: Shown) {
        self.first_seen = self.first_seen.min(uses.first_seen);
        self.last_seen = self.last_seen.max(uses.last_seen);
        self.count += uses.count;
        if let Some(sdk) = &uses.sdk
            && !self.sdks.contains(sdk)
        {
            self.sdks.push(sdk.clone());
            self.sdks.sort();
        }
        match uses.key.marks.get(NEW_PERMISSION).map(String::as_str) {
            Some("accepted") => self.new_permission.accepted += uses.count,
            Some("refused") => self.new_permission.refused += uses.count,
            Some(_) => self.new_permission.untold += uses.count,
            None => {}
        }
        if uses.key.marks.get(PARTIAL_RESULT).is_some_and(|it| it == SHIELDED) {
            self.shielded += uses.count;
        }
        self.uses.push(uses);
        self.uses.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

// === impl Shown ===

impl Shown {
    /// The marks in one line.
    #[must_use]
    pub fn marks(&self) -> String {
        let marks = self.key.marks.iter().map(|(name, word)| format!("{name}={word}"));
        marks.collect::<Vec<_>>().join(" ")
    }
}
