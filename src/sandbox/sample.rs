//! Three customers and an employee who are always there when the sandbox runs on its own: for the tour in the README, and
//! for whoever wants to try a request by hand. What each is good for stands in [`SAMPLE`].

use super::{
    World,
    bank::{Account, AccountStatus, Card, CardStatus, Customer, CustomerStatus, Statements},
    people::{Document, Person, PersonStatus},
};

/// Customer, name, identity number.
const SAMPLE: [(u32, &str, &str); 3] =
    [(1, "王伟", "11010519491231002X"), (2, "张丽", "310104198811070038"), (3, "李思远", "440305199305200013")];
/// Cards of each customer: one may go, and one more.
const CARDS: u32 = 3;

impl World {
    /// Customers `C-000001` to `C-000003`, each with the cards `K-00000n-1` to `-3`, the account `A-00000n` and the phone
    /// `+861380000000n`; the employee `E-000001`, whose name has a blank too many. No requests, no faults.
    pub fn sample() -> Self {
        let mut world = Self::default();
        for (number, name, id_number) in SAMPLE {
            let customer_id = format!("C-{number:06}");
            world.cards.extend((1..=CARDS).map(|card| Card {
                card_id: format!("K-{number:06}-{card}"),
                customer_id: customer_id.clone(),
                status: CardStatus::Bound,
                tail: format!("{:04}", number * 1_000 + card),
                pending: Vec::new(),
            }));
            world.accounts.push(Account {
                account_id: format!("A-{number:06}"),
                customer_id: customer_id.clone(),
                status: AccountStatus::Open,
                balance_minor: 123_456,
                currency: "CNY".into(),
                statements: Statements::On,
                paid_out_minor: 0,
                in_flight: 0,
            });
            world.customers.push(Customer {
                customer_id,
                name: name.into(),
                id_number: id_number.into(),
                phone: format!("+86138{number:08}"),
                status: CustomerStatus::Active,
            });
        }
        let right = "欧阳若曦";
        let person = Person {
            person_id: "E-000001".into(),
            name: format!("{right} "),
            department: "合规部".into(),
            status: PersonStatus::Active,
            signing_limit_minor: 0,
            document: Some(Document { kind: "id_card".into(), name: right.into(), verified: true }),
        };
        world.hr.push(person.clone());
        world.legacy.push(person);
        world
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_what_the_readme_uses() {
        let world = World::sample();
        assert_eq!(world.customers[0].customer_id, "C-000001");
        assert_eq!(world.cards[0].card_id, "K-000001-1");
        assert_eq!(world.customers[2].phone, "+8613800000003");
        assert!(world.requests.is_empty() && world.faults.is_empty());
    }
}
