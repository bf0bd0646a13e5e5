//! JSON whose strings may hold `${…}`: the body of a call, say. Keys are literal.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::compile::Expr;
use super::error::{EvalError, ExprError};
use super::scope::Scope;
use super::template::Template;

/// Lists and objects inside each other.
const MAX_DEPTH: usize = 32;

/// Expressions in one JSON template.
const MAX_EXPRS: usize = 500;

/// A checked JSON template; clones share it.
#[derive(Clone)]
pub struct JsonTemplate(Arc<Compiled>);

struct Compiled {
    source: Value,
    root: Node,
    exprs: Vec<Expr>,
}

/// Only the way to a template is kept as a tree; whatever is constant below it is one literal.
enum Node {
    Literal(Value),
    Text(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl JsonTemplate {
    /// Compiles every string in `source`. An error's `pointer` says which string, its offset where in it.
    pub fn compile(source: &Value) -> Result<JsonTemplate, ExprError> {
        let mut exprs = Vec::new();
        let root = build(source, &mut String::new(), 0, &mut exprs)?;
        Ok(JsonTemplate(Arc::new(Compiled { source: source.clone(), root, exprs })))
    }

    /// The JSON it was compiled from.
    pub fn source(&self) -> &Value {
        &self.0.source
    }

    /// Its expressions, in order.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.0.exprs.iter()
    }

    /// The JSON with every template replaced by its value; a string that is one `${…}` takes the value's type.
    pub fn render(&self, scope: &Scope) -> Result<Value, EvalError> {
        render(&self.0.root, scope)
    }
}

fn build(value: &Value, pointer: &mut String, depth: usize, exprs: &mut Vec<Expr>) -> Result<Node, ExprError> {
    if depth > MAX_DEPTH {
        return Err(in_pointer(pointer, ExprError::new(format!("the JSON is nested deeper than {MAX_DEPTH} levels"))));
    }
    let length = pointer.len();
    match value {
        Value::String(text) => {
            let template = Template::compile(text).map_err(|error| in_pointer(pointer, error))?;
            exprs.extend(template.exprs().cloned());
            if exprs.len() > MAX_EXPRS {
                let message = format!("the JSON has more than {MAX_EXPRS} expressions");
                return Err(in_pointer(pointer, ExprError::new(message)));
            }
            Ok(Node::Text(template))
        }
        Value::Array(items) => {
            let mut nodes = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                nodes.push(build(item, pointer, depth + 1, exprs)?);
                pointer.truncate(length);
            }
            Ok(Node::List(nodes).folded())
        }
        Value::Object(entries) => {
            let mut nodes = Vec::with_capacity(entries.len());
            for (key, item) in entries {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                if key.contains("${") {
                    let error = ExprError::new("a key cannot hold `${…}`");
                    return Err(in_pointer(pointer, error.hint("only values are templates")));
                }
                nodes.push((key.clone(), build(item, pointer, depth + 1, exprs)?));
                pointer.truncate(length);
            }
            Ok(Node::Object(nodes).folded())
        }
        scalar => Ok(Node::Literal(scalar.clone())),
    }
}

fn in_pointer(pointer: &str, mut error: ExprError) -> ExprError {
    error.pointer = Some(pointer.to_owned());
    error
}

impl Node {
    /// A list or object of constants is one constant.
    fn folded(self) -> Node {
        match self {
            Node::List(nodes) if nodes.iter().all(Node::is_constant) => {
                Node::Literal(Value::Array(nodes.into_iter().filter_map(Node::into_constant).collect()))
            }
            Node::Object(nodes) if nodes.iter().all(|(_, node)| node.is_constant()) => {
                let entries: Map<String, Value> =
                    nodes.into_iter().filter_map(|(key, node)| node.into_constant().map(|value| (key, value))).collect();
                Node::Literal(Value::Object(entries))
            }
            other => other,
        }
    }

    fn is_constant(&self) -> bool {
        match self {
            Node::Literal(_) => true,
            Node::Text(template) => template.constant().is_some(),
            Node::List(_) | Node::Object(_) => false,
        }
    }

    fn into_constant(self) -> Option<Value> {
        match self {
            Node::Literal(value) => Some(value),
            Node::Text(template) => template.constant().map(|text| Value::String(text.to_owned())),
            Node::List(_) | Node::Object(_) => None,
        }
    }
}

fn render(node: &Node, scope: &Scope) -> Result<Value, EvalError> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Text(template) => template.render(scope),
        Node::List(nodes) => nodes.iter().map(|node| render(node, scope)).collect::<Result<_, _>>().map(Value::Array),
        Node::Object(nodes) => nodes
            .iter()
            .map(|(key, node)| Ok((key.clone(), render(node, scope)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
    }
}

impl PartialEq for JsonTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for JsonTemplate {}

impl fmt::Debug for JsonTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonTemplate").field(&self.0.source).finish()
    }
}
