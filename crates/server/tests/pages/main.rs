//! Pages as a browser gets them.

mod deliveries;
mod github;
mod world;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use model::{Conclusion, Stream};
use scheduler::decide::WaitReason;
use scheduler::queue::Subject;
use server::auth::Role;
use tower::ServiceExt;

use world::{HOSTILE, World};

const WORKFLOW: &str = "on: push\njobs:\n  build: {runs-on: a, steps: [{run: x}]}\n  deploy: {runs-on: a, needs: \
                        build, steps: [{run: x}]}\n";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

impl Answer {
    /// A header's text; nothing where there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A browser that may be signed in.
struct Browser {
    router: Router,
    cookie: String,
}

impl Browser {
    fn nobody(world: &World) -> Browser {
        Browser { router: world.pages(false).router(), cookie: String::new() }
    }

    async fn signed_in(world: &World, role: Role) -> Browser {
        let token = world.token(role.as_str(), role).await;
        let mut browser = Browser::nobody(world);
        let answer = browser.post("/sign-in", &format!("token={token}&next=/queue")).await;
        assert_eq!(
            (answer.status, answer.headers[header::LOCATION].as_bytes()),
            (StatusCode::SEE_OTHER, &b"/queue"[..])
        );
        let cookie = answer.headers[header::SET_COOKIE].to_str().expect("text");
        browser.cookie = cookie.split(';').next().expect("a cookie").to_owned();
        browser
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, &self.cookie).body(Body::empty());
        send(&self.router, request.expect("a request")).await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header(header::COOKIE, &self.cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        send(&self.router, request.expect("a request")).await
    }

    /// What the forms of a page send back.
    async fn csrf(&self) -> String {
        let page = self.get("/").await.text;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        format!("csrf={}", rest.split_once('"').expect("a value").0)
    }
}

/// A run that failed, with a hostile name everywhere that a job or a commit can put one.
async fn failed_run(world: &World) -> (model::RunId, model::JobId) {
    let repository = world.repository("octo/hello").await;
    let run = world
        .run(repository, 100, |run| {
            run.title = HOSTILE.to_owned();
            run.head_branch = HOSTILE.to_owned();
            run.actor = HOSTILE.to_owned();
            run.workflow_name = HOSTILE.to_owned();
        })
        .await;
    world.start(run.id, WORKFLOW, 99).await;
    let job = world.job(run.id, 1, "build", HOSTILE, 99).await;
    world.begin(job, 98).await;
    let lines = [
        (Stream::Hearth, "##[group]Run cargo test"),
        (Stream::Stdout, "running 2 tests"),
        (Stream::Hearth, "##[endgroup]"),
        (Stream::Stdout, HOSTILE),
        (Stream::Hearth, "##[error]src/lib.rs:7: two is not three"),
    ];
    world.step(job, 0, HOSTILE, (97, 90), Some(Conclusion::Failure), &lines).await;
    world.annotate(job, model::AnnotationLevel::Error, HOSTILE, 7, HOSTILE).await;
    let step = model::StepRef { index: 0, phase: model::StepPhase::Main };
    let markdown = format!("# Tests\n\n{HOSTILE}\n");
    world.apply(vec![store::Change::Summary { job, step, markdown }]).await;
    world.artifact(run.id, job, 1, "coverage-report").await;
    world.artifact(run.id, job, 2, HOSTILE).await;
    world.end_job(job, Conclusion::Failure, 89).await;
    world.end(run.id, Conclusion::Failure, 88).await;
    (run.id, job)
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_to_sign_in_and_back() {
    let world = World::new().await;
    let answer = Browser::nobody(&world).get("/runs/7?attempt=2").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers[header::LOCATION], "/sign-in?next=/runs/7%3Fattempt%3D2");
    let refused = Browser::nobody(&world).post("/sign-in", "token=hearth_wrong").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.text.contains("not one of this server"), "{}", refused.text);
}

