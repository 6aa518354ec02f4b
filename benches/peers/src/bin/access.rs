//! Access control beside cedar-policy and casbin: what a decision costs, and whether cedar decides alike.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --features access --bin access -- [REQUESTS]`
//!
//! The cost is that of one policy of 1,000 grants, 10 roles with 100 each, said in the way that each of the three
//! is fastest with: cedar has 40 policies over groups of resources, casbin 1,000 lines.
//!
//! Then random policies, with roles that inherit, wildcards, prohibitions, levels, labels and grants to users, are
//! translated to cedar's language, and random requests put to both: a million, unless another number is given.

use std::collections::BTreeSet;
use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_security::{AccessRequest, Condition, Permission, Policy, Role};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let requests = std::env::args().nth(1).map_or(Ok(FULL), |count| count.parse())?;
    cost()?;
    agreement(requests)
}

// ---- cost

const ROLES: usize = 10;
const ACTIONS: [&str; 4] = ["read", "write", "execute", "delete"];
const GRANTS: usize = 1000;

fn cost() -> Result<()> {
    let grant = |number: usize| {
        let (role, action) = (number % ROLES, ACTIONS[number / ROLES % ACTIONS.len()]);
        (role, action, format!("project-{}/file-{number}", number % 17))
    };
    // Every user has three roles; requests are for grants of any of them.
    let roles_of = |user: usize| (0..3).map(move |step| (user + 3 * step) % ROLES);
    let probes: Vec<_> = (0..64).map(|n| (n % ROLES, grant(n * 37 % GRANTS))).collect();

    let mut roles: Vec<Role> = (0..ROLES).map(|role| Role::new(format!("role-{role}"))).collect();
    for number in 0..GRANTS {
        let (role, action, resource) = grant(number);
        roles[role] = roles[role].clone().allow(format!("{action}:{resource}"));
    }
    let mut builder = roles.into_iter().fold(Policy::builder(), |builder, role| builder.role(role));
    for user in 0..ROLES {
        builder = builder.user(format!("user-{user}"), roles_of(user).map(|role| format!("role-{role}")));
    }
    let ours = builder.build()?;

    let mut policies = String::new();
    for role in 0..ROLES {
        for action in ACTIONS {
            policies += &format!(
                "permit(principal in Role::\"role-{role}\", action == Action::\"{action}\", resource in Group::\"{role}-{action}\");\n"
            );
        }
    }
    let mut entities = Vec::new();
    for role in 0..ROLES {
        entities.push(entity("Role", &format!("role-{role}"), json!({}), &[]));
        let parents: Vec<_> = roles_of(role).map(|role| ("Role", format!("role-{role}"))).collect();
        entities.push(entity("User", &format!("user-{role}"), json!({}), &parents));
        for action in ACTIONS {
            entities.push(entity("Group", &format!("{role}-{action}"), json!({}), &[]));
        }
    }
    for number in 0..GRANTS {
        let (role, action, resource) = grant(number);
        entities.push(entity("Resource", &resource, json!({}), &[("Group", format!("{role}-{action}"))]));
    }
    let (policies, entities) =
        (PolicySet::from_str(&policies)?, Entities::from_json_value(Value::Array(entities), None)?);
    let authorizer = Authorizer::new();
    let cedar_requests: Vec<Request> = probes
        .iter()
        .map(|(user, (_, action, resource))| {
            request(&format!("user-{user}"), action, resource, Context::empty())
        })
        .collect::<Result<_>>()?;

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let casbin = runtime.block_on(async {
        let model = DefaultModel::from_str(
            "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
             [role_definition]\ng = _, _\n[policy_effect]\ne = some(where (p.eft == allow))\n\
             [matchers]\nm = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act\n",
        )
        .await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        let lines = (0..GRANTS)
            .map(grant)
            .map(|(role, action, resource)| vec![format!("role-{role}"), resource, action.to_owned()]);
        enforcer.add_policies(lines.collect()).await?;
        let given = (0..ROLES).flat_map(|user| {
            roles_of(user).map(move |role| vec![format!("user-{user}"), format!("role-{role}")])
        });
        enforcer.add_grouping_policies(given.collect()).await?;
        Ok::<_, casbin::Error>(enforcer)
    })?;

    // In turn; and what they answer has to agree, or the comparison compares nothing.
    let mut samples: [Vec<Duration>; 3] = Default::default();
    for round in 0..12 {
        for ((user, (_, action, resource)), cedar_request) in probes.iter().zip(&cedar_requests) {
            let user = format!("user-{user}");
            let (by_ours, first) =
                timed(64, || ours.decide(&AccessRequest::new(&user, action, resource)).is_allowed());
            let (by_cedar, second) = timed(16, || {
                authorizer.is_authorized(cedar_request, &policies, &entities).decision() == Decision::Allow
            });
            let (by_casbin, third) =
                timed(4, || casbin.enforce((&*user, &**resource, *action)).unwrap_or(false));
            if by_ours != by_cedar || by_ours != by_casbin {
                return Err(format!(
                    "{user} {action} {resource}: ours {by_ours}, cedar {by_cedar}, casbin {by_casbin}"
                )
                .into());
            }
            if round >= 2 {
                samples.iter_mut().zip([first, second, third]).for_each(|(samples, time)| samples.push(time));
            }
        }
    }
    let [ours, cedar, casbin] = samples.map(|samples| quantile_us(&samples, 0.5));
    println!("a decision, 1,000 grants: ours {ours:.3} us, cedar {cedar:.1} us, casbin {casbin:.1} us");
    figure("access_vs_cedar", cedar / ours, "x", Goal::AtLeast(100.0));
    figure("access_vs_casbin", casbin / ours, "x", Goal::AtLeast(900.0));
    Ok(())
}

