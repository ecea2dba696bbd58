//! From a node to its legs: strategy, names, and what each leg needs to start.

use model::limits::{CANCEL_TIMEOUT, JOB_TIMEOUT};
use model::{CacheMode, Conclusion, JobId, Permissions};

use crate::expr::{Object, Value};
use crate::resolve::{asked, within};
use crate::syntax::{Job, JobWork, Node as SyntaxNode, NodeKind};

use super::RunPlan;
use super::context::{Contexts, object};
use super::evaluate::{Evaluator, as_boolean, as_number};
use super::matrix::{Combination, Entry, Matrix};
use super::state::{Expansion, Leg, LegId, LegState, LegWork, NodeId, NodeState};
use crate::concurrency::Concurrency;

/// Longest name that GitHub makes of a job and its matrix, in UTF-16 units.
pub(super) const NAME_UNITS: usize = 100;

/// Longest name of a job's own, in UTF-16 units: so that a matrix of names made of outputs stays small.
const OWN_NAME_UNITS: usize = 1000;

/// `strategy`, evaluated.
struct Strategy {
    fail_fast: bool,
    max_parallel: Option<usize>,
    /// None without a matrix, or where every combination was excluded.
    combinations: Vec<Combination>,
}

/// Everything about a leg but its place in the plan.
struct Settings {
    continue_on_error: bool,
    groups: Vec<Concurrency>,
    cache_mode: CacheMode,
    permissions: Permissions,
    environment: Option<String>,
    work: LegWork,
}

impl RunPlan {
    /// Makes the legs of a node whose condition holds.
    pub(super) fn expand(&mut self, node: NodeId) {
        let job = self.job(node).clone();
        let contexts = self.contexts(node);
        match self.strategy(&job, &contexts) {
            Ok(strategy) => self.add_legs(node, &job, &contexts, strategy),
            Err(reason) => self.decide(node, Conclusion::Failure, Some(reason)),
        }
    }

    fn strategy(&self, job: &Job, contexts: &Contexts) -> Result<Strategy, String> {
        let evaluator = Evaluator { job: &job.id, contexts };
        let mut strategy = Strategy { fail_fast: true, max_parallel: None, combinations: Vec::new() };
        let Some(node) = &job.strategy else { return Ok(strategy) };
        for part in strategy_parts(&evaluator, node)? {
            let wrong = |problem: String| evaluator.error("strategy", Some(&part.entry.span), &problem);
            match part.entry.key.as_str() {
                "fail-fast" => strategy.fail_fast = as_boolean(&part.entry.value).map_err(wrong)?,
                "max-parallel" => {
                    // Zero and less mean no limit, as on GitHub.
                    let limit = as_number(&part.entry.value).map_err(wrong)?;
                    strategy.max_parallel = (limit >= 1.0).then_some(limit as usize);
                }
                "matrix" => strategy.combinations = combinations(&evaluator, &part)?,
                other => return Err(wrong(format!("Unexpected value '{other}'"))),
            }
        }
        Ok(strategy)
    }

    fn add_legs(&mut self, node: NodeId, job: &Job, contexts: &Contexts, strategy: Strategy) {
        let total = strategy.combinations.len().max(1);
        let max_parallel = strategy.max_parallel.unwrap_or(total);
        let wanted = self.wanted(&strategy.combinations);
        if wanted.is_empty() {
            let reason = "no configuration of its matrix has the chosen values".to_owned();
            return self.decide(node, Conclusion::Skipped, Some(reason));
        }
        let Some(ids) = self.reserve(wanted.len() - 1) else {
            return self.decide(node, Conclusion::Failure, Some(super::too_many_jobs()));
        };
        let first = self.node(node).id;
        let mut problems = Vec::new();
        let mut legs = Vec::new();
        for (index, id) in wanted.into_iter().zip(std::iter::once(first).chain(ids)) {
            let combination = strategy.combinations.get(index);
            let strategy = strategy_context(strategy.fail_fast, index, total, max_parallel);
            let (leg, problem) =
                self.make_leg(node, job, contexts.clone(), (id, index, strategy, combination));
            let leg_id = LegId(self.legs.len());
            self.legs.push(leg);
            legs.push(leg_id);
            problems.extend(problem.map(|problem| (leg_id, problem)));
        }
        let expansion = Expansion { legs, fail_fast: strategy.fail_fast, max_parallel, outputs: Vec::new() };
        self.node_mut(node).state = NodeState::Expanded(expansion);
        for (leg, problem) in problems {
            self.decide_leg(leg, Conclusion::Failure, Some(problem));
        }
    }

