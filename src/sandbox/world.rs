//! Generated worlds: people, what they hold, and one request of each, with the road that it should take.
//!
//! The same seed gives the same world, so a test that fails on one request can be repeated with it. Every request has
//! customers of its own: whatever order requests are handled in, no request changes what another should come to.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    bank::{Account, AccountStatus, Card, CardStatus, Customer, CustomerStatus, Loan, Statements},
    faults::{Fault, Trouble},
    names,
    people::Person,
    plans,
    random::Random,
    sms::Reply,
};

/// The road that a request should take through its process (of `deploy/processes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Road {
    /// Carried out with no person.
    Done,
    /// Refused for this reason.
    Refused(&'static str),
    /// A person is asked this.
    Review(&'static str),
    /// Waits for a customer who does not react.
    Waiting,
    /// Parked as a defect: the answer breaks its contract (until the fault is lifted).
    Parked,
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused(reason) => write!(f, "refused:{reason}"),
            Self::Review(review) => write!(f, "review:{review}"),
            Self::Waiting => f.write_str("waiting"),
            Self::Parked => f.write_str("parked"),
        }
    }
}

impl Serialize for Road {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A request to submit.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// Name of the process.
    pub process: &'static str,
    /// What its schema asks for.
    pub payload: Value,
    /// Where it should end.
    pub road: Road,
}

/// A generated world; [`super::Handle::load`] puts it into a sandbox.
#[derive(Debug, Default)]
pub struct World {
    /// The bank's customers.
    pub customers: Vec<Customer>,
    /// Their cards.
    pub cards: Vec<Card>,
    /// Their accounts.
    pub accounts: Vec<Account>,
    /// Their loans.
    pub loans: Vec<Loan>,
    /// Employees in the personnel system.
    pub hr: Vec<Person>,
    /// Employees in the old directory.
    pub legacy: Vec<Person>,
    /// Phone → what its owner does with a code; numbers that are not here answer soon and rightly.
    pub habits: Vec<(String, Vec<Reply>)>,
    /// The one trouble that belongs to this world: cards of the new branch (`NB…`) come with a renamed field.
    pub faults: Vec<Fault>,
    /// One request per customer or employee, in the order in which they arrive.
    pub requests: Vec<Planned>,
}

impl World {
    /// `n` requests with everybody and everything that they are about.
    pub fn generate(seed: u64, n: u32) -> Self {
        let mut making = Making { random: Random::new(seed), world: Self::default(), number: 0 };
        for number in 1..=n {
            making.number = number;
            let planned = plans::plan(&mut making);
            making.world.requests.push(planned);
        }
        let mut world = making.world;
        let renamed = Trouble::Rename { field: "status".into(), to: "card_state".into() };
        world.faults.push(Fault::new("/bank/cards/NB*", renamed).method("GET"));
        world
    }
}

/// A world in the making; `number` is that of the request, and part of every id.
pub(super) struct Making {
    pub(super) random: Random,
    pub(super) world: World,
    pub(super) number: u32,
}

impl Making {
    /// An active customer with a valid identity number, not yet in the world.
    pub(super) fn customer(&mut self) -> Customer {
        Customer {
            customer_id: format!("U{:07}", self.number),
            name: names::name(&mut self.random),
            id_number: names::id_number(&mut self.random),
            phone: format!("+8613{:09}", self.number),
            status: CustomerStatus::Active,
        }
    }

    /// A bound card with nothing in flight.
    pub(super) fn card(&mut self, customer: &Customer, prefix: &str) -> Card {
        let count = self.world.cards.len();
        Card {
            card_id: format!("{prefix}{:07}{}", self.number, count % 10),
            customer_id: customer.customer_id.clone(),
            status: CardStatus::Bound,
            tail: format!("{:04}", self.random.below(10_000)),
            pending: Vec::new(),
        }
    }

    /// An open account with this much on it.
    pub(super) fn account(&mut self, customer: &Customer, balance_minor: i64) -> Account {
        Account {
            account_id: format!("A{:07}", self.number),
            customer_id: customer.customer_id.clone(),
            status: AccountStatus::Open,
            balance_minor,
            currency: "CNY".into(),
            statements: Statements::On,
            paid_out_minor: 0,
            in_flight: 0,
        }
    }

    /// An amount in minor units in `0..below`.
    pub(super) fn amount(&mut self, below: u32) -> i64 {
        i64::try_from(self.random.below(u64::from(below))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_world() {
        let of = |seed| {
            let world = World::generate(seed, 300);
            serde_json::to_string(&(&world.customers, &world.cards, &world.accounts, &world.hr, &world.requests)).unwrap()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn every_road_of_every_process_is_taken() {
        let world = World::generate(1, 5_000);
        assert_eq!(world.requests.len(), 5_000);
        let mut roads: BTreeMap<String, u32> = BTreeMap::new();
        for planned in &world.requests {
            *roads.entry(format!("{} {}", planned.process, planned.road)).or_default() += 1;
        }
        let roads: Vec<_> = roads.into_keys().collect();
        assert_eq!(roads, plans::all_roads());
    }

    #[test]
    fn ids_are_unique() {
        let world = World::generate(1, 3_000);
        let mut seen = HashSet::new();
        assert!(world.cards.iter().all(|card| seen.insert(&card.card_id)));
        assert!(world.accounts.iter().all(|account| seen.insert(&account.account_id)));
        assert!(world.customers.iter().all(|customer| seen.insert(&customer.customer_id)));
        assert!(world.customers.iter().all(|customer| seen.insert(&customer.phone)));
    }
}
