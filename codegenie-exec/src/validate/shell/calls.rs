//! Functions that call themselves, again and again, in shells of their own: what fills a machine with processes.

use std::collections::{BTreeMap, BTreeSet};

/// What such a function is called where it is judged.
pub(in crate::validate) const MULTIPLIES: &str =
    "a function that calls itself in the background, in a pipeline or in a shell of its own";

/// More steps than these are not looked at.
const MOST: usize = 100_000;

/// Which functions call which.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// The function whose body is read just now.
    within: Option<String>,
    /// How many shells of its own the text stands in, within that body.
    pub(super) forks: usize,
    /// Who calls whom, and whether in a shell of its own.
    found: Vec<(String, String, bool)>,
}

impl Calls {
    /// The body of a function begins. What it stands in, to [leave](Self::leave) it to.
    pub(super) fn enter(&mut self, name: &str) -> (Option<String>, usize) {
        (self.within.replace(name.to_owned()), std::mem::take(&mut self.forks))
    }

    pub(super) fn leave(&mut self, outer: (Option<String>, usize)) {
        (self.within, self.forks) = outer;
    }

    /// Those of a substitution, which is a shell of its own.
    pub(super) fn within_substitution(&self) -> Self {
        Self { within: self.within.clone(), forks: self.forks + 1, found: Vec::new() }
    }

    pub(super) fn take(&mut self, mut inner: Self) {
        self.found.append(&mut inner.found);
    }

    /// A command of this name.
    pub(super) fn call(&mut self, name: &str) {
        if let Some(caller) = &self.within {
            self.found.push((caller.clone(), name.to_owned(), self.forks > 0));
        }
    }

    /// Whether one of the functions comes back to itself by way of a shell of its own.
    pub(super) fn multiply(&self, functions: &[String]) -> bool {
        let functions: BTreeSet<&str> = functions.iter().map(String::as_str).collect();
        let mut calls: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut forks = BTreeSet::new();
        for (caller, called, forked) in &self.found {
            if functions.contains(called.as_str()) {
                calls.entry(caller).or_default().insert(called);
                if *forked {
                    forks.insert((caller.as_str(), called.as_str()));
                }
            }
        }
        let mut steps = 0;
        forks.into_iter().any(|(caller, called)| {
            let (mut reached, mut ahead) = (BTreeSet::from([called]), vec![called]);
            while let Some(one) = ahead.pop() {
                if one == caller {
                    return true;
                }
                for next in calls.get(one).into_iter().flatten() {
                    steps += 1;
                    if steps > MOST {
                        return true;
                    }
                    if reached.insert(next) {
                        ahead.push(next);
                    }
                }
            }
            false
        })
    }
}
