//! What a parsed expression may contain, what it reads, and the rewriting to our own operators.
//!
//! One walk over the tree counts nodes and levels, refuses what the language leaves out, collects names, paths
//! and functions for lint, and replaces operators: equality, `in` and `+` by ours (`functions.rs`), and inside
//! the body of a comprehension every operand whose size matters is charged to the budget.

use std::collections::BTreeSet;
use std::mem;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::error::ExprError;
use super::functions;
use super::vocabulary::{self, FUNCTIONS, ROOTS, TYPE_NAMES};

/// Nodes of one expression, counted after the macros are expanded (`exists` is about ten).
const MAX_NODES: usize = 200;

/// Levels of the rewritten tree. Evaluation recurses per level on whatever stack the caller has, which is 2 MiB on
/// a worker's threads; without optimisation the interpreter takes about 35 KiB per level, with it 4 KiB at most.
const MAX_LEVELS: usize = 32;

type Findings = (BTreeSet<String>, BTreeSet<Vec<String>>, BTreeSet<String>);

pub(super) struct Checker<'a> {
    source: &'a str,
    info: &'a SourceInfo,
    nodes: usize,
    level: usize,
    /// Loop variables and accumulators in scope.
    bound: Vec<String>,
    /// Whether we are inside the body of a comprehension.
    in_loop: bool,
    names: BTreeSet<String>,
    paths: BTreeSet<Vec<String>>,
    functions: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(source: &'a str, info: &'a SourceInfo) -> Checker<'a> {
        Checker {
            source,
            info,
            nodes: 0,
            level: 0,
            bound: Vec::new(),
            in_loop: false,
            names: BTreeSet::new(),
            paths: BTreeSet::new(),
            functions: BTreeSet::new(),
        }
    }

    pub(super) fn into_findings(self) -> Findings {
        (self.names, self.paths, self.functions)
    }

    pub(super) fn check(&mut self, node: &mut IdedExpr) -> Result<(), ExprError> {
        self.count(node.id)?;
        self.level += 1;
        if self.level > MAX_LEVELS {
            return Err(self
                .error(node.id, format!("the expression has more than {MAX_LEVELS} levels"))
                .hint("a long chain of `+` counts one level per term; use a template for long texts"));
        }
        self.check_node(node)?;
        self.level -= 1;
        Ok(())
    }

    fn check_node(&mut self, node: &mut IdedExpr) -> Result<(), ExprError> {
        if let Some(chain) = member_chain(node) {
            return self.reads(node.id, chain);
        }
        let id = node.id;
        match &mut node.expr {
            Expr::Literal(LiteralValue::Bytes(_)) => {
                Err(self.error(id, "bytes are not part of the language").hint("write a string"))
            }
            Expr::Literal(_) | Expr::Ident(_) => Ok(()),
            Expr::Select(select) => self.check(&mut select.operand),
            Expr::Call(call) => self.check_call(id, call),
            Expr::List(list) => {
                if !list.optional_indices.is_empty() {
                    return Err(self.error(id, "optional values are not part of the language"));
                }
                list.elements.iter_mut().try_for_each(|item| self.check_copied(item))
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    self.count(id)?;
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) if !entry.optional => {
                            self.check_copied(&mut entry.key)?;
                            self.check_copied(&mut entry.value)?;
                        }
                        _ => {
                            return Err(self.error(id, "optional values are not part of the language"));
                        }
                    }
                }
                Ok(())
            }
            Expr::Comprehension(_) => self.check_comprehension(node),
            Expr::Struct(_) => {
                Err(self.error(id, "messages are not part of the language").hint("write an object: {'key': value}"))
            }
            Expr::Unspecified => Err(self.error(id, "the expression is incomplete")),
        }
    }

    /// A constant member chain: one step per member, and one entry for lint.
    fn reads(&mut self, id: u64, chain: Vec<String>) -> Result<(), ExprError> {
        for _ in 1..chain.len() {
            self.count(id)?;
        }
        if self.level + chain.len() > MAX_LEVELS {
            return Err(self.error(id, format!("the expression has more than {MAX_LEVELS} levels")));
        }
        let Some(root) = chain.first() else {
            return Ok(());
        };
        if root.starts_with('.') {
            return Err(self.error(id, "a name does not start with a dot").hint("remove the dot"));
        }
        if self.bound.contains(root) || (chain.len() == 1 && TYPE_NAMES.contains(&root.as_str())) {
            return Ok(());
        }
        self.names.insert(root.clone());
        self.paths.insert(chain);
        Ok(())
    }

    fn check_call(&mut self, id: u64, call: &mut CallExpr) -> Result<(), ExprError> {
        let operator = call.target.is_none() && !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
        if operator {
            if matches!(call.func_name.as_str(), operators::OPT_INDEX | operators::OPT_SELECT) {
                return Err(self.error(id, "optional values are not part of the language"));
            }
            self.check_operator(call)
        } else {
            self.check_function(id, call)
        }
    }

    fn check_operator(&mut self, call: &mut CallExpr) -> Result<(), ExprError> {
        // The accumulator's own arithmetic (`@result + [x]`) has a shape that the interpreter optimises; keep it.
        let accumulates = call.args.first().is_some_and(is_accumulator);
        // The right side is charged; a comparison costs no more than the shorter of the two.
        let looks = self.in_loop
            && matches!(
                call.func_name.as_str(),
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS | operators::INDEX
            );
        for arg in &mut call.args {
            if looks {
                self.check_charged(arg)?;
            } else {
                self.check(arg)?;
            }
        }
        if looks {
            call.args.iter_mut().skip(1).for_each(|arg| charged(arg, functions::LOOK));
        }
        let ours = match call.func_name.as_str() {
            operators::EQUALS => functions::EQ,
            operators::NOT_EQUALS => functions::NE,
            operators::IN => functions::IN,
            operators::ADD if !accumulates => functions::ADD,
            _ => return Ok(()),
        };
        ours.clone_into(&mut call.func_name);
        Ok(())
    }

    fn check_function(&mut self, id: u64, call: &mut CallExpr) -> Result<(), ExprError> {
        let name = call.func_name.trim_start_matches('.').to_owned();
        let Some(known) = FUNCTIONS.iter().find(|known| known.name == name) else {
            return Err(self.unknown_function(id, &name));
        };
        let count = call.args.len();
        let fits = known.takes(call.target.is_some(), count);
        if !fits || name != call.func_name {
            return Err(self.error(id, format!("`{name}` is not called like this")).hint(format!("write {}", known.usage())));
        }
        if let Some(target) = &mut call.target {
            self.check_charged(target)?;
        }
        for arg in &mut call.args {
            self.check_charged(arg)?;
        }
        self.functions.insert(name.clone());
        if name == "matches" {
            return self.check_pattern(id, call);
        }
        if self.in_loop {
            if let Some(target) = &mut call.target {
                charged(target, functions::LOOK);
            }
            call.args.iter_mut().for_each(|arg| charged(arg, functions::LOOK));
        }
        Ok(())
    }

    /// A pattern must be constant: it is compiled here, so a bad one never meets a request.
    fn check_pattern(&mut self, id: u64, call: &mut CallExpr) -> Result<(), ExprError> {
        let constant = match call.args.last().map(|arg| &arg.expr) {
            Some(Expr::Literal(LiteralValue::String(pattern))) => Some(pattern.inner().to_owned()),
            _ => None,
        };
        let Some(pattern) = constant else {
            return Err(self
                .error(id, "the pattern of matches() must be a constant string")
                .hint("write the pattern into the expression, or use startsWith, endsWith or contains"));
        };
        functions::compile_pattern(&pattern)
            .map_err(|why| self.error(id, why).hint("patterns are those of RE2: no look-around, no back-references"))?;
        functions::MATCHES.clone_into(&mut call.func_name);
        if let Some(target) = call.target.take() {
            call.args.insert(0, *target);
        }
        Ok(())
    }

    fn check_comprehension(&mut self, node: &mut IdedExpr) -> Result<(), ExprError> {
        let id = node.id;
        let Expr::Comprehension(comprehension) = &mut node.expr else {
            return Ok(());
        };
        if self.in_loop {
            return Err(self
                .error(id, "a loop inside a loop is not part of the language")
                .hint("loops may follow each other: a.filter(x, …).exists(y, …)"));
        }
        if ROOTS.contains(&comprehension.iter_var.as_str()) || comprehension.iter_var.starts_with('.') {
            return Err(self
                .error(id, format!("the loop variable hides `{}`", comprehension.iter_var))
                .hint("choose another name for it"));
        }
        self.check_charged(&mut comprehension.iter_range)?;
        charged(&mut comprehension.iter_range, functions::LOOK);
        self.check(&mut comprehension.accu_init)?;
        self.bound.push(comprehension.iter_var.clone());
        self.bound.push(comprehension.accu_var.clone());
        self.in_loop = true;
        self.check(&mut comprehension.loop_cond)?;
        self.check(&mut comprehension.loop_step)?;
        self.check(&mut comprehension.result)?;
        self.in_loop = false;
        self.bound.truncate(self.bound.len() - 2);
        Ok(())
    }

    /// Checks a node that will have a call around it.
    fn check_charged(&mut self, node: &mut IdedExpr) -> Result<(), ExprError> {
        self.level += 1;
        self.check(node)?;
        self.level -= 1;
        Ok(())
    }

    /// An item of a list or object that the expression builds: it is copied there.
    fn check_copied(&mut self, node: &mut IdedExpr) -> Result<(), ExprError> {
        self.check_charged(node)?;
        charged(node, functions::COPY);
        Ok(())
    }

    fn count(&mut self, id: u64) -> Result<(), ExprError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self
                .error(id, format!("the expression has more than {MAX_NODES} parts"))
                .hint("split it over several steps, or use `in` for a list of alternatives"));
        }
        Ok(())
    }

    fn unknown_function(&self, id: u64, name: &str) -> ExprError {
        self.error(id, format!("there is no function `{name}`")).hint(vocabulary::instead_of(name))
    }

    fn error(&self, id: u64, message: impl Into<String>) -> ExprError {
        let error = ExprError::new(message);
        match self.info.offset_for(id) {
            Some((start, _)) => error.at((start as usize).min(self.source.len())),
            None => error,
        }
    }
}

fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name.starts_with('@'))
}

/// `a.b["c"]` as its names, root first; `None` for anything that is not constant from a name on.
fn member_chain(node: &IdedExpr) -> Option<Vec<String>> {
    let mut chain = Vec::new();
    let mut node = node;
    loop {
        match &node.expr {
            Expr::Ident(name) => {
                chain.push(name.clone());
                chain.reverse();
                return Some(chain);
            }
            Expr::Select(select) => {
                chain.push(select.field.clone());
                node = &select.operand;
            }
            Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
                let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }] = args.as_slice() else {
                    return None;
                };
                chain.push(key.inner().to_owned());
                node = operand;
            }
            _ => return None,
        }
    }
}

/// Wraps `node` in a call that charges the budget for it. Literals are as long as the source at most.
fn charged(node: &mut IdedExpr, function: &str) {
    if matches!(node.expr, Expr::Literal(_)) {
        return;
    }
    let id = node.id;
    let inner = mem::take(node);
    *node = IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args: vec![inner] }) };
}