fn timed(times: u32, mut decide: impl FnMut() -> bool) -> (bool, Duration) {
    let since = Instant::now();
    let mut answer = false;
    for _ in 0..times {
        answer = std::hint::black_box(decide());
    }
    (answer, since.elapsed() / times)
}

fn entity(kind: &str, id: &str, attrs: Value, parents: &[(&str, String)]) -> Value {
    let parents: Vec<_> = parents.iter().map(|(kind, id)| json!({ "type": kind, "id": id })).collect();
    json!({ "uid": { "type": kind, "id": id }, "attrs": attrs, "parents": parents })
}

fn request(user: &str, action: &str, resource: &str, context: Context) -> Result<Request> {
    let uid = |kind: &str, id: &str| EntityUid::from_str(&format!("{kind}::{id:?}"));
    Ok(Request::new(uid("User", user)?, uid("Action", action)?, uid("Resource", resource)?, context, None)?)
}

// ---- agreement

/// What is compared unless fewer are asked for.
const FULL: usize = 1_000_000;
const REQUESTS_A_POLICY: usize = 500;
const WORDS: [&str; 3] = ["a", "b", "ab"];
const LABELS: [&str; 3] = ["x", "y", "z"];
const MAX_DEPTH: usize = 4;

fn agreement(requests: usize) -> Result<()> {
    let resources = all_resources();
    // A comparison that cannot fail proves nothing: with a prohibition left out of the translation, it must.
    let mut random = Random(1);
    let mut noticed = 0;
    for _ in 0..40 {
        noticed +=
            Pair::new(&mut random, &resources, true)?.disagreements(&mut random, &resources, 100)?.len();
    }
    if noticed == 0 {
        return Err("a translation without its prohibitions was not noticed".into());
    }

    let bar = indicatif::ProgressBar::new(requests as u64);
    bar.set_style(indicatif::ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} requests, {eta} left",
    )?);
    let mut random = Random(20_261_127);
    let (mut disagreements, mut allowed, mut done) = (Vec::new(), 0, 0);
    while done < requests {
        let pair = Pair::new(&mut random, &resources, false)?;
        let count = REQUESTS_A_POLICY.min(requests - done);
        disagreements.extend(pair.disagreements(&mut random, &resources, count)?);
        allowed += pair.allowed.get();
        done += count;
        bar.set_position(done as u64);
    }
    bar.finish_and_clear();
    for disagreement in disagreements.iter().take(5) {
        eprintln!("{disagreement}");
    }
    println!(
        "{done} requests, of which {allowed} are allowed; {noticed} disagreements where prohibitions were left out"
    );
    if requests >= FULL {
        figure("access_requests_compared_with_cedar", done as f64, "requests", Goal::AtLeast(FULL as f64));
    }
    figure("access_disagreements_with_cedar", disagreements.len() as f64, "requests", Goal::AtMost(0.0));
    if disagreements.is_empty() { Ok(()) } else { Err("the two do not agree".into()) }
}

