//! The binary as a stranger meets it: output and exit codes.

#[path = "cli/support.rs"]
mod support;

use support::{Run, sojourn, up};

/// Compares with a file below `tests/cli/golden`; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} changed: if it is meant, run again with UPDATE_GOLDEN=1");
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let Run { out, code, .. } = sojourn(&["--help"]);
    assert_eq!(code, 0);
    golden("help.txt", &out);
}

#[test]
fn alone_it_says_where_to_begin() {
    let Run { out, code, .. } = sojourn(&[]);
    assert_eq!(code, 0);
    golden("alone.txt", &out);
}

#[test]
fn init_writes_a_workspace_that_lints_clean() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("my-shop");
    let init = sojourn(&["init", shop.to_str().unwrap(), "--template", "shop"]);
    assert_eq!(init.code, 0, "{}", init.err);
    golden("init.txt", &init.out.replace(dir.path().to_str().unwrap(), "DIR"));
    let lint = sojourn(&["lint", shop.to_str().unwrap()]);
    assert_eq!(lint.code, 0);
    golden("lint-clean.txt", &lint.out);
    let again = sojourn(&["init", shop.to_str().unwrap()]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("--force"), "{}", again.err);
}

#[test]
fn lint_shows_a_typo_with_its_place_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().to_str().unwrap();
    assert_eq!(sojourn(&["init", shop]).code, 0);
    let policy = dir.path().join("policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let typo = text.replacen("at_most: 1", "at_mots: 1", 1);
    assert_ne!(text, typo);
    std::fs::write(policy, typo).unwrap();

    let human = sojourn(&["lint", shop]);
    assert_eq!(human.code, 1);
    golden("lint-typo.txt", &human.out);

    let json = sojourn(&["lint", shop, "--json"]);
    assert_eq!(json.code, 1);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["findings"][0]["file"], "policy.yaml");
    assert!(json["errors"].as_u64().unwrap() >= 1);

    let github = sojourn(&["lint", shop, "--format", "github"]);
    assert!(github.out.starts_with("::error file=policy.yaml,line="), "{}", github.out);
    let sarif = sojourn(&["lint", shop, "--format", "sarif"]);
    let sarif: serde_json::Value = serde_json::from_str(&sarif.out).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
}

#[test]
fn lint_explains_a_rule() {
    let explained = sojourn(&["lint", "--explain", "purpose-limitation"]);
    assert_eq!(explained.code, 0, "{}", explained.err);
    assert!(explained.out.starts_with("purpose-limitation\n"), "{}", explained.out);
    assert!(explained.out.len() > 100, "{}", explained.out);
    let unknown = sojourn(&["lint", "--explain", "purpose-limitatoin"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("no rule `purpose-limitatoin`"), "{}", unknown.err);
}

#[test]
fn scenarios_hold_and_a_change_of_the_policy_shows_which_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().to_str().unwrap();
    assert_eq!(sojourn(&["init", shop]).code, 0);
    let good = sojourn(&["test", shop]);
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    assert!(good.out.contains("all good: 33 scenarios"), "{}", good.out);

    let policy = dir.path().join("policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(policy, text.replace("from: \"21:00\"", "from: \"22:00\"")).unwrap();
    let bad = sojourn(&["test", shop, "abandoned"]);
    assert_eq!(bad.code, 1);
    golden("test-differs.txt", &bad.out);
    let json = sojourn(&["test", shop, "abandoned", "--json"]);
    assert_eq!(json.code, 1);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(6), Some(1)));

    let scenario = dir.path().join("tests/abandoned-cart.yaml");
    let text = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(scenario, text.replace("step: remind", "step: remnd")).unwrap();
    let slip = sojourn(&["test", shop]);
    assert_eq!(slip.code, 1);
    assert!(slip.out.contains("no journey of this scenario has a step `remnd`"), "{}", slip.out);
}

#[test]
fn what_cannot_be_opened_or_reached_exits_with_3() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap();
    let lint = sojourn(&["lint", empty]);
    assert_eq!(lint.code, 3);
    assert!(lint.err.contains("sojourn init"), "{}", lint.err);
    assert_eq!(sojourn(&["init", empty]).code, 0);
    for command in [
        vec!["pause", "welcome", "--dir", empty],
        vec!["kill", "email", "--dir", empty],
        vec!["tail", "--dir", empty],
    ] {
        let run = sojourn(&command);
        assert_eq!(run.code, 3, "{command:?}");
        assert!(run.err.contains("nothing is running on"), "{}", run.err);
        assert!(run.err.contains("sojourn up"), "{}", run.err);
    }
}