#[tokio::test]
async fn no_page_lets_a_name_become_markup_and_none_would_run_it() {
    let world = World::new().await;
    let (run, job) = failed_run(&world).await;
    let browser = Browser::signed_in(&world, Role::Admin).await;
    for path in [
        "/".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}/jobs/{job}"),
        format!("/runs/{run}/jobs/{job}?q=src"),
        format!("/runs/{run}/jobs/{job}/log?from=0"),
        "/repositories".to_owned(),
        "/repositories/octo/hello".to_owned(),
        "/queue".to_owned(),
        "/machines".to_owned(),
        "/deliveries".to_owned(),
        "/settings".to_owned(),
        format!("/?branch={}", "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"),
    ] {
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert!(!answer.text.contains("<img src=x"), "{path}: {}", answer.text);
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!answer.text.contains(" style=") && !answer.text.contains("<script>"), "{path}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

#[tokio::test]
async fn a_failed_run_shows_its_first_error_with_the_lines_before_it() {
    let world = World::new().await;
    let (run, job) = failed_run(&world).await;
    let page = Browser::signed_in(&world, Role::Read).await.get(&format!("/runs/{run}")).await.text;
    let (_, panel) = page.split_once("aria-label=\"First error\"").expect("a panel");
    let (panel, rest) = panel.split_once("</section>").expect("its end");
    assert!(panel.contains("two is not three") && panel.contains("running 2 tests"), "{panel}");
    assert!(panel.contains(&format!("/runs/{run}/jobs/{job}?line=4#L5")), "{panel}");
    assert!(rest.contains("deploy"), "a job that never began is in the graph");
    assert!(rest.contains("<h3>Tests</h3>") && rest.contains("coverage-report"), "{rest}");
    assert!(rest.contains(&format!("/api/v1/runs/{run}/artifacts/1\" download")), "{rest}");
}

#[tokio::test]
async fn a_run_that_was_tried_again_shows_what_the_jobs_that_were_left_as_they_were_have_said() {
    let world = World::new().await;
    let (run, ran) = failed_run(&world).await;
    let left = world.leave_as_it_was(run, ran).await;
    let browser = Browser::signed_in(&world, Role::Read).await;
    let page = browser.get(&format!("/runs/{run}")).await.text;
    let (_, panel) = page.split_once("aria-label=\"First error\"").expect("a panel");
    let (panel, rest) = panel.split_once("</section>").expect("its end");
    assert!(panel.contains("two is not three") && panel.contains("running 2 tests"), "{panel}");
    assert!(panel.contains(&format!("/runs/{run}/jobs/{left}?line=4#L5")), "{panel}");
    assert!(rest.contains("<summary>1 steps</summary>") && rest.contains("<h3>Tests</h3>"), "{rest}");
    let (_, notes) = rest.split_once("aria-label=\"Annotations\"").expect("its annotations");
    assert!(notes.contains(&format!("href=\"/runs/{run}/jobs/{left}\"")), "{notes}");
    let job = browser.get(&format!("/runs/{run}/jobs/{left}")).await.text;
    assert!(job.contains("aria-label=\"Annotations\""), "{job}");
}

#[tokio::test]
async fn a_reader_sees_no_buttons_and_forms_that_are_forged_do_nothing() {
    let world = World::new().await;
    let (run, _) = failed_run(&world).await;
    let reader = Browser::signed_in(&world, Role::Read).await;
    assert!(!reader.get(&format!("/runs/{run}")).await.text.contains("/rerun"));
    let csrf = reader.csrf().await;
    let answer = reader.post(&format!("/runs/{run}/rerun"), &csrf).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    let operator = Browser::signed_in(&world, Role::Operate).await;
    for forged in ["", "csrf=guessed", csrf.as_str()] {
        let answer = operator.post(&format!("/runs/{run}/rerun"), forged).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{forged}: {}", answer.text);
    }
    assert!(world.control.wishes.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn an_operator_reruns_cancels_and_approves() {
    let world = World::new().await;
    let (run, job) = failed_run(&world).await;
    let operator = Browser::signed_in(&world, Role::Operate).await;
    assert!(operator.get(&format!("/runs/{run}")).await.text.contains("Rerun failed"));
    let csrf = operator.csrf().await;
    for path in [
        format!("/runs/{run}/rerun-failed"),
        format!("/runs/{run}/cancel"),
        format!("/runs/{run}/approve"),
        format!("/runs/{run}/jobs/{job}/rerun"),
    ] {
        let answer = operator.post(&path, &csrf).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.text);
    }
    let wishes = world.control.wishes.lock().expect("a lock").join("\n");
    for wish in ["Failed by operate", "cancelled by operate", "approve 1 by operate", "Jobs({\"build\"})"] {
        assert!(wishes.contains(wish), "{wish} is not in {wishes}");
    }
}

#[tokio::test]
async fn the_list_of_runs_is_filtered_by_what_the_address_says() {
    let world = World::new().await;
    let (one, other) = (world.repository("octo/hello").await, world.repository("octo/site").await);
    world.run(one, 50, |run| run.title = "first title".to_owned()).await;
    world
        .run(other, 40, |run| (run.title, run.actor) = ("second title".to_owned(), "hubot".to_owned()))
        .await;
    let browser = Browser::signed_in(&world, Role::Read).await;
    for (query, has_first, has_second) in [
        ("", true, true),
        ("?repository=octo/SITE", false, true),
        ("?actor=mona", true, false),
        ("?state=queued", true, true),
        ("?state=failure", false, false),
        ("?repository=octo/none", false, false),
    ] {
        let page = browser.get(&format!("/{query}")).await.text;
        assert_eq!(
            (page.contains("first title"), page.contains("second title")),
            (has_first, has_second),
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_address_that_asks_for_nothing_there_can_be_is_told_on_a_page() {
    let world = World::new().await;
    let (run, job) = failed_run(&world).await;
    let browser = Browser::signed_in(&world, Role::Read).await;
    for (path, status, words) in [
        ("/?state=bogus".to_owned(), StatusCode::BAD_REQUEST, "there are waiting, queued, running"),
        ("/?before=abc".to_owned(), StatusCode::BAD_REQUEST, "is no number of a run"),
        ("/?pull_request=x".to_owned(), StatusCode::BAD_REQUEST, "is no number of a run"),
        ("/deliveries?before=abc".to_owned(), StatusCode::BAD_REQUEST, "?before=abc"),
        (format!("/runs/{run}?attempt=9"), StatusCode::NOT_FOUND, "no such attempt of this run"),
        ("/runs/abc".to_owned(), StatusCode::NOT_FOUND, "no such page"),
        ("/runs/-1".to_owned(), StatusCode::NOT_FOUND, "no such page"),
        (format!("/runs/{}", u64::MAX), StatusCode::NOT_FOUND, "no such page"),
        (format!("/runs/{}/jobs/{job}", u64::MAX), StatusCode::NOT_FOUND, "no such page"),
        (format!("/runs/{run}/jobs/{}", u64::MAX), StatusCode::NOT_FOUND, "no such page"),
        (format!("/deliveries/{}", u64::MAX), StatusCode::NOT_FOUND, "no such page"),
        (format!("/deliveries/{}", i64::MAX), StatusCode::NOT_FOUND, "no such delivery"),
        (format!("/runs/{run}/jobs/abc"), StatusCode::NOT_FOUND, "no such page"),
        (format!("/runs/{run}/jobs/{job}?line=abc"), StatusCode::BAD_REQUEST, "?line=abc"),
    ] {
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
        assert!(answer.text.contains("All runs") && answer.text.contains("Sign out"), "{path}");
    }
    for path in [format!("/runs/{run}?attempt=1"), format!("/deliveries?before={}", u64::MAX)] {
        assert_eq!(browser.get(&path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_viewer_gets_lines_marks_and_matches_of_any_part_of_a_log() {
    let world = World::new().await;
    let (run, job) = failed_run(&world).await;
    let browser = Browser::signed_in(&world, Role::Read).await;
    let log = format!("/runs/{run}/jobs/{job}/log");
    let lines = browser.get(&format!("{log}?from=1&count=2")).await.text;
    assert!(
        lines.contains("data-n=\"1\"") && lines.contains("data-n=\"2\"") && !lines.contains("data-n=\"3\"")
    );
    let marks: serde_json::Value =
        serde_json::from_str(&browser.get(&format!("{log}/marks?from=0")).await.text).expect("JSON");
    let kinds: Vec<_> = marks["marks"].as_array().expect("marks").iter().map(|mark| &mark["kind"]).collect();
    assert_eq!(kinds, ["group", "end", "error"]);
    let found = browser.get(&format!("{log}/search?q=RUNNING")).await.text;
    assert_eq!(found, r#"{"lines":[1],"next":null}"#);
    let raw = browser.get(&format!("/runs/{run}/jobs/{job}/log.txt")).await;
    assert_eq!(raw.text.lines().count(), 5);
    assert_eq!(raw.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    let foreign = browser.get(&format!("/runs/{}/jobs/{job}/log", run.0 + 1)).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_queue_says_why_each_waits() {
    let world = World::new().await;
    let repository = world.repository("octo/hello").await;
    let run = world.run(repository, 60, |run| run.title = "Wait for me".to_owned()).await;
    world.wait(Subject::Run(run.id), WaitReason::RunningWorkflows { running: 5, limit: 5 }, Some(1));
    let browser = Browser::signed_in(&world, Role::Read).await;
    let page = browser.get("/queue").await.text;
    assert!(page.contains("5 of at most 5 workflows are running") && page.contains("Wait for me"), "{page}");
    let page = browser.get(&format!("/runs/{}", run.id)).await.text;
    assert!(page.contains("5 of at most 5 workflows are running (place 1)"), "{page}");
}

#[tokio::test]
async fn an_admin_sets_secrets_that_are_never_shown_and_makes_tokens_that_are_shown_once() {
    let world = World::new().await;
    world.repository("octo/hello").await;
    let admin = Browser::signed_in(&world, Role::Admin).await;
    let csrf = admin.csrf().await;
    let form = format!("{csrf}&scope=octo/hello&name=npm_token&value=s3cret-value");
    let answer = admin.post("/settings/set-secret", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let page = admin.get("/settings?scope=octo/hello").await.text;
    assert!(page.contains("NPM_TOKEN") && !page.contains("s3cret-value"), "{page}");
    // The first press only unfolds the second, and neither needs a script.
    let (_, removal) = page.split_once("<details class=\"removal\">").expect("it can be removed");
    let removal = removal.split_once("</details>").expect("its end").0;
    assert!(removal.contains("/settings/remove-secret") && removal.contains("Remove NPM_TOKEN</button>"));
    assert!(!page.contains(">Remove</button>"), "{page}");
    let answer =
        admin.post("/settings/remove-secret", &format!("{csrf}&scope=octo/hello&name=NPM_TOKEN")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert!(!admin.get("/settings?scope=octo/hello").await.text.contains("NPM_TOKEN"));
    let made = admin.post("/settings/make-token", &format!("{csrf}&name=robot&role=read&days=1")).await;
    let (_, rest) = made.text.split_once("id=\"token\">").expect("a token");
    let secret = rest.split_once('<').expect("its end").0;
    let again = admin.get("/settings").await.text;
    assert!(again.contains("robot") && !again.contains(secret), "{again}");
    let operator = Browser::signed_in(&world, Role::Operate).await;
    let refused = operator.post("/settings/set-secret", &form).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_admin_says_who_is_let_into_an_environment() {
    let world = World::new().await;
    world.repository("octo/hello").await;
    let admin = Browser::signed_in(&world, Role::Admin).await;
    let scope = format!("{}&scope=octo/hello@production", admin.csrf().await);
    let form = format!("{scope}&approval=on&reviewers=mona,+eve&branches=main,release/**&tags=");
    let form = format!("{form}&prevent_self_review=on&wait_minutes=30");
    let answer = admin.post("/settings/set-environment", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let page = admin.get("/settings?scope=octo/hello@production").await.text;
    for part in [
        "name=\"approval\" checked",
        "\"mona, eve\"",
        "\"main, release/**\"",
        "name=\"prevent_self_review\" checked",
        "max=\"43200\" value=\"30\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let page = admin.get("/settings?scope=octo/hello").await.text;
    assert!(page.contains("data-environment=\"production\""), "{page}");
    let wrong = admin.post("/settings/set-environment", &format!("{scope}&branches=[")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text);
    let wrong = admin.post("/settings/set-environment", &format!("{scope}&wait_minutes=soon")).await;
    assert!(wrong.text.contains("The wait is a number of minutes"), "{}", wrong.text);
    let unheard = form.replace("octo/hello", "octo/other");
    assert_eq!(admin.post("/settings/set-environment", &unheard).await.status, StatusCode::SEE_OTHER);
    let page = admin.get("/settings?scope=octo/other").await.text;
    assert!(page.contains("data-environment=\"production\""), "nobody has heard of it yet: {page}");
    let operator = Browser::signed_in(&world, Role::Operate).await;
    let form = form.replace(&admin.csrf().await, &operator.csrf().await);
    assert_eq!(operator.post("/settings/set-environment", &form).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_operator_lets_a_job_into_its_environment_or_keeps_it_out() {
    let world = World::new().await;
    let repository = world.repository("octo/hello").await;
    let run = world.run(repository, 100, |_| {}).await.id;
    world.start(run, WORKFLOW, 99).await;
    let build = world.job(run, 1, "build", "build", 99).await;
    let build = world.store.job(build).await.expect("read").expect("there");
    let deploy = store::record::Job {
        id: model::JobId(900),
        path: "deploy".to_owned(),
        name: "deploy".to_owned(),
        state: model::JobState::Waiting,
        environment: Some(HOSTILE.to_owned()),
        ..build
    };
    world.apply(vec![store::Change::JobCreated(Box::new(deploy))]).await;
    let reason = WaitReason::Environment(HOSTILE.to_owned());
    let wait = scheduler::decide::Wait { subject: Subject::Job(model::JobId(900)), reason, place: None };
    world.control.waits.lock().expect("a lock").push(wait);
    let path = format!("/runs/{run}/jobs/900");
    let reader = Browser::signed_in(&world, Role::Read).await;
    assert!(!reader.get(&format!("/runs/{run}")).await.text.contains("/approve"));
    let operator = Browser::signed_in(&world, Role::Operate).await;
    for page in [format!("/runs/{run}"), path.clone()] {
        let page = operator.get(&page).await.text;
        assert!(
            page.contains(&format!("{path}/approve")) && page.contains(&format!("{path}/reject")),
            "{page}"
        );
        assert!(
            page.contains("waits for approval to use the environment") && !page.contains(HOSTILE),
            "{page}"
        );
    }
    // One that waits for its time is not asked about.
    let (job, until) = (model::JobId(900), Some(model::Timestamp::now()));
    world.apply(vec![store::Change::JobDelayed { job, until, reason: "waits".to_owned() }]).await;
    let page = operator.get(&path).await.text;
    assert!(!page.contains(&format!("{path}/approve")) && page.contains(&format!("{path}/cancel")), "{page}");
    let csrf = operator.csrf().await;
    for action in ["approve", "reject"] {
        let answer = operator.post(&format!("{path}/{action}"), &csrf).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    }
    let wishes = world.control.wishes.lock().expect("a lock").join(", ");
    assert_eq!(wishes, "Approve 900 by operate, Reject 900 by operate");
}

#[tokio::test]
async fn who_may_not_decide_about_a_job_has_no_button_for_it() {
    let world = World::new().await;
    let repository = world.repository("octo/hello").await;
    let run = world.run(repository, 100, |what| what.actor = "@Operate".to_owned()).await.id;
    world.start(run, WORKFLOW, 99).await;
    let build = world.job(run, 1, "build", "build", 99).await;
    let build = world.store.job(build).await.expect("read").expect("there");
    let deploy = store::record::Job {
        id: model::JobId(900),
        path: "deploy".to_owned(),
        name: "deploy".to_owned(),
        state: model::JobState::Waiting,
        environment: Some("Production".to_owned()),
        ..build
    };
    world.apply(vec![store::Change::JobCreated(Box::new(deploy))]).await;
    let reason = WaitReason::Environment("Production".to_owned());
    let wait = scheduler::decide::Wait { subject: Subject::Job(model::JobId(900)), reason, place: None };
    world.control.waits.lock().expect("a lock").push(wait);
    let operator = Browser::signed_in(&world, Role::Operate).await;
    let path = format!("/runs/{run}/jobs/900");
    for (reviewers, prevent_self_review, buttons) in [
        (&[][..], false, ["approve", "reject"].as_slice()),
        (&["operate"], false, &["approve", "reject"]),
        (&["operate"], true, &["reject"]),
        (&["eve"], false, &["cancel"]),
    ] {
        let rules = scheduler::environment::Environment {
            name: "production".to_owned(),
            approval: true,
            reviewers: reviewers.iter().map(|name| (*name).to_owned()).collect(),
            prevent_self_review,
            ..Default::default()
        };
        world.apply(vec![scheduler::environment::set("octo/hello", &rules)]).await;
        for page in [format!("/runs/{run}"), path.clone()] {
            let text = operator.get(&page).await.text;
            let shown = ["approve", "reject", "cancel"];
            let shown = shown.into_iter().filter(|word| text.contains(&format!("{path}/{word}\"")));
            assert_eq!(shown.collect::<Vec<_>>(), buttons, "{rules:?}, {page}");
        }
    }
}

#[tokio::test]
async fn many_changes_at_once_are_told_as_few() {
    let world = World::new().await;
    let repository = world.repository("octo/hello").await;
    let run = world.run(repository, 60, |_| {}).await;
    world.start(run.id, WORKFLOW, 50).await;
    let browser = Browser::signed_in(&world, Role::Read).await;
    let request = Request::get("/live").header(header::COOKIE, &browser.cookie).body(Body::empty());
    let answer = browser.router.clone().oneshot(request.expect("a request")).await;
    let mut body = answer.expect("an answer").into_body();
    body.frame().await.expect("a frame").expect("data");
    for number in 0..40 {
        world.job(run.id, 1, &format!("test[{number}]"), "test", 40).await;
    }
    body.frame().await.expect("a frame").expect("data");
    assert!(body.frame().now_or_never().is_none(), "one event told all of them");
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_an_address_that_changes_with_them() {
    let world = World::new().await;
    let browser = Browser::nobody(&world);
    let page = browser.get("/sign-in").await.text;
    let (_, rest) = page.split_once("rel=\"stylesheet\" href=\"").expect("a style sheet");
    let address = rest.split_once('"').expect("its end").0;
    let answer = browser.get(address).await;
    assert_eq!(answer.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
    let icon = browser.get("/favicon.ico").await;
    assert_eq!((icon.status, icon.header("content-type")), (StatusCode::OK, "image/svg+xml"));
    assert_eq!(browser.get("/assets/0000/hearth.css").await.status, StatusCode::GONE);
    assert_eq!(browser.get("/assets/0000/x.css").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_page_that_is_watched_hears_of_a_change_of_its_run_and_ends_with_the_server() {
    let world = World::new().await;
    let repository = world.repository("octo/hello").await;
    let run = world.run(repository, 60, |_| {}).await;
    let browser = Browser::signed_in(&world, Role::Read).await;
    let request = Request::get(format!("/runs/{}/live", run.id)).header(header::COOKIE, &browser.cookie);
    let answer = browser.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
    let mut body = answer.expect("an answer").into_body();
    let first = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
    assert_eq!(first, "event: changed\ndata: now\n\n", "without data, browsers drop it");
    world.start(run.id, WORKFLOW, 1).await;
    let second = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
    assert_eq!(second, first);
    world.stop.cancel();
    assert!(body.frame().await.is_none());
}