/// One policy, in both languages.
struct Pair {
    ours: Policy,
    cedar: PolicySet,
    entities: Entities,
    text: String,
    allowed: std::cell::Cell<usize>,
}

const USERS: usize = 4;

impl Pair {
    fn new(random: &mut Random, resources: &[String], without_denials: bool) -> Result<Self> {
        let roles = 2 + random.below(5);
        let (mut builder, mut text) = (Policy::builder(), String::new());
        let mut entities: Vec<Value> = resources.iter().map(|name| resource_entity(name)).collect();
        for number in 0..roles {
            let mut role = Role::new(format!("r{number}"));
            let parents: Vec<usize> = (number + 1..roles).filter(|_| random.below(4) == 0).collect();
            for parent in &parents {
                role = role.inherits(format!("r{parent}"));
            }
            for _ in 0..random.below(6) {
                let (permission, denies, cedar) = rule(random, &format!("principal in Role::\"r{number}\""));
                role = if denies { role.deny(permission) } else { role.allow(permission) };
                if !(denies && without_denials) {
                    text += &cedar;
                }
            }
            builder = builder.role(role);
            let parents: Vec<_> = parents.iter().map(|parent| ("Role", format!("r{parent}"))).collect();
            entities.push(entity("Role", &format!("r{number}"), json!({}), &parents));
        }
        for user in 0..USERS {
            let given: Vec<usize> = (0..roles).filter(|_| random.below(2) == 0).collect();
            builder = builder.user(format!("u{user}"), given.iter().map(|role| format!("r{role}")));
            let parents: Vec<_> = given.iter().map(|role| ("Role", format!("r{role}"))).collect();
            entities.push(entity("User", &format!("u{user}"), json!({}), &parents));
            for _ in 0..random.below(3) {
                let (permission, denies, cedar) = rule(random, &format!("principal == User::\"u{user}\""));
                let user = format!("u{user}");
                builder =
                    if denies { builder.revoke(user, permission) } else { builder.grant(user, permission) };
                if !(denies && without_denials) {
                    text += &cedar;
                }
            }
        }
        Ok(Self {
            ours: builder.build()?,
            cedar: PolicySet::from_str(&text)?,
            entities: Entities::from_json_value(Value::Array(entities), None)?,
            text,
            allowed: std::cell::Cell::new(0),
        })
    }

    fn disagreements(&self, random: &mut Random, resources: &[String], count: usize) -> Result<Vec<String>> {
        let (authorizer, mut found) = (Authorizer::new(), Vec::new());
        for _ in 0..count {
            let user = format!("u{}", random.below(USERS));
            let action = ["read", "write"][random.below(2)];
            let resource = &resources[random.below(resources.len())];
            let level = random.below(3) as u8;
            let labels: BTreeSet<&str> = LABELS.into_iter().filter(|_| random.below(2) == 0).collect();
            let ours_labels: Vec<Arc<str>> = labels.iter().map(|label| Arc::from(*label)).collect();
            let ours = AccessRequest::new(&user, action, resource).level(level).labels(&ours_labels);
            let ours = self.ours.decide(&ours);
            let context = Context::from_json_value(json!({ "level": level, "labels": labels }), None)?;
            let response = authorizer.is_authorized(
                &request(&user, action, resource, context)?,
                &self.cedar,
                &self.entities,
            );
            if let Some(error) = response.diagnostics().errors().next() {
                return Err(format!("cedar could not evaluate: {error}").into());
            }
            self.allowed.set(self.allowed.get() + usize::from(ours.is_allowed()));
            if ours.is_allowed() != (response.decision() == Decision::Allow) {
                found.push(format!("{user} {action} {resource} level {level} {labels:?}: ours {ours}, cedar the opposite of\n{}", self.text));
            }
        }
        Ok(found)
    }
}

