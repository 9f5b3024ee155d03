//! The rules of the tree, read from the tree.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::workspace;

/// Documents whose paths must exist. A new document is added here.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/API.md",
    "docs/GUARANTEES.md",
    "docs/PERFORMANCE.md",
    "docs/SCALING.md",
];

/// Paths that documents name and that are made when something runs.
const MADE: &[&str] = &[".jetlane", "~/.cache/jetlane"];

/// The longest file, tests apart.
const LINES: usize = 450;

/// Files that may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

/// A text that only some may write.
struct Rule {
    /// Any of these.
    texts: &'static [&'static str],
    /// Where it may stand: files or folders.
    home: &'static str,
    /// Who else may, and why.
    exempt: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        texts: &["sqlx::query", "query_as!", "query_scalar!", "sqlx::"],
        home: "core/src/store",
        exempt: &[
            ("core/src/store.rs", "the root of the store"),
            ("devstack", "brings up PostgreSQL and asks whether it is there"),
            ("loadtest", "its floor is bare clients"),
            ("tests", "the checker reads the ledger itself"),
        ],
    },
    Rule {
        texts: &["async_nats"],
        home: "core/src/messaging",
        exempt: &[
            ("core/src/messaging.rs", "the root of messaging"),
            ("core/src/config/vars.rs", "names it as a source of logs"),
            ("loadtest", "its floor is bare clients"),
            ("tests", "the checker reads the feed itself"),
        ],
    },
    Rule {
        texts: &["env::var", "env::vars", "dotenvy"],
        home: "core/src/config",
        exempt: &[
            ("devstack/src/settings.rs", "devstack's one place that reads the environment"),
            ("cli/src/stack/child.rs", "passes the environment on to children"),
            ("tests", "rewrites golden files if asked to"),
        ],
    },
    Rule {
        texts: &["StatusCode"],
        home: "functions",
        exempt: &[
            ("cli/src/client", "the HTTP client reads them"),
            ("core/src/messaging/bells.rs", "NATS answers with numbers of the same kind"),
            ("tests", "a client too"),
        ],
    },
];

/// Folders that never name a crate or module.
const STRANGERS: &[(&str, &str)] = &[
    ("functions", "jetlane_worker"),
    ("worker", "jetlane_functions"),
    ("core/src/store", "messaging"),
    ("core/src/messaging", "store"),
    ("core", "jetlane_functions"),
    ("core", "jetlane_worker"),
    ("devstack", "jetlane_core"),
];