#[test]
fn a_kill_switch_for_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().to_str().unwrap();
    assert_eq!(sojourn(&["init", shop]).code, 0);
    let run = sojourn(&["kill", "emial", "--dir", shop]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("email"), "{}", run.err);
}

#[test]
fn import_writes_a_file_for_simulate_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(sojourn(&["init", &path("shop")]).code, 0);
    std::fs::write(path("orders.txt"), " 00002 19970112  1   12.00\n 00001 19970101  1   11.77\n")
        .unwrap();
    std::fs::write(
        path("map.yaml"),
        "delimiter: whitespace\nheader: false\ncolumns: [customer, day, quantity, total]\n\
         event: Store Order Completed\ntimestamp: { column: day, format: \"%Y%m%d\" }\n\
         time_zone: UTC\nuserId: customer\nproperties:\n  total: { column: total, type: number }\n",
    )
    .unwrap();
    let (map, orders, out) = (path("map.yaml"), path("orders.txt"), path("events.jsonl"));
    let shop = path("shop");
    let args = ["import", &shop, "--source", "till", "--map", &map, &orders, "--out", &out];
    let run = sojourn(&args);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(
        run.out.trim_end().replace(&out, "OUT"),
        "imported 2 rows of 1997-01-01 to 1997-01-12 into OUT"
    );
    let lines = std::fs::read_to_string(&out).unwrap();
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["userId"], "00001");
    assert_eq!(events[0]["receivedAt"], "1997-01-01T00:00:00.000Z");
    assert_eq!(events[1]["properties"]["total"], 12);

    let wrong = sojourn(&["import", &shop, "--source", "tills", "--map", &map, &orders]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("till"), "{}", wrong.err);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let run = sojourn(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains("publish"), "{shell}");
    }
}

#[test]
fn the_story_of_the_demo_runs_through_simulate_and_gives_the_same_bytes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (shop, events) = (path("shop"), path("events.jsonl"));
    assert_eq!(sojourn(&["init", &shop]).code, 0);
    assert_eq!(sojourn(&["demo", "--events", &events]).code, 0);
    let simulate = |out: &str| {
        let out = path(out);
        let run = sojourn(&["simulate", &shop, "--events", &events, "--decisions", &out]);
        assert_eq!(run.code, 0, "{}", run.err);
        (run.out, std::fs::read(out).unwrap())
    };
    let (page, first) = simulate("first.jsonl");
    let (_, second) = simulate("second.jsonl");
    assert!(first == second, "the same input gives the same bytes (DET-1)");
    assert!(first.len() > 10_000);
    assert!(page.contains("abandoned-cart") && page.contains("suppress: cap"), "{page}");

    assert!(page.contains("who agreed to what") && page.contains("email marketing"), "{page}");

    let what_if = |change: &str| {
        sojourn(&["simulate", &shop, "--events", &events, "--what-if", change, "--json"])
    };
    let run = what_if("cap.weekly=1");
    assert_eq!(run.code, 0, "{}", run.err);
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let capped = |which: &str| json[which]["verdicts"]["suppress: cap"].as_u64().unwrap();
    assert!(capped("compared") > capped("summary"), "{}", run.out);
    assert!(
        json["compared"]["contacts_per_week"]["2"].as_u64()
            < json["summary"]["contacts_per_week"]["2"].as_u64()
    );
    let unknown = what_if("cap.weekl=1");
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("no cap `weekl`") && unknown.err.contains("weekly"));

    // A lint error stops it.
    let policy = dir.path().join("shop/policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(policy, text.replace("at_most: 1", "at_mots: 1")).unwrap();
    let refused = sojourn(&["simulate", &shop, "--events", &events]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("at_mots"), "{}", refused.err);
}

