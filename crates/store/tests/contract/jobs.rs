//! Jobs, steps, annotations.

use model::{Annotation, AnnotationLevel, Conclusion, JobId, JobState, StepPhase, StepState};
use store::change::Requeue;
use store::record::{Job, JobClock, PlanInput};
use store::{Change, Store, StoreError};

use crate::sample::{job, job_ended, later, result, running_run, step, step_ref, to_its_machine};
use crate::world::World;

pub(crate) async fn a_job_goes_its_way_with_its_clock(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    let mut waiting = job(41, run, JobState::Waiting);
    waiting.reason = Some("environment production needs approval".to_owned());
    let id = waiting.id;
    store.apply(vec![Change::JobCreated(Box::new(waiting.clone()))]).await.expect("created");
    assert_eq!(store.job(id).await.expect("read"), Some(waiting.clone()));

    store.apply(vec![Change::JobQueued { job: id, at: later(3) }]).await.expect("approved");
    store.apply(to_its_machine(id)).await.expect("started");
    store.apply(vec![Change::JobSpoke { job: id, at: later(6) }]).await.expect("spoke");
    store.apply(vec![Change::JobSpoke { job: id, at: later(7) }]).await.expect("a further step spoke");
    store.apply(vec![job_ended(id, Conclusion::Success)]).await.expect("ended");
    let ended = store.job(id).await.expect("read").expect("there");
    let clock = JobClock {
        queued_at: later(3),
        retried_at: None,
        leased_at: Some(later(3)),
        started_at: Some(later(4)),
        first_line_at: Some(later(6)),
        ended_at: Some(later(50)),
    };
    assert_eq!(ended.clock, clock);
    assert_eq!((ended.state, ended.conclusion), (JobState::Ended, Some(Conclusion::Success)));
    assert_eq!((ended.tries, ended.machine.as_deref(), ended.reason), (1, Some("m-1"), None));
    assert_eq!(ended.outputs, result(Conclusion::Success).outputs);
    assert_eq!(ended.environment_url.as_deref(), Some("https://app.test"));
}

pub(crate) async fn jobs_come_by_their_ranks_and_of_one_rank_by_their_ids(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    let of = |id, rank: &str| Job { rank: rank.to_owned(), ..job(id, run, JobState::Queued) };
    let made = [of(43, "0001.0001"), of(42, "0002.0000"), of(41, "0001.0000"), of(40, "0002.0000")];
    let changes = made.into_iter().map(|job| Change::JobCreated(Box::new(job))).collect();
    store.apply(changes).await.expect("created");
    let found = store.jobs(run, 1).await.expect("read");
    assert_eq!(found.iter().map(|job| job.id.0).collect::<Vec<_>>(), [41, 43, 40, 42]);
}

pub(crate) async fn every_transition_of_jobs_is_as_drawn(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    let mut id = 0;
    for from in JobState::ALL {
        for to in JobState::ALL {
            id += 1;
            let job_id = JobId(id);
            let begins = if *from == JobState::Waiting { JobState::Waiting } else { JobState::Queued };
            let mut way = vec![Change::JobCreated(Box::new(job(id, run, begins)))];
            match from {
                JobState::Waiting | JobState::Queued => {}
                JobState::Leasing => way.extend(to_its_machine(job_id).into_iter().take(1)),
                JobState::Running => way.extend(to_its_machine(job_id)),
                JobState::Ended => way.push(job_ended(job_id, Conclusion::Skipped)),
            }
            store.apply(way).await.expect("the way there is legal");
            let Some(change) = towards(*from, *to, job_id) else { continue };
            let refused = store.apply(vec![change]).await.err();
            assert_eq!(refused.is_none(), from.may_become(*to), "{from} to {to}: {refused:?}");
            let is = store.job(job_id).await.expect("read").expect("there").state;
            assert_eq!(is, if from.may_become(*to) { *to } else { *from });
        }
    }
}

