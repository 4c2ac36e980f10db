use super::*;
use serde_json::json;

pub(super) fn tool(name: &str, effects: Effects) -> ToolSpec {
    ToolSpec { effects, ..ToolSpec::new(name, "") }
}

pub(super) fn rule(tool: &str, then: PolicyVerdict) -> Rule {
    Rule { tool: Some(tool.into()), effect: None, args: BTreeMap::new(), then, after_untrusted: false }
}

fn verdict(policy: &Policy, spec: &ToolSpec, args: &Value, untrusted: bool) -> PolicyVerdict {
    policy.decide(spec, args.as_object().unwrap(), untrusted).verdict
}

#[test]
fn by_default_reads_are_allowed_and_other_calls_need_approval() {
    let policy = Policy::default();
    let write = Effects { write: true, ..Effects::default() };
    let network = Effects { network: true, ..Effects::default() };
    assert_eq!(verdict(&policy, &tool("look", Effects::default()), &json!({}), true), PolicyVerdict::Allow);
    assert_eq!(verdict(&policy, &tool("save", write), &json!({}), false), PolicyVerdict::Ask);
    assert_eq!(verdict(&policy, &tool("fetch", network), &json!({}), false), PolicyVerdict::Ask);
}

#[test]
fn the_first_matching_rule_applies() {
    let under_tmp =
        Rule { args: [("path".into(), "/tmp/[^.]*".into())].into(), ..rule("files_*", PolicyVerdict::Allow) };
    let rules = vec![under_tmp, rule("files_*", PolicyVerdict::Deny)];
    let policy = Policy::new(PolicyFile { rules, ..PolicyFile::default() }).unwrap();
    let write = tool("files_write", Effects { write: true, ..Effects::default() });
    assert_eq!(verdict(&policy, &write, &json!({"path": "/tmp/a"}), false), PolicyVerdict::Allow);
    for path in ["/tmp/../etc/passwd", "x/tmp/a", "/etc/passwd"] {
        assert_eq!(verdict(&policy, &write, &json!({"path": path}), false), PolicyVerdict::Deny, "{path}");
    }
    assert_eq!(verdict(&policy, &write, &json!({}), false), PolicyVerdict::Deny);
}

#[test]
fn an_irreversible_call_after_untrusted_output_needs_an_explicit_rule() {
    let pay = tool("pay", Effects { write: true, irreversible: true, ..Effects::default() });
    let plain =
        Policy::new(PolicyFile { rules: vec![rule("pay", PolicyVerdict::Allow)], ..PolicyFile::default() })
            .unwrap();
    assert_eq!(verdict(&plain, &pay, &json!({}), false), PolicyVerdict::Allow);
    assert_eq!(verdict(&plain, &pay, &json!({}), true), PolicyVerdict::Deny);
    let open =
        Policy::new(PolicyFile { default: Some(PolicyVerdict::Allow), ..PolicyFile::default() }).unwrap();
    assert_eq!(verdict(&open, &pay, &json!({}), true), PolicyVerdict::Deny);
    let explicit = Rule { after_untrusted: true, ..rule("pay", PolicyVerdict::Allow) };
    let explicit = Policy::new(PolicyFile { rules: vec![explicit], ..PolicyFile::default() }).unwrap();
    assert_eq!(verdict(&explicit, &pay, &json!({}), true), PolicyVerdict::Allow);
}

fn for_argument(pattern: &str, then: PolicyVerdict) -> Policy {
    let rule = Rule { args: [("command".into(), pattern.into())].into(), ..rule("*", then) };
    Policy::new(PolicyFile {
        rules: vec![rule],
        default: Some(PolicyVerdict::Allow),
        ..PolicyFile::default()
    })
    .unwrap()
}