#[test]
fn a_made_up_history_is_rehearsed_and_the_same_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for template in ["shop", "cafe", "salon", "gym", "courses"] {
        let workspace = path(template);
        assert_eq!(sojourn(&["init", &workspace, "--template", template]).code, 0);
        let rehearse = |seed: &str, kept: &str, out: &str| {
            let (kept, out) = (path(kept), path(out));
            let run = sojourn(&[
                "simulate",
                &workspace,
                "--generate",
                "150",
                "--days",
                "45",
                "--seed",
                seed,
                "--keep",
                &kept,
                "--decisions",
                &out,
                "--json",
            ]);
            assert_eq!(run.code, 0, "{template}: {}", run.err);
            let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
            (json["summary"].clone(), std::fs::read(kept).unwrap(), std::fs::read(out).unwrap())
        };
        let (summary, events, decisions) = rehearse("7", "events.jsonl", "decisions.jsonl");
        let again = rehearse("7", "again.jsonl", "again-decisions.jsonl");
        assert!(events == again.1 && decisions == again.2, "{template}: the same bytes (DET-1)");
        assert!(events != rehearse("8", "other.jsonl", "other-decisions.jsonl").1, "{template}");

        // What a marketer must meet in a rehearsal: yes and no, and what goes wrong.
        let verdict = |name: &str| summary["verdicts"][name].as_u64().unwrap_or(0);
        assert!(verdict("approve") > 0, "{template}: {summary}");
        if template == "shop" {
            assert!(verdict("suppress: no_consent") > 0, "{summary}");
            for what in ["duplicates", "nobody", "merges"] {
                assert!(summary[what].as_u64().unwrap() > 0, "{what}: {summary}");
            }
        }
        assert_eq!(summary["rejected"].as_object().unwrap().len(), 0, "{template}: {summary}");
        let lines: Vec<serde_json::Value> = String::from_utf8(events)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let late = |line: &&serde_json::Value| {
            line["timestamp"].as_str().is_some_and(|at| at < line["receivedAt"].as_str().unwrap())
        };
        let denied = |line: &&serde_json::Value| line["properties"]["state"] == "denied";
        assert!(lines.iter().any(|line| denied(&line)), "{template}: consent is taken back, too");
        let till = lines.iter().find(|line| line["source"] == "till");
        assert!(till.is_none() || lines.iter().any(|line| late(&line)), "{template}: late tills");
        let sources: std::collections::BTreeSet<_> =
            lines.iter().filter_map(|line| line["source"].as_str()).collect();
        assert!(sources.len() > 1 || template == "courses", "{template}: {sources:?}");

        // What was kept is a file like any other.
        let out = path("replayed.jsonl");
        let end = "2026-02-19T00:00:00Z";
        let kept = path("events.jsonl");
        let replay = sojourn(&[
            "simulate",
            &workspace,
            "--events",
            &kept,
            "--until",
            end,
            "--decisions",
            &out,
        ]);
        assert_eq!(replay.code, 0, "{}", replay.err);
        assert!(std::fs::read(out).unwrap() == decisions, "{template}");
    }
    let shop = path("shop");
    let none = sojourn(&["simulate", &shop, "--generate", "0"]);
    assert_eq!(none.code, 2);
    assert!(none.err.contains("from 1 to 200000 people"), "{}", none.err);
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (shop, events) = (path("shop"), path("events.jsonl"));
    assert_eq!(sojourn(&["init", &shop]).code, 0);
    std::fs::write(&events, "{\"type\": \"track\"\n").unwrap();
    let run = sojourn(&["simulate", &shop, "--events", &events]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("line 1"), "{}", run.err);
    let missing = sojourn(&["simulate", &shop, "--events", &path("nothing.jsonl")]);
    assert_eq!(missing.code, 3);
}

#[test]
fn the_demo_tells_its_story_over_http_and_keeps_every_cap() {
    let run = sojourn(&["demo", "--json", "--seconds", "6", "--speed", "6000", "--port", "0"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let summary: serde_json::Value = serde_json::from_str(&run.out).expect("one JSON document");
    let number = |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("{key}: {summary}"));
    assert!(number("people") > 180, "{summary}");
    assert!(number("merges") > 5, "{summary}");
    assert!(number("delivered") > 60, "{summary}");
    // At this speed five minutes of the shop are 50 ms: a prompt may come too late for the till,
    // and a withdrawal may stop a message at the gate. But every message can be rendered.
    for why in summary["failed"].as_object().unwrap().keys() {
        assert!(!why.contains("content"), "{why}: {summary}");
    }
    assert!(summary["check"]["windows"].as_u64().unwrap() > 50, "{summary}");
    assert_eq!(summary["check"]["faults"], serde_json::json!([]), "CAP-1, QUI-1");
    let verdicts = summary["verdicts"].as_array().unwrap();
    for reason in ["cap", "no_consent", "endpoint_missing"] {
        assert!(verdicts.iter().any(|verdict| verdict["reason"] == reason), "{reason}: {summary}");
    }
}

fn edit(shop: &std::path::Path, file: &str, old: &str, new: &str) {
    let path = shop.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} has no `{old}`");
    std::fs::write(path, text.replacen(old, new, 1)).unwrap();
}

