//! Accounts: the effects of closing one, in the order in which they must happen, each with its reverse.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
};

use super::{
    super::{
        answer::Answer,
        state::{Arrived, Shared, System},
    },
    Account, AccountStatus, Statements,
};

type Call = (State<Arc<Shared>>, Path<String>, Extension<Arrived>);

pub(super) async fn account(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    match shared.core().bank.accounts.get(&id) {
        Some(account) => Answer::ok(&account.summary()),
        None => Answer::missing("account"),
    }
}

/// One effect on one account: `change` gives the error code of the rule that forbids it, if one does.
fn change(
    (State(shared), Path(id), Extension(call)): Call,
    effect: &'static str,
    change: impl FnOnce(&mut Account) -> Result<(), &'static str>,
) -> Answer {
    shared.effect(System::Bank, &call, effect, &id, |core| {
        let Some(account) = core.bank.accounts.get_mut(&id) else {
            return Answer::missing("account");
        };
        match change(account) {
            Ok(()) => Answer::applied(&account.summary()),
            Err(error) => Answer::conflict(error),
        }
    })
}

pub(super) async fn freeze(call: Call) -> Answer {
    change(call, "freeze", |account| {
        if account.status == AccountStatus::Closed {
            return Err("account_closed");
        }
        account.status = AccountStatus::Frozen;
        Ok(())
    })
}

pub(super) async fn unfreeze(call: Call) -> Answer {
    change(call, "unfreeze", |account| {
        if account.status == AccountStatus::Closed {
            return Err("account_closed");
        }
        account.status = AccountStatus::Open;
        Ok(())
    })
}

pub(super) async fn stop_statements(call: Call) -> Answer {
    change(call, "stop_statements", |account| {
        account.statements = Statements::Stopped;
        Ok(())
    })
}

pub(super) async fn resume_statements(call: Call) -> Answer {
    change(call, "resume_statements", |account| {
        account.statements = Statements::On;
        Ok(())
    })
}

/// Pays what is on the account to the customer's other account.
pub(super) async fn pay_out(call: Call) -> Answer {
    change(call, "pay_out", |account| {
        if account.status != AccountStatus::Frozen {
            return Err("account_not_frozen");
        }
        if account.balance_minor < 0 {
            return Err("account_overdrawn");
        }
        account.paid_out_minor += std::mem::take(&mut account.balance_minor);
        Ok(())
    })
}

pub(super) async fn reverse_payout(call: Call) -> Answer {
    change(call, "reverse_payout", |account| {
        account.balance_minor += std::mem::take(&mut account.paid_out_minor);
        Ok(())
    })
}

pub(super) async fn close(call: Call) -> Answer {
    change(call, "close", |account| {
        if account.balance_minor != 0 {
            return Err("balance_not_zero");
        }
        account.status = AccountStatus::Closed;
        Ok(())
    })
}

/// The account is frozen again, as it was before it was closed.
pub(super) async fn reopen(call: Call) -> Answer {
    change(call, "reopen", |account| {
        account.status = AccountStatus::Frozen;
        Ok(())
    })
}
