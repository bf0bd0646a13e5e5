//! Which variables a step's expressions read. Making a variable costs about as much as copying its JSON, and most steps
//! read two of them: only those are made.

use super::model::{Call, DoneWhen, RefuseRule, Step, StepKind};
use crate::domain::expr::Expr;

/// Variables that expressions may read, beside their own step's `answer` and `status`.
#[expect(clippy::struct_excessive_bools, reason = "a set of five names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// `request`
    pub request: bool,
    /// `answers`
    pub answers: bool,
    /// `meta`
    pub meta: bool,
    /// `now`
    pub now: bool,
    /// `callbacks`
    pub callbacks: bool,
}

impl Reads {
    /// Everything.
    pub const ALL: Reads = Reads { request: true, answers: true, meta: true, now: true, callbacks: true };

    /// What a step's own attempt reads: its call, its rules and what it keeps; for `when`, reconciling and undoing see [`Reads::ALL`].
    #[must_use]
    pub fn of_step(step: &Step) -> Reads {
        let mut reads = Reads::default();
        match &step.kind {
            StepKind::Verify(verify) => {
                reads.call(verify.call.as_ref());
                reads.rules(&verify.rules.refuse_when);
                reads.all(verify.rules.pass_when.iter().chain(verify.keep.iter().flat_map(|keep| keep.values())));
            }
            StepKind::Execute(execute) => {
                reads.call(Some(&execute.call));
                reads.rules(&execute.refuse_when);
                reads.all(execute.keep.iter().flat_map(|keep| keep.values()));
            }
            StepKind::Wait(_) | StepKind::Review { .. } => reads = Reads::ALL,
        }
        reads
    }

    /// What verifying the outcome reads.
    #[must_use]
    pub fn of_outcome(done: &DoneWhen) -> Reads {
        let mut reads = Reads::default();
        reads.call(done.call.as_ref());
        reads.all([&done.is]);
        reads
    }

    fn call(&mut self, call: Option<&Call>) {
        self.all(call.into_iter().flat_map(Call::exprs));
    }

    fn rules(&mut self, rules: &[RefuseRule]) {
        self.all(rules.iter().map(|rule| &rule.when));
    }

    fn all<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        for name in exprs.into_iter().flat_map(Expr::names) {
            match name.as_str() {
                "request" => self.request = true,
                "answers" => self.answers = true,
                "meta" => self.meta = true,
                "now" => self.now = true,
                "callbacks" => self.callbacks = true,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::domain::expr::ROOTS;

    #[test]
    fn every_variable_is_seen() {
        let seen = |source: &str| {
            let mut reads = Reads::default();
            reads.all([&Expr::compile(source).unwrap()]);
            reads
        };
        assert_eq!(seen("answer.ok && status == 200"), Reads::default());
        assert_eq!(seen("request.list.exists(x, x == meta.channel)"), Reads { request: true, meta: true, ..Reads::default() });
        let everything = "has(answers.a) || now > timestamp(request.t) || callbacks.b.url == meta.id";
        assert_eq!(seen(everything), Reads::ALL);
        // A new variable needs a place here.
        assert_eq!(ROOTS, ["request", "answer", "status", "answers", "meta", "now", "callbacks"]);
    }
}
