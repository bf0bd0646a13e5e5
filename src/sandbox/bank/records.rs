//! The bank's books. Money is in minor units (fen, cents).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Whether a customer may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomerStatus {
    /// Served.
    #[default]
    Active,
    /// Blocked by the compliance department.
    Frozen,
    /// Gone.
    Closed,
}

/// A person with cards and accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Id, unique in the bank.
    pub customer_id: String,
    /// Name in its own script.
    pub name: String,
    /// Resident identity number (GB 11643, 18 characters).
    pub id_number: String,
    /// Phone number in E.164.
    pub phone: String,
    /// Whether the customer may be served.
    pub status: CustomerStatus,
}

/// Whether a card may be used for payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardStatus {
    /// In use.
    Bound,
    /// Taken off the customer's profile.
    Unbound,
}

/// Money on its way from or to a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Id of the payment.
    pub payment_id: String,
    /// Minor units.
    pub amount_minor: i64,
    /// `payment`, `refund` or `transfer`.
    pub kind: String,
}

/// A bank card bound to a customer's profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Id, unique in the bank.
    pub card_id: String,
    /// Owner.
    pub customer_id: String,
    /// Whether it may be used.
    pub status: CardStatus,
    /// Last four digits.
    pub tail: String,
    /// Payments in flight.
    pub pending: Vec<Pending>,
}

impl Card {
    /// The card as its own page shows it.
    pub(super) fn summary(&self) -> Value {
        json!({
            "card_id": self.card_id, "customer_id": self.customer_id, "status": self.status, "tail": self.tail,
        })
    }
}

/// State of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// In use.
    Open,
    /// No movements.
    Frozen,
    /// Closed.
    Closed,
}

/// Whether the customer gets statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statements {
    /// Monthly.
    On,
    /// Stopped.
    Stopped,
}

/// An account with money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Id, unique in the bank.
    pub account_id: String,
    /// Owner.
    pub customer_id: String,
    /// State.
    pub status: AccountStatus,
    /// What is on it, in minor units; negative: overdrawn.
    pub balance_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Whether statements are sent.
    pub statements: Statements,
    /// What was paid out when closing, in minor units.
    pub paid_out_minor: i64,
    /// Payments that are on their way from or to the account.
    pub in_flight: u32,
}

impl Account {
    pub(super) fn summary(&self) -> Value {
        json!({
            "account_id": self.account_id, "customer_id": self.customer_id, "status": self.status,
            "balance_minor": self.balance_minor, "currency": self.currency, "statements": self.statements,
            "paid_out_minor": self.paid_out_minor, "in_flight": self.in_flight,
        })
    }
}

/// Whether a loan is paid back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoanStatus {
    /// Something is outstanding.
    Open,
    /// Paid back.
    Settled,
}

/// Money lent to a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// Id, unique in the bank.
    pub loan_id: String,
    /// Borrower.
    pub customer_id: String,
    /// What is still owed, in minor units.
    pub outstanding_minor: i64,
    /// Whether it is paid back.
    pub status: LoanStatus,
}

/// All records, with the indexes by customer and phone.
#[derive(Debug, Default)]
pub struct Records {
    pub(super) customers: HashMap<String, Customer>,
    pub(super) cards: HashMap<String, Card>,
    pub(super) accounts: HashMap<String, Account>,
    pub(super) loans: HashMap<String, Loan>,
    /// What belongs to a customer: card, account and loan ids in the order in which they were added.
    pub(super) owned: HashMap<String, Owned>,
    /// Phone → customers who have it.
    pub(super) phones: HashMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
pub(super) struct Owned {
    pub(super) cards: Vec<String>,
    pub(super) accounts: Vec<String>,
    pub(super) loans: Vec<String>,
}

impl Records {
    /// Adds or replaces a customer.
    pub fn put_customer(&mut self, customer: Customer) {
        let id = customer.customer_id.clone();
        if let Some(old) = self.customers.get(&id) {
            let phone = old.phone.clone();
            self.drop_phone(&phone, &id);
        }
        self.phones.entry(customer.phone.clone()).or_default().push(id.clone());
        self.customers.insert(id, customer);
    }

    /// Adds or replaces a card.
    pub fn put_card(&mut self, card: Card) {
        let owned = self.owned.entry(card.customer_id.clone()).or_default();
        if !owned.cards.contains(&card.card_id) {
            owned.cards.push(card.card_id.clone());
        }
        self.cards.insert(card.card_id.clone(), card);
    }

    /// Adds or replaces an account.
    pub fn put_account(&mut self, account: Account) {
        let owned = self.owned.entry(account.customer_id.clone()).or_default();
        if !owned.accounts.contains(&account.account_id) {
            owned.accounts.push(account.account_id.clone());
        }
        self.accounts.insert(account.account_id.clone(), account);
    }

    /// Adds or replaces a loan.
    pub fn put_loan(&mut self, loan: Loan) {
        let owned = self.owned.entry(loan.customer_id.clone()).or_default();
        if !owned.loans.contains(&loan.loan_id) {
            owned.loans.push(loan.loan_id.clone());
        }
        self.loans.insert(loan.loan_id.clone(), loan);
    }

    /// A customer by id.
    pub fn customer(&self, id: &str) -> Option<&Customer> {
        self.customers.get(id)
    }

    /// A card by id.
    pub fn card(&self, id: &str) -> Option<&Card> {
        self.cards.get(id)
    }

    /// An account by id.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.get(id)
    }

    pub(super) fn set_phone(&mut self, id: &str, phone: &str) -> bool {
        let Some(customer) = self.customers.get_mut(id) else {
            return false;
        };
        let old = std::mem::replace(&mut customer.phone, phone.to_owned());
        self.drop_phone(&old, id);
        self.phones.entry(phone.to_owned()).or_default().push(id.to_owned());
        true
    }

    fn drop_phone(&mut self, phone: &str, id: &str) {
        if let Some(owners) = self.phones.get_mut(phone) {
            owners.retain(|owner| owner != id);
            if owners.is_empty() {
                self.phones.remove(phone);
            }
        }
    }
}
