//! Command files, commands, environment, and secrets.

use model::{AnnotationLevel, Conclusion, JobEvent, Template};

use crate::bench::{Bench, StepExt, job, run, run_expression, with_output, with_secret};

#[tokio::test]
async fn an_output_reaches_later_steps_and_the_job() {
    let steps = vec![
        run(
            "echo 'colour=blue = green' >> $GITHUB_OUTPUT\nprintf 'text<<E\\na\\nb\\nE\\n' >> $GITHUB_OUTPUT",
        )
        .id("set"),
        run_expression("format('echo \"got {0}\"', steps.set.outputs.colour)"),
    ];
    let outcome = Bench::new().run(with_output(job(steps), "text", "steps.set.outputs.text")).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Success, "{}", outcome.all());
    assert!(outcome.output().contains(&"got blue = green"));
    assert_eq!(outcome.output_of("text"), Some("a\nb"));
}

#[tokio::test]
async fn a_variable_and_a_path_reach_later_steps_only() {
    let steps = vec![
        run(
            "mkdir -p tools; printf '#!/bin/sh\\necho from-tool\\n' > tools/my-tool; chmod +x tools/my-tool\n\
             echo \"$PWD/tools\" >> $GITHUB_PATH; echo COLOUR=red >> $GITHUB_ENV; echo \"now:$COLOUR\"",
        ),
        run("my-tool; echo \"later:$COLOUR $OWN\"").env("OWN", "mine"),
        run("echo \"own:$OWN\""),
    ];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.output(), ["now:", "from-tool", "later:red mine", "own:"], "{}", outcome.all());
}

#[tokio::test]
async fn a_bad_command_file_fails_the_step_with_githubs_words() {
    let outcome = Bench::new().run(job(vec![run("echo nonsense >> $GITHUB_OUTPUT")])).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Failure);
    let messages = outcome.messages();
    assert!(messages.contains(&"Unable to process file command 'output' successfully."), "{messages:?}");
    assert!(messages.contains(&"Invalid format 'nonsense'"), "{messages:?}");
}

#[tokio::test]
async fn node_options_are_refused_and_the_step_goes_on() {
    let steps = vec![
        run("echo NODE_OPTIONS=--x >> $GITHUB_ENV; echo A=1 >> $GITHUB_ENV"),
        run("echo $A$NODE_OPTIONS"),
    ];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.output(), ["1"]);
    assert!(outcome.messages()[0].contains("Can't store NODE_OPTIONS"));
}

#[tokio::test]
async fn a_command_file_that_a_step_removes_is_no_error() {
    let outcome =
        Bench::new().run(job(vec![run("rm $GITHUB_OUTPUT $GITHUB_ENV; mkdir $GITHUB_PATH.d")])).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Success, "{}", outcome.all());
}

#[tokio::test]
async fn a_summary_becomes_an_event_with_its_secrets_hidden() {
    let job = with_secret(job(vec![run("echo \"# done hunter2\" >> $GITHUB_STEP_SUMMARY")]), "T", "hunter2");
    let outcome = Bench::new().run(job).await;
    let summary = outcome.events.iter().find_map(|event| match event {
        JobEvent::Summary { markdown, .. } => Some(markdown.as_str()),
        _ => None,
    });
    assert_eq!(summary, Some("# done ***\n"));
}

#[tokio::test]
async fn a_summary_that_is_too_large_is_an_error_but_no_failure() {
    let script = "head -c 1100000 /dev/zero | tr '\\0' x >> $GITHUB_STEP_SUMMARY";
    let outcome = Bench::new().run(job(vec![run(script)])).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Success);
    assert!(outcome.messages()[0].contains("upload aborted"), "{:?}", outcome.messages());
}

#[tokio::test]
async fn secrets_are_hidden_in_every_event() {
    let steps =
        vec![
        run("echo $TOKEN; echo $TOKEN >&2; echo \"::error title=$TOKEN::$TOKEN\"; echo \"::group::$TOKEN\"\n\
             printf %s \"user:$TOKEN\" | base64; echo \"out=$TOKEN\" >> $GITHUB_OUTPUT\n\
             for c in s 3 c r 3 t - t o k e n; do printf %s $c; done; echo")
        .id("leak")
        .named("with s3cr3t-token")
        .env("TOKEN", "s3cr3t-token"),
    ];
    let job =
        with_secret(with_output(job(steps), "leaked", "steps.leak.outputs.out"), "TOKEN", "s3cr3t-token");
    let outcome = Bench::new().run(job).await;
    let all = outcome.all();
    assert!(!all.contains("s3cr3t-token"), "{all}");
    assert!(!all.contains("czNjcjN0LXRva2Vu") && !all.contains("zM2NyM3QtdG9rZW"), "{all}");
    assert_eq!(outcome.output_of("leaked"), None);
    assert!(outcome.messages().contains(&"Skip output 'leaked' since it may contain secret."));
}

