//! Expressions and templates of the process language (CEL behind our own type).