#[test]
fn a_line_break_does_not_lead_past_a_rule_that_denies() {
    let run = tool("sh_run", Effects { write: true, ..Effects::default() });
    let deny = for_argument(".*rm .*", PolicyVerdict::Deny);
    for command in ["rm -r x", "ls\nrm -r x", "rm -r x\n", "a\r\n\nrm x\u{2028}"] {
        let args = json!({"command": command});
        assert_eq!(verdict(&deny, &run, &args, false), PolicyVerdict::Deny, "{command:?}");
        let ask = for_argument(".*rm .*", PolicyVerdict::Ask);
        assert_eq!(verdict(&ask, &run, &args, false), PolicyVerdict::Ask, "{command:?}");
    }
    assert_eq!(verdict(&deny, &run, &json!({"command": "ls"}), false), PolicyVerdict::Allow);
    let file = PolicyFile { default: Some(PolicyVerdict::Deny), ..PolicyFile::default() };
    let allow =
        Rule { args: [("command".into(), "git .*".into())].into(), ..rule("*", PolicyVerdict::Allow) };
    let allow = Policy::new(PolicyFile { rules: vec![allow], ..file }).unwrap();
    let second_line = json!({"command": "git log\nrm -r x"});
    assert_eq!(verdict(&allow, &run, &second_line, false), PolicyVerdict::Deny, "a rule that allows");
}

#[test]
fn a_rule_that_allows_does_not_match_an_argument_that_is_null() {
    let run = tool("sh_run", Effects { write: true, ..Effects::default() });
    let rule = Rule { args: [("command".into(), ".*".into())].into(), ..rule("*", PolicyVerdict::Allow) };
    let file = PolicyFile { default: Some(PolicyVerdict::Deny), ..PolicyFile::default() };
    let allow = Policy::new(PolicyFile { rules: vec![rule], ..file }).unwrap();
    for (args, decided) in [
        (json!({"command": "ls"}), PolicyVerdict::Allow),
        (json!({"command": null}), PolicyVerdict::Deny),
        (json!({}), PolicyVerdict::Deny),
    ] {
        assert_eq!(verdict(&allow, &run, &args, false), decided, "{args}");
    }
}