    /// Positions of the combinations that the user chose. A job without a matrix has one, which is always wanted.
    fn wanted(&self, combinations: &[Combination]) -> Vec<usize> {
        let has = |key: &str| combinations.iter().any(|combination| combination.values.get(key).is_some());
        let chosen: Vec<_> = self.context.matrix.iter().filter(|(key, _)| has(key)).collect();
        let fits = |values: &Object| {
            let is_one_of_its = |wanted: &str, value: &Value| {
                chosen.iter().any(|(key, text)| key == wanted && value.to_text() == *text)
            };
            chosen.iter().all(|(key, _)| values.get(key).is_some_and(|value| is_one_of_its(key, value)))
        };
        (0..combinations.len().max(1))
            .filter(|index| combinations.get(*index).is_none_or(|combination| fits(&combination.values)))
            .collect()
    }

    /// A leg, and what is wrong with it.
    fn make_leg(
        &self,
        node: NodeId,
        job: &Job,
        mut contexts: Contexts,
        (id, index, strategy, combination): (JobId, usize, Value, Option<&Combination>),
    ) -> (Leg, Option<String>) {
        let matrix =
            combination.map_or(Value::Null, |combination| Value::Object(combination.values.clone().into()));
        contexts.strategy = Some(strategy.clone());
        contexts.matrix = Some(matrix.clone());
        let evaluator = Evaluator { job: &job.id, contexts: &contexts };
        let default = default_name(job, combination.map_or(&[], |combination| &combination.segments));
        let name = own_name(&evaluator, job).map(|name| name.unwrap_or_else(|| default.clone()));
        let prefix = &self.frame(self.node(node).frame).prefix;
        let mut leg = Leg {
            id,
            node,
            index,
            name: format!("{prefix}{}", name.as_ref().unwrap_or(&default)),
            strategy,
            matrix,
            continue_on_error: false,
            groups: Vec::new(),
            entered: 0,
            cache_mode: CacheMode::None,
            permissions: Permissions::new(),
            environment: None,
            work: LegWork::Machine {
                runs_on: super::RunsOn::default(),
                timeout: JOB_TIMEOUT,
                cancel_timeout: CANCEL_TIMEOUT,
            },
            state: LegState::Held,
            reused: false,
        };
        match name.and_then(|_| self.settings(node, job, &evaluator)) {
            Ok(settings) => {
                leg.continue_on_error = settings.continue_on_error;
                leg.groups = settings.groups;
                leg.cache_mode = settings.cache_mode;
                leg.permissions = settings.permissions;
                leg.environment = settings.environment;
                leg.work = settings.work;
                (leg, None)
            }
            Err(problem) => (leg, Some(problem)),
        }
    }

    fn settings(&self, node: NodeId, job: &Job, evaluator: &Evaluator<'_>) -> Result<Settings, String> {
        let continue_on_error = match &job.continue_on_error {
            Some(node) => evaluator.boolean("continue-on-error", node)?,
            None => false,
        };
        let environment = match &job.environment {
            Some(environment) => evaluator.environment(environment)?,
            None => None,
        };
        let mut groups = Vec::new();
        if let Some(concurrency) = &job.concurrency {
            groups.push(evaluator.concurrency(concurrency)?);
        }
        let frame = self.frame(self.node(node).frame);
        let cache_mode = match &job.cache_mode {
            Some(node) => evaluator.cache_mode(node)?.within(frame.cache_limit),
            None => frame.cache_mode,
        };
        let permissions = match &job.permissions {
            Some(permissions) => within(asked(permissions), frame.permission_limit.as_ref()),
            None => frame.permissions.clone(),
        };
        let work = match &job.work {
            JobWork::Steps { runs_on, .. } => LegWork::Machine {
                runs_on: evaluator.runs_on(runs_on)?,
                timeout: evaluator.minutes("timeout-minutes", job.timeout_minutes.as_ref(), JOB_TIMEOUT)?,
                cancel_timeout: evaluator.minutes(
                    "cancel-timeout-minutes",
                    job.cancel_timeout_minutes.as_ref(),
                    CANCEL_TIMEOUT,
                )?,
            },
            JobWork::Call { uses, with, secrets } => {
                let call = self.call(node, evaluator, uses, with.as_ref(), secrets)?;
                groups.extend(self.workflow_group(evaluator, &call)?);
                LegWork::Call(call)
            }
        };
        Ok(Settings { continue_on_error, groups, cache_mode, permissions, environment, work })
    }
}

