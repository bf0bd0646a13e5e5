//! Customers, cards and what is asked for them. The sensitive values are canaries: `books.rs` looks for them wherever
//! they must not be.

use mozhao::sandbox::Handle;
use mozhao::sandbox::bank::{Card, CardStatus, Customer, CustomerStatus};
use serde_json::{Value, json};

/// A valid identity number; sensitive.
pub const ID_NUMBER: &str = "11010519491231002X";
/// A picture that the face service takes for the card holder; sensitive.
pub const SELFIE: &str = "https://pictures.example/canary-7c41.jpg";
/// The name of every card holder; sensitive.
pub const NAME: &str = "王小明";
/// How every card holder's phone number begins; sensitive.
pub const PHONE: &str = "+86U";
/// A picture in the grey zone.
pub const GREY: &str = "selfie:grey";

/// Adds a customer with one bound card (or another card for a known customer).
pub fn put_card(bank: &Handle, customer: &str, card: &str) {
    bank.with_bank(|books| {
        if books.customer(customer).is_none() {
            books.put_customer(Customer {
                customer_id: customer.to_owned(),
                name: NAME.to_owned(),
                id_number: ID_NUMBER.to_owned(),
                phone: format!("{PHONE}-{customer}"),
                status: CustomerStatus::Active,
            });
        }
        books.put_card(Card {
            card_id: card.to_owned(),
            customer_id: customer.to_owned(),
            status: CardStatus::Bound,
            tail: "0000".to_owned(),
            pending: Vec::new(),
        });
    });
}

/// "Unbind this card", as it should go through without a person.
pub fn unbind(customer: &str, card: &str) -> Value {
    unbind_with(customer, card, SELFIE)
}

/// "Unbind this card", with this picture.
pub fn unbind_with(customer: &str, card: &str, selfie: &str) -> Value {
    json!({"customer_id": customer, "card_id": card, "id_number": ID_NUMBER, "selfie": selfie})
}

/// A card that exists, and the request to unbind it: customer `U<n / per>`, card `K<n>`.
pub fn card(bank: &Handle, number: usize, per_customer: usize) -> Value {
    let (customer, card) = (format!("U{}", number / per_customer), format!("K{number}"));
    put_card(bank, &customer, &card);
    unbind(&customer, &card)
}