/// The change that would lead there.
fn towards(from: JobState, to: JobState, job: JobId) -> Option<Change> {
    match to {
        JobState::Waiting => None,
        JobState::Queued if from == JobState::Waiting => Some(Change::JobQueued { job, at: later(9) }),
        JobState::Queued => Some(Change::JobRequeued {
            job,
            reason: "the machine died".to_owned(),
            requeue: Requeue::Interrupted,
            at: later(9),
        }),
        JobState::Leasing => Some(Change::JobLeasing { job, at: later(9) }),
        JobState::Running => Some(Change::JobStarted { job, machine: "m".to_owned(), at: later(9) }),
        JobState::Ended => Some(job_ended(job, Conclusion::Failure)),
    }
}

async fn running_job(store: &dyn Store, id: u64) -> JobId {
    let run = running_run(store).await;
    let created = job(id, run, JobState::Queued);
    store.apply(vec![Change::JobCreated(Box::new(created))]).await.expect("created");
    store.apply(to_its_machine(JobId(id))).await.expect("started");
    JobId(id)
}

pub(crate) async fn the_end_of_a_job_and_what_its_plan_is_told_are_one(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    for id in [1, 2] {
        let created = Change::JobCreated(Box::new(job(id, run, JobState::Queued)));
        store.apply(vec![created]).await.expect("created");
    }
    store.apply(vec![job_ended(JobId(2), Conclusion::Cancelled)]).await.expect("ended");
    let cancel = Change::RunCancelled { run, reason: "enough".to_owned() };
    store.apply(vec![cancel, job_ended(JobId(1), Conclusion::Failure)]).await.expect("ended");
    assert!(store.apply(vec![job_ended(JobId(1), Conclusion::Success)]).await.is_err());
    let told = [
        PlanInput::Ended { job: JobId(2), result: result(Conclusion::Cancelled) },
        PlanInput::Cancelled,
        PlanInput::Ended { job: JobId(1), result: result(Conclusion::Failure) },
    ];
    assert_eq!(store.plan_inputs(run, 1).await.expect("read"), told);
}

pub(crate) async fn a_job_whose_machine_failed_begins_anew_and_keeps_the_reason(world: &impl World) {
    let store = world.open().await;
    let id = running_job(&*store, 5).await;
    let main = step_ref(0, StepPhase::Main);
    let begun = vec![
        Change::StepStarted(Box::new(step(id, main))),
        Change::JobSpoke { job: id, at: later(6) },
        Change::Annotated { job: id, annotation: annotation("odd") },
    ];
    store.apply(begun).await.expect("begun");
    let reason = "the machine was lost".to_owned();
    store
        .apply(vec![Change::JobRequeued { job: id, reason, requeue: Requeue::Interrupted, at: later(30) }])
        .await
        .expect("queued again");

    let again = store.job(id).await.expect("read").expect("there");
    assert_eq!((again.state, again.tries, &again.machine), (JobState::Queued, 1, &None));
    assert_eq!(again.interruptions, 1);
    let clock = JobClock { queued_at: later(2), retried_at: Some(later(30)), ..JobClock::default() };
    assert_eq!(again.clock, clock, "when it was first queued stays known");
    assert_eq!(again.infrastructure_error.as_deref(), Some("the machine was lost"));
    assert!(store.steps(id).await.expect("read").is_empty());
    assert!(store.annotations(again.run, 1).await.expect("read").is_empty());
    store.apply(to_its_machine(id)).await.expect("a second machine");
    let (reason, requeue) = ("the server was stopped".to_owned(), Requeue::HandedBack);
    store
        .apply(vec![Change::JobRequeued { job: id, reason, requeue, at: later(31) }])
        .await
        .expect("given back");
    let given_back = store.job(id).await.expect("read").expect("there");
    assert_eq!((given_back.tries, given_back.interruptions), (1, 1), "that was no try");
    store.apply(to_its_machine(id)).await.expect("a third machine");
    store.apply(vec![Change::StepStarted(Box::new(step(id, main)))]).await.expect("the same step begins");
    store.apply(vec![job_ended(id, Conclusion::Success)]).await.expect("ended");
    let ended = store.job(id).await.expect("read").expect("there");
    assert_eq!((ended.tries, ended.infrastructure_error.as_deref()), (2, Some("the server was stopped")));
}

