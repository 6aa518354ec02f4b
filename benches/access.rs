//! What a decision costs: the whole of it, beside one look-up in a hash map, in one run.
//!
//! `cargo bench --bench access`. Ten roles share the grants, and each of ten users has three of them; a decision
//! asks for resources drawn at random, with a prohibition for each tenth, wildcards and conditions among the
//! rules. Decisions are not cached.
//!
//! Requests are drawn from 512, about what some agents work on at a time, so that growth is that of the work and
//! not of the machine's caches; what it is when each request is for something else is printed beside it.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_security::{
    AccessControl, AccessRequest, Condition, Permission, Policy, Role, Session, SessionRequest, SessionToken,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROLES: usize = 10;
const USERS: usize = 10;
/// So many in a turn that what the others have left in the caches does not count.
const REQUESTS: usize = 1 << 15;
/// Requests that are all for something else.
const SCATTERED: usize = 1 << 13;
const WORKING_SET: usize = 512;

fn main() -> Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_bench { 31 } else { 3 };
    let small = Workload::new(1_000)?;
    let middle = Workload::new(10_000)?;
    let large = Workload::new(if is_bench { 100_000 } else { 2_000 })?;

    // The map holds the grants of the middle one, so that it is as far from the caches.
    let map: HashMap<(String, String, String), bool> =
        middle.triples.iter().cloned().map(|t| (t, true)).collect();
    let probes: Vec<_> = middle.triples.iter().step_by(7).take(WORKING_SET).cloned().collect();
    let mut look_up =
        || probes.iter().cycle().take(REQUESTS).filter(|probe| black_box(&map).contains_key(*probe)).count();
    let mut works = [
        ("one look-up in a HashMap", Vec::new(), &mut look_up as &mut dyn FnMut() -> usize),
        ("a decision, 1,000 grants", Vec::new(), &mut || small.decide()),
        ("a decision, 10,000 grants", Vec::new(), &mut || middle.decide()),
        ("a decision, 100,000 grants", Vec::new(), &mut || large.decide()),
        ("the same, 1,000, scattered", Vec::new(), &mut || small.decide_all(&small.scattered)),
        ("the same, 100,000, scattered", Vec::new(), &mut || large.decide_all(&large.scattered)),
        ("a session's decision", Vec::new(), &mut || middle.permit()),
        ("token, session and decision", Vec::new(), &mut || middle.validate_and_permit()),
    ];
    // In turn, so that what disturbs one disturbs all.
    for round in 0..rounds + 2 {
        for (_, samples, work) in &mut works {
            let since = Instant::now();
            black_box(work());
            if round >= 2 {
                samples.push(since.elapsed());
            }
        }
    }
    let mut each = Vec::new();
    for (name, samples, _) in &works {
        let nanos = quantile_us(samples, 0.5) * 1000.0 / REQUESTS as f64;
        println!("{name:30} {nanos:7.1} ns");
        each.push(nanos);
    }
    let [map_ns, small_ns, middle_ns, large_ns, _, _, session_ns, token_ns] = each[..] else {
        return Err("not all were measured".into());
    };

    let (alone, together) = two_threads(&middle, if is_bench { 50 } else { 2 });
    println!("decisions a second, one thread {alone:.0}, two {together:.0}");

    figure("access_decision_vs_hashmap", middle_ns / map_ns, "x", Goal::AtMost(10.0));
    figure("access_session_and_decision_vs_hashmap", session_ns / map_ns, "x", Goal::AtMost(10.0));
    figure("access_token_session_and_decision_vs_hashmap", token_ns / map_ns, "x", Goal::AtMost(20.0));
    figure("access_growth_1k_to_100k", large_ns / small_ns, "x", Goal::AtMost(1.5));
    figure("access_two_threads", together / alone, "x", Goal::AtLeast(1.8));
    Ok(())
}

/// A policy of `grants`, and requests that were drawn beforehand.
struct Workload {
    access: AccessControl,
    triples: Vec<(String, String, String)>,
    requests: Vec<(String, String, String)>,
    scattered: Vec<(String, String, String)>,
    sessions: Vec<(SessionToken, Session)>,
}

