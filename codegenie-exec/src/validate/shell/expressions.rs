//! What bash computes, and the variables that are set on the way.

use super::words::{unknown_value, value_of};
use super::{PARAMETERS, Tree};
use crate::command::{DynamicWord, SimpleCommand, VariableValue, Word};
use crate::validate::arithmetic;
use brush_parser::ast;

impl Tree {
    /// What the parser takes for an expression, and bash perhaps for something else.
    pub(super) fn ambiguous_expression(&mut self) {
        if self.ambiguous.commented {
            self.opaque("an arithmetic expression with what may be a comment");
        }
        if self.ambiguous.spaced {
            self.opaque("an arithmetic expression that may be two groups");
        }
    }

    pub(super) fn test(&mut self, test: &ast::ExtendedTestExpr) {
        use ast::{BinaryPredicate as Binary, ExtendedTestExpr as Test, UnaryPredicate as Unary};
        match test {
            Test::And(a, b) | Test::Or(a, b) => {
                self.test(a);
                self.test(b);
            }
            Test::Not(inner) | Test::Parenthesized(inner) => self.test(inner),
            Test::UnaryTest(predicate, word) => {
                let word = self.word(word);
                let names = matches!(
                    predicate,
                    Unary::ShellVariableIsSetAndAssigned | Unary::ShellVariableIsSetAndNameRef
                );
                let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if names && !word.literal().is_some_and(plain) {
                    self.opaque("a test of a variable whose name is computed");
                }
            }
            Test::BinaryTest(predicate, left, right) => {
                if self.ambiguous.regex {
                    self.opaque("a regular expression whose end is not clear");
                }
                let computes = matches!(
                    predicate,
                    Binary::ArithmeticEqualTo
                        | Binary::ArithmeticNotEqualTo
                        | Binary::ArithmeticLessThan
                        | Binary::ArithmeticLessThanOrEqualTo
                        | Binary::ArithmeticGreaterThan
                        | Binary::ArithmeticGreaterThanOrEqualTo
                );
                let left = self.word(left);
                let right = self.pattern(right);
                if computes {
                    // Bash computes both sides, and runs what stands in a subscript.
                    self.arithmetic(left.as_written().trim_matches('"'), false);
                    self.arithmetic(right.as_written().trim_matches('"'), false);
                }
            }
        }
    }

    /// An expression that is computed. One whose variables may hold anything is not followed.
    pub(super) fn arithmetic(&mut self, expression: &str, may_set: bool) {
        self.compound = true;
        match arithmetic::variables(expression) {
            None => self.opaque("an arithmetic expression that may do more"),
            Some(names) => {
                let sets = may_set
                    || expression.contains('=')
                    || expression.contains("++")
                    || expression.contains("--");
                for name in names {
                    if sets {
                        self.bound.insert(name.clone());
                        self.values.entry(name.clone()).or_default().push(unknown_value());
                        // What is only read there may hold text all the same.
                        if arithmetic::is_number(&name) {
                            self.assigns(&name, VariableValue::Number);
                        }
                    }
                    self.computed.push(name);
                }
            }
        }
    }

    /// Something other than an assignment sets a variable.
    pub(super) fn sets(&mut self, name: &str, value: VariableValue) {
        self.bound.insert(name.to_owned());
        self.values.entry(name.to_owned()).or_default().push(unknown_value());
        self.assigns(name, value);
    }

    pub(super) fn assigns(&mut self, name: &str, value: VariableValue) {
        if value != VariableValue::Number && arithmetic::computes_its_value(name) {
            self.opaque("a variable whose value is computed when it is set");
        }
        let known = self.variables.entry(name.to_owned()).or_insert(value);
        *known = (*known).max(value);
    }

    /// Builtins that set variables which their operands name.
    pub(super) fn set_by_builtin(&mut self, command: &SimpleCommand) {
        let mut words = command.words.iter();
        let Some(program) = words.next().and_then(Word::literal) else { return };
        let program = if matches!(program, "command" | "builtin") {
            words.next().and_then(Word::literal).unwrap_or_default()
        } else {
            program
        };
        let sets = matches!(
            program,
            "read"
                | "mapfile"
                | "readarray"
                | "getopts"
                | "printf"
                | "export"
                | "declare"
                | "typeset"
                | "local"
                | "readonly"
                | "let"
                | "set"
                | "unset"
                | "wait"
                | "shift"
        );
        if !sets {
            return;
        }
        match program {
            "set" | "shift" => {
                for parameter in PARAMETERS {
                    self.sets(parameter, VariableValue::Unknown);
                }
                let operands: Vec<Word> = words.clone().cloned().collect();
                self.parameters_are(&operands);
            }
            "read" => self.sets("REPLY", VariableValue::Unknown),
            "mapfile" | "readarray" => self.sets("MAPFILE", VariableValue::Unknown),
            "getopts" => self.sets("OPTARG", VariableValue::Unknown),
            _ => {}
        }
        let declares = matches!(program, "export" | "declare" | "typeset" | "local" | "readonly");
        let words: Vec<Word> = words.cloned().collect();
        // An option may make a number, a list or another name of it.
        let plainly = declares && !words.iter().any(|word| word.as_written().starts_with(['-', '+']));
        for word in words {
            if let Some((name, value)) = declared(&word).filter(|_| declares) {
                self.bound.insert(name.clone());
                let known = if plainly { value_of(&value) } else { VariableValue::Unknown };
                self.assigns(&name, known);
                let values = self.values.entry(name).or_default();
                values.push(value);
                if !plainly {
                    values.push(unknown_value());
                }
                continue;
            }
            match &word {
                Word::Literal(text) => {
                    let name = text.split(['=', '[', '+', '-', ' ']).next().unwrap_or_default();
                    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                        self.sets(name, VariableValue::Unknown);
                    } else if text.starts_with('-') {
                        // `-vNAME` is one word.
                        let attached = text.trim_start_matches('-').get(1..).unwrap_or_default();
                        if program == "printf" && !attached.is_empty() {
                            self.sets(attached, VariableValue::Unknown);
                        }
                    }
                }
                Word::Dynamic(dynamic) => {
                    let name = dynamic.prefix.split_once('=').map(|(name, _)| name.to_owned());
                    match name {
                        Some(name) => self.sets(&name, VariableValue::Unknown),
                        None if program == "printf" => {}
                        None => self.opaque("a variable whose name is computed"),
                    }
                }
            }
        }
    }
}

/// The name and the value of `NAME=VALUE` behind a builtin that declares.
fn declared(word: &Word) -> Option<(String, Word)> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match word {
        Word::Literal(text) => {
            let (name, value) = text.split_once('=').filter(|(name, _)| is_name(name))?;
            Some((name.to_owned(), Word::Literal(value.to_owned())))
        }
        Word::Dynamic(word) => {
            let (name, prefix) = word.prefix.split_once('=').filter(|(name, _)| is_name(name))?;
            let (_, written) = word.written.split_once('=')?;
            let (prefix, written) = (prefix.to_owned(), written.to_owned());
            Some((name.to_owned(), Word::Dynamic(DynamicWord { written, prefix, ..word.clone() })))
        }
    }
}