/// A key of `strategy`; a matrix written out keeps its node, so that errors find their place.
struct StrategyPart<'a> {
    entry: Entry,
    node: Option<&'a SyntaxNode>,
}

fn strategy_parts<'a>(
    evaluator: &Evaluator<'_>,
    node: &'a SyntaxNode,
) -> Result<Vec<StrategyPart<'a>>, String> {
    let parts = evaluator.entries("strategy", node)?;
    let written = |key: &str| node.get(key).filter(|node| matches!(node.kind, NodeKind::Mapping(_)));
    Ok(parts.into_iter().map(|entry| StrategyPart { node: written(&entry.key), entry }).collect())
}

fn combinations(evaluator: &Evaluator<'_>, part: &StrategyPart<'_>) -> Result<Vec<Combination>, String> {
    let Entry { value, span, .. } = &part.entry;
    let entries = match part.node {
        Some(node) => evaluator.entries("strategy", node)?,
        None => evaluator.entries_of("strategy", value, span)?,
    };
    let matrix = Matrix::read(&entries).map_err(|problem| {
        evaluator.error("strategy", Some(problem.span.as_ref().unwrap_or(span)), &problem.message)
    })?;
    let combinations =
        matrix.combinations().map_err(|problem| evaluator.error("strategy", Some(span), &problem))?;
    Ok(combinations)
}

fn strategy_context(fail_fast: bool, index: usize, total: usize, max_parallel: usize) -> Value {
    object([
        ("fail-fast", Value::Bool(fail_fast)),
        ("job-index", Value::Number(index as f64)),
        ("job-total", Value::Number(total as f64)),
        ("max-parallel", Value::Number(max_parallel as f64)),
    ])
}

/// The name of a job whose legs nobody made: it never started.
pub(super) fn plain_name(job: &Job) -> String {
    default_name(job, &[])
}

/// A literal name or the key, with the matrix in brackets, cut as GitHub cuts it.
fn default_name(job: &Job, segments: &[String]) -> String {
    let base = match &job.name {
        Some(SyntaxNode { kind: NodeKind::String(name), .. }) if !name.is_empty() => name,
        _ => &job.id.value,
    };
    let whole = if segments.is_empty() { base.clone() } else { format!("{base} ({})", segments.join(", ")) };
    cut(&whole, NAME_UNITS)
}

/// A name made by an expression; none where it is empty or literal.
fn own_name(evaluator: &Evaluator<'_>, job: &Job) -> Result<Option<String>, String> {
    match &job.name {
        Some(node) if !matches!(node.kind, NodeKind::String(_) | NodeKind::Null) => {
            Ok(Some(cut(&evaluator.text("name", node)?, OWN_NAME_UNITS)).filter(|name| !name.is_empty()))
        }
        _ => Ok(None),
    }
}

/// At most `units`, the last three of them dots where something was cut off.
fn cut(name: &str, units: usize) -> String {
    if name.encode_utf16().count() <= units {
        return name.to_owned();
    }
    let mut left = units.saturating_sub(3);
    let kept = name.chars().take_while(|letter| {
        let fits = letter.len_utf16() <= left;
        left = left.saturating_sub(letter.len_utf16());
        fits
    });
    kept.chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_to_a_hundred_units_without_breaking_a_letter() {
        assert_eq!(cut(&"ä".repeat(100), NAME_UNITS), "ä".repeat(100));
        assert_eq!(cut(&"ä".repeat(101), NAME_UNITS), format!("{}...", "ä".repeat(97)));
        let faces = cut(&"😀".repeat(60), NAME_UNITS);
        assert_eq!(faces, format!("{}...", "😀".repeat(48)));
    }
}