#[test]
fn a_list_or_an_object_does_not_lead_past_a_rule_that_allows() {
    let read = tool("read_all", Effects::default());
    let file = PolicyFile { default: Some(PolicyVerdict::Deny), ..PolicyFile::default() };
    let urls = r#"\["https://ok\.example/public/[^"]*"(,"https://ok\.example/public/[^"]*")*\]"#;
    let paths = r#"\["public/[^"]*"(,"public/[^"]*")*\]"#;
    let object = r#"\{"[^"]*":"public/[^"]*"\}"#;
    let many: Vec<&str> = vec!["public/a/../b"; 65];
    for (pattern, value, decided) in [
        (urls, json!(["https://ok.example/public/a", "https://ok.example/public/b"]), PolicyVerdict::Allow),
        (urls, json!(["https://ok.example/public/%2e%2e/admin"]), PolicyVerdict::Deny),
        (
            urls,
            json!(["https://ok.example/public/a", "https://ok.example/public/..;/admin"]),
            PolicyVerdict::Deny,
        ),
        (paths, json!(["public/a", "public/b/../c"]), PolicyVerdict::Allow),
        (paths, json!(["public/.."]), PolicyVerdict::Deny),
        (paths, json!(["public/..", "public/a"]), PolicyVerdict::Deny),
        (paths, json!(many[..64]), PolicyVerdict::Allow),
        (paths, json!(many), PolicyVerdict::Deny),
        (object, json!({"path": "public/a"}), PolicyVerdict::Allow),
        (object, json!({"path": "public/.."}), PolicyVerdict::Deny),
        (r#"\{"public/[^"]*":true\}"#, json!({"public/../secret": true}), PolicyVerdict::Deny),
    ] {
        let rule = Rule { args: [("of".into(), pattern.into())].into(), ..rule("*", PolicyVerdict::Allow) };
        let policy = Policy::new(PolicyFile { rules: vec![rule], ..file.clone() }).unwrap();
        assert_eq!(verdict(&policy, &read, &json!({"of": value}), false), decided, "{value}");
    }
}

#[test]
fn another_type_of_an_argument_does_not_lead_past_a_rule_that_denies() {
    let run = tool("sh_run", Effects { write: true, ..Effects::default() });
    for (pattern, value) in [
        (".*rm .*", json!(["rm", "-r", "x"])),
        ("production", json!(["production"])),
        ("production", json!({"target": ["test", "production"]})),
        ("production", json!({"production": true})),
        ("[0-9]{4,}", json!(1e9)),
        ("[0-9]{4,}", json!([5000.0])),
    ] {
        let args = json!({"command": value});
        for then in [PolicyVerdict::Deny, PolicyVerdict::Ask] {
            assert_eq!(verdict(&for_argument(pattern, then), &run, &args, false), then, "{args}");
        }
    }
    let deny = for_argument("production", PolicyVerdict::Deny);
    assert_eq!(verdict(&deny, &run, &json!({"command": ["test", 7]}), false), PolicyVerdict::Allow);
}

#[test]
fn another_spelling_of_a_path_or_an_address_leads_past_no_rule() {
    use PolicyVerdict::{Allow, Ask, Deny};
    let read = tool("files_read", Effects::default());
    let with = |pattern: &str, then, default| {
        let rule = Rule { args: [("command".into(), pattern.into())].into(), ..rule("*", then) };
        let file = PolicyFile { default: Some(default), rules: vec![rule], ..PolicyFile::default() };
        Policy::new(file).unwrap()
    };
    let secret = [json!("./secret/a"), json!("x/../secret/a"), json!("secret//a"), json!(["x/../secret/a"])];
    let admin = ["HTTPS://x.example/admin", "https://x.example/%61dmin", "https://x.example/public/../admin"];
    for then in [Deny, Ask] {
        for value in &secret {
            let args = json!({"command": value});
            assert_eq!(verdict(&with("secret/.*", then, Allow), &read, &args, false), then, "{args}");
        }
        for address in admin {
            let rule = with("https://x\\.example/admin.*", then, Allow);
            assert_eq!(verdict(&rule, &read, &json!({"command": address}), false), then, "{address}");
        }
    }
    let public = with("public/.*", Allow, Deny);
    let pages = with("https://x\\.example/public/.*", Allow, Deny);
    for (policy, text, decided) in [
        (&public, "public/a", Allow),
        (&public, "public/../public/a", Allow),
        (&public, "public/../secret/a", Deny),
        (&public, "public/a/../../secret", Deny),
        (&pages, "https://x.example/public/a?to=../b", Allow),
        (&pages, "https://x.example/public/../admin", Deny),
        (&pages, "https://x.example/public/%2e%2e/admin", Deny),
    ] {
        assert_eq!(verdict(policy, &read, &json!({"command": text}), false), decided, "{text}");
    }
}

#[test]
fn an_argument_that_is_left_out_does_not_lead_past_a_rule_that_denies() {
    let mut run = tool("sh_run", Effects { write: true, ..Effects::default() });
    let deny = for_argument("prod.*", PolicyVerdict::Deny);
    for args in [json!({}), json!({"command": null}), json!({"command": "production"})] {
        assert_eq!(verdict(&deny, &run, &args, false), PolicyVerdict::Deny, "{args}");
    }
    run.input = Some(json!({"properties": {"command": {"default": "test"}}}));
    assert_eq!(verdict(&deny, &run, &json!({}), false), PolicyVerdict::Allow, "its default is harmless");
    run.input = Some(json!({"properties": {"command": {"default": "prod"}}}));
    assert_eq!(verdict(&deny, &run, &json!({}), false), PolicyVerdict::Deny);
}

#[test]
fn a_call_reaches_no_part_of_it_that_a_rule_denies() {
    use PolicyVerdict::{Allow, Ask, Deny};

    let search = tool("notes_search", Effects::default());
    let with = |rules: Vec<Rule>| {
        let mut policies = Policies::default();
        policies.add(&PolicyFile { rules, ..PolicyFile::default() }).unwrap();
        policies
    };
    let path = |pattern: &str, then| Rule {
        args: [("path".to_owned(), pattern.to_owned())].into(),
        ..rule("notes_*", then)
    };
    let part = |path: &str| json!({"text": "a", "path": path}).as_object().cloned().unwrap();
    for (rules, file, whole, allowed) in [
        (vec![path("secret.*", Deny), rule("*", Allow)], "./secret/a", Allow, false),
        (vec![path("secret.*", Deny), rule("*", Allow)], "public/../secret/a", Ask, false),
        (vec![path("secret.*", Deny), rule("*", Allow)], "./public/a", Allow, true),
        (vec![path("secret.*", Ask), rule("*", Allow)], "secret/a", Allow, false),
        (vec![path("secret.*", Ask), rule("*", Allow)], "secret/a", Ask, true),
        // What decided on the whole call was a rule or a default without arguments.
        (vec![path("\\.", Allow), rule("*", Deny)], "./public/a", Allow, true),
        (vec![path("\\.", Allow)], "./public/a", Allow, true),
    ] {
        let policies = with(rules.clone());
        assert_eq!(policies.allow_part(&search, &part(file), whole), allowed, "{file}: {rules:?}");
    }
}

#[test]
fn of_several_policies_the_strictest_decides() {
    let save = tool("save", Effects { write: true, ..Effects::default() });
    let file = |then| PolicyFile {
        rules: vec![rule("save", then)],
        trusted: vec!["*".into()],
        ..PolicyFile::default()
    };
    let mut policies = Policies::default();
    let decide = |policies: &Policies| policies.decide(&save, &Map::new(), false).verdict;
    assert_eq!((decide(&policies), policies.trusts("save")), (PolicyVerdict::Ask, false));
    assert!(policies.add(&file(PolicyVerdict::Allow)).unwrap());
    assert!(!policies.add(&file(PolicyVerdict::Allow)).unwrap());
    assert_eq!((decide(&policies), policies.trusts("save")), (PolicyVerdict::Allow, true));
    policies.add(&file(PolicyVerdict::Deny)).unwrap();
    policies.add(&PolicyFile::default()).unwrap();
    assert_eq!((decide(&policies), policies.trusts("save")), (PolicyVerdict::Deny, false));
}

#[test]
fn a_pattern_cannot_leave_its_anchors() {
    let unbalanced =
        Rule { args: [("command".into(), "a)|(b".into())].into(), ..rule("*", PolicyVerdict::Allow) };
    assert!(Policy::new(PolicyFile { rules: vec![unbalanced], ..PolicyFile::default() }).is_err());
}

#[test]
fn a_pattern_with_flags_may_end_in_a_comment() {
    let commented = "(?xi) rm \\s+ -rf .*   # whatever it removes";
    let deny = for_argument(commented, PolicyVerdict::Deny);
    let run = tool("sh_run", Effects { write: true, ..Effects::default() });
    for (command, expected) in [("RM -rf /", PolicyVerdict::Deny), ("echo rm -rf /", PolicyVerdict::Allow)] {
        assert_eq!(verdict(&deny, &run, &json!({"command": command}), false), expected, "{command}");
    }
    let bad =
        Rule { args: [("command".into(), "(?x) a( # open".into())].into(), ..rule("*", PolicyVerdict::Deny) };
    let error = Policy::new(PolicyFile { rules: vec![bad], ..PolicyFile::default() }).unwrap_err();
    assert!(!error.to_string().contains("^(?:"), "the pattern is shown as it was written: {error}");
}

#[test]
fn an_invalid_pattern_is_reported() {
    let error =
        Policy::new(PolicyFile { rules: vec![rule("a[", PolicyVerdict::Allow)], ..PolicyFile::default() })
            .unwrap_err();
    assert!(error.to_string().starts_with("rule 1: `a[` is not a valid pattern"), "{error}");
}