/// Publish by every mode, roll back, two people, and the audit log over a restart.
#[test]
fn versions_come_and_go_with_people_inside() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop");
    let at = shop.to_str().unwrap();
    assert_eq!(sojourn(&["init", at]).code, 0);
    let server = up(&shop);
    for (call, body) in [
        ("identify", r#"{"userId":"ada","traits":{"email":"ada@example.com"}}"#),
        ("track", r#"{"userId":"ada","event":"Order Completed","properties":{"order_id":"o1"}}"#),
    ] {
        let answer = server.post(&format!("/v1/{call}"), "dev-site-key", body);
        assert!(answer.contains(" 200 "), "{answer}");
    }
    let run = |args: &[&str], code: i32| {
        let run = sojourn(args);
        assert_eq!(run.code, code, "{args:?}: {}{}", run.out, run.err);
        run.out + &run.err
    };
    let stands = || {
        let shown = sojourn(&["person", "show", "customer_id:ada", "--dir", at, "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        let runs: Vec<_> = shown["runs"].as_array().unwrap().clone();
        let mine = runs.iter().filter(|run| run["journey"] == "post-purchase");
        mine.map(|run| run["step"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // A publish visits people a moment later: each look starts a process, which is pause enough.
    let standing = |wanted: &[&str]| {
        let seen = (0..200).map(|_| stands()).find(|seen| seen == wanted);
        assert_eq!(seen.unwrap_or_else(stands), wanted);
    };
    standing(&["eat"]);

    // The step has another name: people have no place to go on, unless one says where.
    edit(&shop, "journeys/post-purchase.yaml", "id: eat", "id: taste");
    edit(&shop, "journeys/post-purchase.yaml", "wait: 4h", "wait: 6h");
    let plan = run(&["publish", at, "--plan", "--existing", "migrate"], 1);
    assert!(plan.contains("1 post-purchase at eat") && plan.contains("cannot go over"), "{plan}");
    let refused = run(&["publish", at, "--existing", "migrate"], 1);
    assert!(refused.contains("impossible-mapping") && refused.contains("--map"), "{refused}");
    let nonsense = run(&["publish", at, "--migrate", "post-purchas"], 1);
    assert!(nonsense.contains("no journey `post-purchas`"), "{nonsense}");
    let map = ["publish", at, "--migrate", "post-purchase", "--map", "eat=taste", "--as", "ada"];
    let published = run(&map, 0);
    assert!(published.contains("post-purchase at eat") && published.contains("go on at taste"));
    standing(&["taste"]);

    let listed = run(&["versions", at], 0);
    assert_eq!(listed.matches("runs now").count(), 1, "{listed}");
    assert!(listed.contains("ada publishes version"), "{listed}");
    assert!(listed.contains("post-purchase: the wait eat is removed"), "{listed}");

    // Back, with people inside; then by two people.
    let back = ["rollback", at, "--existing", "migrate", "--map", "taste=eat", "--as", "bo"];
    assert!(run(&back, 0).contains("published version"));
    standing(&["eat"]);
    edit(&shop, "policy.yaml", "approvals: { publish: 1 }", "approvals: { publish: 2 }");
    run(&["publish", at, "--existing", "stop", "--drain", "post-purchase", "--as", "ada"], 0);
    standing(&["eat"]);
    edit(&shop, "journeys/post-purchase.yaml", "wait: 6h", "wait: 5h");
    let proposed = run(&["publish", at, "--existing", "stop", "--as", "ada"], 0);
    assert!(proposed.contains("proposed version"), "{proposed}");
    let proposals = run(&["versions", at, "--proposals", "--json"], 0);
    let proposals: serde_json::Value = serde_json::from_str(&proposals).unwrap();
    let id = proposals["proposals"][0]["id"].as_str().unwrap().to_owned();
    let own = run(&["approve", at, &id, "--as", "ada"], 1);
    assert!(own.contains("somebody else approves it"), "{own}");
    assert!(run(&["approve", at, &id, "--as", "bo"], 0).contains("published version"));
    standing(&[]);
    // What was proposed on another version than the one that runs is not approved any more.
    edit(&shop, "journeys/post-purchase.yaml", "wait: 5h", "wait: 7h");
    run(&["publish", at, "--as", "ada"], 0);
    let first = run(&["versions", at, "--proposals", "--json"], 0);
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    let first = first["proposals"][0]["id"].as_str().unwrap().to_owned();
    edit(&shop, "journeys/post-purchase.yaml", "wait: 7h", "wait: 8h");
    run(&["publish", at, "--as", "cy"], 0);
    let second = run(&["versions", at, "--proposals", "--json"], 0);
    let second: serde_json::Value = serde_json::from_str(&second).unwrap();
    let second = second["proposals"][1]["id"].as_str().unwrap().to_owned();
    run(&["approve", at, &second, "--as", "bo"], 0);
    let late = run(&["approve", at, &first, "--as", "bo"], 1);
    assert!(late.contains("publish them anew"), "{late}");

    run(&["kill", "email", "--dir", at, "--actor", "cy"], 0);
    assert_eq!(server.terminate(), 0);
    let again = up(&shop);
    let audit = run(&["audit", at, "--json"], 0);
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    let rows = audit["audit"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {}", row["actor"].as_str().unwrap(), row["what"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            "start start",
            "ada publish",
            "bo roll back",
            "ada publish",
            "ada propose",
            "bo approve",
            "ada publish",
            "ada propose",
            "cy propose",
            "bo approve",
            "cy publish",
            "cy order"
        ]
    );
    assert_eq!(rows[1]["maps"]["eat"], "taste");
    assert_eq!(rows[6]["approved_by"], serde_json::json!(["bo"]));
    assert_eq!(again.terminate(), 0);
}

/// The quick start and the operator's commands, against a running server.
#[test]
fn a_running_workspace_answers_every_question() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop");
    let at = shop.to_str().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(sojourn(&["init", at]).code, 0);
    let server = up(&shop);
    for (call, body) in [
        ("identify", r#"{"userId":"ada","traits":{"email":"ada@example.com","first_name":"Ada"}}"#),
        (
            "track",
            r#"{"userId":"ada","event":"Consent Changed",
                "properties":{"channel":"email","purpose":"marketing","state":"granted"}}"#,
        ),
        (
            "track",
            r#"{"userId":"ada","event":"Cart Updated","properties":{"cart_id":"c1","value":5}}"#,
        ),
        (
            "track",
            r#"{"userId":"ada","event":"Order Completed",
                "properties":{"order_id":"o1","total":24.5,"product":"walnut rye"}}"#,
        ),
    ] {
        let answer = server.post(&format!("/v1/{call}"), "dev-site-key", body);
        assert!(answer.contains(" 200 "), "{answer}");
    }
    let ask = |args: &[&str]| {
        let run = sojourn(&[args, &["--dir", at]].concat());
        assert_eq!(run.code, 0, "{args:?}: {}", run.err);
        run.out
    };
    let timeline = ask(&["person", "timeline", "email:ada@example.com"]);
    assert!(timeline.contains("order-confirmation approved by e-mail"), "{timeline}");
    let shown = ask(&["person", "show", "customer_id:ada"]);
    assert!(shown.contains("first_name") && shown.contains("post-purchase"), "{shown}");
    let consents = ask(&["person", "consents", "email:ada@example.com"]);
    assert!(consents.contains("yes   marketing"), "{consents}");
    let decisions = ask(&["person", "decisions", "email:ada@example.com", "--json"]);
    let decisions: serde_json::Value = serde_json::from_str(&decisions).unwrap();
    let id = decisions["decisions"][0]["id"].as_str().expect("one decision").to_owned();
    assert!(ask(&["explain", &id]).contains("order-confirmation, step confirm"));
    assert!(ask(&["explain", &id, "--for", "customer"]).contains("Marlow Bakery"));

    let why_not = |journey: &str| {
        let out = ask(&["explain", "--why-not", "email:ada@example.com", journey]);
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let decided = why_not("order-confirmation");
    assert!(decided.contains("the last decision, step confirm"), "{decided}");
    let running = why_not("post-purchase");
    assert!(running.contains("nothing was to be sent yet: waiting at step eat until"), "{running}");
    let unmatched = why_not("abandoned-cart");
    assert!(unmatched.contains("came once") && unmatched.contains("value >= 15"), "{unmatched}");
    let unseen = why_not("welcome");
    assert!(unseen.contains("Signed Up") && unseen.contains("never did"), "{unseen}");
    let same_order = r#"{"userId":"ada","event":"Order Completed","properties":{"order_id":"o1"}}"#;
    assert!(server.post("/v1/track", "dev-site-key", same_order).contains(" 200 "));
    let again = ask(&["explain", "--why-not", "customer_id:ada", "order-confirmation", "--json"]);
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["because"], "refused", "{again}");
    assert!(again["sentence"].as_str().unwrap().contains("once in a lifetime"), "{again}");
    let wrong = sojourn(&["explain", "--why-not", "customer_id:ada", "welcom", "--dir", at]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("take one of"), "{}", wrong.err);

    let tail = ask(&["tail", "--from-start", "--count", "2", "--json"]);
    assert_eq!(tail.lines().count(), 2, "{tail}");
    for order in
        [["pause", "welcome"], ["resume", "welcome"], ["kill", "email"], ["release", "email"]]
    {
        assert!(ask(&order).starts_with("done:"), "{order:?}");
    }
    assert_eq!(sojourn(&["doctor", at]).code, 0);
    assert_eq!(sojourn(&["explain", "d9-9-9", "--dir", at]).code, 1);
    assert_eq!(sojourn(&["person", "show", "email:nobody@x.y", "--dir", at]).code, 1);

    edit(&shop, "policy.yaml", "at_most: 3", "at_most: 2");
    let plan = sojourn(&["publish", at, "--plan"]);
    assert!(plan.out.contains("at_most: 2") && plan.out.contains("would be"), "{}", plan.out);
    assert!(plan.out.contains("cap weekly: limit 3 per local_week → 2 per"), "{}", plan.out);
    assert!(plan.out.contains("abandoned-cart: up to"), "{}", plan.out);
    let published = sojourn(&["publish", at, "--as", "ada"]);
    assert_eq!(published.code, 0, "{}", published.err);
    assert!(published.out.contains("published version"), "{}", published.out);

    std::fs::write(path("orders.csv"), "card,day,total\nbo,2026-01-03,9\n").unwrap();
    std::fs::write(
        path("map.yaml"),
        "event: Store Order Completed\ntimestamp: day\nuserId: card\n\
         properties:\n  total: { column: total, type: number }\n",
    )
    .unwrap();
    let (map, orders) = (path("map.yaml"), path("orders.csv"));
    let import = sojourn(&["import", at, "--source", "till", "--map", &map, &orders]);
    assert!(import.out.contains("imported 1 rows"), "{}{}", import.out, import.err);
    assert!(ask(&["person", "timeline", "customer_id:bo"]).contains("(imported)"));

    let snapshot = path("shop.snapshot");
    let running = ask(&["snapshot", &snapshot]);
    assert!(running.starts_with("wrote"), "{running}");
    assert_eq!(server.terminate(), 0);
    let at_rest = path("at-rest.snapshot");
    ask(&["snapshot", &at_rest]);
    let other = dir.path().join("other");
    assert_eq!(sojourn(&["init", other.to_str().unwrap()]).code, 0);
    let restored = sojourn(&["restore", &snapshot, "--dir", other.to_str().unwrap()]);
    assert_eq!(restored.code, 0, "{}", restored.err);
    // Links in messages that are out go on working.
    let key = |of: &std::path::Path| std::fs::read(of.join("data/link.key")).unwrap();
    assert_eq!(key(&shop), key(&other));
    let again = up(&other);
    let known = sojourn(&["person", "show", "customer_id:bo", "--dir", other.to_str().unwrap()]);
    assert_eq!(known.code, 0, "{}", known.err);
    assert_eq!(again.terminate(), 0);
}
