//! The cross product of a matrix, with its exclusions and inclusions.
//!
//! The rules are those of GitHub's own builder: an `exclude` takes away every combination
//! that agrees with it in all the values it names; an `include` adds its new keys to every
//! combination that agrees with it in the keys they share, and becomes a combination of its
//! own where none agrees. Values are compared as `==` compares them.
//! <https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations>

use std::sync::Arc;

use model::limits::MATRIX_JOBS;

use crate::expr::{Object, Value};
use crate::span::Span;

use super::expand::NAME_UNITS;

/// Combinations that are looked at before exclusions thin them out. Enough to write a large
/// product and exclude most of it, few enough to be done in a moment.
const COMBINATIONS: usize = 65_536;

/// Values that are looked at, those of the vectors and of the filters for each combination: bounds what a product
/// of many vectors or with long lists of filters costs.
const LOOKS: usize = 4 * 1024 * 1024;

/// Levels of nesting that a value of a matrix may have: GitHub's limit for evaluated values.
const VALUE_DEPTH: usize = 50;

/// A matrix whose expressions have been evaluated.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    vectors: Vec<(Arc<str>, Arc<Vec<Value>>)>,
    include: Vec<Arc<Object>>,
    exclude: Vec<Arc<Object>>,
}

/// One combination: the `matrix` of one job.
#[derive(Clone, Debug)]
pub(super) struct Combination {
    /// The `matrix` context.
    pub(super) values: Object,
    /// What stands in brackets behind the job's name.
    pub(super) segments: Vec<String>,
}

/// One key of a mapping, evaluated, with its place.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) span: Span,
}

/// What is wrong with a matrix, in GitHub's words, and where.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) span: Option<Span>,
}

impl Matrix {
    /// Reads the entries of `matrix`.
    pub(super) fn read(entries: &[Entry]) -> Result<Matrix, Problem> {
        let mut matrix = Matrix::default();
        for entry in entries {
            matrix.add(entry).map_err(|message| Problem { message, span: Some(entry.span.clone()) })?;
        }
        let whole = |message| Problem { message, span: None };
        if matrix.vectors.is_empty() && matrix.include.is_empty() {
            return Err(whole("Matrix must define at least one vector".to_owned()));
        }
        matrix.check_exclusions().map_err(whole)?;
        Ok(matrix)
    }

    fn add(&mut self, entry: &Entry) -> Result<(), String> {
        let Entry { key, value, .. } = entry;
        check_depth(value)?;
        match key.as_str() {
            "include" => self.include = filters(value, "include mapping does not contain any values")?,
            "exclude" => self.exclude = filters(value, "exclude filter must not be empty")?,
            _ => self.vectors.push((key.as_str().into(), vector(key, value)?)),
        }
        Ok(())
    }

    fn check_exclusions(&self) -> Result<(), String> {
        let keys = self.exclude.iter().flat_map(|filter| filter.iter().map(|(key, _)| key));
        for key in keys {
            if !self.has_vector(key) {
                return Err(format!("Matrix exclude key '{key}' does not match any key within the matrix"));
            }
        }
        Ok(())
    }

    fn has_vector(&self, key: &str) -> bool {
        self.vectors.iter().any(|(name, _)| name.eq_ignore_ascii_case(key))
    }

    /// All combinations, in GitHub's order: the last vector turns fastest, inclusions of
    /// their own come last.
    pub(super) fn combinations(&self) -> Result<Vec<Combination>, String> {
        let mut found = Vec::new();
        let mut matched = vec![false; self.include.len()];
        for index in 0..self.product_size()? {
            let base = self.product(index);
            if self.exclude.iter().any(|filter| agrees(&Value::Object(Arc::clone(filter)), &base)) {
                continue;
            }
            let Value::Object(values) = &base else { continue };
            let segments = segments(values);
            let mut values = Object::clone(values);
            for (include, matched) in self.include.iter().zip(&mut matched) {
                *matched |= self.extend(&base, include, &mut values);
            }
            push(&mut found, Combination { values, segments })?;
        }
        for (include, _) in self.include.iter().zip(&matched).filter(|(_, matched)| !**matched) {
            let values = self.standing_alone(include);
            let segments = segments(&values);
            push(&mut found, Combination { values, segments })?;
        }
        Ok(found)
    }

    fn product_size(&self) -> Result<usize, String> {
        if self.vectors.is_empty() {
            return Ok(0);
        }
        let size = self.vectors.iter().try_fold(1_usize, |size, (_, vector)| size.checked_mul(vector.len()));
        let filters = self.include.iter().chain(&self.exclude).map(|filter| filter.len());
        let looks = self.vectors.len() + filters.sum::<usize>();
        size.filter(|size| *size <= COMBINATIONS && size.saturating_mul(looks) <= LOOKS).ok_or_else(too_many)
    }