pub(crate) async fn an_illegal_change_takes_all_beside_it_back(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    let refused = store
        .apply(vec![
            Change::JobCreated(Box::new(job(1, run, JobState::Queued))),
            Change::Setting { key: "limit".to_owned(), value: 3.into() },
            Change::JobStarted { job: JobId(1), machine: "m".to_owned(), at: later(4) },
        ])
        .await
        .expect_err("a queued job has no machine");
    assert!(matches!(refused, StoreError::Illegal { .. }));
    assert_eq!(refused.to_string(), "job 1 can't become running: it is queued");
    assert_eq!(store.job(JobId(1)).await.expect("read"), None);
    assert_eq!(store.setting("limit").await.expect("read"), None);
    let again = Change::JobCreated(Box::new(job(1, run, JobState::Queued)));
    store.apply(vec![again.clone()]).await.expect("created");
    assert!(store.apply(vec![again]).await.is_err(), "an id is given once");
}

pub(crate) async fn steps_are_kept_in_order_with_summaries(world: &impl World) {
    let store = world.open().await;
    let id = running_job(&*store, 8).await;
    let (pre, main) = (step_ref(1, StepPhase::Pre), step_ref(0, StepPhase::Main));
    let (first, second) = (step(id, pre), step(id, main));
    store.apply(vec![Change::StepStarted(Box::new(first.clone()))]).await.expect("begun");
    store.apply(vec![Change::StepStarted(Box::new(second.clone()))]).await.expect("begun");
    assert_eq!(store.steps(id).await.expect("read"), [first, second]);
    let summary = |markdown: &str| Change::Summary { job: id, step: main, markdown: markdown.to_owned() };
    let end = |step| Change::StepEnded {
        job: id,
        step,
        outcome: Conclusion::Failure,
        conclusion: Conclusion::Success,
        at: later(20),
    };
    store.apply(vec![summary("# One\n"), end(pre), summary("two"), end(main)]).await.expect("ended");
    let steps = store.steps(id).await.expect("read");
    assert_eq!(steps[1].summary.as_deref(), Some("# One\ntwo"));
    assert_eq!(steps[0].summary, None);
    for step in steps {
        assert_eq!((step.state, step.ended_at), (StepState::Ended, Some(later(20))));
        assert_eq!(step.outcome, Some(Conclusion::Failure));
        assert_eq!(step.conclusion, Some(Conclusion::Success));
    }
    assert!(store.apply(vec![end(main)]).await.is_err(), "a step ends once");
}

pub(crate) async fn no_step_outlives_its_job(world: &impl World) {
    let store = world.open().await;
    for (id, of, expected) in
        [(1, Conclusion::Cancelled, Conclusion::Cancelled), (2, Conclusion::Failure, Conclusion::Failure)]
    {
        let id = running_job(&*store, id).await;
        let begun = Change::StepStarted(Box::new(step(id, step_ref(0, StepPhase::Main))));
        store.apply(vec![begun.clone(), job_ended(id, of)]).await.expect("ended");
        let cut = store.steps(id).await.expect("read").remove(0);
        assert_eq!((cut.state, cut.conclusion), (StepState::Ended, Some(expected)));
        assert_eq!(cut.ended_at, Some(later(50)));
        assert!(store.apply(vec![begun]).await.is_err(), "nothing begins in a job that has ended");
    }
}

fn annotation(message: &str) -> Annotation {
    Annotation {
        level: AnnotationLevel::Warning,
        message: message.to_owned(),
        title: None,
        file: Some("src/main.rs".to_owned()),
        line: Some(3),
        end_line: None,
        column: None,
        end_column: None,
        code: None,
    }
}

pub(crate) async fn annotations_are_kept_in_order(world: &impl World) {
    let store = world.open().await;
    let id = running_job(&*store, 8).await;
    let run = store.job(id).await.expect("read").expect("there").run;
    for message in ["z", "a", "m"] {
        let annotated = Change::Annotated { job: id, annotation: annotation(message) };
        store.apply(vec![annotated]).await.expect("annotated");
    }
    let kept = store.annotations(run, 1).await.expect("read");
    assert_eq!(
        kept.iter().map(|of| of.annotation.clone()).collect::<Vec<_>>(),
        ["z", "a", "m"].map(annotation)
    );
    assert!(kept.iter().all(|of| of.job == id));
}