#[tokio::test]
async fn a_mask_takes_effect_on_the_next_line() {
    let outcome = Bench::new()
        .run(job(vec![run("echo tiger; echo ::add-mask::tiger; echo tiger; echo a-tiger")]))
        .await;
    let output = outcome.output();
    assert!(output.starts_with(&["tiger"]) && output.contains(&"***"), "{output:?}");
    assert_eq!(output.iter().filter(|line| line.contains("tiger")).count(), 1, "{output:?}");
}

#[tokio::test]
async fn a_secret_that_the_cut_of_a_long_line_parts_is_not_shown_in_part() {
    // What is hidden before it makes the line shorter, so that its end would be shown.
    let long = "yes $TOKEN | head -n 90000 | tr '\\n' ' '; echo";
    let step = run(&format!("{long}\nprintf '::error::'; {long}")).env("TOKEN", "tiger-and-lion");
    let outcome = Bench::new().run(with_secret(job(vec![step]), "TOKEN", "tiger-and-lion")).await;
    let all = outcome.all();
    assert!(all.contains("[line cut: ") && outcome.messages().iter().any(|text| text.contains("*** ***")));
    assert!(!all.contains("tig"), "{}", &all[all.find("tig").unwrap_or(0)..][..60]);
}

#[tokio::test]
async fn annotations_come_from_both_streams() {
    let outcome = Bench::new()
        .run(job(vec![run(
            "echo \"::warning file=$PWD/src/a.rs,line=3,col=5::careful\"; echo '::notice::hi' >&2; \
             echo '##[error]old'",
        )]))
        .await;
    let mut found: Vec<(AnnotationLevel, &str, Option<&str>)> =
        outcome.annotations().into_iter().map(|a| (a.level, a.message.as_str(), a.file.as_deref())).collect();
    found.sort_by_key(|(_, message, _)| *message);
    assert_eq!(
        found,
        [
            (AnnotationLevel::Warning, "careful", Some("src/a.rs")),
            (AnnotationLevel::Notice, "hi", None),
            (AnnotationLevel::Error, "old", None)
        ]
    );
    assert_eq!(outcome.result.conclusion, Conclusion::Success);
}

#[tokio::test]
async fn a_matcher_finds_problems_until_it_is_removed() {
    let matcher = r#"{"problemMatcher":[{"owner":"cc","pattern":[{"regexp":"^(.+):(\\d+): (.*)$","file":1,"line":2,"message":3}]}]}"#;
    let steps = vec![
        run(&format!(
            "mkdir src; touch src/a.c; echo '{matcher}' > m.json; echo ::add-matcher::m.json\n\
             echo 'src/a.c:7: bad'; echo 'src/none.c:8: worse'"
        )),
        run("echo 'src/a.c:9: still'; echo ::remove-matcher owner=cc::; echo 'src/a.c:10: plain'"),
    ];
    let outcome = Bench::new().run(job(steps)).await;
    let found: Vec<(&str, Option<&str>, Option<u32>)> =
        outcome.annotations().into_iter().map(|a| (a.message.as_str(), a.file.as_deref(), a.line)).collect();
    assert_eq!(
        found,
        [("bad", Some("src/a.c"), Some(7)), ("worse", None, Some(8)), ("still", Some("src/a.c"), Some(9))],
        "{}",
        outcome.all()
    );
}

#[tokio::test]
async fn a_problem_in_what_no_file_can_be_called_is_a_problem_all_the_same() {
    let matcher = r#"{"problemMatcher":[{"owner":"cc","pattern":[{"regexp":"^(.+):(\\d+): (.*)$","file":1,"line":2,"message":3}]}]}"#;
    let steps = vec![run(&format!(
        "echo '{matcher}' > m.json; echo ::add-matcher::m.json; long=$(head -c 5000 /dev/zero | tr '\\0' x)\n\
         echo \"$long:7: bad\"; echo $long/a.c:8: worse; printf %s \"$long:9: last\""
    ))];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Success, "{:?}", outcome.messages());
    assert_eq!(outcome.messages(), ["bad", "worse", "last"]);
}