    /// The combination at `index` of the product.
    fn product(&self, index: usize) -> Value {
        let mut picked = Vec::with_capacity(self.vectors.len());
        let mut rest = index;
        for (name, vector) in self.vectors.iter().rev() {
            picked.push((Arc::clone(name), vector[rest % vector.len()].clone()));
            rest /= vector.len();
        }
        let mut object = Object::new();
        for (name, value) in picked.into_iter().rev() {
            object.insert(name, value);
        }
        Value::Object(Arc::new(object))
    }

    /// Lays the new keys of `include` over `values` where it agrees with the combination `base`.
    fn extend(&self, base: &Value, include: &Object, values: &mut Object) -> bool {
        let (shared, new): (Vec<_>, Vec<_>) = include.iter().partition(|(key, _)| self.has_vector(key));
        if !shared.iter().all(|(key, value)| agrees(value, &member(base, key))) {
            return false;
        }
        for (key, value) in new {
            values.insert(key, value.clone());
        }
        true
    }

    /// An inclusion as a combination of its own: first what it shares with the vectors, then the rest.
    fn standing_alone(&self, include: &Object) -> Object {
        let mut values = Object::new();
        for shared in [true, false] {
            for (key, value) in include.iter().filter(|(key, _)| self.has_vector(key) == shared) {
                values.insert(key, value.clone());
            }
        }
        values
    }
}

fn push(found: &mut Vec<Combination>, combination: Combination) -> Result<(), String> {
    if found.len() == MATRIX_JOBS {
        return Err(too_many());
    }
    found.push(combination);
    Ok(())
}

fn too_many() -> String {
    format!("Strategy expansion exceeded {MATRIX_JOBS} results")
}

fn vector(key: &str, value: &Value) -> Result<Arc<Vec<Value>>, String> {
    match expect_array(value)? {
        vector if vector.is_empty() => Err(format!("Matrix vector '{key}' does not contain any values")),
        vector => Ok(Arc::clone(vector)),
    }
}

fn filters(value: &Value, empty: &str) -> Result<Vec<Arc<Object>>, String> {
    expect_array(value)?
        .iter()
        .map(|item| match expect_object(item)? {
            filter if filter.is_empty() => Err(format!("Matrix {empty}")),
            filter => Ok(Arc::clone(filter)),
        })
        .collect()
}

/// Whether every leaf of `filter` equals what stands at its place in `value`; what `filter`
/// does not name does not matter.
fn agrees(filter: &Value, value: &Value) -> bool {
    match filter {
        Value::Object(filter) => filter.iter().all(|(key, filter)| agrees(filter, &member(value, key))),
        Value::Array(filter) => {
            let items: &[Value] = if let Value::Array(items) = value { items } else { &[] };
            filter
                .iter()
                .enumerate()
                .all(|(index, filter)| agrees(filter, items.get(index).unwrap_or(&Value::Null)))
        }
        leaf => leaf.equals(value),
    }
}

fn member(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(object) => object.get(key).cloned().unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

/// The texts of all scalars in order, as many as a name can show; empty ones and nulls show nothing.
fn segments(values: &Object) -> Vec<String> {
    let mut segments = Segments { found: Vec::new(), left: NAME_UNITS };
    values.iter().for_each(|(_, value)| segments.collect(value));
    segments.found
}

struct Segments {
    found: Vec<String>,
    /// Characters that a name still has room for.
    left: usize,
}

impl Segments {
    fn collect(&mut self, value: &Value) {
        if self.left == 0 {
            return;
        }
        match value {
            Value::Object(object) => object.iter().for_each(|(_, value)| self.collect(value)),
            Value::Array(items) => items.iter().for_each(|value| self.collect(value)),
            scalar => self.add(&scalar.text()),
        }
    }

    fn add(&mut self, text: &str) {
        // One more, so that the name is too long and ends with dots.
        let shown: String = text.chars().take(NAME_UNITS + 1).collect();
        if !shown.is_empty() {
            self.left = self.left.saturating_sub(shown.chars().count());
            self.found.push(shown);
        }
    }
}

fn check_depth(value: &Value) -> Result<(), String> {
    fn within(value: &Value, left: usize) -> bool {
        match value {
            Value::Object(object) => left > 0 && object.iter().all(|(_, value)| within(value, left - 1)),
            Value::Array(items) => left > 0 && items.iter().all(|value| within(value, left - 1)),
            _ => true,
        }
    }
    if within(value, VALUE_DEPTH) { Ok(()) } else { Err("Maximum object depth exceeded".to_owned()) }
}

fn expect_object(value: &Value) -> Result<&Arc<Object>, String> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(other.unexpected()),
    }
}

fn expect_array(value: &Value) -> Result<&Arc<Vec<Value>>, String> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(other.unexpected()),
    }
}
