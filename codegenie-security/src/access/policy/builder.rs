//! A policy as code.

use std::time::SystemTime;

use super::Policy;
use super::compile::{PolicyError, compile};
use crate::access::role::{Effect, Permission, Role};

/// Roles that shall not come together, so that nobody approves what they wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a separation does nothing until it is part of a policy"]
pub struct Separation {
    pub(super) roles: Vec<String>,
    pub(super) in_one_session: bool,
}

impl Separation {
    /// Nobody is given two of these roles, by inheritance included. One that is named twice counts once.
    pub fn of<R: Into<String>>(roles: impl IntoIterator<Item = R>) -> Self {
        Self { roles: roles.into_iter().map(Into::into).collect(), in_one_session: false }
    }

    /// Somebody may be given several of them, but a session acts in one at most.
    pub fn in_one_session(mut self) -> Self {
        self.in_one_session = true;
        self
    }
}

/// Collects roles and users; [`build`](Self::build) checks them.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct PolicyBuilder {
    pub(super) roles: Vec<Role>,
    pub(super) users: Vec<(String, Vec<Assignment>)>,
    pub(super) own: Vec<(String, Effect, Permission)>,
    pub(super) separations: Vec<Separation>,
    pub(super) actions: Option<Vec<String>>,
}

/// A role that is given to a user, perhaps for a while.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) role: String,
    pub(super) until: Option<SystemTime>,
}

impl PolicyBuilder {
    /// Adds a role.
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Gives roles to a user, in addition to those given before.
    pub fn user<R: Into<String>>(
        mut self,
        user: impl Into<String>,
        roles: impl IntoIterator<Item = R>,
    ) -> Self {
        let roles = roles.into_iter().map(|role| Assignment { role: role.into(), until: None });
        self.users.push((user.into(), roles.collect()));
        self
    }

    /// Gives a role to a user until a time.
    pub fn user_until(mut self, user: impl Into<String>, role: impl Into<String>, end: SystemTime) -> Self {
        self.users.push((user.into(), vec![Assignment { role: role.into(), until: Some(end) }]));
        self
    }

    /// Gives a permission to one user, whatever roles the user acts in.
    pub fn grant(mut self, user: impl Into<String>, permission: impl Into<Permission>) -> Self {
        self.own.push((user.into(), Effect::Allow, permission.into()));
        self
    }

    /// Takes something from one user, whatever roles allow it.
    pub fn revoke(mut self, user: impl Into<String>, permission: impl Into<Permission>) -> Self {
        self.own.push((user.into(), Effect::Deny, permission.into()));
        self
    }

    /// Keeps roles apart.
    pub fn separate(mut self, separation: Separation) -> Self {
        self.separations.push(separation);
        self
    }

    /// Says what actions there are. All others are denied, and [`Policy::lint`] finds rules about them.
    /// Where nothing is said, every plain word is an action.
    pub fn actions<A: Into<String>>(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        self.actions.get_or_insert_default().extend(actions.into_iter().map(Into::into));
        self
    }

    /// Checks everything: names, permissions, that no role inherits from itself, and that roles are kept apart.
    pub fn build(self) -> Result<Policy, PolicyError> {
        compile(self).map_err(|misplaced| misplaced.error)
    }
}