/// Every Rust file of ours that is no test of one package alone, by its name
/// from the root.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in fs::read_dir(workspace()).unwrap() {
        let path = folder.unwrap().path();
        if path.join("Cargo.toml").is_file() {
            collect(&path, &mut files);
        }
    }
    assert!(files.len() > 50, "the tree was not found");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .filter(|(name, _)| !name.contains("/tests/") && !name.contains("/examples/"))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The lines that do something: no comments, no documentation.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The part before the unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn is_within(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[test]
fn each_concern_has_one_home() {
    let mut strays = Vec::new();
    for (file, text) in sources() {
        for rule in RULES {
            let mut places = rule.exempt.iter().map(|(place, _)| *place).chain([rule.home]);
            if places.any(|place| is_within(&file, place)) {
                continue;
            }
            strays.extend(
                code(without_tests(&text))
                    .filter(|(_, line)| rule.texts.iter().any(|text| line.contains(text)))
                    .map(|(number, line)| format!("{file}:{number}: {}", line.trim())),
            );
        }
    }
    assert!(strays.is_empty(), "they belong elsewhere:\n{}", strays.join("\n"));
}

#[test]
fn every_exemption_is_needed() {
    let sources = sources();
    let is_used = |rule: &Rule, place: &str| {
        sources.iter().filter(|(file, _)| is_within(file, place)).any(|(_, text)| {
            code(text).any(|(_, line)| rule.texts.iter().any(|text| line.contains(text)))
        })
    };
    let idle: Vec<_> = RULES
        .iter()
        .flat_map(|rule| rule.exempt.iter().map(move |exempt| (rule, exempt)))
        // The root of a module is its home, whether or not it says so itself.
        .filter(|(rule, (place, reason))| {
            !reason.starts_with("the root of") && !is_used(rule, place)
        })
        .map(|(rule, (place, _))| (rule.texts, place))
        .collect();
    assert!(idle.is_empty(), "{idle:?}");
}

#[test]
fn strangers_do_not_name_each_other() {
    let mut strays = Vec::new();
    for (file, text) in sources() {
        for (folder, stranger) in STRANGERS.iter().filter(|(folder, _)| is_within(&file, folder)) {
            let paths = [format!("{stranger}::"), format!("use {stranger};")];
            strays.extend(
                code(&text).filter(|(_, line)| paths.iter().any(|path| line.contains(path))).map(
                    |(number, line)| {
                        format!("{file}:{number}: {folder} names {stranger}: {}", line.trim())
                    },
                ),
            );
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn manifests_depend_only_downwards() {
    for (package, stranger) in [
        ("functions", "jetlane-worker"),
        ("worker", "jetlane-functions"),
        ("core", "jetlane-functions"),
    ] {
        let manifest = fs::read_to_string(workspace().join(package).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains(stranger), "{package} depends on {stranger}");
    }
}

/// With a second one `cargo run` asks which of them is meant.
#[test]
fn cargo_run_means_the_cli() {
    let chosen: Vec<_> = manifests()
        .into_iter()
        .filter(|(_, text)| text.lines().any(|line| line.starts_with("default-run")))
        .map(|(folder, _)| folder)
        .collect();
    assert_eq!(chosen, [workspace().join("cli")]);
}

/// Where they are not told otherwise, libraries and programs are benchmarks too, which know no
/// `--quick`.
#[test]
fn cargo_bench_means_benchmarks() {
    for (folder, text) in manifests() {
        let programs = fs::read_dir(folder.join("src/bin")).map_or(0, Iterator::count)
            + usize::from(folder.join("src/main.rs").is_file());
        let library = usize::from(folder.join("src/lib.rs").is_file());
        let told = text
            .split("\n[")
            .filter(|section| section.starts_with("lib]") || section.starts_with("[bin]]"));
        let told = told.filter(|section| section.contains("\nbench = false")).count();
        assert!(told >= programs + library, "{}: {told}", folder.display());
    }
}

/// The folder of each package, and what its manifest says.
fn manifests() -> Vec<(PathBuf, String)> {
    fs::read_dir(workspace())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .map(|folder| {
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            (folder, text)
        })
        .collect()
}

#[test]
fn files_are_about_one_thing() {
    let too_long: Vec<_> = sources()
        .into_iter()
        .filter(|(file, _)| !is_within(file, "tests"))
        .filter(|(file, _)| !LONGER.iter().any(|(longer, _)| file == longer))
        .map(|(file, text)| (file, without_tests(&text).lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .collect();
    assert!(too_long.is_empty(), "{too_long:?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.trim_start().starts_with("//!"))
        .map(|(file, _)| file)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn lints_are_expected_and_never_allowed() {
    let allowed: Vec<_> = sources()
        .into_iter()
        .flat_map(|(file, text)| {
            let lines =
                code(&text).map(|(n, line)| (n, line.trim().to_owned())).collect::<Vec<_>>();
            lines.into_iter().map(move |(number, line)| (file.clone(), number, line))
        })
        .filter(|(_, _, line)| {
            line.starts_with(&["#[", "allow("].concat())
                || line.starts_with(&["#![", "allow("].concat())
        })
        .collect();
    assert!(allowed.is_empty(), "{allowed:?}");
}

#[test]
fn documents_name_only_paths_that_exist() {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(workspace().join(document)).unwrap();
        for path in named_paths(&text) {
            if !workspace().join(&path).exists() && !MADE.contains(&path.as_str()) {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// What a document puts between backticks and looks like a path of ours.
fn named_paths(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|quote| {
            quote.contains('/')
                && !quote.contains([' ', '*', '<', '{', '$', ':', '=', '\n'])
                && !quote.starts_with('/')
                && !quote.starts_with("application/")
        })
        .map(|quote| quote.trim_end_matches('/').to_owned())
        .collect()
}

#[test]
fn paths_are_found_in_documents() {
    let text =
        "See `core/src/lib.rs`, `worker/` and `GET /jobs`; `jobs.*` is a subject, `/jobs` a route.";
    assert_eq!(named_paths(text), ["core/src/lib.rs", "worker"]);
}