impl Workload {
    fn new(grants: usize) -> Result<Self> {
        let mut roles: Vec<Role> = (0..ROLES).map(|number| Role::new(format!("role-{number}"))).collect();
        let mut triples = Vec::new();
        for number in 0..grants {
            let role = number % ROLES;
            let resource = resource(number);
            let text = format!("read:{resource}");
            let Some(place) = roles.get_mut(role) else { continue };
            let one = std::mem::replace(place, Role::new(""));
            *place = match number % 100 {
                0..10 => one.allow(text.clone()).deny(format!("write:{resource}")),
                10 => one.allow(
                    Permission::new(text.clone()).when(Condition::new().level(0).tag("network", "internal")),
                ),
                // About ten projects, whatever the size.
                11 => one.allow(format!("read:project-{}/*/{number}", number / 100 % 10)),
                _ => one.allow(text.clone()),
            };
            triples.push((format!("user-{role}"), "read".to_owned(), resource));
        }
        let roles = roles.into_iter().enumerate().map(|(number, role)| {
            // The first ones are inherited by others, so that a decision has a hierarchy to go by.
            if number >= 8 { role.inherits(format!("role-{}", number - 8)) } else { role }
        });
        let mut builder = roles.fold(Policy::builder(), |builder, role| builder.role(role));
        for user in 0..USERS {
            let given = (0..3).map(|step| format!("role-{}", (user + step * 3) % ROLES));
            builder = builder.user(format!("user-{user}"), given);
        }
        let access = AccessControl::new(builder.build()?);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let request = |_| {
            let action = if draw(10) == 0 { "write" } else { "read" };
            (format!("user-{}", draw(USERS)), action.to_owned(), resource(draw(grants)))
        };
        let scattered: Vec<_> = (0..SCATTERED).map(request).collect();
        let requests = scattered.iter().take(WORKING_SET).cloned().collect();
        let sessions = (0..USERS).map(|user| {
            let request = SessionRequest::new(format!("user-{user}")).tag("network", "internal");
            Ok(access.open_session(request)?)
        });
        let sessions = sessions.collect::<Result<_>>()?;
        Ok(Self { access, triples, requests, scattered, sessions })
    }

    fn decide(&self) -> usize {
        self.decide_all(&self.requests)
    }

    fn decide_all(&self, requests: &[(String, String, String)]) -> usize {
        let policy: Arc<Policy> = self.access.policy();
        let decide = |(user, action, resource): &&(String, String, String)| {
            policy.decide(&AccessRequest::new(user, action, resource)).is_allowed()
        };
        requests.iter().cycle().take(REQUESTS).filter(decide).count()
    }

    fn permit(&self) -> usize {
        let mut sessions = self.sessions.iter().cycle();
        let permit = |(_, action, resource): &&(String, String, String)| {
            sessions
                .next()
                .is_some_and(|(_, session)| self.access.permit(session, action, resource).is_allowed())
        };
        self.requests.iter().cycle().take(REQUESTS).filter(permit).count()
    }

    fn validate_and_permit(&self) -> usize {
        let mut sessions = self.sessions.iter().cycle();
        let permit = |(_, action, resource): &&(String, String, String)| {
            let token = sessions.next().map(|(token, _)| token.expose()).unwrap_or_default();
            let session = self.access.validate(token);
            session.is_ok_and(|session| self.access.permit(&session, action, resource).is_allowed())
        };
        self.requests.iter().cycle().take(REQUESTS).filter(permit).count()
    }
}

fn resource(number: usize) -> String {
    format!("project-{}/src/module-{}/file-{number}.rs", number % 97, number % 1009)
}

/// Decisions a second by one thread and by two, each measured several times in turn.
fn two_threads(workload: &Workload, rounds: usize) -> (f64, f64) {
    let run = |threads: usize| {
        let since = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        black_box(workload.permit());
                    }
                });
            }
        });
        let elapsed: Duration = since.elapsed();
        (threads * rounds * REQUESTS) as f64 / elapsed.as_secs_f64()
    };
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        alone.push(run(1));
        together.push(run(2));
    }
    (median(alone), median(together))
}
