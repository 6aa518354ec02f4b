//! What holds for every line of the tables.

use super::*;

#[test]
fn every_line_of_every_table_is_understood() {
    let mut problems = Vec::new();
    for (name, text) in TABLES {
        read(text, &mut |problem| problems.push(format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The second line about a program would be dead, and may well be the more careful one.
#[test]
fn a_program_is_described_once() {
    let mut seen = HashMap::new();
    let mut twice = Vec::new();
    for (table, text) in TABLES {
        for (name, _) in read(text, &mut |_| {}) {
            if let Some(before) = seen.insert(name, table) {
                twice.push(format!("{name}: in {before} and in {table}"));
            }
        }
    }
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

/// All lines of a table, those of subcommands as well.
fn rows(programs: Vec<(&'static str, Arc<Program>)>, above: &str, all: &mut Vec<(String, Arc<Program>)>) {
    for (name, program) in programs {
        let name = format!("{above}{name}");
        rows(program.subcommands.clone(), &format!("{name} "), all);
        all.push((name, program));
    }
}

fn every_row() -> Vec<(String, Arc<Program>)> {
    let mut all = Vec::new();
    TABLES.iter().for_each(|(_, text)| rows(read(text, &mut |_| {}), "", &mut all));
    all
}

/// The first meaning would count, and the other may be the graver one.
#[test]
fn an_option_means_one_thing() {
    let mut twice = std::collections::BTreeSet::new();
    for (name, program) in every_row() {
        for (at, (option, role)) in program.options.iter().enumerate() {
            let before = program.options.iter().take(at);
            if let Some((_, other)) = before.clone().find(|(o, r)| o == option && r != role) {
                twice.insert(format!("{name} {option}: {other:?} and {role:?}"));
            }
        }
    }
    let twice: Vec<String> = twice.into_iter().collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

/// What a line does not say is asked about, and what it says twice is a mistake.
#[test]
fn a_line_states_what_is_harmless() {
    let one = |line| read(line, &mut |problem| panic!("{problem}")).remove(0).1;
    assert_eq!(one("a reads").most(), 1);
    assert_eq!(one("a reads op2:write").most(), 2);
    assert_eq!(one("a remote many").most(), usize::MAX);
    assert_eq!(one("a writes ops:write").most(), usize::MAX);
    for line in [
        "a reads strict",
        "a reads many ops<=2",
        "a reads any many",
        "a reads any ops<=1",
        "a reads any -x:ok",
    ] {
        let mut problems = 0;
        read(line, &mut |_| problems += 1);
        assert_eq!(problems, 1, "{line}");
    }
}

#[test]
fn what_runs_others_is_known_as_such() {
    let wrappers = "env command builtin exec eval xargs parallel nohup timeout nice ionice chrt taskset setsid stdbuf time \
                    watch find fd sh bash dash zsh ksh busybox toybox su sudo doas pkexec chroot unshare nsenter script strace \
                    flock setpriv ltrace gdb perf ssh proot firejail systemd-run chpst catchsegv some-unknown-program";
    let missing: Vec<&str> = wrappers.split_whitespace().filter(|name| !may_run_others(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in ["ls", "cat", "grep", "cp", "rm", "wc", "head"] {
        assert!(!may_run_others(name), "{name}");
    }
}

#[test]
fn the_tables_are_broad() {
    let names: std::collections::HashSet<_> =
        TABLES.iter().flat_map(|(_, text)| read(text, &mut |_| {})).map(|(name, _)| name).collect();
    assert!(names.len() >= 400, "{}", names.len());
}

#[test]
fn a_line_that_is_not_understood_hides_its_program() {
    let mut problems = 0;
    let programs =
        read("a reads\nb what\n  c reads\nd reads -x\n   e reads\nf reads", &mut |_| problems += 1);
    assert_eq!(programs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["a", "f"]);
    assert_eq!(problems, 3);
}