#[tokio::test]
async fn set_env_is_refused_and_fails_the_step() {
    let outcome = Bench::new().run(job(vec![run("echo '::set-env name=A::b'")])).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Failure);
    let allowed = Bench::new();
    let mut with_env = job(vec![run("echo '::set-env name=A::b'"), run("echo $A")]);
    with_env.env.push(Template::Mapping(vec![(
        Template::text("ACTIONS_ALLOW_UNSECURE_COMMANDS"),
        Template::text("true"),
    )]));
    let outcome = allowed.run(with_env).await;
    assert!(outcome.output().contains(&"b"), "{}", outcome.all());
}

#[tokio::test]
async fn default_variables_are_set() {
    let bench = Bench::new();
    let script = "for v in CI GITHUB_ACTIONS GITHUB_REPOSITORY GITHUB_JOB GITHUB_RUN_ID GITHUB_SHA RUNNER_OS \
                  GITHUB_ACTION GITHUB_EVENT_NAME; do eval echo $v=\\$$v; done\n\
                  cat $GITHUB_EVENT_PATH; test -d \"$RUNNER_TEMP\"; test \"$PWD\" = \"$GITHUB_WORKSPACE\"; echo; echo $HOME";
    let outcome = bench.run(job(vec![run(script).id("show").env("GITHUB_SHA", "mine")])).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Success, "{}", outcome.all());
    let output = outcome.output();
    for line in [
        "CI=true",
        "GITHUB_ACTIONS=true",
        "GITHUB_REPOSITORY=octo/app",
        "GITHUB_JOB=build",
        "GITHUB_RUN_ID=7",
        "GITHUB_SHA=abc",
        "RUNNER_OS=Linux",
        "GITHUB_ACTION=show",
        "GITHUB_EVENT_NAME=push",
        "  \"n\": 1",
    ] {
        assert!(output.contains(&line), "{line} is not in {output:?}");
    }
    assert!(output.contains(&bench.path("home").as_str()));
}

#[tokio::test]
async fn layers_of_environment_are_laid_over_each_other() {
    let layer = |pairs: &[(&str, &str)]| {
        Template::Mapping(pairs.iter().map(|(n, v)| (Template::text(*n), Template::text(*v))).collect())
    };
    let mut job = job(vec![
        run("echo $A $B $C; echo B=file >> $GITHUB_ENV").env("C", "step"),
        run_expression("'echo $A $B $C ${{ env.b }}'"),
    ]);
    job.env = vec![
        layer(&[("A", "workflow"), ("B", "workflow"), ("C", "workflow")]),
        Template::Mapping(vec![(Template::text("B"), Template::expression("format('{0}-job', env.A)"))]),
    ];
    let outcome = Bench::new().run(job).await;
    assert_eq!(outcome.output()[0], "workflow workflow-job step", "{}", outcome.all());
}

#[tokio::test]
async fn hash_files_is_githubs_digest() {
    let bench = Bench::new();
    let steps = vec![
        run("mkdir -p a/.h; printf x > a/.h/f.lock; printf y > b.lock; printf n > a/no.txt"),
        run_expression("format('echo {0} {1}', hashFiles('**/*.lock', '!b.lock'), hashFiles('*.none'))"),
    ];
    let outcome = bench.run(job(steps)).await;
    // printf x | sha256sum | xxd -r -p | sha256sum
    let digest = "0a325ca303eb3014c43ae004970f343634db176fa1697bcc8c9efac94626488d";
    assert_eq!(outcome.output(), [digest], "{}", outcome.all());
}

#[tokio::test]
async fn what_was_contacted_is_told_before_the_end_and_a_name_that_holds_a_secret_is_masked() {
    let bench = Bench::new();
    let machine = bench.machine().await;
    machine.contacts.note(model::Contact {
        protocol: model::Protocol::Name,
        name: Some("hunter2.evil.example".to_owned()),
        address: None,
        port: None,
        refused: None,
    });
    let mut job = job(vec![run("true")]);
    job.secrets.insert("KEY".to_owned(), model::Secret("hunter2".to_owned()));
    let (services, options) = (bench.services.clone(), bench.options.clone());
    runner::run_job(job, &machine, services, bench.sink.clone(), bench.cancel.clone(), options).await;
    let events = bench.events();
    let [.., JobEvent::Contacted { contact, times: 1 }, JobEvent::JobFinished { .. }] = &events[..] else {
        panic!("{events:#?}")
    };
    assert_eq!(contact.name.as_deref(), Some("***.evil.example"));
}