/// A permission, whether it denies, and the same as a cedar policy.
fn rule(random: &mut Random, principal: &str) -> (Permission, bool, String) {
    let denies = random.below(4) == 0;
    let action = ["read", "write", "*"][random.below(3)];
    let (pattern, matches) = pattern(random);
    let mut permission = Permission::new(format!("{action}:{pattern}"));
    let mut conditions = vec![matches];
    if random.below(4) == 0 {
        let level = 1 + random.below(2) as u8;
        let labels: Vec<&str> = LABELS.into_iter().filter(|_| random.below(3) == 0).collect();
        permission = permission.when(Condition::new().level(level).labels(labels.clone()));
        conditions.push(format!("context.level >= {level} && context.labels.containsAll({labels:?})"));
    }
    let effect = if denies { "forbid" } else { "permit" };
    let action = if action == "*" { "action".to_owned() } else { format!("action == Action::\"{action}\"") };
    let cedar =
        format!("{effect}({principal}, {action}, resource) when {{ {} }};\n", conditions.join(" && "));
    (permission, denies, cedar)
}

/// A pattern, and what it asks of a resource whose segments are attributes: `s0`, … from the beginning, `e0`, …
/// from the end, and their number.
fn pattern(random: &mut Random) -> (String, String) {
    let depth = 1 + random.below(MAX_DEPTH);
    let stars = random.below(3) == 0;
    let place = random.below(depth);
    let (mut segments, mut asks) = (Vec::new(), Vec::new());
    for segment in 0..depth {
        if stars && segment == place {
            segments.push("**".to_owned());
            continue;
        }
        // Behind `**` they are counted from the end.
        let name = if stars && segment > place {
            format!("e{}", depth - 1 - segment)
        } else {
            format!("s{segment}")
        };
        let word = WORDS[random.below(WORDS.len())];
        match random.below(6) {
            0 => segments.push("*".to_owned()),
            1 => {
                segments.push(format!("{word}*"));
                asks.push(format!("resource.{name} like \"{word}*\""));
            }
            2 => {
                segments.push(format!("*{word}"));
                asks.push(format!("resource.{name} like \"*{word}\""));
            }
            _ => {
                segments.push(word.to_owned());
                asks.push(format!("resource.{name} == \"{word}\""));
            }
        }
    }
    let last = place + 1 == depth;
    let count = match (stars, last) {
        (false, _) => format!("resource.n == {depth}"),
        // At the end `**` needs a separator before it, so something besides; alone it is everything.
        (true, true) => format!("resource.n >= {}", depth.max(1)),
        (true, false) => format!("resource.n >= {}", depth - 1),
    };
    asks.insert(0, count);
    (segments.join("/"), asks.join(" && "))
}

fn all_resources() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut level = vec![String::new()];
    for _ in 0..MAX_DEPTH {
        let longer = level.iter().flat_map(|start| {
            WORDS.iter().map(
                move |word| if start.is_empty() { (*word).to_owned() } else { format!("{start}/{word}") },
            )
        });
        level = longer.collect();
        all.extend(level.iter().cloned());
    }
    all
}

/// Attributes that a resource does not have are none of its segments.
fn resource_entity(name: &str) -> Value {
    let segments: Vec<&str> = name.split('/').collect();
    let mut attrs = json!({ "n": segments.len() });
    for place in 0..MAX_DEPTH {
        attrs[format!("s{place}")] = json!(segments.get(place).unwrap_or(&"#"));
        attrs[format!("e{place}")] = json!(segments.iter().rev().nth(place).unwrap_or(&"#"));
    }
    entity("Resource", name, attrs, &[])
}

/// xorshift64: the same requests each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
